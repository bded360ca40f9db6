"""Sketches from rows, or from distinct values with their counts."""

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

_NULL = 0x7FF8_6865_6164_7261  # word of a null: the bits of a NaN
# Largest table of counts, in entries per row; beyond that, sorting the rows is cheaper.
_PLACES = 8
_SCRATCH = threading.local()


def sketch(
    kind: Kind, column: pa.ChunkedArray | pa.Array, starts: Ints, *, among: int = 0
) -> Sketches:
    """Return one sketch per partition; partition p begins at row `starts[p]`.

    `among` is the number of rows that the caller sketches in total: if it is large, the compiled
    kernel is loaded.
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
    sketches, label, cells, counts = _of_numbers(kind, values, sizes, part)
    return settled(sketches, label, cells, counts)


def _by_machine(kind: Kind, array: pa.Array, starts: Ints, sizes: Ints) -> Sketches:
    from headrace.sketches import compiled

    values, valid, offset = raw_numbers(array)
    sketches = _empty(kind, sizes, np.zeros(len(sizes), np.int64), {})
    low: Numbers = sketches.low
    high: Numbers = sketches.high
    if kind == "real":
        low, high = np.full(len(sizes), np.inf), np.full(len(sizes), -np.inf)
    ends = np.zeros(len(sizes), np.int64)
    table, cells, counts = _room(len(values))
    count = compiled.reals if kind == "real" else compiled.integers
    count(
        values, valid, offset, starts, sketches.nulls, low, high, sketches.limbs,
        sketches.registers, ends, table, cells, counts,
    )  # fmt: skip
    filled = sketches.nulls < sizes
    if kind == "real":
        sketches.low[filled] = ordered(low[filled] + 0.0)
        sketches.high[filled] = ordered(high[filled] + 0.0)
    total = int(ends[-1]) if len(ends) else 0
    return replace(
        sketches,
        limbs=carried(sketches.limbs),
        offsets=np.concatenate([[0], ends]),
        cells=cells[:total].astype(np.int64),
        counts=counts[:total].astype(np.int64),
    )


def _room(rows: int) -> tuple[Halves, Halves, Halves]:
    """Return this thread's scratch memory: a zeroed table of all cells, and two entries per row.

    The table must be zero again after use. Allocating it each time would cost as much as counting.
    """
    if not hasattr(_SCRATCH, "table"):
        _SCRATCH.table = np.zeros(2 * HALF, np.int32)
    if not hasattr(_SCRATCH, "rows") or _SCRATCH.rows.shape[1] < rows:
        _SCRATCH.rows = np.empty((2, rows), np.int32)
    return _SCRATCH.table, *_SCRATCH.rows


def row_sums(kind: Kind, column: pa.ChunkedArray | pa.Array, starts: Ints) -> Words:
    """Return a checksum of each partition's values, which does not depend on their order.

    It is the sum of their hashes modulo 2^64, as uint64.
    """
    array = one_array(column)
    words = _words(kind, array)
    sums = np.zeros(len(starts), np.uint64)
    if compute.compiled(len(array)):
        from headrace.sketches import compiled

        compiled.sums(words, starts, sums)
    else:
        filled = np.flatnonzero(np.diff(starts, append=len(array)))
        if len(filled):
            sums[filled] = np.add.reduceat(hashed(words), starts[filled])
    return sums


def _words(kind: Kind, array: pa.Array) -> Words:
    """Return a 64-bit word for each value; all nulls have the same word."""
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
    """Return the sketch of one partition from its distinct numbers or tokens, with their counts."""
    rows = np.array([int(counts.sum()) + nulls])
    part = np.zeros(len(values), np.int64)
    if kind == "level":
        sketches = _empty(kind, rows, np.array([nulls]), names)
        record(sketches.registers, part, values.view(np.uint64))
        return settled(sketches, part, values, counts)
    sketches, _, _, _ = _of_numbers(kind, values, rows, part)
    sketches.nulls[:] = nulls
    if kind == "integer":
        sketches.limbs[:] = _limbs(values, counts)
    return settled(sketches, part, cells_of(values), counts)


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
    present = place > 0
    label, cells, counts = label[present], tokens[place[present]], counts[present]
    sketches = _empty("level", sizes, nulls, dict(zip(tokens[1:].tolist(), texts, strict=True)))
    record(sketches.registers, label, cells.view(np.uint64))
    return settled(sketches, label, cells, counts)


def _of_numbers(
    kind: Kind, values: Numbers, sizes: Ints, part: Ints
) -> tuple[Sketches, Ints, Ints, Ints]:
    """Return sketches without cells, and the cells as arrays: partition, cell and count."""
    value_counts = np.bincount(part, minlength=len(sizes))
    sketches = _empty(kind, sizes, sizes - value_counts, {})
    filled = np.flatnonzero(value_counts)
    if not len(filled):
        none = np.zeros(0, np.int64)
        return sketches, none, none, none
    starts = (np.cumsum(value_counts) - value_counts)[filled]
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    if kind == "real":
        low, high = ordered(low), ordered(high)
    else:
        upper = np.add.reduceat(values >> LIMB, starts)
        sketches.limbs[filled] = np.stack(
            [upper, np.add.reduceat(values & LIMB_MASK, starts)], axis=-1
        )
        sketches.limbs[:] = carried(sketches.limbs)
    sketches.low[filled], sketches.high[filled] = low, high
    record(sketches.registers, part, values.view(np.uint64))
    distinct, place = _places(cells_of(values))
    label, at, counts = counted(part, place, len(distinct), parts=len(sizes))
    return sketches, label, distinct[at], counts


def _limbs(values: Ints, counts: Ints) -> Ints:
    total = sum(int(v) * int(n) for v, n in zip(values.tolist(), counts.tolist(), strict=True))
    return np.array([total >> LIMB, total & LIMB_MASK])


def _places(cells: Ints) -> tuple[Ints, Ints]:
    """Return the distinct cells, ascending, and the index of each row's cell."""
    low = int(cells.min())
    width = int(cells.max()) - low + 1
    if width > _PLACES * len(cells):
        distinct, place = np.unique(cells, return_inverse=True)
        return distinct, place
    occupied = np.zeros(width, np.bool_)
    shifted = cells - low
    occupied[shifted] = True
    rank = np.cumsum(occupied, dtype=np.int64)
    return np.flatnonzero(occupied) + low, rank[shifted] - 1


def counted(part: Ints | None, place: Ints, width: int, *, parts: int) -> tuple[Ints, Ints, Ints]:
    """Count the rows of each part at each place (below `width`): part, place and count."""
    key = place if part is None or parts == 1 else part * width + place
    if parts * width <= _PLACES * max(len(key), 1024):
        table = np.bincount(key, minlength=parts * width)
        keys = np.flatnonzero(table)
        counts = table[keys]
    else:
        keys, counts = np.unique(key, return_counts=True)
    label, at = np.divmod(keys, max(width, 1))
    return label, at, counts
