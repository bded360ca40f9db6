"""Injection of the fault catalogue in all tables of a project, each table in its own process."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any

from headrace.core.progress import report
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.table import Table
from headrace.pipeline.load import make_deliveries, slots_of, table_groups
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults.run import measure

_TICKS: list["Queue[tuple[str, str]]"] = []  # progress queue of a worker process


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
    """Return `faults` (counts by fault and table) and `clean` (alarms by source without faults).

    Args:
        table: the only table to test; by default all tables with daily partitions.
        stride: inject faults on every n-th day only.
        all_variants: True to inject all variants of all faults on each day; else each day gets one
            variant of each kind, in turn.
    """
    make_deliveries()
    groups = table_groups()
    tasks = [
        Task(name, group_table.name, stride, all_variants)
        for name, tables in groups.items()
        for group_table in tables
        if group_table.partitioned and table in {None, group_table.name}
    ]
    by_task = dict(zip(tasks, _measured(tasks), strict=True))
    faults = [fault for gathered in by_task.values() for fault in gathered.faults]
    return {
        "faults": faults,
        "clean": [_clean(name, by_task) for name in groups if _of(name, by_task)],
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


def _measured(tasks: Sequence[Task]) -> list[TaskResult]:
    context = get_context("spawn")
    ticks: Queue[tuple[str, str]] = context.Queue()
    workers = max(min(len(tasks), os.cpu_count() or 1), 1)
    with ProcessPoolExecutor(workers, context, _report_to, (ticks,)) as pool:
        running = [pool.submit(_measure, task) for task in tasks]
        _report_progress(tasks, running, ticks)
        return [future.result() for future in running]


def _report_to(ticks: "Queue[tuple[str, str]]") -> None:
    """Initialise a worker process with the queue to which it reports finished partitions."""
    _TICKS.append(ticks)


def _report_progress(
    tasks: Sequence[Task], running: Sequence[Future[TaskResult]], ticks: "Queue[tuple[str, str]]"
) -> None:
    completed = dict.fromkeys((task.table for task in tasks), 0)
    slots = {t.name: len(slots_of(name, t)) for name, ts in table_groups().items() for t in ts}
    while not all(future.done() for future in running) or not ticks.empty():
        try:
            table, slot = ticks.get(timeout=0.5)
        except Empty:
            continue
        completed[table] += 1
        report(table, completed[table], slots[table], slot)


def _measure(task: Task) -> TaskResult:
    table = next(t for t in table_groups()[task.group] if t.name == task.table)
    measured = measure(
        table.suite,
        table.contract,
        batches(table, slots_of(task.group, table)),
        stride=task.stride,
        all_variants=task.all_variants,
        on_slot=lambda slot: _TICKS[0].put((task.table, slot)),
    )
    faults = [count.document(task.table) for count in measured.counts if count.injected]
    return TaskResult(faults, measured.verdicts, measured.evaluable)


def batches(table: Table, slots: Iterable[str]) -> Iterator[tuple[str, RawRows]]:
    """Yield (partition, rows of its last delivery) for each partition with deliveries."""
    for slot in slots:
        deliveries = table.source.deliveries(slot)
        if deliveries:
            yield slot, delivered_rows(table.contract, deliveries[-1])
