"""Injection of the fault catalogue in all tables of a project, each table in its own process."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.progress import report
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.table import Table
from headrace.pipeline.load import make_deliveries, slots_of, table_groups
from headrace.sources.rows import RawRows
from headrace.verification.gate_bank.summary import totals
from headrace.verification.injected_faults.run import measure
from headrace.verification.worker_pool import in_processes


@dataclass(frozen=True)
class Task:
    """Work on one table, as sent to a worker process."""

    group: str
    table: str
    stride: int
    all_variants: bool


@dataclass(frozen=True)
class TaskResult:
    """Results of a task: `faults` as JSON values, and the verdicts on clean batches by partition.

    `evaluable` are the partitions with enough history.
    """

    faults: list[dict[str, Any]]
    verdicts: dict[str, str]
    evaluable: list[str]


def run_faults(
    *, table: str | None = None, stride: int = 1, all_variants: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Return `faults` (counts by fault and table), `clean` (alarms by source) and `totals`.

    Args:
        table: the only table to test; by default all tables with daily partitions.
        stride: inject faults on every n-th day only.
        all_variants: True to inject all variants of all faults on each day; else each day gets one
            variant of each kind, in turn.

    Raises:
        DeclarationError: the project has no such table.
    """
    make_deliveries()
    groups = table_groups()
    tasks = [
        Task(name, group_table.name, stride, all_variants)
        for name, tables in groups.items()
        for group_table in tables
        if group_table.partitioned and table in {None, group_table.name}
    ]
    if table and not tasks:
        names = [t.name for tables in groups.values() for t in tables if t.partitioned]
        raise DeclarationError(
            f"the project has no table {table!r} with daily partitions",
            where=f"tables: {', '.join(names)}",
            fix="name one of them; for tables of other people: headrace verify faults",
        )
    by_task = dict(zip(tasks, in_processes(_measure, tasks), strict=True))
    faults = [fault for gathered in by_task.values() for fault in gathered.faults]
    return {
        "faults": faults,
        "clean": [_clean(name, by_task) for name in groups if _of(name, by_task)],
        "totals": totals(faults),
    }


def _of(group: str, by_task: dict[Task, TaskResult]) -> list[TaskResult]:
    return [measured for task, measured in by_task.items() if task.group == group]


def _clean(group: str, by_task: dict[Task, TaskResult]) -> dict[str, Any]:
    """Count the days on which a table of the group failed; only days with enough history count."""
    by_day: dict[str, set[str]] = {}
    for measured in _of(group, by_task):
        for slot in list(measured.verdicts)[_skipped(measured) :]:
            by_day.setdefault(slot, set()).add(measured.verdicts[slot])
    blocked = [day for day, verdicts in by_day.items() if verdicts & {"BLOCK", "ERROR"}]
    warned = [day for day, verdicts in by_day.items() if "WARN" in verdicts and day not in blocked]
    quarantined = [day for day, verdicts in by_day.items() if "QUARANTINE" in verdicts]
    return {
        "source": group,
        "left_out": False,
        "own": True,
        "days": len(by_day),
        "block_days": len(blocked),
        "warn_days": len(warned),
        "quarantine_days": len(quarantined),
        "blocked": sorted(blocked),
        "warned": sorted(warned),
    }


def _skipped(measured: TaskResult) -> int:
    first = measured.evaluable[0] if measured.evaluable else ""
    return list(measured.verdicts).index(first) if first else len(measured.verdicts)


def _measure(task: Task) -> TaskResult:
    table = next(t for t in table_groups()[task.group] if t.name == task.table)
    slots = slots_of(task.group, table)
    finished = count(1)
    measured = measure(
        table.suite,
        table.contract,
        batches(table, slots),
        stride=task.stride,
        all_variants=task.all_variants,
        on_slot=lambda slot: report(task.table, next(finished), len(slots), slot),
    )
    faults = [tally.document(task.group, task.table) for tally in measured.counts if tally.attempts]
    return TaskResult(faults, measured.verdicts, measured.evaluable)


def batches(table: Table, slots: Iterable[str]) -> Iterator[tuple[str, RawRows]]:
    """Yield (partition, rows of its last delivery) for each partition with deliveries."""
    for slot in slots:
        deliveries = table.source.deliveries(slot)
        if deliveries:
            yield slot, delivered_rows(table.contract, deliveries[-1])
