"""How many different values: the intervals of each value united, then counted where they cover.

Versions with the same value cover overlapping ranges of places; a place counts the value once. Of
the ranges of one value, ordered by their start, each keeps only what lies beyond all before it:
those pieces are disjoint, and together they are the union.
"""

import numpy as np

from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.spine_intervals import covered_count
from headrace.features.kernel.visibility import Versions


def value_codes(versions: Versions, column: str) -> Ints:
    """An integer for each version, equal where the values are, in event order; -1 for null.

    Values are those that features see: -0 is +0, NaN is null.
    """
    encoded = versions.array(column).dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)


def covered_distinct(lo: Ints, hi: Ints, codes: Ints, size: int) -> Ints:
    """How many different codes the ranges [lo, hi) that cover each place have.

    Ranges of different entities never share a place, so that a code needs no entity beside it.
    """
    kept = np.flatnonzero(lo < hi)
    # A packed (code, place) fits: both are row numbers of arrays in memory, below 2^31 each.
    first = codes[kept] * (size + 1)
    starts = first + lo[kept]
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], (first + hi[kept])[order]
    reach = np.maximum.accumulate(ends)
    starts[1:] = np.maximum(starts[1:], reach[:-1])
    fresh = starts < ends
    offset = first[order][fresh]
    return covered_count(starts[fresh] - offset, ends[fresh] - offset, size)
