"""Batches of the ledger as plain rows, for people and monitors."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.gates import Judgement
from headrace.gates.contract_units import scales_of
from headrace.lake.conflicts import CONFLICT, conflict_count
from headrace.lake.conflicts.survey import twice_by_batch
from headrace.lake.ingest.validator import table_rule
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.partition_state import BLOCKED, SETTLED_STATES
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.effective_verdict import standings
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake

# States of a batch that is neither published nor settled.
_WAITING = ("received", "judged", "pending")


def batch_rows(home: Home, table: Table) -> list[dict[str, Any]]:
    """Return one row for each batch, by partition and order of arrival.

    A row has the verdict, state, counts and reasons.
    """
    live = Lake(home).live(table.name)
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name)
        verdicts = current_verdicts(ledger.judgements(table.name), live)
        conflict_counts = conflict_count(ledger, table.name)
        twice = twice_by_batch(home, ledger, table.contract)
    rows = [
        {
            **_row(table, batch, verdicts.get(batch.batch_id)),
            "conflicts": _conflicts(conflict_counts, verdicts.get(batch.batch_id)),
            "held_twice": twice.get(batch.batch_id, 0),
        }
        for batch in batches.values()
    ]
    return sorted(rows, key=lambda row: str(row["slot"]))


def _conflicts(
    conflict_counts: Mapping[tuple[str, str], int], judgement: JudgementRow | None
) -> int:
    """Count the rows in quarantine for conflicts, without rows that were approved since."""
    if judgement is None:
        return 0
    count = conflict_counts.get(
        (judgement.batch_id, judgement.derived_from or judgement.rule_hash), 0
    )
    if not count or not judgement.derived_from:
        return count
    if not judgement.quarantine_path:
        return 0
    reasons = pq.read_table(judgement.quarantine_path, columns=["_reasons"])["_reasons"]
    return sum(CONFLICT in why for why in reasons.to_pylist())


def _row(table: Table, batch: Batch, judgement: JudgementRow | None) -> dict[str, Any]:
    return {
        "table": table.name,
        "slot": batch.slot,
        "batch": batch.batch_id,
        "origin": batch.origin,
        "owner": batch.owner,
        "arrived_at": batch.arrived_at,
        "state": batch.state,
        "note": batch.note,
        "verdict": judgement.verdict if judgement else "UNJUDGED",
        "rules": judgement.rule_hash if judgement else "",
        "delivered": judgement.delivered if judgement else 0,
        "passing": judgement.passing if judgement else 0,
        "quarantined": judgement.quarantined if judgement else 0,
        "repeated": judgement.repeated if judgement else 0,
        "quarantine_path": judgement.quarantine_path if judgement else "",
        "summary": judgement.summary if judgement else "",
    }


def find_batches(home: Home, table: Table, slot_or_id: str) -> list[dict[str, Any]]:
    """Return the batches of a partition, or the batches whose id starts with `slot_or_id`.

    Each row also has the full report as `judgement`.

    Raises:
        DeclarationError: there is no such batch.
    """
    rows = [
        row
        for row in batch_rows(home, table)
        if row["slot"] == slot_or_id or str(row["batch"]).startswith(slot_or_id)
    ]
    if not rows:
        raise DeclarationError(
            f"table {table.name} has no batch in slot {slot_or_id}",
            where=str(home.ledger),
            fix=f"list its batches: headrace gate ls --table {table.name} --all",
        )
    with Ledger(home) as ledger:
        for row in rows:
            report = ledger.report(table.name, row["batch"], row["rules"]) if row["rules"] else ""
            row["judgement"] = _readable(report, table) if report else None
    return rows


def _readable(report: str, table: Table) -> dict[str, Any]:
    """Return a verdict's JSON in the contract's units."""
    judgement = Judgement.from_json(report).readable(scales_of(table.contract))
    document: dict[str, Any] = json.loads(judgement.to_json())
    return document


def held_batches(home: Home, table: Table, first: str = "", last: str = "") -> list[dict[str, Any]]:
    """Return the open batches under the present rules: blocked, in ERROR, or not settled yet.

    This includes batches that were published under earlier rules but are blocked now.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        first: the first day; a table without partitions is always included.
        last: the last day, inclusive; "" for the newest.
    """
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name).values()
        holding = standings(ledger, table.name, table_rule(table), now_us())
    rows = []
    for batch in batches:
        outside = table.partitioned and (batch.slot < first or (last and batch.slot > last))
        if batch.state in SETTLED_STATES or outside:
            continue
        standing = holding.get(batch.batch_id)
        row = (standing.row or standing.gate) if standing else None
        blocked = row is not None and row.verdict in BLOCKED
        if blocked or batch.state in _WAITING:
            rows.append(_row(table, batch, row))
    return sorted(rows, key=lambda row: str(row["slot"]))


def slot_rows(home: Home, table: Table, until: str | None = None) -> list[dict[str, Any]]:
    """Return the most severe current verdict of each partition, and the missing partitions."""
    rank = ("PASS", "WARN", "QUARANTINE", "UNJUDGED", "BLOCK", "ERROR")
    by_slot: dict[str, dict[str, Any]] = {}
    for row in batch_rows(home, table):
        if row["state"] in SETTLED_STATES or row["verdict"] == "UNJUDGED":
            continue
        slot = by_slot.setdefault(
            row["slot"],
            {
                "table": table.name,
                "slot": row["slot"],
                "verdict": "PASS",
                "delivered": 0,
                "quarantined": 0,
                "contract": table.contract.meaning_hash,
            },
        )
        slot["delivered"] += row["delivered"]
        slot["quarantined"] += row["quarantined"]
        slot["verdict"] = max(slot["verdict"], row["verdict"], key=rank.index)
    for slot_name in table.expected_slots(until):
        if slot_name not in by_slot:
            by_slot[slot_name] = {"table": table.name, "slot": slot_name, "verdict": "MISSING"}
    return [by_slot[name] for name in sorted(by_slot)]
