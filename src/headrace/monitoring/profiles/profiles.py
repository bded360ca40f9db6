"""Profiles: small statistics of a table's columns on a day, which can be merged exactly.

A profile of a column has the number of rows, of nulls and of values per bin, the smallest and the
largest value, and the exact sum of integers. Merging only adds and compares integers, so it is
associative, commutative and exact: a week merged from seven days equals the week profiled from its
rows.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.compute import threads
from headrace.core.errors import DeclarationError
from headrace.monitoring.profiles.bins import Bins, filled
from headrace.sketches import Sketches, joined, kind_of, regrouped, sketch
from headrace.sketches.histogram_cells import from_ordered
from headrace.sketches.sketch import LIMB, NO_HIGH, NO_LOW, carried

FORMAT = 2
Ints = npt.NDArray[np.int64]

T = TypeVar("T")


@dataclass(frozen=True)
class ColumnProfile:
    """One column of a profile, in a readable form. `low` and `high` are None for strings."""

    rows: int
    nulls: int
    low: float | None
    high: float | None
    total: int | None
    counts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Profile:
    """Sums over rows; every array may have leading axes, for example one of days.

    `rows` (...), `nulls`, `low`, `high` (..., columns), `limbs` (..., columns, 2), `counts` (...,
    all bins of all columns), all int64. `low` and `high` hold integers unchanged and reals as
    integers in the same order (`ordered`); `limbs` are the high and the low part of the sums.
    """

    bins: tuple[Bins, ...]
    rows: Ints
    nulls: Ints
    low: Ints
    high: Ints
    limbs: Ints
    counts: Ints

    @cached_property
    def places(self) -> dict[str, tuple[int, slice]]:
        """{column: (its position, its part of `counts`)}."""
        ends = np.cumsum([b.size for b in self.bins]).tolist()
        return {
            b.column: (at, slice(end - b.size, end))
            for at, (b, end) in enumerate(zip(self.bins, ends, strict=True))
        }

    def column(self, name: str) -> ColumnProfile:
        """Return one column of a profile that has no leading axes."""
        at, part = self.places[name]
        kind = self.bins[at].kind
        has_range = int(self.rows) > int(self.nulls[at]) and kind != "level"
        read = _real if kind == "real" else int
        total = (int(self.limbs[at, 0]) << LIMB) + int(self.limbs[at, 1])
        return ColumnProfile(
            rows=int(self.rows),
            nulls=int(self.nulls[at]),
            low=read(int(self.low[at])) if has_range else None,
            high=read(int(self.high[at])) if has_range else None,
            total=total if kind == "integer" else None,
            counts=tuple(self.counts[part].tolist()),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the exact profile as plain lists of integers, with the format version."""
        arrays = ("rows", "nulls", "low", "high", "limbs", "counts")
        body = {name: getattr(self, name).tolist() for name in arrays}
        return {"format": FORMAT, "bins": [b.to_json() for b in self.bins], **body}


@dataclass(frozen=True)
class Profiles:
    """Daily profiles: `whole` has a leading axis of days (int64 epoch days, ascending)."""

    days: Ints
    whole: Profile

    def roll(self, first: int, last: int) -> Profile:
        """Return the profile of the days `first <= day < last`, without reading rows."""
        start, end = np.searchsorted(self.days, [first, last])
        return collapse(_map(self.whole, lambda array: array[start:end]))


def empty(bins: Sequence[Bins], days: int) -> Profile:
    """Return `days` profiles without rows."""
    columns, cells = len(bins), sum(b.size for b in bins)
    return Profile(
        tuple(bins),
        np.zeros(days, np.int64),
        np.zeros((days, columns), np.int64),
        np.full((days, columns), NO_LOW),
        np.full((days, columns), NO_HIGH),
        np.zeros((days, columns, 2), np.int64),
        np.zeros((days, cells), np.int64),
    )


def merge(a: Profile, b: Profile) -> Profile:
    """Return the profile of both sets of rows together.

    Raises:
        DeclarationError: the profiles have different bins.
    """
    if a.bins != b.bins:
        raise DeclarationError(
            "profiles with different bins cannot be merged",
            where=", ".join(sorted({c.column for c in a.bins} ^ {c.column for c in b.bins})),
            fix="profile both with the stored bins of the source",
        )
    pairs = {name: np.stack([getattr(a, name), getattr(b, name)]) for name in _ARRAYS}
    return collapse(Profile(a.bins, **pairs))


def collapse(profile: Profile) -> Profile:
    """Merge the profiles along the first axis into one."""
    return Profile(
        profile.bins,
        profile.rows.sum(axis=0),
        profile.nulls.sum(axis=0),
        profile.low.min(axis=0, initial=NO_LOW),
        profile.high.max(axis=0, initial=NO_HIGH),
        carried(profile.limbs.sum(axis=0)),
        profile.counts.sum(axis=0),
    )


_ARRAYS = ("rows", "nulls", "low", "high", "limbs", "counts")


def _map(profile: Profile, change: Callable[[Ints], Ints]) -> Profile:
    return Profile(profile.bins, **{name: change(getattr(profile, name)) for name in _ARRAYS})


@dataclass(frozen=True, eq=False)
class Daily:
    """Sketches of a table's columns, by day.

    `days` are int64 epoch days, ascending; `rows` has the number of rows of each day. The sketches
    of a column have one partition per day.
    """

    days: Ints
    rows: Ints
    columns: Mapping[str, Sketches]

    def roll(
        self, first: int, last: int, columns: Sequence[str] | None = None
    ) -> dict[str, Sketches]:
        """Return each column's sketch of the days `first <= day < last`, without reading rows."""
        start, end = np.searchsorted(self.days, [first, last]).tolist()
        names = self.columns if columns is None else columns
        return {name: regrouped(self.columns[name].between(start, end), None, 1) for name in names}

    def within(self, days: Collection[int]) -> "Daily":
        """Return the sketches of the days that are in `days`."""
        keep = np.isin(self.days, list(days))
        columns = {name: sketches.selected(keep) for name, sketches in self.columns.items()}
        return Daily(self.days[keep], self.rows[keep], columns)

    def binned(self, bins: Sequence[Bins]) -> "Profiles":
        """Return each day's profile, counted in `bins`; the columns of `bins` must exist."""
        sketches = [self.columns[bin_.column] for bin_ in bins]
        stacked = empty(bins, len(self.days))
        stacked.rows[:] = self.rows
        for at, (column, cells) in enumerate(zip(sketches, _cells(bins), strict=True)):
            stacked.nulls[:, at], stacked.limbs[:, at] = column.nulls, column.limbs
            stacked.low[:, at], stacked.high[:, at] = column.low, column.high
            stacked.counts[:, cells] = filled(bins[at], column)
        return Profiles(self.days, stacked)


def profile(table: pa.Table, bins: Sequence[Bins]) -> Profile:
    """Return one profile of all rows of `table`, which has every column that `bins` names."""
    return collapse(profile_days(table, np.zeros(table.num_rows, np.int64), bins).whole)


def profile_days(table: pa.Table, day: Ints, bins: Sequence[Bins]) -> Profiles:
    """Return one profile for each distinct value of `day` (int64, one a row, any order)."""
    return sketch_days(table, day, [bin_.column for bin_ in bins]).binned(bins)


def sketch_days(table: pa.Table, day: Ints, columns: Sequence[str]) -> Daily:
    """Return sketches for each distinct value of `day` (int64, one a row, any order)."""
    table, day = by_day(table.select(columns), day)
    days, starts = parts(day)

    def sketch_column(name: str) -> Sketches:
        return sketch(kind_of(table.schema.field(name)), table[name], starts)

    sketches = dict(zip(columns, side_by_side(sketch_column, columns), strict=True))
    return Daily(days, np.diff(starts, append=len(day)), sketches)


def joined_days(dailies: Sequence[Daily]) -> Daily:
    """Return one `Daily` with the days of all of `dailies`; no two of them may share a day."""
    days = np.concatenate([daily.days for daily in dailies])
    rows = np.concatenate([daily.rows for daily in dailies])
    order = np.argsort(days)
    in_order = bool(np.all(days[1:] > days[:-1]))
    rank = np.empty(len(days), np.int64)
    rank[order] = np.arange(len(days))
    columns = {}
    for name in dailies[0].columns:
        merged = joined([daily.columns[name] for daily in dailies])
        columns[name] = merged if in_order else regrouped(merged, rank, len(days))
    return Daily(days[order], rows[order], columns)


def by_day(table: pa.Table, day: Ints) -> tuple[pa.Table, Ints]:
    """Sort the rows by day; rows of one day keep their order."""
    if len(day) < 2 or bool(np.all(day[1:] >= day[:-1])):
        return table, day
    order = np.argsort(day, kind="stable")
    return table.take(pa.array(order)), day[order]


def parts(day: Ints) -> tuple[Ints, Ints]:
    """Return the distinct days of rows sorted by day, and the number of each day's first row."""
    starts = np.flatnonzero(np.diff(day, prepend=day[:1] - 1))
    return day[starts], starts


def side_by_side(work: Callable[[str], T], columns: Sequence[str]) -> list[T]:
    """Call `work` for each column, on as many threads as the process may use."""
    count = min(threads(), len(columns))
    if count < 2:
        return [work(name) for name in columns]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, columns))


def _cells(bins: Sequence[Bins]) -> list[slice]:
    ends = np.cumsum([b.size for b in bins], dtype=np.int64).tolist()
    return [slice(end - b.size, end) for b, end in zip(bins, ends, strict=True)]


def _real(value: int) -> float:
    return float(from_ordered(np.array([value], np.int64))[0])
