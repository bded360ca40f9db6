"""Profiles: what a table's columns looked like on a day, small, and exactly mergeable.

A profile counts rows, nulls and bins, keeps the least and the greatest value, and the exact sum of
integers. Merging adds and compares integers only, so it is associative, commutative and exact: a
week merged from seven days equals the week profiled from its rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import DeclarationError
from headrace.files import digest
from headrace.monitoring.bins import Bins, codes, number_codes, numbers, one_array

FORMAT = 1
Ints = npt.NDArray[np.int64]

# Of no value at all: neutral under min and max.
NO_LOW = np.iinfo(np.int64).max
NO_HIGH = np.iinfo(np.int64).min
_LIMB = 32
_LIMB_MASK = (1 << _LIMB) - 1


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one profile, for people and tests. `low` and `high` are None for strings."""

    rows: int
    nulls: int
    low: float | None
    high: float | None
    total: int | None
    counts: tuple[int, ...]

    @property
    def mean(self) -> float | None:
        present = self.rows - self.nulls
        return None if self.total is None or present == 0 else self.total / present


@dataclass(frozen=True, eq=False)
class Profile:
    """Sums over rows; every array may have leading axes, for example one of days.

    `rows` (...), `nulls`, `low`, `high` (..., columns), `limbs` (..., columns, 2),
    `counts` (..., all bins of all columns), all int64. `low` and `high` hold integers as they are
    and reals as integers of the same order (`ordered`); `limbs` are the high and low part of sums.
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
        """One column of a profile without leading axes."""
        at, part = self.places[name]
        kind = self.bins[at].kind
        some = int(self.rows) > int(self.nulls[at]) and kind != "level"
        read = _from_ordered if kind == "real" else int
        total = (int(self.limbs[at, 0]) << _LIMB) + int(self.limbs[at, 1])
        return ColumnProfile(
            rows=int(self.rows),
            nulls=int(self.nulls[at]),
            low=read(int(self.low[at])) if some else None,
            high=read(int(self.high[at])) if some else None,
            total=total if kind == "integer" else None,
            counts=tuple(self.counts[part].tolist()),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists of integers, with the format version; exact."""
        arrays = ("rows", "nulls", "low", "high", "limbs", "counts")
        body = {name: getattr(self, name).tolist() for name in arrays}
        return {"format": FORMAT, "bins": [b.to_json() for b in self.bins], **body}


@dataclass(frozen=True)
class Profiles:
    """One profile a day: `whole` has a leading axis of days (int64 epoch days, ascending)."""

    days: Ints
    whole: Profile

    def roll(self, first: int, last: int) -> Profile:
        """The profile of the days `first <= day < last`, without touching a row."""
        start, end = np.searchsorted(self.days, [first, last])
        return collapse(_map(self.whole, lambda array: array[start:end]))


def empty(bins: Sequence[Bins], days: int) -> Profile:
    """`days` profiles of nothing."""
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
    """The profile of both sets of rows together.

    Raises:
        DeclarationError: the two were made with different bins.
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
    """Merge over the first axis."""
    return Profile(
        profile.bins,
        profile.rows.sum(axis=0),
        profile.nulls.sum(axis=0),
        profile.low.min(axis=0, initial=NO_LOW),
        profile.high.max(axis=0, initial=NO_HIGH),
        _carry(profile.limbs.sum(axis=0)),
        profile.counts.sum(axis=0),
    )


_ARRAYS = ("rows", "nulls", "low", "high", "limbs", "counts")


def _map(profile: Profile, change: Callable[[Ints], Ints]) -> Profile:
    return Profile(profile.bins, **{name: change(getattr(profile, name)) for name in _ARRAYS})


def _carry(limbs: Ints) -> Ints:
    """One form per sum: the low limb within 32 bits, so that equal sums are equal bytes."""
    carried = limbs.copy()
    carried[..., 0] += limbs[..., 1] >> _LIMB
    carried[..., 1] &= _LIMB_MASK
    return carried


def profile(table: pa.Table, bins: Sequence[Bins]) -> Profile:
    """One profile of all rows of `table`, which has every column that `bins` names."""
    whole = profile_days(table, np.zeros(table.num_rows, np.int64), bins).whole
    return collapse(whole)


def profile_days(table: pa.Table, day: Ints, bins: Sequence[Bins]) -> Profiles:
    """One profile for each distinct value of `day` (int64, one a row, any order)."""
    order = None if bool(np.all(day[1:] >= day[:-1])) else np.argsort(day, kind="stable")
    ordered_day = day if order is None else day[order]
    days, starts, part = _parts(ordered_day)
    result = empty(bins, len(days))
    result.rows[:] = np.bincount(part, minlength=len(days))
    for at, (one, cells) in enumerate(zip(bins, _cells(bins), strict=True)):
        column = one_array(table[one.column])
        column = column if order is None else column.take(pa.array(order))
        _fill(result, at, cells, column, (part, starts))
    return Profiles(days, result)


def _parts(day: Ints) -> tuple[Ints, Ints, Ints]:
    """The distinct days, the first row of each, and the position of each row's day."""
    if len(day) == 0:
        none = np.zeros(0, np.int64)
        return none, none, none
    new = np.concatenate([[True], day[1:] != day[:-1]])
    starts = np.flatnonzero(new)
    return day[starts], starts, np.cumsum(new) - 1


def _cells(bins: Sequence[Bins]) -> list[slice]:
    ends = np.cumsum([b.size for b in bins], dtype=np.int64).tolist()
    return [slice(end - b.size, end) for b, end in zip(bins, ends, strict=True)]


def _fill(
    result: Profile, at: int, cells: slice, column: pa.Array, rows: tuple[Ints, Ints]
) -> None:
    """Write one column of `result` from its rows, which lie day by day."""
    part, starts = rows
    bins = result.bins[at]
    if bins.kind == "level":
        _count(result, at, cells, codes(bins, column), part)
        return
    values, present = numbers(column)
    _count(result, at, cells, number_codes(bins, values, present), part)
    if len(starts) == 0:
        return
    if values.dtype == np.int64:
        _extremes_of_integers(result, at, values, present, starts)
    else:
        _extremes_of_reals(result, at, values, starts)


def _count(result: Profile, at: int, cells: slice, code: Ints, part: Ints) -> None:
    width = result.bins[at].size + 1  # one more for nulls
    table = np.bincount(part * width + code, minlength=len(result.rows) * width)
    table = table.reshape(len(result.rows), width)
    result.counts[:, cells] = table[:, :-1]
    result.nulls[:, at] = table[:, -1]


def _extremes_of_integers(
    result: Profile, at: int, values: Ints, present: npt.NDArray[np.bool_], starts: Ints
) -> None:
    full = bool(present.all())
    result.low[:, at] = np.minimum.reduceat(
        values if full else np.where(present, values, NO_LOW), starts
    )
    result.high[:, at] = np.maximum.reduceat(
        values if full else np.where(present, values, NO_HIGH), starts
    )
    # absent values are zero already, see `numbers`
    high = np.add.reduceat(values >> _LIMB, starts)
    low = np.add.reduceat(values & _LIMB_MASK, starts)
    result.limbs[:, at] = _carry(np.stack([high, low], axis=-1))


def _extremes_of_reals(
    result: Profile, at: int, values: npt.NDArray[np.float64], starts: Ints
) -> None:
    low = np.fmin.reduceat(values, starts)  # fmin and fmax pass over NaN
    high = np.fmax.reduceat(values, starts)
    some = ~np.isnan(low)
    result.low[some, at] = ordered(low[some])
    result.high[some, at] = ordered(high[some])


def ordered(values: npt.NDArray[np.float64]) -> Ints:
    """Float64 as int64 in the same order, without loss."""
    bits = values.view(np.int64)
    result: Ints = bits ^ ((bits >> 63) & NO_LOW)
    return result


def _from_ordered(value: int) -> float:
    bits = np.array([value], np.int64)
    back: npt.NDArray[np.float64] = (bits ^ ((bits >> 63) & NO_LOW)).view(np.float64)
    return float(back[0])


def bins_hash(bins: Sequence[Bins]) -> str:
    return digest([b.to_json() for b in bins])
