"""Kernel that computes all aggregates and lookups, from intervals of prediction time.

A version visible in [k, x) with event time e counts for a window [t + a, t + b) exactly when t is
in [max(k, e - b + 1), min(x, e - a + 1)). These intervals become ranges of places, the positions of
spine rows in the order (entity, t). All arithmetic is on int64; only `rounding`, the last step,
converts to float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from headrace.core import compute
from headrace.core.clock import duration
from headrace.features.kernel.arrays import NEVER, Bools, Ints, Numbers
from headrace.features.kernel.distinct import covered_distinct, value_codes
from headrace.features.kernel.filters import passes
from headrace.features.kernel.rounding import mean, quantity, square_limbs, std
from headrace.features.kernel.row_ranges import FilteredRows, RangeSelection
from headrace.features.kernel.spine_intervals import (
    Places,
    covered_best,
    covered_count,
    covered_sum,
)
from headrace.features.kernel.visibility import Versions
from headrace.features.spec import COUNTS, Aggregate, Filter, Where, Window, conditions


def window_start(k: Ints, e: Ints, b: int) -> Ints:
    """Return the first t at which the version is visible and e < t + b, the window's end."""
    return np.maximum(k, e - b + 1)


def window_end(x: Ints, e: Ints, a: int) -> Ints:
    """Return the first t at which e < t + a, the window's start, or the version is superseded."""
    return np.minimum(x, e - a + 1)


def state_start(k: Ints, e: Ints) -> Ints:
    """Return the first t at which a state holds: its event time, or k if later (rule 10)."""
    return np.maximum(k, e)


def state_end(x: Ints, e: Ints, max_age: int | None) -> Ints:
    """Return the first t at which a state has expired (t - e > max_age) or is superseded."""
    return x if max_age is None else np.minimum(x, e + max_age + 1)


def known_values(valid: Bools | None) -> Bools | None:
    """Return the mask of the rows to use; None for all rows. Nulls are skipped, not taken as 0."""
    return valid


@dataclass
class Selection:
    """Versions that a feature uses, and for each the places [lo, hi) at which it counts."""

    index: Ints | None  # rows of the joined versions; None for all
    lo: Ints
    hi: Ints
    size: int
    numbers: Callable[[], Numbers]
    overfull: Bools | None = None  # places whose window holds too many events

    @cached_property
    def n(self) -> Ints:
        return covered_count(self.lo, self.hi, self.size)

    @property
    def values(self) -> Numbers:
        return self.numbers() if self.index is None else self.numbers()[self.index]

    @property
    def rank(self) -> Ints:
        """Position of each version among the joined versions, which are in event order."""
        return np.arange(len(self.lo)) if self.index is None else self.index

    @cached_property
    def total(self) -> Ints:
        return covered_sum(self.lo, self.hi, self.values.astype(np.int64, copy=False), self.size)

    def summed(self, weights: Ints) -> Ints:
        """Return for each place the exact sum of the weights of the versions that count."""
        return covered_sum(self.lo, self.hi, weights, self.size)

    def best(self, values: Numbers, *, minimum: bool) -> Numbers:
        return covered_best(self.lo, self.hi, values, self.size, minimum=minimum)

    def extreme(self, *, minimum: bool) -> Numbers:
        """Return the extreme value at each place; valid only if `n` is positive there."""
        return self.best(self.values, minimum=minimum)

    def edge(self, *, minimum: bool) -> Ints:
        """Return for each place the first or last version in event order, by its `rank`."""
        return self.best(self.rank, minimum=minimum).astype(np.int64, copy=False)

    def distinct(self, codes: Ints, count: int) -> Ints:  # noqa: ARG002  # as in RangeSelection
        return covered_distinct(self.lo, self.hi, codes, self.size)


AnySelection: TypeAlias = Selection | RangeSelection


@dataclass
class Joined:
    """Versions of a table for the entities of a spine, ordered by (entity, event order).

    Features of the same table and entity share this object and its cached results.
    """

    versions: Versions
    places: Places
    index: Ints  # position of each joined row among the versions
    codes: Ints  # entity number of each joined row
    _ends: dict[tuple[str, int | None], Ints] = field(default_factory=dict)
    _masks: dict[tuple[Where, ...], Bools | None] = field(default_factory=dict)
    _selections: dict[object, AnySelection] = field(default_factory=dict)
    _numbers: dict[str, Numbers] = field(default_factory=dict)
    _codes: dict[str, Ints] = field(default_factory=dict)
    _filtered: dict[object, FilteredRows] = field(default_factory=dict)

    @cached_property
    def fast(self) -> bool:
        """True if compiled code is used, which searches ranges of rows instead of places."""
        return compute.compiled(len(self.versions.e) + self.places.size)

    @cached_property
    def starts(self) -> Ints:
        """Start of each entity's versions, and the end of the last."""
        return np.searchsorted(self.codes, np.arange(len(self.places.starts)))

    @property
    def on_time(self) -> bool:
        return self.versions.on_time

    @cached_property
    def e(self) -> Ints:
        return self.versions.e[self.index]

    @cached_property
    def k(self) -> Ints:
        return self.versions.k[self.index]

    @cached_property
    def x(self) -> Ints:
        return self.versions.x[self.index]

    def forget(self) -> None:
        """Clear the cached selections, whose references back to this object delay freeing it."""
        self._selections.clear()
        self._filtered.clear()

    def _at(self, what: str, key: int | None, moments: Callable[[], Ints]) -> Ints:
        if (what, key) not in self._ends:
            self._ends[what, key] = self.places.at(self.codes, moments())
        return self._ends[what, key]

    def window(self, window: Window) -> tuple[Ints, Ints]:
        """Return for each version the places [lo, hi) at which it is in the window."""
        lo = self._at("from", window.b, lambda: window_start(self.k, self.e, window.b))
        hi = self._at("until", window.a, lambda: window_end(self.x, self.e, window.a))
        return lo, np.maximum(lo, hi)

    def state(self, max_age: int | None) -> tuple[Ints, Ints]:
        """Return for each version the places [lo, hi) at which it is the current or older state."""
        lo = self._at("state", None, lambda: state_start(self.k, self.e))
        hi = self._at("age", max_age, lambda: state_end(self.x, self.e, max_age))
        return lo, np.maximum(lo, hi)

    def mask(self, where: Filter) -> Bools | None:
        key = conditions(where)
        if key not in self._masks:
            parts = [passes(condition, self.versions)[self.index] for condition in key]
            self._masks[key] = np.logical_and.reduce(parts) if parts else None
        return self._masks[key]

    def select(
        self, window: Window, where: Filter = None, column: str | None = None
    ) -> AnySelection:
        """Select the versions in a window that pass the filter and are not null in `column`."""
        valid = known_values(self.versions.valid(column)) if column else None
        by_column = column if column and self.versions.is_numeric(column) else None
        key = (window.a, window.b, conditions(where), by_column, valid is None or column)
        if key not in self._selections:
            mask = _both(self.mask(where), None if valid is None else valid[self.index])
            if self.fast:
                ranges = self._filtered_rows((key[2], key[4]), mask)
                self._selections[key] = ranges.window(window.a, window.b, column, self.numbers)
            else:
                self._selections[key] = self._selection(self.window(window), mask, column)
        return self._selections[key]

    def _filtered_rows(self, key: object, mask: Bools | None) -> FilteredRows:
        if key not in self._filtered:
            self._filtered[key] = FilteredRows(self, None if mask is None else np.flatnonzero(mask))
        return self._filtered[key]

    def latest(self, max_age: int | None) -> AnySelection:
        """Select the current and older states; the last one is the current state (rule 10)."""
        if self.fast:
            a = None if max_age is None else -max_age
            return self._filtered_rows(((), True), None).window(a, 1, None, self.numbers)
        return Selection(None, *self.state(max_age), self.places.size, lambda: self.numbers(""))

    def _selection(
        self, ends: tuple[Ints, Ints], mask: Bools | None, column: str | None
    ) -> Selection:
        lo, hi = ends
        index = None if mask is None else np.flatnonzero(mask)
        if index is not None:
            lo, hi = lo[index], hi[index]
        return Selection(index, lo, hi, self.places.size, lambda: self.numbers(column or ""))

    def numbers(self, column: str) -> Numbers:
        """Return the column's values in the order of the joined versions; 0 for null."""
        if column not in self._numbers:
            self._numbers[column] = self.versions.values(column).data[self.index]
        return self._numbers[column]

    def value_codes(self, column: str) -> Ints:
        """Return a code for each value in the order of the joined versions; -1 for null."""
        if column not in self._codes:
            self._codes[column] = value_codes(self.versions, column)[self.index]
        return self._codes[column]

    @property
    def _limit(self) -> int:
        declared = self.versions.shape.max_events
        return NEVER if declared is None else min(declared, NEVER)

    @cached_property
    def _may_overfill(self) -> bool:
        """True if an entity has more versions than the contract allows in a window."""
        limit = self._limit
        return len(self.codes) > limit and int(np.bincount(self.codes).max()) > limit

    def overfull(self, window: Window) -> Bools | None:
        """Return a mask of the places whose window has more events than the contract allows.

        None if there are no such places. All visible rows of the entity count, also rows that the
        feature's filter or column excludes (rule 16).
        """
        if not self._may_overfill:
            return None
        over: Bools = self.select(window).n > self._limit
        return over if over.any() else None

    @cached_property
    def visible_count(self) -> Ints:
        """Number of visible versions of the entity at each place, whatever their event time."""
        lo = self._at("k", None, lambda: self.k)
        return covered_count(lo, self._at("age", None, lambda: self.x), self.places.size)


def _both(first: Bools | None, second: Bools | None) -> Bools | None:
    if first is None or second is None:
        return first if second is None else second
    return first & second


@dataclass
class Output:
    """Column with one value for each place where `ok` is True.

    The values are `data`, or come from the versions with the row numbers `index`. `why` returns the
    reasons for null values, each with a mask of places, in order of precedence. `overfull` marks
    places whose window has too many events; they stay null even if there is a default.
    """

    ok: Bools
    data: Numbers | None = None
    index: Ints | None = None
    why: Callable[[], list[tuple[str, Bools]]] = list
    overfull: Bools | None = None


def join(versions: Versions, places: Places, entity: tuple[str, ...]) -> Joined:
    """Join a table's versions to the spine's entities; other versions are dropped."""
    codes = places.numbering.of([versions.array(name) for name in entity])
    index, _ = places.numbering.group(codes)
    return Joined(versions, places, index, codes[index])


def aggregate(joined: Joined, feature: Aggregate) -> Output:
    """Compute a windowed feature at every place."""
    selection = joined.select(feature.window, feature.where, feature.column)
    over = selection.overfull = joined.overfull(feature.window)
    output = _COMPUTE[feature.op](joined, selection, feature.column or "")
    full: list[tuple[str, Bools]] = []
    if over is not None:
        output.ok, output.overfull = output.ok & ~over, over
        full = [("too many events", over)]
    if feature.op in COUNTS:
        output.why = lambda: full
        return output
    rows = joined.select(feature.window, feature.where)
    output.why = lambda: [
        *full,
        ("no history", joined.visible_count == 0),
        ("empty window", rows.n == 0),
        ("all null", selection.n == 0),
        *([("one value", selection.n == 1)] if feature.op == "std" else []),
    ]
    return output


def _scale(joined: Joined, column: str) -> int | None:
    return joined.versions.shape.columns[column].scale


def _in_unit(data: Numbers, scale: int | None) -> Numbers:
    return data if scale is None else quantity(data.astype(np.int64, copy=False), scale)


def _count(joined: Joined, selection: AnySelection, column: str) -> Output:  # noqa: ARG001
    return Output(np.ones(selection.size, dtype=np.bool_), selection.n)


def _distinct(joined: Joined, selection: AnySelection, column: str) -> Output:
    codes = joined.value_codes(column)
    codes = codes if selection.index is None else codes[selection.index]
    counts = selection.distinct(codes, int(codes.max(initial=-1)) + 1)
    return Output(np.ones(selection.size, dtype=np.bool_), counts)


def _sum(joined: Joined, selection: AnySelection, column: str) -> Output:
    return Output(selection.n > 0, _in_unit(selection.total, _scale(joined, column)))


def _mean(joined: Joined, selection: AnySelection, column: str) -> Output:
    ok = selection.n > 0
    data = mean(selection.total, np.maximum(selection.n, 1), _scale(joined, column) or 0)
    return Output(ok, data)


def _std(joined: Joined, selection: AnySelection, column: str) -> Output:
    ok = selection.n > 1
    if selection.overfull is not None:  # with too many events, sums may have overflowed
        ok &= ~selection.overfull
    q = selection.values.astype(np.int64, copy=False)
    limbs = square_limbs(q, fits=_squares_fit(q))
    squares = [(shift, selection.summed(limb)[ok]) for shift, limb in limbs]
    data = np.zeros(selection.size, dtype=np.float64)
    data[ok] = std(selection.n[ok], selection.total[ok], squares, _scale(joined, column) or 0)
    return Output(ok, data)


def _squares_fit(q: Ints) -> bool:
    """Return True if the sum of all squares is certainly below 2^63.

    This only affects speed: both ways to add the squares give the same bits.
    """
    largest = int(np.abs(q).max(initial=0))
    return len(q) * largest * largest < 2**63


def _extreme(joined: Joined, selection: AnySelection, column: str, *, minimum: bool) -> Output:
    best = selection.extreme(minimum=minimum)
    return Output(selection.n > 0, _in_unit(best, _scale(joined, column)))


def _ranked(joined: Joined, selection: AnySelection, *, minimum: bool) -> Output:
    """Compute `first` or `last`; versions are in event order, so the index is the rank."""
    best = selection.edge(minimum=minimum)
    ok = selection.n > 0
    return Output(ok, index=versions_at_places(joined, best, ok))


def versions_at_places(joined: Joined, best: Numbers, ok: Bools) -> Ints:
    """Return the version rows of the joined rows `best`; arbitrary rows where not `ok`."""
    return joined.index[np.where(ok, best, 0)] if joined.index.size else np.zeros_like(best)


_COMPUTE: dict[str, Callable[[Joined, AnySelection, str], Output]] = {
    "rows": _count,
    "count": _count,
    "distinct": _distinct,
    "sum": _sum,
    "mean": _mean,
    "std": _std,
    "min": lambda joined, selection, column: _extreme(joined, selection, column, minimum=True),
    "max": lambda joined, selection, column: _extreme(joined, selection, column, minimum=False),
    "first": lambda joined, selection, _: _ranked(joined, selection, minimum=True),
    "last": lambda joined, selection, _: _ranked(joined, selection, minimum=False),
    "last_row": lambda joined, selection, _: _ranked(joined, selection, minimum=False),
}


def state(joined: Joined, max_age: str | None) -> Output:
    """Find the version that is the state at each place (rule 10)."""
    selection = joined.latest(None if max_age is None else duration(max_age))
    ok = selection.n > 0
    best = selection.edge(minimum=False)

    def why() -> list[tuple[str, Bools]]:
        return [
            ("no history", joined.visible_count == 0),
            ("empty window", joined.latest(None).n == 0),
            ("expired", ~ok),
        ]

    return Output(ok, index=versions_at_places(joined, best, ok), why=why)
