"""Conditions that may alert a table's owner, read from the ledger."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.alerts.headline_cause import OVERRIDE, headline_cause
from headrace.alerts.model import BLOCKING, SOURCE, Alert, Condition
from headrace.core.clock import DAY, from_us, iso
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions
from headrace.lake.table import Table

# Partitions after the newest delivered one count as missing only if that newest one is at most this
# old: after the replay of a past year, no further day is expected.
ALIVE = 7 * DAY

# The latest verdict on each batch. For a pending batch, that is the gate's own verdict: if the
# batch had an override, the override has expired, and its verdict no longer counts.
_LATEST_VERDICTS = """
    SELECT b.batch_id, b.slot, b.state, j.verdict, j.delivered, j.quarantined, j.judged_at,
           j.rule_hash
    FROM {first} CROSS JOIN {second}
    WHERE b.batch_id = j.batch_id AND b.tbl = j.tbl AND {first_tbl} = ? AND j.judged_at = (
        SELECT max(k.judged_at) FROM judgements k WHERE k.batch_id = b.batch_id AND k.tbl = b.tbl
        AND (b.state <> 'pending' OR k.derived_from = ''))
"""
# A stream's table has many thousands of batches: CROSS JOIN makes SQLite start with the
# smaller set.
_FROM_BATCHES = _LATEST_VERDICTS.format(first="batches b", second="judgements j", first_tbl="b.tbl")
_FROM_JUDGEMENTS = _LATEST_VERDICTS.format(
    first="judgements j", second="batches b", first_tbl="j.tbl"
)


@dataclass(frozen=True)
class LatestVerdict:
    """A batch and the latest verdict on it."""

    batch_id: str
    slot: str
    state: str
    verdict: str
    delivered: int
    quarantined: int
    judged_at: int
    rule_hash: str


def blocked_batches(ledger: Ledger, table: Table, now: int) -> list[Condition]:
    """Return a condition for each pending batch with verdict BLOCK or ERROR."""
    rows = _latest_verdicts(ledger, table, f"{_FROM_BATCHES} AND b.state = 'pending'")
    return [_blocked(ledger, table, row, now) for row in rows if row.verdict in BLOCKING]


def _blocked(ledger: Ledger, table: Table, row: LatestVerdict, now: int) -> Condition:
    """Return the condition of a blocked batch; its cause is an expired override, if there is one.

    By the expiry, readers have lost the rows that the override had admitted.
    """
    condition = _condition(ledger, table, row)
    ended = [
        action
        for action in _overrides(ledger, table.name, row.batch_id)
        if action.action == "release" and action.expires_at is not None and action.expires_at <= now
    ]
    if not ended:
        return condition
    last = ended[-1]
    words, reason = "override expired", f"the override by {last.principal} expired: {last.reason}"
    return replace(condition, cause=f"lapsed:{last.id}", words=words, reason=reason)


def flagged_batches(ledger: Ledger, table: Table, since: int) -> list[Condition]:
    """Return a condition for each published batch with WARN or QUARANTINE after `since`."""
    query = f"{_FROM_JUDGEMENTS} AND j.judged_at > ? AND j.verdict IN ('WARN', 'QUARANTINE')"
    rows = _latest_verdicts(ledger, table, query, since)
    conditions = [_condition(ledger, table, row) for row in rows if row.state == "published"]
    return [condition for condition in conditions if not condition.cause.startswith(OVERRIDE)]


def missing(ledger: Ledger, table: Table, now: int) -> list[Condition]:
    """Return a condition for each expected partition up to yesterday (UTC) without a delivery."""
    delivered = {
        slot
        for (slot,) in ledger.connection.execute(
            "SELECT DISTINCT slot FROM batches WHERE tbl = ? AND state <> 'rejected'",
            (table.name,),
        )
    }
    if not delivered or not table.partitioned:
        return []
    first, newest = min(delivered), max(delivered)
    yesterday = from_us(now - DAY).date().isoformat()
    if newest >= from_us(now - ALIVE).date().isoformat():
        newest = max(newest, yesterday)
    return [
        _of_slot(table, slot, "missing", "the expected delivery has not arrived", "MISSING")
        for slot in table.expected_slots(newest)
        if first < slot <= yesterday and slot not in delivered
    ]


def unreadable(table: Table, slot: str, reason: str, now: int) -> Condition:
    """Return the condition of a source that could not be read, which the ledger does not record.

    The time is part of its id, so that a later outage of the same source opens another alert.
    """
    condition = _of_slot(table, slot, SOURCE, reason, "ERROR")
    return replace(condition, batch_id=f"{condition.batch_id} {iso(now)}")


def last_verdict_at(ledger: Ledger, table: Table) -> int:
    """Return the time (microseconds UTC) of the table's latest verdict; 0 if there is none."""
    row = ledger.connection.execute(
        "SELECT coalesce(max(judged_at), 0) FROM judgements WHERE tbl = ?", (table.name,)
    ).fetchone()
    return int(row[0])


def closing_reason(ledger: Ledger, table: Table, alert: Alert) -> str:
    """Return why an open alert is resolved, in words; "" if it is not."""
    if not alert.condition.has_batch:
        return _delivered(ledger, alert) or _next_passed(ledger, alert)
    rows = _latest_verdicts(
        ledger, table, f"{_FROM_BATCHES} AND b.batch_id = ?", alert.condition.batch_id
    )
    if not rows:
        return "the batch is no longer in the ledger"
    return _resolved(ledger, table, alert, rows[0]) or _next_passed(ledger, alert)


def _resolved(ledger: Ledger, table: Table, alert: Alert, row: LatestVerdict) -> str:
    """Return how the alert's own batch was resolved, in words; "" if it was not."""
    was_blocked = alert.condition.verdict in BLOCKING
    if row.state == "superseded":
        return _note(ledger, table, row.batch_id) or "superseded by a later delivery"
    action = _last_action(ledger, table.name, row.batch_id, alert.opened_at)
    if row.state in ("rejected", "recalled"):
        return _by(action, row.state)
    if was_blocked and row.state == "published":
        return _by(action, "published")
    condition = _condition(ledger, table, row)
    if condition.alert_id != alert.alert_id and row.judged_at > alert.opened_at:
        return f"re-validated: {condition.verdict}" + (
            f", {condition.words}" if condition.words else ""
        )
    return ""


def _next_passed(ledger: Ledger, alert: Alert) -> str:
    """Name a batch of this or a later partition that passed since the alert; "" without one."""
    condition = alert.condition
    # A warning is not resolved by a batch that warns as well.
    good = ("PASS",) if condition.verdict == "WARN" else ("PASS", "WARN")
    row = ledger.connection.execute(
        "SELECT b.slot, j.verdict FROM judgements j CROSS JOIN batches b"  # noqa: S608
        " ON b.batch_id = j.batch_id AND b.tbl = j.tbl"
        " WHERE j.tbl = ? AND j.judged_at > ? AND b.slot >= ? AND b.batch_id <> ?"
        f" AND b.state = 'published' AND j.verdict IN ({', '.join('?' * len(good))})"
        " ORDER BY j.judged_at LIMIT 1",
        (condition.table, alert.opened_at, condition.slot, condition.batch_id, *good),
    ).fetchone()
    return f"the next batch passed: {row[0]} {row[1]}" if row else ""


def _delivered(ledger: Ledger, alert: Alert) -> str:
    row = ledger.connection.execute(
        "SELECT batch_id FROM batches WHERE tbl = ? AND slot = ? AND received_at > ?",
        (alert.condition.table, alert.condition.slot, alert.opened_at),
    ).fetchone()
    return f"delivered: {row[0][:12]}" if row else ""


def _latest_verdicts(
    ledger: Ledger, table: Table, query: str, *values: object
) -> list[LatestVerdict]:
    rows = ledger.connection.execute(
        f"{query} ORDER BY b.slot, b.arrived_at, b.batch_id", (table.name, *values)
    )
    return [LatestVerdict(*row) for row in rows]


def _condition(ledger: Ledger, table: Table, row: LatestVerdict) -> Condition:
    report = ledger.report(table.name, row.batch_id, row.rule_hash)
    document: dict[str, Any] = json.loads(report) if report else {}
    cause = headline_cause(document, row.verdict)
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
        rows=row.delivered if row.verdict in BLOCKING else row.quarantined,
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
    later = [action for action in _overrides(ledger, table, batch_id) if action.at >= since]
    return later[-1] if later else None


def _overrides(ledger: Ledger, table: str, batch_id: str) -> Iterator[Action]:
    decisions: Sequence[Action] = actions(ledger, table, batch_id)
    return (action for action in decisions if action.allowed and action.action != "ack")


def _by(action: Action | None, state: str) -> str:
    if action is None:
        return state
    verbs = {"release": "released", "quarantine": "quarantined", "reject": "rejected"}
    return f"{verbs.get(action.action, state)} by {action.principal}: {action.reason}"


def _note(ledger: Ledger, table: Table, batch_id: str) -> str:
    row = ledger.connection.execute(
        "SELECT note FROM batches WHERE tbl = ? AND batch_id = ?", (table.name, batch_id)
    ).fetchone()
    return str(row[0]) if row else ""
