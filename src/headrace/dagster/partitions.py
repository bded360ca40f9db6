"""Days as Dagster partitions, and runs over ranges of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Span:
    """One ranged run: the slots `first` to `last`, both included, of these tables."""

    first: str
    last: str
    tables: tuple[str, ...]

    @property
    def tags(self) -> dict[str, str]:
        return {RANGE_START: self.first, RANGE_END: self.last}

    def __str__(self) -> str:
        return f"{self.first}..{self.last} {','.join(self.tables)}"


def daily(first: str, last: str | None) -> dg.DailyPartitionsDefinition:
    """Return one partition a day, `first` to `last`, both included.

    Without `last` the partitions go on up to tomorrow, because the rows of a planned table are
    delivered the evening before their day.
    """
    if last is None:
        return dg.DailyPartitionsDefinition(start_date=first, end_offset=2)
    return dg.DailyPartitionsDefinition(start_date=first, end_date=_next(last))


def spans(work: Mapping[str, Iterable[str]]) -> list[Span]:
    """Return runs over consecutive days; each table of a run is due on each day of the run.

    A run plans all its partitions for all its assets, and Dagster shows as failed whatever a failed
    run planned and did not materialise. So a run may plan only what is due.
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
