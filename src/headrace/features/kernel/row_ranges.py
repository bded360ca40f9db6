"""Selections as ranges of adjacent rows: the compiled counterpart of `kernel.Selection`.

Most versions of an entity, called regular, start and stop counting in event order. So the regular
versions that count at a moment are a range of rows. The sum of a range is the difference of two
running sums, and its minimum and maximum come from a sparse table. The other versions, called odd,
are superseded or become known after a later event. They are handled as ranges of places, as in
`kernel.Selection`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np

from headrace.core.compute import threads
from headrace.features.kernel.arrays import Bools, Ints, Numbers
from headrace.features.kernel.spine_intervals import Places, worst
from headrace.features.kernel.visibility import Versions

# With fewer rows and places, starting threads costs more than it saves.
_FEW = 200_000


class JoinedVersions(Protocol):
    """Joined versions, ordered by (entity, event order)."""

    places: Places

    versions: Versions
    index: Ints  # position of each joined row among the versions
    codes: Ints

    @property
    def e(self) -> Ints: ...
    @property
    def starts(self) -> Ints: ...
    @property
    def on_time(self) -> bool:
        """True if every version is visible from its event time on and none is ever superseded."""
        ...


@dataclass
class FilteredRows:
    """Joined versions that pass one filter and are not null in one column."""

    source: JoinedVersions
    index: Ints | None  # rows of the joined versions; None for all
    _split: dict[int, "Split"] = field(default_factory=dict)
    _values: dict[str, Numbers] = field(default_factory=dict)

    def values(self, column: str, numbers: Callable[[], Numbers]) -> Numbers:
        if column not in self._values:
            self._values[column] = self.of(numbers())
        return self._values[column]

    def of(self, values: Any) -> Any:  # noqa: ANN401  # any array of the joined versions
        return values if self.index is None else values[self.index]

    @cached_property
    def e(self) -> Ints:
        return cast("Ints", self.of(self.source.e))

    @cached_property
    def starts(self) -> Ints:
        starts = self.source.starts
        return starts if self.index is None else np.searchsorted(self.index, starts)

    def window(
        self, a: int | None, b: int, column: str | None, numbers: Callable[[str], Numbers]
    ) -> "RangeSelection":
        """Select rows that count for [t + a, t + b); `a=None` means until superseded."""
        return RangeSelection(self, column or "", a, b, lambda: numbers(column or ""))

    def split(self, b: int) -> "Split":
        """Return the regular and odd rows for windows that end at t + b."""
        if b not in self._split:
            self._split[b] = split(self, b)
        return self._split[b]


@dataclass
class Split:
    """Regular rows and odd rows, as indices into the filtered rows.

    `rows` are the regular rows; None if all rows are regular. `e`, `moments` and `starts` belong to
    the regular rows.
    """

    places: Places
    rows: Ints | None
    odd: Ints
    e: Ints
    moments: Ints  # time from which each regular row counts
    shift: int  # added to t before it is compared with `moments`
    starts: Ints
    odd_lo: Ints | None = None  # the first place of each odd row
    _begin: dict[int | None, Ints] = field(default_factory=dict)
    _end: list[Ints] = field(default_factory=list)
    _sums: dict[object, Ints] = field(default_factory=dict)
    _values: dict[str, Numbers] = field(default_factory=dict)

    def regular(self, column: str, values: Numbers) -> Numbers:
        """Return a column's values at the regular rows."""
        if column not in self._values:
            self._values[column] = self.of(values)
        return self._values[column]

    def of(self, values: Any) -> Any:  # noqa: ANN401
        """Take the elements of the regular rows from an array over the filtered rows."""
        return values if self.rows is None else values[self.rows]

    @property
    def end(self) -> Ints:
        """For each place, the end of the range of regular rows that have started to count."""
        if not self._end:
            self._end.append(self._after(self.moments, self.shift))
        return self._end[0]

    def begin(self, a: int | None) -> Ints:
        """Return for each place the first regular row that still counts; it may be after `end`."""
        if a not in self._begin:
            self._begin[a] = (
                self.starts[:-1].repeat(np.diff(self.places.starts))
                if a is None
                else self._after(self.e, a - 1)
            )
        return self._begin[a]

    def _after(self, moments: Ints, shift: int) -> Ints:
        from headrace.features.kernel import compiled

        out = np.empty(self.places.size, dtype=np.int64)
        at = self.places
        self.spread(
            lambda first, last: compiled.first_after(
                moments, self.starts, at.t, at.starts, shift, first, last, out
            )
        )
        return out

    def spread(self, work: Callable[[int, int], object]) -> list[Any]:
        return spread(self.starts, self.places.starts, work)

    def sums(self, key: object, weights: Callable[[], Ints]) -> Ints:
        """Return running sums of the regular rows' weights; cached unless `key` is None."""
        from headrace.features.kernel import compiled

        if key is None:
            return cast("Ints", compiled.running(self.of(weights())))
        if key not in self._sums:
            self._sums[key] = compiled.running(self.of(weights()))
        return self._sums[key]


def split(filtered: FilteredRows, b: int) -> Split:
    """Split filtered rows into regular and odd ones."""
    from headrace.features.kernel import compiled

    source, e = filtered.source, filtered.e
    if source.on_time and b <= 1:  # every version counts from e - b + 1 on, so none is odd
        return Split(source.places, None, np.zeros(0, dtype=np.int64), e, e, b - 1, filtered.starts)
    k, x = source.versions.k, source.versions.x
    index = cast("Ints", filtered.of(source.index))
    mask = np.zeros(len(e), dtype=np.bool_)
    spread(
        filtered.starts,
        source.places.starts,
        lambda first, last: compiled.find_odd(
            e, k, x, index, filtered.starts, b, first, last, mask
        ),
    )
    rows, odd, e, moments, starts = compiled.part(e, k, index, filtered.starts, b, mask)
    return Split(source.places, rows if odd.size else None, odd, e, moments, 0, starts)


def spread(starts: Ints, places: Ints, work: Callable[[int, int], object]) -> list[Any]:
    """Run `work(first, last)` over ranges of all entities, in threads if there is enough work."""
    count = len(starts) - 1
    weight = starts + places
    parts = threads() if int(weight[-1]) >= _FEW else 1
    if parts < 2:
        return [work(0, count)]
    cuts = np.searchsorted(weight, int(weight[-1]) * np.arange(1, parts) // parts)
    ends = [0, *cuts.tolist(), count]
    pairs = [(first, last) for first, last in pairwise(ends) if first < last]
    with ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(lambda pair: work(*pair), pairs))


@dataclass
class RangeSelection:
    """Filtered rows that count for the window [t + a, t + b) at each place."""

    filtered: FilteredRows
    column: str
    a: int | None
    b: int
    numbers: Callable[[], Numbers]  # returns the column's values at the joined versions
    overfull: Bools | None = None  # places whose window holds too many events

    @property
    def index(self) -> Ints | None:
        return self.filtered.index

    @property
    def size(self) -> int:
        return self.split.places.size

    @cached_property
    def split(self) -> Split:
        return self.filtered.split(self.b)

    @property
    def values(self) -> Numbers:
        return self.filtered.values(self.column, self.numbers)

    @property
    def begin(self) -> Ints:
        return self.split.begin(self.a)

    @property
    def end(self) -> Ints:
        return self.split.end

    @cached_property
    def odd(self) -> tuple[Ints, Ints]:
        """For each odd row, the places [lo, hi) at which it counts; lo == hi if it never counts."""
        from headrace.features.kernel import compiled

        filtered, source, odd = self.filtered, self.filtered.source, self.split.odd
        joined = odd if filtered.index is None else filtered.index[odd]
        rows, codes = source.index[joined], source.codes[joined]
        e, k, x = (v[rows] for v in (source.versions.e, source.versions.k, source.versions.x))
        at = source.places
        start = np.maximum(k, e - (self.b - 1))
        over = x if self.a is None else np.minimum(x, e - (self.a - 1))
        if self.split.odd_lo is None:
            self.split.odd_lo = compiled.first_place(at.t, at.starts, codes, start)
        lo = self.split.odd_lo
        hi = compiled.first_place(at.t, at.starts, codes, over)
        return lo, np.maximum(lo, hi)

    @cached_property
    def n(self) -> Ints:
        counts: Ints = np.maximum(self.end - self.begin, 0)
        if self.split.odd.size:
            counts += self._odd_sum(np.ones(self.split.odd.size, np.int64))
        return counts

    @cached_property
    def total(self) -> Ints:
        weights = lambda: self.values.astype(np.int64, copy=False)  # noqa: E731
        return self._summed(self.column, weights)

    def summed(self, weights: Ints) -> Ints:
        """Return for each place the exact sum of the weights of the rows that count."""
        return self._summed(None, lambda: weights)

    def _summed(self, key: object, weights: Callable[[], Ints]) -> Ints:
        from headrace.features.kernel import compiled

        odd_sums = self._odd_sum(weights()[self.split.odd]) if self.split.odd.size else None
        out = np.zeros(self.size, dtype=np.int64) if odd_sums is None else odd_sums
        compiled.between(self.split.sums(key, weights), self.begin, self.end, out)
        return out

    def _odd_sum(self, weights: Ints) -> Any:  # noqa: ANN401
        from headrace.features.kernel import compiled

        if not weights.size:
            return np.zeros(self.size, dtype=np.int64)
        return compiled.cover_sum(*self.odd, weights, self.size)

    def extreme(self, *, minimum: bool) -> Numbers:
        """Return the extreme value at each place; valid only if `n` is positive there."""
        from headrace.features.kernel import compiled

        values = self.values
        out = np.full(self.size, worst(values.dtype, minimum=minimum), dtype=values.dtype)
        at, split = self.split.places, self.split
        if split.odd.size:
            compiled.cover_best(*self.odd, values[split.odd], out, minimum)
        pick = compiled.range_minimum if minimum else compiled.range_maximum
        regular = split.regular(self.column, values)
        split.spread(
            lambda first, last: pick(
                regular, split.starts, at.starts, self.begin, self.end, first, last, out
            )
        )
        return cast("Numbers", out)

    def edge(self, *, minimum: bool) -> Ints:
        """Return for each place the index of the first or last joined row that counts."""
        from headrace.features.kernel import compiled

        split = self.split
        edge_rows = self.begin if minimum else self.end - 1
        occupied = self.end > self.begin
        edge_rows = np.where(occupied, edge_rows, 0)
        for rows in (split.rows, self.index):
            edge_rows = edge_rows if rows is None else rows[edge_rows] if rows.size else edge_rows
        absent = worst(np.dtype(np.int64), minimum=minimum)
        out: Ints = np.where(occupied, edge_rows, absent)
        if split.odd.size:
            rank = split.odd if self.index is None else self.index[split.odd]
            odd = np.full(self.size, absent, dtype=np.int64)
            compiled.cover_best(*self.odd, rank, odd, minimum)
            out = np.minimum(out, odd) if minimum else np.maximum(out, odd)
        return out

    def distinct(self, codes: Ints, count: int) -> Ints:
        """Return for each place the number of distinct codes of the rows that count.

        `codes` has one code below `count` for each filtered row.
        """
        from headrace.features.kernel import compiled

        split, at = self.split, self.split.places
        odd, odd_starts = self._odd_by_start(codes)
        regular, moments = split.of(codes), split.moments
        shifted = moments if not split.shift else moments - split.shift

        def work(first: int, last: int) -> Ints:
            delta = np.zeros(self.size + 1, dtype=np.int64)
            compiled.distinct(
                shifted, split.e, regular, count, split.starts, at.t, at.starts, self.a,
                odd, odd_starts, first, last, delta,
            )  # fmt: skip
            return delta

        return np.cumsum(sum(split.spread(work)))[: self.size]

    def _odd_by_start(self, codes: Ints) -> tuple[Ints, Ints]:
        odd, source = self.split.odd, self.filtered.source
        entity = self.filtered.of(source.codes)[odd] if odd.size else odd
        if not odd.size:
            return np.zeros((0, 3), dtype=np.int64), np.zeros(len(source.starts), dtype=np.int64)
        lo, hi = self.odd
        order = np.lexsort((lo, entity))
        starts = np.searchsorted(entity, np.arange(len(source.starts)))
        return np.stack([lo, hi, codes[odd]], axis=1)[order], starts
