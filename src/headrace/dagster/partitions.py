"""Daily Dagster partitions, and runs over ranges of days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Span:
    """Run over a range: partitions `first` to `last`, both included, of these tables."""

    first: str
    last: str
    tables: tuple[str, ...]

    @property
    def tags(self) -> dict[str, str]:
        return {RANGE_START: self.first, RANGE_END: self.last}

    def __str__(self) -> str:
        return f"{self.first}..{self.last} {','.join(self.tables)}"


def daily(first: str, last: str | None) -> dg.DailyPartitionsDefinition:
    """Return the daily partitions from `first` to `last`, both included.

    Without `last` they extend to tomorrow, because plans are delivered the evening before their
    day.
    """
    if last is None:
        return dg.DailyPartitionsDefinition(start_date=first, end_offset=2)
    return dg.DailyPartitionsDefinition(start_date=first, end_date=_next(last))


def spans(work: Mapping[str, Iterable[str]]) -> list[Span]:
    """Group due partitions into runs over consecutive days with the same due tables.

    `work` maps tables to due partitions. A run plans every asset for every day of its range. If the
    run fails, Dagster shows all planned partitions that were not materialised as failed, so a run
    must plan only partitions that are due.
    """
    due: dict[str, list[str]] = {}
    for table in sorted(work):
        for slot in work[table]:
            due.setdefault(slot, []).append(table)
    merged: list[Span] = []
    for slot in sorted(due):
        tables = tuple(due[slot])
        previous = merged[-1] if merged else None
        if previous and previous.tables == tables and _next(previous.last) == slot:
            merged[-1] = Span(previous.first, slot, tables)
        else:
            merged.append(Span(slot, slot, tables))
    return merged


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
