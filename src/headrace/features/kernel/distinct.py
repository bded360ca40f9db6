"""Number of distinct values: unite the intervals of each value, then count how many cover a place.

Versions with the same value cover overlapping ranges of places; a place counts the value once. Of
the ranges of one value, ordered by their start, each keeps only the part beyond all ranges before
it: these parts are disjoint, and together they are the union.
"""

import numpy as np

from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.spine_intervals import covered_count
from headrace.features.kernel.visibility import Versions


def value_codes(versions: Versions, column: str) -> Ints:
    """Integer code of each version's value, in event order; -1 for null.

    Values are as features see them: -0 is +0, NaN is null.
    """
    encoded = versions.array(column).dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)


def covered_distinct(lo: Ints, hi: Ints, codes: Ints, size: int) -> Ints:
    """Number of distinct codes of the ranges [lo, hi) that cover each place.

    Ranges of different entities never share a place, so codes need no entity.
    """
    nonempty = np.flatnonzero(lo < hi)
    # A packed (code, place) fits int64: both are row numbers of arrays in memory, below 2^31.
    first = codes[nonempty] * (size + 1)
    starts = first + lo[nonempty]
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], (first + hi[nonempty])[order]
    reach = np.maximum.accumulate(ends)
    starts[1:] = np.maximum(starts[1:], reach[:-1])
    fresh = starts < ends
    offset = first[order][fresh]
    return covered_count(starts[fresh] - offset, ends[fresh] - offset, size)
