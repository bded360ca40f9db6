"""What the ledger says should be known: pure reading, the same answer however often it is asked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.alerts.headline_cause import OVERRIDE, named_cause
from headrace.alerts.model import HELD, SOURCE, Alert, Condition
from headrace.core.clock import DAY, from_us, iso
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions
from headrace.lake.table import Table

# A slot at the end of what came is missing only while the feed is alive: a year that was replayed
# ends somewhere, and nobody waits for the day after.
ALIVE = 7 * DAY

# The latest verdict on a batch; of one that is held back the gate's own, not one by an override
# that has ended.
_JUDGED = """
    SELECT b.batch_id, b.slot, b.state, j.verdict, j.delivered, j.quarantined, j.judged_at,
           j.rule_hash
    FROM {first} CROSS JOIN {second}
    WHERE b.batch_id = j.batch_id AND b.tbl = j.tbl AND {first_tbl} = ? AND j.judged_at = (
        SELECT max(k.judged_at) FROM judgements k WHERE k.batch_id = b.batch_id AND k.tbl = b.tbl
        AND (b.state <> 'pending' OR k.derived_from = ''))
"""
# A stream's table has many thousands of batches: CROSS JOIN makes SQLite start where few are left.
_FROM_BATCHES = _JUDGED.format(first="batches b", second="judgements j", first_tbl="b.tbl")
_FROM_JUDGEMENTS = _JUDGED.format(first="judgements j", second="batches b", first_tbl="j.tbl")


@dataclass(frozen=True)
class Judged:
    """A batch and the latest verdict on it."""

    batch_id: str
    slot: str
    state: str
    verdict: str
    delivered: int
    quarantined: int
    judged_at: int
    rule_hash: str


def held_back(ledger: Ledger, table: Table, now: int) -> list[Condition]:
    """One for each pending batch: nothing of it can be read until somebody acts."""
    rows = _judged(ledger, table, f"{_FROM_BATCHES} AND b.state = 'pending'")
    return [_held(ledger, table, row, now) for row in rows if row.verdict in HELD]


def _held(ledger: Ledger, table: Table, row: Judged, now: int) -> Condition:
    """A release that has ended is another cause: somebody counted on those rows."""
    found = _condition(ledger, table, row)
    ended = [
        one
        for one in _allowed(ledger, table.name, row.batch_id)
        if one.action == "release" and one.expires_at is not None and one.expires_at <= now
    ]
    if not ended:
        return found
    last = ended[-1]
    words, reason = "release ended", f"the release by {last.principal} has ended: {last.reason}"
    return replace(found, cause=f"lapsed:{last.id}", words=words, reason=reason)


def passed_with_marks(ledger: Ledger, table: Table, since: int) -> list[Condition]:
    """Batches judged WARN or QUARANTINE after `since` and published."""
    marked = f"{_FROM_JUDGEMENTS} AND j.judged_at > ? AND j.verdict IN ('WARN', 'QUARANTINE')"
    rows = _judged(ledger, table, marked, since)
    found = [_condition(ledger, table, row) for row in rows if row.state == "published"]
    return [one for one in found if not one.cause.startswith(OVERRIDE)]


def missing(ledger: Ledger, table: Table, now: int) -> list[Condition]:
    """Expected slots of which nothing came though later ones did, or their day is just over."""
    came = {
        slot
        for (slot,) in ledger.connection.execute(
            "SELECT DISTINCT slot FROM batches WHERE tbl = ? AND state <> 'rejected'",
            (table.name,),
        )
    }
    if not came or not table.partitioned:
        return []
    first, newest = min(came), max(came)
    yesterday = from_us(now - DAY).date().isoformat()
    if newest >= from_us(now - ALIVE).date().isoformat():
        newest = max(newest, yesterday)
    return [
        _of_slot(table, slot, "missing", "expected, and no delivery has come", "MISSING")
        for slot in table.expected_slots(newest)
        if first < slot <= yesterday and slot not in came
    ]


def unreadable(table: Table, slot: str, reason: str, now: int) -> Condition:
    """A source that could not be read: the ledger knows nothing of it, the run does.

    It may be down again another time, which is another alert.
    """
    found = _of_slot(table, slot, SOURCE, reason, "ERROR")
    return replace(found, batch_id=f"{found.batch_id} {iso(now)}")


def judged_since(ledger: Ledger, table: Table) -> int:
    """Moment of the latest verdict on the table; 0 if there is none."""
    row = ledger.connection.execute(
        "SELECT coalesce(max(judged_at), 0) FROM judgements WHERE tbl = ?", (table.name,)
    ).fetchone()
    return int(row[0])


def over(ledger: Ledger, table: Table, alert: Alert) -> str:
    """Why an open alert is over, in words; "" if it is not."""
    if not alert.condition.has_batch:
        return _delivered(ledger, alert) or _next_passed(ledger, alert)
    rows = _judged(ledger, table, f"{_FROM_BATCHES} AND b.batch_id = ?", alert.condition.batch_id)
    if not rows:
        return "the ledger knows the batch no more"
    return _resolved(ledger, table, alert, rows[0]) or _next_passed(ledger, alert)


def _resolved(ledger: Ledger, table: Table, alert: Alert, row: Judged) -> str:
    """What became of the batch itself."""
    held = alert.condition.verdict in HELD
    if row.state == "superseded":
        return _note(ledger, table, row.batch_id) or "superseded by a later delivery"
    acted = _last_action(ledger, table.name, row.batch_id, alert.opened_at)
    if row.state in ("rejected", "recalled"):
        return _by(acted, row.state)
    if held and row.state == "published":
        return _by(acted, "published")
    found = _condition(ledger, table, row)
    if found.alert_id != alert.alert_id and row.judged_at > alert.opened_at:
        return f"judged anew: {found.verdict}" + (f", {found.words}" if found.words else "")
    return ""


def _next_passed(ledger: Ledger, alert: Alert) -> str:
    """A later batch of the same or a later slot that passed, judged after the alert was opened."""
    given = alert.condition
    # What only warns is not over because the next one warns as well.
    good = ("PASS",) if given.verdict == "WARN" else ("PASS", "WARN")
    row = ledger.connection.execute(
        "SELECT b.slot, j.verdict FROM judgements j CROSS JOIN batches b"  # noqa: S608
        " ON b.batch_id = j.batch_id AND b.tbl = j.tbl"
        " WHERE j.tbl = ? AND j.judged_at > ? AND b.slot >= ? AND b.batch_id <> ?"
        f" AND b.state = 'published' AND j.verdict IN ({', '.join('?' * len(good))})"
        " ORDER BY j.judged_at LIMIT 1",
        (given.table, alert.opened_at, given.slot, given.batch_id, *good),
    ).fetchone()
    return f"the next batch passed: {row[0]} {row[1]}" if row else ""


def _delivered(ledger: Ledger, alert: Alert) -> str:
    row = ledger.connection.execute(
        "SELECT batch_id FROM batches WHERE tbl = ? AND slot = ? AND received_at > ?",
        (alert.condition.table, alert.condition.slot, alert.opened_at),
    ).fetchone()
    return f"delivered: {row[0][:12]}" if row else ""


def _judged(ledger: Ledger, table: Table, query: str, *values: object) -> list[Judged]:
    rows = ledger.connection.execute(
        f"{query} ORDER BY b.slot, b.arrived_at, b.batch_id", (table.name, *values)
    )
    return [Judged(*row) for row in rows]


def _condition(ledger: Ledger, table: Table, row: Judged) -> Condition:
    report = ledger.report(table.name, row.batch_id, row.rule_hash)
    document: dict[str, Any] = json.loads(report) if report else {}
    cause = named_cause(document, row.verdict)
    return Condition(
        table=table.name,
        slot=row.slot,
        batch_id=row.batch_id,
        cause=cause.key,
        verdict=row.verdict,
        words=cause.words,
        reason=cause.reason,
        check=cause.check,
        owner=table.contract.owner,
        rows=row.delivered if row.verdict in HELD else row.quarantined,
        consumers=table.contract.consumers,
    )


def _of_slot(table: Table, slot: str, cause: str, reason: str, verdict: str) -> Condition:
    words = {"missing": "no delivery", "source": "the source cannot be read"}[cause]
    return Condition(
        table=table.name,
        slot=slot,
        batch_id=f"slot:{slot}",
        cause=cause,
        verdict=verdict,
        words=words,
        reason=reason,
        owner=table.contract.owner,
        consumers=table.contract.consumers,
    )


def _last_action(ledger: Ledger, table: str, batch_id: str, since: int) -> Action | None:
    done = [one for one in _allowed(ledger, table, batch_id) if one.at >= since]
    return done[-1] if done else None


def _allowed(ledger: Ledger, table: str, batch_id: str) -> Iterator[Action]:
    found: Sequence[Action] = actions(ledger, table, batch_id)
    return (one for one in found if one.allowed and one.action != "ack")


def _by(action: Action | None, state: str) -> str:
    if action is None:
        return state
    done = {"release": "released", "quarantine": "quarantined", "reject": "rejected"}
    return f"{done.get(action.action, state)} by {action.principal}: {action.reason}"


def _note(ledger: Ledger, table: Table, batch_id: str) -> str:
    row = ledger.connection.execute(
        "SELECT note FROM batches WHERE tbl = ? AND batch_id = ?", (table.name, batch_id)
    ).fetchone()
    return str(row[0]) if row else ""
