"""Number of distinct values in the window of each spine row.

Spine rows are identified by their places (see `spine_intervals`). Versions with the same value may
cover overlapping ranges of places, but a place counts the value once. So the ranges of a value are
sorted by their start, and each keeps only the part after all earlier ranges. The parts are disjoint
and their union is unchanged. Then the parts that cover each place are counted.
"""

import numpy as np

from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.spine_intervals import covered_count
from headrace.features.kernel.visibility import Versions


def value_codes(versions: Versions, column: str) -> Ints:
    """Return an integer code for each version's value, in event order; -1 for null.

    As in all features, -0 equals +0, and NaN is null.
    """
    encoded = versions.array(column).dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)


def covered_distinct(lo: Ints, hi: Ints, codes: Ints, size: int) -> Ints:
    """Return for each place the number of distinct codes of the ranges [lo, hi) that cover it.

    Ranges of different entities never cover the same place, so a code need not include the entity.
    """
    nonempty = np.flatnonzero(lo < hi)
    # code * (size + 1) + place fits int64: both are below the row counts of arrays in memory.
    first = codes[nonempty] * (size + 1)
    starts = first + lo[nonempty]
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], (first + hi[nonempty])[order]
    reach = np.maximum.accumulate(ends)
    starts[1:] = np.maximum(starts[1:], reach[:-1])
    fresh = starts < ends
    offset = first[order][fresh]
    return covered_count(starts[fresh] - offset, ends[fresh] - offset, size)
