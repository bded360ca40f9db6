"""The kernel: every aggregate and lookup as one question, which intervals contain t.

A version visible in [k, x) with event time e counts for a window [t + a, t + b) exactly when t is
in [max(k, e - b + 1), min(x, e - a + 1)). All arithmetic is on int64 until `rounding` at the end.
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
from headrace.features.kernel.row_ranges import Kept, RangeSelection
from headrace.features.kernel.spine_intervals import (
    Places,
    covered_best,
    covered_count,
    covered_sum,
)
from headrace.features.kernel.visibility import Versions
from headrace.features.spec import COUNTS, Aggregate, Filter, Where, Window, conditions


def window_start(k: Ints, e: Ints, b: int) -> Ints:
    """The first t whose window [.., t + b) reaches past e, once visible."""
    return np.maximum(k, e - b + 1)


def window_end(x: Ints, e: Ints, a: int) -> Ints:
    """The first t whose window [t + a, ..) has left e behind, or when the version is superseded."""
    return np.minimum(x, e - a + 1)


def state_start(k: Ints, e: Ints) -> Ints:
    """A state holds from its own moment on (rule 10)."""
    return np.maximum(k, e)


def state_end(x: Ints, e: Ints, max_age: int | None) -> Ints:
    """It expires when t - e > max_age."""
    return x if max_age is None else np.minimum(x, e + max_age + 1)


def known_values(valid: Bools | None) -> Bools | None:
    """Which rows have a value; None for all of them. Null is skipped, never 0."""
    return valid


@dataclass
class Selection:
    """The versions that one feature looks at, and the places [lo, hi) at which each counts."""

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
        """Place of each version in event order."""
        return np.arange(len(self.lo)) if self.index is None else self.index

    @cached_property
    def total(self) -> Ints:
        return covered_sum(self.lo, self.hi, self.values.astype(np.int64, copy=False), self.size)

    def summed(self, weights: Ints) -> Ints:
        """The exact sum of a weight per row."""
        return covered_sum(self.lo, self.hi, weights, self.size)

    def best(self, values: Numbers, *, least: bool) -> Numbers:
        return covered_best(self.lo, self.hi, values, self.size, least=least)

    def extreme(self, *, least: bool) -> Numbers:
        """The greatest or least value; read it together with a count."""
        return self.best(self.values, least=least)

    def edge(self, *, least: bool) -> Ints:
        """The first or last row in event order, as its place in that order."""
        return self.best(self.rank, least=least).astype(np.int64, copy=False)

    def distinct(self, codes: Ints, count: int) -> Ints:  # noqa: ARG002  # the twin needs it
        return covered_distinct(self.lo, self.hi, codes, self.size)


Chosen: TypeAlias = Selection | RangeSelection


@dataclass
class Joined:
    """The versions of a table that concern a spine's entities, ordered by (entity, event order).

    Sorting and searching is shared by all features of the same table and entity.
    """

    versions: Versions
    places: Places
    index: Ints  # into the versions
    codes: Ints  # number of the entity
    _ends: dict[tuple[str, int | None], Ints] = field(default_factory=dict)
    _masks: dict[tuple[Where, ...], Bools | None] = field(default_factory=dict)
    _selections: dict[object, Chosen] = field(default_factory=dict)
    _numbers: dict[str, Numbers] = field(default_factory=dict)
    _codes: dict[str, Ints] = field(default_factory=dict)
    _kept: dict[object, Kept] = field(default_factory=dict)

    @cached_property
    def fast(self) -> bool:
        """Whether ranges of rows are searched, in machine code, rather than intervals of places."""
        return compute.compiled(len(self.versions.e) + self.places.size)

    @cached_property
    def starts(self) -> Ints:
        """Where the versions of each entity start."""
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
        """Let go of what was kept for other features, which refers back to this: memory is free now
        rather than when the garbage collector comes.
        """
        self._selections.clear()
        self._kept.clear()

    def _at(self, what: str, key: int | None, moments: Callable[[], Ints]) -> Ints:
        if (what, key) not in self._ends:
            self._ends[what, key] = self.places.at(self.codes, moments())
        return self._ends[what, key]

    def window(self, window: Window) -> tuple[Ints, Ints]:
        """Places [lo, hi) in whose window each version counts; empty ones have lo == hi."""
        lo = self._at("from", window.b, lambda: window_start(self.k, self.e, window.b))
        hi = self._at("until", window.a, lambda: window_end(self.x, self.e, window.a))
        return lo, np.maximum(lo, hi)

    def state(self, max_age: int | None) -> tuple[Ints, Ints]:
        """Places at which each version is the state, or older than it."""
        lo = self._at("state", None, lambda: state_start(self.k, self.e))
        hi = self._at("age", max_age, lambda: state_end(self.x, self.e, max_age))
        return lo, np.maximum(lo, hi)

    def mask(self, where: Filter) -> Bools | None:
        key = conditions(where)
        if key not in self._masks:
            parts = [passes(condition, self.versions)[self.index] for condition in key]
            self._masks[key] = np.logical_and.reduce(parts) if parts else None
        return self._masks[key]

    def select(self, window: Window, where: Filter = None, column: str | None = None) -> Chosen:
        """Rows of a window that pass the filter and have a value in `column`."""
        valid = known_values(self.versions.valid(column)) if column else None
        by_column = column if column and self.versions.is_numeric(column) else None
        key = (window.a, window.b, conditions(where), by_column, valid is None or column)
        if key not in self._selections:
            kept = _both(self.mask(where), None if valid is None else valid[self.index])
            if self.fast:
                ranges = self._kept_rows((key[2], key[4]), kept)
                self._selections[key] = ranges.window(window.a, window.b, column, self.numbers)
            else:
                self._selections[key] = self._selection(self.window(window), kept, column)
        return self._selections[key]

    def _kept_rows(self, key: object, kept: Bools | None) -> Kept:
        if key not in self._kept:
            self._kept[key] = Kept(self, None if kept is None else np.flatnonzero(kept))
        return self._kept[key]

    def latest(self, max_age: int | None) -> Chosen:
        """Versions that are the state or older than it; the last one is the state (rule 10)."""
        if self.fast:
            a = None if max_age is None else -max_age
            return self._kept_rows(((), True), None).window(a, 1, None, self.numbers)
        return Selection(None, *self.state(max_age), self.places.size, lambda: self.numbers(""))

    def _selection(
        self, ends: tuple[Ints, Ints], kept: Bools | None, column: str | None
    ) -> Selection:
        lo, hi = ends
        index = None if kept is None else np.flatnonzero(kept)
        if index is not None:
            lo, hi = lo[index], hi[index]
        return Selection(index, lo, hi, self.places.size, lambda: self.numbers(column or ""))

    def numbers(self, column: str) -> Numbers:
        """The column's values, 0 where null, in the order of the joined versions."""
        if column not in self._numbers:
            self._numbers[column] = self.versions.values(column).data[self.index]
        return self._numbers[column]

    def value_codes(self, column: str) -> Ints:
        """The column's values as integers, -1 where null, in the order of the joined versions."""
        if column not in self._codes:
            self._codes[column] = value_codes(self.versions, column)[self.index]
        return self._codes[column]

    @property
    def _limit(self) -> int:
        declared = self.versions.shape.max_events
        return NEVER if declared is None else min(declared, NEVER)

    @cached_property
    def _may_overfill(self) -> bool:
        """True if an entity has more versions than the contract lets a window hold."""
        limit = self._limit
        return len(self.codes) > limit and int(np.bincount(self.codes).max()) > limit

    def overfull(self, window: Window) -> Bools | None:
        """Places whose window holds more events than declared (rule 16); None if there are none.

        All visible rows of the entity count, whatever a feature's filter and column leave out.
        """
        if not self._may_overfill:
            return None
        over: Bools = self.select(window).n > self._limit
        return over if over.any() else None

    @cached_property
    def seen(self) -> Ints:
        """How many versions of the entity are visible, at any event time."""
        lo = self._at("k", None, lambda: self.k)
        return covered_count(lo, self._at("age", None, lambda: self.x), self.places.size)


def _both(one: Bools | None, other: Bools | None) -> Bools | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


@dataclass
class Output:
    """One column by place: `data`, or else version rows to take from (`index`), where `ok`.

    `why`: where not ok, the reasons, most general first, each with where it holds.
    `overfull`: places that stay null, whatever the default: their window holds too many events.
    """

    ok: Bools
    data: Numbers | None = None
    index: Ints | None = None
    why: Callable[[], list[tuple[str, Bools]]] = list
    overfull: Bools | None = None


def join(versions: Versions, places: Places, entity: tuple[str, ...]) -> Joined:
    """The versions of the entities that the spine asks for."""
    codes = places.numbering.of([versions.array(name) for name in entity])
    index, _ = places.numbering.group(codes)
    return Joined(versions, places, index, codes[index])


def aggregate(joined: Joined, feature: Aggregate) -> Output:
    """One windowed feature for every place; for a whole row, its version."""
    chosen = joined.select(feature.window, feature.where, feature.column)
    over = chosen.overfull = joined.overfull(feature.window)
    output = _COMPUTE[feature.op](joined, chosen, feature.column or "")
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
        ("no history", joined.seen == 0),
        ("empty window", rows.n == 0),
        ("all null", chosen.n == 0),
        *([("one value", chosen.n == 1)] if feature.op == "std" else []),
    ]
    return output


def _scale(joined: Joined, column: str) -> int | None:
    return joined.versions.shape.columns[column].scale


def _in_unit(data: Numbers, scale: int | None) -> Numbers:
    return data if scale is None else quantity(data.astype(np.int64, copy=False), scale)


def _count(joined: Joined, chosen: Chosen, column: str) -> Output:  # noqa: ARG001
    return Output(np.ones(chosen.size, dtype=np.bool_), chosen.n)


def _distinct(joined: Joined, chosen: Chosen, column: str) -> Output:
    codes = joined.value_codes(column)
    codes = codes if chosen.index is None else codes[chosen.index]
    found = chosen.distinct(codes, int(codes.max(initial=-1)) + 1)
    return Output(np.ones(chosen.size, dtype=np.bool_), found)


def _sum(joined: Joined, chosen: Chosen, column: str) -> Output:
    return Output(chosen.n > 0, _in_unit(chosen.total, _scale(joined, column)))


def _mean(joined: Joined, chosen: Chosen, column: str) -> Output:
    ok = chosen.n > 0
    data = mean(chosen.total, np.maximum(chosen.n, 1), _scale(joined, column) or 0)
    return Output(ok, data)


def _std(joined: Joined, chosen: Chosen, column: str) -> Output:
    ok = chosen.n > 1
    if chosen.overfull is not None:  # their sums may have wrapped around
        ok &= ~chosen.overfull
    q = chosen.values.astype(np.int64, copy=False)
    limbs = square_limbs(q, fits=_squares_fit(q))
    squares = [(shift, chosen.summed(limb)[ok]) for shift, limb in limbs]
    data = np.zeros(chosen.size, dtype=np.float64)
    data[ok] = std(chosen.n[ok], chosen.total[ok], squares, _scale(joined, column) or 0)
    return Output(ok, data)


def _squares_fit(q: Ints) -> bool:
    """Whether all squares together stay below 2^63; either way gives the same bits."""
    largest = int(np.abs(q).max(initial=0))
    return len(q) * largest * largest < 2**63


def _extreme(joined: Joined, chosen: Chosen, column: str, *, least: bool) -> Output:
    best = chosen.extreme(least=least)
    return Output(chosen.n > 0, _in_unit(best, _scale(joined, column)))


def _ranked(joined: Joined, chosen: Chosen, *, least: bool) -> Output:
    """First or last: the versions are in event order, so their index is their rank."""
    best = chosen.edge(least=least)
    ok = chosen.n > 0
    return Output(ok, index=versions_at_places(joined, best, ok))


def versions_at_places(joined: Joined, best: Numbers, ok: Bools) -> Ints:
    """Rows of the versions for the joined rows that won; any row where not `ok`."""
    return joined.index[np.where(ok, best, 0)] if joined.index.size else np.zeros_like(best)


_COMPUTE: dict[str, Callable[[Joined, Chosen, str], Output]] = {
    "rows": _count,
    "count": _count,
    "distinct": _distinct,
    "sum": _sum,
    "mean": _mean,
    "std": _std,
    "min": lambda joined, chosen, column: _extreme(joined, chosen, column, least=True),
    "max": lambda joined, chosen, column: _extreme(joined, chosen, column, least=False),
    "first": lambda joined, chosen, _: _ranked(joined, chosen, least=True),
    "last": lambda joined, chosen, _: _ranked(joined, chosen, least=False),
    "last_row": lambda joined, chosen, _: _ranked(joined, chosen, least=False),
}


def state(joined: Joined, max_age: str | None) -> Output:
    """The version that is the state at each place (rule 10)."""
    chosen = joined.latest(None if max_age is None else duration(max_age))
    ok = chosen.n > 0
    best = chosen.edge(least=False)

    def why() -> list[tuple[str, Bools]]:
        return [
            ("no history", joined.seen == 0),
            ("empty window", joined.latest(None).n == 0),
            ("expired", ~ok),
        ]

    return Output(ok, index=versions_at_places(joined, best, ok), why=why)
