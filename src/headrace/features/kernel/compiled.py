"""Numba loops for steps that would need many numpy passes; imported only if numba is installed.

Rows are grouped by entity: the rows of entity c are `starts[c]` to `starts[c + 1]`, in event order.
A place is the position of a spine row in the order (entity, t); the places of entity c are
`places[c]` to `places[c + 1]`. Entities are independent, so most functions take a range of
entities, [first, last), and threads share the work. Except for comparisons of floats, all
arithmetic is exact int64.
"""
# ruff: noqa: C901, PLR0912, PLR0917  # loops are long

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from headrace.features.kernel.arrays import Bools, Ints, Numbers

_BLOCK = 32
_NEVER = np.iinfo(np.int64).max
_compiled: Any = njit(cache=True, nogil=True)


@_compiled
def group(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the rows with code >= 0 ordered by code and row, and the start of each code."""
    starts = np.zeros(size + 1, dtype=np.int64)
    for code in codes:
        if code >= 0:
            starts[code + 1] += 1
    for code in range(size):
        starts[code + 1] += starts[code]
    free = starts[:size].copy()
    order = np.empty(starts[size], dtype=np.int64)
    for row in range(len(codes)):
        code = codes[row]
        if code >= 0:
            order[free[code]] = row
            free[code] += 1
    return order, starts


@_compiled
def take(values: Ints, rows: Ints) -> Ints:
    """Return `values[rows]` without holding the GIL."""
    out = np.empty(len(rows), dtype=np.int64)
    for i in range(len(rows)):
        out[i] = values[rows[i]]
    return out


@_compiled
def find_odd(
    e: Ints, k: Ints, x: Ints, index: Ints, starts: Ints, b: int, first: int, last: int, odd: Bools
) -> None:
    """Mark as odd each version that is superseded, or starts counting after a later version.

    All other versions start and stop counting in event order, so the versions that count at the
    same moment are adjacent. `k` and `x` are indexed by version; `index` is the version of each
    row.
    """
    for c in range(first, last):
        earliest = _NEVER
        for i in range(starts[c + 1] - 1, starts[c] - 1, -1):
            row = index[i]
            start = max(k[row], e[i] - b + 1)
            if x[row] != _NEVER or start > earliest:
                odd[i] = True
            else:
                earliest = start


@_compiled
def part(
    e: Ints, k: Ints, index: Ints, starts: Ints, b: int, odd: Bools
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Split rows into regular and odd ones.

    Returns regular rows, odd rows, and for the regular rows their event times, the moments from
    which they count, and the start of each entity.
    """
    count = 0
    for mark in odd:
        count += mark
    regular_count = len(e) - count
    rows, odd_rows = np.empty(regular_count, dtype=np.int64), np.empty(count, dtype=np.int64)
    when, moments = np.empty(regular_count, dtype=np.int64), np.empty(regular_count, dtype=np.int64)
    at = np.empty(len(starts), dtype=np.int64)
    regular, n = 0, 0
    for c in range(len(starts) - 1):
        at[c] = regular
        for i in range(starts[c], starts[c + 1]):
            if odd[i]:
                odd_rows[n] = i
                n += 1
            else:
                rows[regular], when[regular] = i, e[i]
                moments[regular] = max(k[index[i]], e[i] - b + 1)
                regular += 1
    at[-1] = regular
    return rows, odd_rows, when, moments, at


@_compiled
def repeated(keys: Ints, low: int, span: int) -> Ints:
    """Return the rows whose key occurs more than once; keys are in [low, low + span)."""
    times = np.zeros(span, dtype=np.uint8)
    for key in keys:
        if times[key - low] < 2:
            times[key - low] += 1
    count = 0
    for key in keys:
        count += times[key - low] > 1
    rows = np.empty(count, dtype=np.int64)
    count = 0
    for row in range(len(keys)):
        if times[keys[row] - low] > 1:
            rows[count] = row
            count += 1
    return rows


@_compiled
def first_after(
    moments: Ints, starts: Ints, t: Ints, places: Ints, shift: int, first: int, last: int, out: Ints
) -> None:
    """Find for each place the first row of its entity with moment > t + shift.

    The moments of an entity must ascend.
    """
    for c in range(first, last):
        i, stop = starts[c], starts[c + 1]
        for p in range(places[c], places[c + 1]):
            i = _beyond(moments, i, stop, t[p] + shift)
            out[p] = i


@_compiled
def _beyond(moments: Ints, i: int, stop: int, limit: int) -> int:
    """Return the first index from i on with moment > limit, by exponential and binary search."""
    if i >= stop or moments[i] > limit:
        return i
    step = 1
    while i + step < stop and moments[i + step] <= limit:
        i += step
        step *= 2
    low, high = i + 1, min(i + step, stop)
    while low < high:
        middle = (low + high) // 2
        if moments[middle] <= limit:
            low = middle + 1
        else:
            high = middle
    return low


@_compiled
def first_place(t: Ints, places: Ints, codes: Ints, moments: Ints) -> Ints:
    """Find for each (entity code, moment) the entity's first place with t >= moment."""
    out = np.empty(len(codes), dtype=np.int64)
    for i in range(len(codes)):
        low, high = places[codes[i]], places[codes[i] + 1]
        while low < high:
            middle = (low + high) // 2
            if t[middle] < moments[i]:
                low = middle + 1
            else:
                high = middle
        out[i] = low
    return out


@_compiled
def _levels(blocks: int) -> int:
    """Return the number of powers of two up to `blocks`."""
    count = 0
    while blocks:
        blocks >>= 1
        count += 1
    return count


def _best_of_ranges(pick: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401
    """Build `range_minimum` or `range_maximum`; `pick` is `min` or `max`, which numba can cache."""

    @_compiled
    def best_of_ranges(
        values: Numbers,
        starts: Ints,
        places: Ints,
        begin: Ints,
        end: Ints,
        first: int,
        last: int,
        out: Numbers,
    ) -> None:
        table = np.empty(0, dtype=values.dtype)
        for c in range(first, last):
            origin, level_count, blocks = starts[c], 0, (starts[c + 1] - starts[c]) // _BLOCK
            for p in range(places[c], places[c + 1]):
                low, high = begin[p], end[p]
                if low >= high:
                    continue
                best = pick(out[p], values[low])
                if high - low <= 3 * _BLOCK:
                    for i in range(low + 1, high):
                        best = pick(best, values[i])
                    out[p] = best
                    continue
                if not level_count:
                    level_count = _levels(blocks)
                    if len(table) < level_count * blocks:
                        table = np.empty(level_count * blocks, dtype=values.dtype)
                    for block in range(blocks):
                        at = origin + block * _BLOCK
                        of_block = values[at]
                        for i in range(at + 1, at + _BLOCK):
                            of_block = pick(of_block, values[i])
                        table[block] = of_block
                    for j in range(1, level_count):
                        level_base, below, half = j * blocks, (j - 1) * blocks, 1 << (j - 1)
                        for block in range(blocks - 2 * half + 1):
                            left_block = below + block
                            table[level_base + block] = pick(
                                table[left_block], table[left_block + half]
                            )
                first_block, end_block = (
                    (low - origin + _BLOCK - 1) // _BLOCK,
                    (high - origin) // _BLOCK,
                )
                for i in range(low + 1, origin + first_block * _BLOCK):
                    best = pick(best, values[i])
                for i in range(origin + end_block * _BLOCK, high):
                    best = pick(best, values[i])
                j = _levels(end_block - first_block) - 1
                level = j * blocks
                best = pick(
                    best, pick(table[level + first_block], table[level + end_block - (1 << j)])
                )
                out[p] = best

    return best_of_ranges


# For each place, lower `out` to the minimum of values[begin:end], or raise it to the maximum; an
# empty range changes nothing. A sparse table is built for each entity: level j holds the extreme of
# 2^j blocks from each block on. Two overlapping entries, and the values before the first and after
# the last whole block, cover a range.
range_minimum, range_maximum = _best_of_ranges(min), _best_of_ranges(max)


@_compiled
def running(values: Numbers) -> Ints:
    """Return the sum of the values before each index, and the total; sums may overflow."""
    out = np.empty(len(values) + 1, dtype=np.int64)
    total = np.int64(0)
    out[0] = 0
    for i in range(len(values)):
        total += values[i]
        out[i + 1] = total
    return out


@_compiled
def between(sums: Ints, begin: Ints, end: Ints, out: Ints) -> None:
    """Add the sum of the values in [begin, end) to each element of `out`."""
    for p in range(len(begin)):
        if begin[p] < end[p]:
            out[p] += sums[end[p]] - sums[begin[p]]


@_compiled
def cover_sum(lo: Ints, hi: Ints, weights: Ints, size: int) -> Ints:
    """Return for each place the sum of the weights of the ranges [lo, hi) that cover it."""
    delta = np.zeros(size + 1, dtype=np.int64)
    for i in range(len(lo)):
        if lo[i] < hi[i]:
            delta[lo[i]] += weights[i]
            delta[hi[i]] -= weights[i]
    total = np.int64(0)
    for p in range(size):
        total += delta[p]
        delta[p] = total
    return delta[:size]


@_compiled
def cover_best(lo: Ints, hi: Ints, values: Numbers, best: Numbers, is_least: bool) -> None:
    """Set `best` of each place to the extreme value of the ranges that cover it.

    `best` must start with the worst value. A range is split into two overlapping blocks whose size
    is a power of two, and blocks are halved level by level.
    """
    level = np.empty(len(lo), dtype=np.int64)
    for i in range(len(lo)):
        level[i] = _levels(max(hi[i] - lo[i], 0)) - 1
    order, ends = group(level, 64)
    for j in range(63, -1, -1):
        for n in range(ends[j], ends[j + 1]):
            i = order[n]
            for p in (lo[i], hi[i] - (1 << j)):
                if (values[i] < best[p]) if is_least else (values[i] > best[p]):
                    best[p] = values[i]
        if j and ends[j] < len(order):
            half = 1 << (j - 1)
            for p in range(len(best) - 1, half - 1, -1):
                if (best[p - half] < best[p]) if is_least else (best[p - half] > best[p]):
                    best[p] = best[p - half]


@_compiled
def distinct(
    moments: Ints,
    e: Ints,
    codes: Ints,
    size: int,
    starts: Ints,
    t: Ints,
    places: Ints,
    a: int,
    odd: Ints,
    odd_starts: Ints,
    first: int,
    last: int,
    delta: Ints,
) -> None:
    """Add 1 to `delta` at each place where a code begins to count, and subtract 1 where it ends.

    Regular rows count from `moments` on. `odd` has the other rows as (lo, hi, code), sorted by
    entity and lo; those of entity c begin at `odd_starts[c]`. The ranges of a value are processed
    in order of their start, and each keeps only the part after all earlier ranges.
    """
    reach = np.zeros(size, dtype=np.int64)
    for c in range(first, last):
        lo, hi = places[c], places[c]
        begin, stop = places[c], places[c + 1]
        i, n = starts[c], odd_starts[c]
        # `reach` needs no reset: places of later entities are above the reach of earlier ones.
        while i < starts[c + 1] or n < odd_starts[c + 1]:
            if i < starts[c + 1]:
                lo = max(lo, begin)
                lo = _not_before(t, lo, stop, moments[i])
            if n < odd_starts[c + 1] and (i >= starts[c + 1] or odd[n, 0] < lo):
                low, high, code = odd[n, 0], odd[n, 1], odd[n, 2]
                n += 1
            else:
                hi = _not_before(t, hi, stop, e[i] - a + 1)
                low, high = lo, hi
                code = codes[i]
                i += 1
            low = max(low, reach[code])
            if low < high:
                delta[low] += 1
                delta[high] -= 1
                reach[code] = high


@_compiled
def _not_before(t: Ints, p: int, stop: int, moment: int) -> int:
    """Return the first place from p on with t >= moment."""
    if p >= stop or t[p] >= moment:
        return p
    step = 1
    while p + step < stop and t[p + step] < moment:
        p += step
        step *= 2
    low, high = p + 1, min(p + step, stop)
    while low < high:
        middle = (low + high) // 2
        if t[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low
