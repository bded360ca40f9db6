"""Intervals of prediction time, as ranges of places in a spine, and aggregates over them.

A place is the position of a spine row in the order (entity, t). A version of entity E that counts
for t in [s, x) covers the places [lo, hi): the spine rows of E with s <= t < x. Sums are computed
by adding a value at the start of each range, subtracting it at the end, and taking a cumulative
sum. Extremes are computed with a sparse table.
"""

from functools import cached_property
from typing import cast

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import Ints, Numbering, Numbers

_WIDE = 2**62


class Places:
    """Places of a spine for one choice of entity columns; `rows[p]` is the spine row at place p."""

    def __init__(self, columns: list[pa.ChunkedArray], t: Ints, by_time: Ints) -> None:
        """Sort the spine by entity and t; rows with a null in the entity have no place.

        `columns` are the entity columns; `by_time` are the row numbers sorted by t.
        """
        self.numbering = Numbering(columns)
        order, self.starts = self.numbering.group(self.numbering.codes[by_time])
        self.rows = by_time[order]
        self.size = len(self.rows)
        self.t = t[self.rows]
        self._first = int(self.t.min()) if self.size else 0
        self._span = int(self.t.max()) - self._first + 2 if self.size else 1
        self._ranks: Ints | None = None
        if self._span * (self.numbering.size + 1) >= _WIDE:  # a packed key must fit 63 bits
            self._ranks = np.unique(self.t)
            self._span = len(self._ranks) + 1

    @cached_property
    def _keys(self) -> Ints:
        return self._pack(self.numbering.codes[self.rows], self.t)

    def _pack(self, codes: Ints, moments: Ints) -> Ints:
        if self._ranks is None:
            offset = np.clip(moments, self._first, self._first + self._span - 1) - self._first
        else:
            offset = np.searchsorted(self._ranks, moments)
        return codes * self._span + offset

    def at(self, codes: Ints, moments: Ints) -> Ints:
        """Return for each (entity code, moment) the entity's first place with t >= moment."""
        return np.searchsorted(self._keys, self._pack(codes, moments))


def covered_count(lo: Ints, hi: Ints, size: int) -> Ints:
    """Return for each place the number of ranges [lo, hi) that cover it."""
    delta = np.bincount(lo, minlength=size + 1) - np.bincount(hi, minlength=size + 1)
    return np.cumsum(delta)[:size]


def covered_sum(lo: Ints, hi: Ints, weights: Ints, size: int) -> Ints:
    """Return for each place the exact sum of the weights of the ranges that cover it.

    Partial sums may overflow. The result is still correct, because `validate` has proved from the
    contract's limits that the result fits int64.
    """
    delta = np.zeros(size + 1, dtype=np.int64)
    np.add.at(delta, lo, weights)
    np.subtract.at(delta, hi, weights)
    return np.cumsum(delta)[:size]


def covered_best(lo: Ints, hi: Ints, values: Numbers, size: int, *, minimum: bool) -> Numbers:
    """Return for each place the extreme value of the ranges that cover it.

    A place that no range covers gets the worst value of the type, so the result is valid only at
    places with a positive count. Each range is split into two overlapping blocks whose size is a
    power of two, and blocks are halved level by level down to single places.
    """
    pick = np.minimum if minimum else np.maximum
    empty = np.full_like(values, worst(values.dtype, minimum=minimum), shape=(size,))
    best = cast("Numbers", empty)
    length = hi - lo
    ranges = np.flatnonzero(length > 0)
    if not ranges.size:
        return best
    level = (np.frexp(length[ranges].astype(np.float64))[1] - 1).astype(np.uint8)
    ranges = ranges[np.argsort(level, kind="stable")]
    ends = np.cumsum(np.bincount(level))
    for j in range(len(ends) - 1, -1, -1):
        block = ranges[ends[j - 1] if j else 0 : ends[j]]
        pick.at(best, lo[block], values[block])
        pick.at(best, hi[block] - (1 << j), values[block])
        if j:
            half = 1 << (j - 1)
            best[half:] = pick(best[half:], best[:-half])
    return best


def worst(dtype: np.dtype[np.generic], *, minimum: bool) -> int | float:
    if dtype.kind == "f":
        return np.inf if minimum else -np.inf
    ends = np.iinfo(np.int64)
    return int(ends.max if minimum else ends.min)
