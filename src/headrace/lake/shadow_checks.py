"""Verdicts that a table's shadow checks would have given, from the ledger or a rehearsal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts import conform
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.gates import Judgement, Result, Suite, judge
from headrace.gates.event_gate import judge_events
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.table import Table

_WOULD = ("ERROR", "BLOCK", "QUARANTINE", "WARN")


@dataclass
class Shadow:
    """Results of one shadow check over the batches it ran on.

    Attributes:
        batches: number of batches; `first` and `last` are the first and the last partition.
        would: {verdict: {partition: reason}} of the batches on which the check failed.
        rows: number of failing rows, in all batches.
    """

    id: str
    table: str
    batches: int = 0
    first: str = ""
    last: str = ""
    rows: int = 0
    would: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, slot: str, result: Result) -> None:
        self.batches += 1
        self.first, self.last = min(self.first or slot, slot), max(self.last, slot)
        if result.status == "pass":
            return
        self.rows += result.unexpected_count or 0
        self.would.setdefault(str(result.would), {})[slot] = result.reason

    def document(self) -> dict[str, Any]:
        counts = {name.lower(): len(self.would.get(name, {})) for name in _WOULD}
        days = {
            name.lower(): [{"slot": s, "reason": r} for s, r in sorted(reasons.items())]
            for name, reasons in self.would.items()
        }
        return {
            "table": self.table,
            "check": self.id,
            "batches": self.batches,
            "first": self.first,
            "last": self.last,
            **counts,
            "rows": self.rows,
            "days": days,
        }


def recorded(home: Home, table: Table) -> list[Shadow]:
    """Return the recorded results of shadow checks, also of checks that are no longer shadow."""
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name)
        latest = {
            row.batch_id: row
            for row in ledger.judgements(table.name).values()
            if not row.derived_from
        }
        texts = (
            (batches[key].slot, ledger.report(table.name, key, row.rule_hash))
            for key, row in latest.items()
        )
        judgements = (
            (slot, Judgement.from_json(text)) for slot, text in texts if '"shadow"' in text
        )
        return _gathered(table, judgements)


def rehearsed(home: Home, table: Table, slots: tuple[str, str] | None = None) -> list[Shadow]:
    """Run the suite's shadow checks on the existing deliveries; nothing is written.

    Args:
        home: where the deliveries are stored.
        table: its present suite is applied.
        slots: the first and the last partition; None for all.

    Raises:
        DeclarationError: these partitions have no batch.
    """
    with Ledger(home) as ledger:
        batches = [
            batch
            for batch in ledger.batches(table.name).values()
            if batch.state not in {"superseded", "rejected"}
            and (slots is None or slots[0] <= batch.slot <= slots[1])
        ]
    if slots is not None and not batches:
        raise DeclarationError(
            f"table {table.name} has no batch in the range of slots",
            fix=f"list its slots: headrace gate ls --table {table.name} --all",
        )
    return _gathered(table, _rehearsal(home, table, batches), table.suite)


def _rehearsal(home: Home, table: Table, batches: list[Batch]) -> Iterator[tuple[str, Judgement]]:
    for number, batch in enumerate(batches, 1):
        delivery = landed_delivery(home, batch)
        rows = delivered_rows(table.contract, delivery)
        if batch.format == "events":
            yield batch.slot, judge_events(table.suite, table.contract, rows, delivery)
        else:
            conformed = conform(table.contract, rows, batch.batch_id)
            yield batch.slot, judge(table.suite, table.contract, conformed)
        report(f"rehearse {table.name}", number, len(batches), batch.slot)


def _gathered(
    table: Table, judgements: Iterable[tuple[str, Judgement]], suite: Suite | None = None
) -> list[Shadow]:
    shadow_ids = [] if suite is None else [e.id for e in suite.expectations if e.shadow]
    shadows = {name: Shadow(name, table.name) for name in shadow_ids}
    for slot, judgement in judgements:
        for result in judgement.results:
            if result.shadow:
                shadow = shadows.setdefault(result.id, Shadow(result.id, table.name))
                shadow.add(slot, result)
    return list(shadows.values())
