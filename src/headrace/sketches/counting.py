"""Sketches from rows, or from values that are counted already."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from headrace.core import compute
from headrace.sketches.arrays import (
    Halves,
    Ints,
    Kind,
    Numbers,
    Words,
    levels,
    numbers,
    one_array,
    raw_numbers,
    token,
)
from headrace.sketches.distinct import REGISTERS, hashed, record
from headrace.sketches.histogram_cells import HALF, cells_of, ordered
from headrace.sketches.sketch import (
    LIMB,
    LIMB_MASK,
    NO_HIGH,
    NO_LOW,
    Sketches,
    carried,
    settled,
)

_NULL = 0x7FF8_6865_6164_7261  # bits of a NaN
# A table of counts may have so many places for each row before sorting the rows is cheaper.
_PLACES = 8
_OWN = threading.local()


def sketch(
    kind: Kind, column: pa.ChunkedArray | pa.Array, starts: Ints, *, among: int = 0
) -> Sketches:
    """One sketch a partition, whose rows lie together: partition p begins at row `starts[p]`.

    `among` so many rows that are sketched one after the other it may pay to load what is compiled.
    """
    array = one_array(column)
    sizes = np.diff(starts, append=len(array))
    if kind == "level":
        return _of_levels(array, sizes)
    if compute.compiled(max(len(array), among)):
        return _by_machine(kind, array, starts, sizes)
    values, present = numbers(array)
    part = np.repeat(np.arange(len(starts)), sizes)
    if not present.all():
        values, part = values[present], part[present]
    some, label, cells, counts = _of_numbers(kind, values, sizes, part)
    return settled(some, label, cells, counts)


def _by_machine(kind: Kind, array: pa.Array, starts: Ints, sizes: Ints) -> Sketches:
    from headrace.sketches import compiled

    values, valid, offset = raw_numbers(array)
    some = _empty(kind, sizes, np.zeros(len(sizes), np.int64), {})
    low: Numbers = some.low
    high: Numbers = some.high
    if kind == "real":
        low, high = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    ends = np.zeros(len(sizes), np.int64)
    table, cells, counts = _room(len(values))
    count = compiled.reals if kind == "real" else compiled.integers
    count(
        values, valid, offset, starts, some.nulls, low, high, some.limbs, some.registers,
        ends, table, cells, counts,
    )  # fmt: skip
    filled = some.nulls < sizes
    if kind == "real":
        some.low[filled] = ordered(low[filled] + 0.0)
        some.high[filled] = ordered(high[filled] + 0.0)
    total = int(ends[-1]) if len(ends) else 0
    return replace(
        some,
        limbs=carried(some.limbs),
        offsets=np.concatenate([[0], ends]),
        cells=cells[:total].astype(np.int64),
        counts=counts[:total].astype(np.int64),
    )


def _room(rows: int) -> tuple[Halves, Halves, Halves]:
    """Each thread's own: an empty table of all cells, which is left empty, and two places a row.

    Memory that is asked for anew costs as much as the counting.
    """
    if not hasattr(_OWN, "table"):
        _OWN.table = np.zeros(2 * HALF, np.int32)
    if not hasattr(_OWN, "rows") or _OWN.rows.shape[1] < rows:
        _OWN.rows = np.empty((2, rows), np.int32)
    return _OWN.table, *_OWN.rows


def row_sums(kind: Kind, column: pa.ChunkedArray | pa.Array, starts: Ints) -> Words:
    """A number for the values of each partition: the same for the same ones in any order.

    It is the sum of their hashes; of two different partitions it is the same by accident only.
    """
    array = one_array(column)
    words = _words(kind, array)
    found = np.zeros(len(starts), np.uint64)
    if compute.compiled(len(array)):
        from headrace.sketches import compiled

        compiled.sums(words, starts, found)
    else:
        filled = np.flatnonzero(np.diff(starts, append=len(array)))
        if len(filled):
            found[filled] = np.add.reduceat(hashed(words), starts[filled])
    return found


def _words(kind: Kind, array: pa.Array) -> Words:
    """What stands for each value; nulls are all the same."""
    if kind == "level":
        texts, codes = levels(array)
        tokens = np.array([*(token(text) for text in texts), _NULL], np.int64)
        return tokens[codes].view(np.uint64)
    values, present = numbers(array)
    words = values.view(np.uint64)
    return words if present.all() else np.where(present, words, np.uint64(_NULL))


def of_counts(
    kind: Kind, values: Numbers, counts: Ints, nulls: int, names: Mapping[int, str]
) -> Sketches:
    """The sketch of one partition from its different values: int64, float64, or tokens of texts."""
    rows = np.array([int(counts.sum()) + nulls])
    part = np.zeros(len(values), np.int64)
    if kind == "level":
        some = _empty(kind, rows, np.array([nulls]), names)
        record(some.registers, part, values.view(np.uint64))
        return settled(some, part, values, counts)
    some, _, _, _ = _of_numbers(kind, values, rows, part)
    some.nulls[:] = nulls
    if kind == "integer":
        some.limbs[:] = _limbs(values, counts)
    return settled(some, part, cells_of(values), counts)


def _empty(kind: Kind, rows: Ints, nulls: Ints, names: Mapping[int, str]) -> Sketches:
    parts, none = len(rows), np.zeros(0, np.int64)
    return Sketches(
        kind, rows, nulls, np.full(parts, NO_LOW), np.full(parts, NO_HIGH),
        np.zeros((parts, 2), np.int64), np.zeros(parts + 1, np.int64), none, none,
        np.zeros((parts, REGISTERS), np.uint8), np.zeros(parts, np.bool_), names,
    )  # fmt: skip


def _of_levels(array: pa.Array, sizes: Ints) -> Sketches:
    texts, codes = levels(array)
    tokens = np.array([_NULL, *(token(text) for text in texts)], np.int64)
    part = None if len(sizes) == 1 else np.repeat(np.arange(len(sizes)), sizes)
    label, place, counts = counted(part, codes + 1, len(tokens), parts=len(sizes))
    nulls = np.zeros(len(sizes), np.int64)
    nulls[label[place == 0]] = counts[place == 0]
    there = place > 0
    label, cells, counts = label[there], tokens[place[there]], counts[there]
    some = _empty("level", sizes, nulls, dict(zip(tokens[1:].tolist(), texts, strict=True)))
    record(some.registers, label, cells.view(np.uint64))
    return settled(some, label, cells, counts)


def _of_numbers(
    kind: Kind, values: Numbers, sizes: Ints, part: Ints
) -> tuple[Sketches, Ints, Ints, Ints]:
    """All but the cells, which come apart: label, cell and count."""
    here = np.bincount(part, minlength=len(sizes))
    some = _empty(kind, sizes, sizes - here, {})
    filled = np.flatnonzero(here)
    if not len(filled):
        none = np.zeros(0, np.int64)
        return some, none, none, none
    starts = (np.cumsum(here) - here)[filled]
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    if kind == "real":
        low, high = ordered(low), ordered(high)
    else:
        upper = np.add.reduceat(values >> LIMB, starts)
        some.limbs[filled] = np.stack([upper, np.add.reduceat(values & LIMB_MASK, starts)], axis=-1)
        some.limbs[:] = carried(some.limbs)
    some.low[filled], some.high[filled] = low, high
    record(some.registers, part, values.view(np.uint64))
    known, place = _places(cells_of(values))
    label, at, counts = counted(part, place, len(known), parts=len(sizes))
    return some, label, known[at], counts


def _limbs(values: Ints, counts: Ints) -> Ints:
    total = sum(int(v) * int(n) for v, n in zip(values.tolist(), counts.tolist(), strict=True))
    return np.array([total >> LIMB, total & LIMB_MASK])


def _places(cells: Ints) -> tuple[Ints, Ints]:
    """The different cells, ascending, and for each row the place of its own."""
    low = int(cells.min())
    width = int(cells.max()) - low + 1
    if width > _PLACES * len(cells):
        known, place = np.unique(cells, return_inverse=True)
        return known, place
    seen = np.zeros(width, np.bool_)
    shifted = cells - low
    seen[shifted] = True
    rank = np.cumsum(seen, dtype=np.int64)
    return np.flatnonzero(seen) + low, rank[shifted] - 1


def counted(part: Ints | None, place: Ints, width: int, *, parts: int) -> tuple[Ints, Ints, Ints]:
    """Label, place and count of each place below `width` that occurs in a part; by label."""
    key = place if part is None or parts == 1 else part * width + place
    if parts * width <= _PLACES * max(len(key), 1024):
        table = np.bincount(key, minlength=parts * width)
        found = np.flatnonzero(table)
        counts = table[found]
    else:
        found, counts = np.unique(key, return_counts=True)
    label, at = np.divmod(found, max(width, 1))
    return label, at, counts
