"""Status of a stream: its lag, and the number of events in each state."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

from headrace.core.clock import HOUR, now_us
from headrace.core.errors import DeclarationError, SourceError
from headrace.core.home import Home
from headrace.gates.event_gate import whole_batch_checks
from headrace.lake.ledger.ledger import Batch, JudgementRow, LaneProgress, Ledger
from headrace.lake.ledger.row_counts import Account, account, current_verdicts, total
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.streams.broker_port import Broker, open_broker
from headrace.streams.spec import Stream
from headrace.streams.status_file import beat_path

_SILENT = 30_000_000  # microseconds without a heartbeat after which a run counts as dead
_RECENT = HOUR


def stream_status(
    stream: Stream,
    table: Table,
    home: Home,
    *,
    connect: Callable[[Stream], Broker] = open_broker,
) -> dict[str, Any]:
    """Return the state of a stream as JSON values, from ledger, table, broker and the current run.

    `events` = published + quarantined + pending + rejected + repeated + redelivered + unjudged:
    each recorded event counts in exactly one of them. `lag` is the number of events that are not
    recorded yet, including buffered ones, and the age of the oldest in seconds.

    Returns:
        One mapping; its `problems` are sentences for people, and empty if nothing needs attention.
    """
    with Ledger(home) as ledger:
        progress = ledger.lane_progress(table.name, stream.name)
        redelivered = ledger.repeated_events(table.name, stream.name)
        batches = {
            key: batch
            for key, batch in ledger.batches(table.name).items()
            if batch.source == stream.name
        }
        judgements = ledger.judgements(table.name)
    files = {file.batch_id: file for file in Lake(home).files(table.name)}
    verdicts = current_verdicts(judgements, {key: file.path for key, file in files.items()})
    counted = {
        key: account(batch, verdicts[key], files.get(key))
        for key, batch in batches.items()
        if key in verdicts
    }
    rows = total(counted.values()) if counted else Account()
    events = sum(lane.events for lane in progress.values())
    accounted = rows.delivered + rows.repeated + redelivered
    status: dict[str, Any] = {
        "stream": stream.name,
        "table": table.name,
        "events": events,
        "published": rows.published,
        "quarantined": rows.quarantined,
        "pending": rows.pending,
        "rejected": rows.rejected,
        "repeated": rows.repeated,
        "redelivered": redelivered,
        "unjudged": events - accounted,
        "batches": sum(lane.batches for lane in progress.values()),
        "lost": sum(lane.lost_events for lane in progress.values()),
        "position": {lane: state.position for lane, state in progress.items()},
        "quarantined_share": _share(batches, verdicts),
        "checks_left_out": list(whole_batch_checks(table.suite)),
        **_run_at_work(home, stream),
        **_lag(stream, progress, connect),
    }
    return {**status, "problems": _problems(stream, table, status)}


def _share(batches: dict[str, Batch], verdicts: dict[str, JudgementRow]) -> dict[str, Any]:
    """Return the quarantined share of all events, and of those of the last hour."""
    recent = now_us() - _RECENT
    sums = {"all": [0, 0], "recent": [0, 0]}
    for key, judgement in verdicts.items():
        if key in batches:
            spans = ("all", "recent") if batches[key].arrived_at >= recent else ("all",)
            for span in spans:
                sums[span][0] += judgement.quarantined
                sums[span][1] += judgement.delivered
    return {span: (bad / of if of else 0.0) for span, (bad, of) in sums.items()}


def _run_at_work(home: Home, stream: Stream) -> dict[str, Any]:
    path = beat_path(home, stream)
    if not path.exists():
        return {"state": "never run", "buffered": 0, "run": None}
    beat = json.loads(path.read_text())
    state = beat["state"]
    if state != "stopped" and now_us() - beat["at"] > _SILENT:
        state = "silent"
    alive = state in {"running", "disconnected"}
    return {"state": state, "buffered": beat["buffered"] if alive else 0, "run": beat}


def _lag(
    stream: Stream, progress: dict[str, LaneProgress], connect: Callable[[Stream], Broker]
) -> dict[str, Any]:
    """Return the lag of all lanes together; None if the broker does not answer."""
    try:
        with closing(connect(stream)) as broker:
            waits = [
                broker.waiting(lane, progress[lane].position if lane in progress else "")
                for lane in broker.lanes()
            ]
            place = broker.place
    except (SourceError, DeclarationError) as error:
        return {"place": "", "lag": None, "about_to_lose": 0, "broker_error": error.what}
    ages = [now_us() - wait.oldest_at for wait in waits if wait.oldest_at is not None]
    return {
        "place": place,
        "lag": {
            "events": sum(wait.events for wait in waits),
            "seconds": round(max([*ages, 0]) / 1e6, 3),
        },
        "about_to_lose": sum(wait.missed for wait in waits),
        "broker_error": "",
    }


def _problems(stream: Stream, table: Table, status: dict[str, Any]) -> list[str]:
    problems = []
    lag = status["lag"]
    if status["broker_error"]:
        problems.append(status["broker_error"])
    elif lag["seconds"] * 1e6 > stream.max_lag_us:
        problems.append(
            f"the oldest unread event has waited for {lag['seconds']:.0f} s, longer than"
            f" {stream.max_lag}"
        )
    if status["about_to_lose"]:
        problems.append(f"{status['about_to_lose']} events were deleted before they were read")
    if status["pending"]:
        problems.append(
            f"{status['pending']} events are pending: headrace gate ls --table {table.name}"
        )
    share, allowed = status["quarantined_share"]["recent"], table.suite.max_quarantined_share
    if share > allowed:
        problems.append(
            f"{share:.2%} of the last hour's events are quarantined, above {allowed:.2%}"
        )
    if status["state"] == "silent":
        problems.append("the consumer has written no heartbeat for half a minute")
    return problems
