"""Draft of a suite from a table's published history."""

from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.gates.contract_units import CONTRACT
from headrace.gates.drafting import (
    CheckDraft,
    DraftOptions,
    Measure,
    Statistics,
    draft_checks,
    suite_text,
)
from headrace.gates.suite_reader import fitted, parse_suite
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake

MEMORY = "512MB"
_AT_ONCE = 16  # batches measured in one query


@dataclass(frozen=True)
class Suggestion:
    """A drafted suite.

    Attributes:
        checks: new checks that every delivery of the history passes.
        existing: drafted checks that the suite has already (same type, same columns).
        dropped: checks that some delivery of the history would have failed.
    """

    table: Table
    snapshot_id: int
    slots: tuple[str, ...]
    checks: tuple[CheckDraft, ...]
    existing: tuple[CheckDraft, ...]
    dropped: tuple[CheckDraft, ...]

    def document(self) -> dict[str, Any]:
        def check_document(draft: CheckDraft) -> dict[str, Any]:
            return {**draft.document(), "record": draft.record.document(self.slots)}

        return {
            "table": self.table.name,
            "snapshot_id": self.snapshot_id,
            "deliveries": len(self.slots),
            "first": self.slots[0],
            "last": self.slots[-1],
            "checks": [check_document(draft) for draft in self.checks],
            "dropped": [check_document(draft) for draft in self.dropped],
            "known": [draft.subject for draft in self.existing],
        }

    def text(self) -> str:
        """Return the suite as YAML, with comments about how it was drafted."""
        suite = self.table.suite
        meta: Mapping[str, Any] = {
            "table": self.table.name,
            "version": max(suite.version, 1),
            "max_quarantined_share": suite.max_quarantined_share,
            "units": CONTRACT,
        }
        name = self.table.name if suite.fault else suite.name
        return suite_text(name, meta, self.checks, self._comments())

    def _comments(self) -> list[str]:
        first, last, count = self.slots[0], self.slots[-1], len(self.slots)
        lines = [
            f"Drafted from {count} published deliveries of {self.table.name}, {first} to {last}.",
            "All of them would have passed every check here. The margins of the limits were chosen",
            "on the first deliveries and tested on the later ones; each check's reason has the",
            "result. Keep the checks that you agree with. A shadow check has no effect on batches:",
            "`headrace gate shadow` reports the batches that would fail it. To put the check into",
            "effect, remove `shadow: true`.",
        ]
        if self.existing:
            lines += ["", f"Drafted checks that the suite has already: {len(self.existing)}."]
        if self.dropped:
            lines += ["", "Not drafted, because some of these deliveries would fail the check:"]
            lines += [f"  {_why(draft, self.slots)}" for draft in self.dropped]
        return lines


def _why(draft: CheckDraft, slots: tuple[str, ...]) -> str:
    record, name = draft.record, draft.meta["id"]
    if not record.failed:
        return f"{name}: with every margin, some of the first deliveries fail"
    failing_slots = ", ".join(slots[place] for place in record.failed[:3])
    rest = " ..." if len(record.failed) > 3 else ""
    return (
        f"{name}: {len(record.failed)} of {record.confirmed_on} later deliveries fail:"
        f" {failing_slots}{rest}"
    )


def suggest(
    home: Home, table: Table, *, last: int | None = None, shadow: bool = True
) -> Suggestion:
    """Draft a suite from a table's published history, which need not fit in memory.

    Args:
        home: where the state lives.
        table: its published batches are measured; its suite has the existing checks.
        last: number of newest partitions to use; None for all.
        shadow: True to draft the checks as shadow checks.

    Raises:
        DeclarationError: nothing is published.
    """
    lake = Lake(home)
    snapshot_id = lake.snapshot_id(table.name)
    live = lake.live(table.name)
    batches = _published(home, table, live, last)
    if snapshot_id is None or not batches:
        raise DeclarationError(
            f"table {table.name} has no published deliveries to draft a suite from",
            fix="run the pipeline first; headrace new source drafts a suite from a file",
        )
    statistics = _measured(lake, table, batches, live)
    drafted = draft_checks(statistics, _draft_request(table, shadow=shadow))
    have = {(e.type, e.columns) for e in table.suite.expectations}
    new = tuple(draft for draft in drafted.accepted if draft.subject not in have)
    suggestion = Suggestion(
        table,
        snapshot_id,
        tuple(statistics.slots),
        new,
        tuple(draft for draft in drafted.accepted if draft.subject in have),
        tuple(draft for draft in drafted.dropped if draft.subject not in have),
    )
    document = {"name": "draft", "meta": {"table": table.name, "units": CONTRACT}}
    checks = [draft.document() for draft in new]
    fitted(parse_suite({**document, "expectations": checks}), table.contract).sound()
    return suggestion


def _published(home: Home, table: Table, live: Mapping[str, str], last: int | None) -> list[Batch]:
    """Return the published batches in order of partition and arrival."""
    with Ledger(home) as ledger:
        batches = [b for b in ledger.batches(table.name).values() if b.batch_id in live]
    batches.sort(key=lambda batch: (batch.slot, batch.arrived_at))
    slots = sorted({batch.slot for batch in batches})[-last:] if last else None
    return [batch for batch in batches if slots is None or batch.slot in slots]


def _measured(
    lake: Lake, table: Table, batches: list[Batch], live: Mapping[str, str]
) -> Statistics:
    schema = table.contract.arrow_schema()
    names = [c.name for c in table.contract.columns if c.name in schema.names]
    measure = Measure(schema.empty_table().select(names).schema, table.contract.primary_key)
    with TemporaryDirectory() as spill, duckdb.connect(config=_config(spill)) as db:
        db.execute("SET TimeZone = 'UTC'")
        for start in range(0, len(batches), _AT_ONCE):
            chunk = batches[start : start + _AT_ONCE]
            files = [live[batch.batch_id] for batch in chunk]
            rows = lake.relation(table.name, [*names, "_batch"], files=files)
            measure.add(db, rows, "_batch", {batch.batch_id: batch.slot for batch in chunk})
            count = min(start + _AT_ONCE, len(batches))
            report(f"measure {table.name}", count, len(batches), chunk[-1].slot)
    return measure.statistics


def _config(spill: str) -> dict[str, str]:
    """Configure DuckDB so that the keys of a large delivery need not fit in memory."""
    return {"memory_limit": MEMORY, "temp_directory": spill}


def _draft_request(table: Table, *, shadow: bool) -> DraftOptions:
    contract = table.contract
    fields = [contract.field(column.name) for column in contract.columns]
    return DraftOptions(
        key=contract.primary_key,
        required=frozenset(field.name for field in fields if field.required),
        scales={field.name: field.scale for field in fields if field.scale},
        shadow=shadow,
    )
