"""The catalogue of faults over a project's tables, each in a process of its own."""

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

_TICKS: list["Queue[tuple[str, str]]"] = []  # of a process that measures: the one it reports to


@dataclass(frozen=True)
class Task:
    """One table's part of the work, as it goes to another process."""

    group: str
    table: str
    every: int
    whole: bool


@dataclass(frozen=True)
class Gathered:
    """What comes back of a task: `faults` as JSON values, verdicts on the clean slots in order."""

    faults: list[dict[str, Any]]
    verdicts: dict[str, str]
    evaluable: list[str]


def run_faults(
    *, table: str | None = None, every: int = 1, whole: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """`faults`: by fault and table how often planted, detected, named; `clean`: alarms by source.

    Args:
        table: only this one; all tables with days of all groups by default.
        every: plant on every n-th day only.
        whole: every variant of every fault on every day; else a day has one of each kind, in turn.
    """
    make_deliveries()
    groups = table_groups()
    tasks = [
        Task(name, one.name, every, whole)
        for name, tables in groups.items()
        for one in tables
        if one.partitioned and table in {None, one.name}
    ]
    found = dict(zip(tasks, _measured(tasks), strict=True))
    faults = [fault for gathered in found.values() for fault in gathered.faults]
    return {"faults": faults, "clean": [_clean(name, found) for name in groups if _of(name, found)]}


def _of(group: str, found: dict[Task, Gathered]) -> list[Gathered]:
    return [measured for task, measured in found.items() if task.group == group]


def _clean(group: str, found: dict[Task, Gathered]) -> dict[str, Any]:
    """Days on which any table of the group had the verdict; only days with enough history count."""
    by_day: dict[str, set[str]] = {}
    for measured in _of(group, found):
        for slot in list(measured.verdicts)[_skipped(measured) :]:
            by_day.setdefault(slot, set()).add(measured.verdicts[slot])
    blocked = [day for day, verdicts in by_day.items() if verdicts & {"BLOCK", "ERROR"}]
    warned = [day for day, verdicts in by_day.items() if "WARN" in verdicts and day not in blocked]
    kept = [day for day, verdicts in by_day.items() if "QUARANTINE" in verdicts]
    return {
        "source": group,
        "days": len(by_day),
        "block_days": len(blocked),
        "warn_days": len(warned),
        "quarantine_days": len(kept),
        "blocked": sorted(blocked),
        "warned": sorted(warned),
    }


def _skipped(measured: Gathered) -> int:
    first = measured.evaluable[0] if measured.evaluable else ""
    return list(measured.verdicts).index(first) if first else len(measured.verdicts)


def _measured(tasks: Sequence[Task]) -> list[Gathered]:
    context = get_context("spawn")
    ticks: Queue[tuple[str, str]] = context.Queue()
    workers = max(min(len(tasks), os.cpu_count() or 1), 1)
    with ProcessPoolExecutor(workers, context, _report_to, (ticks,)) as pool:
        running = [pool.submit(_measure, task) for task in tasks]
        _tell(tasks, running, ticks)
        return [future.result() for future in running]


def _report_to(ticks: "Queue[tuple[str, str]]") -> None:
    """What each process starts with: where it says which slot is done."""
    _TICKS.append(ticks)


def _tell(
    tasks: Sequence[Task], running: Sequence[Future[Gathered]], ticks: "Queue[tuple[str, str]]"
) -> None:
    done = dict.fromkeys((task.table for task in tasks), 0)
    slots = {t.name: len(slots_of(name, t)) for name, ts in table_groups().items() for t in ts}
    while not all(future.done() for future in running) or not ticks.empty():
        try:
            table, slot = ticks.get(timeout=0.5)
        except Empty:
            continue
        done[table] += 1
        report(table, done[table], slots[table], slot)


def _measure(task: Task) -> Gathered:
    table = next(t for t in table_groups()[task.group] if t.name == task.table)
    measured = measure(
        table.suite,
        table.contract,
        batches(table, slots_of(task.group, table)),
        every=task.every,
        whole=task.whole,
        told=lambda slot: _TICKS[0].put((task.table, slot)),
    )
    faults = [count.document(task.table) for count in measured.counts if count.injected]
    return Gathered(faults, measured.verdicts, measured.evaluable)


def batches(table: Table, slots: Iterable[str]) -> Iterator[tuple[str, RawRows]]:
    """What the table's source shows for each slot; of several deliveries the last."""
    for slot in slots:
        deliveries = table.source.deliveries(slot)
        if deliveries:
            yield slot, delivered_rows(table.contract, deliveries[-1])
