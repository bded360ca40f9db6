# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR1714, PLR1716, SIM109 - loops for the compiler
"""Compiled kernel: find the leaves that an answer needs, and compute features from them.

The store gives two arrays of words, each with concatenated blobs and their bounds in `edges`. One
array has the root of each entity (a leaf, a directory, or nothing). The other has the leaves that
the directories list, in the order of the entities.

All numbers are integers until the last division, as in `headrace.features.kernel.rounding`. If a
product might exceed int64, the kernel returns the exact parts and Python computes the result.
"""

from typing import Any, TypeAlias

import numpy as np
from numba import njit

from headrace.features.kernel.arrays import Bools, Ints

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# The indices of layout.py, repeated as plain numbers so that numba compiles them as constants.
_E, _K, _X, _FLAGS = 0, 2, 3, 4
_START, _LEVEL, _COUNT, _FIRST, _LAST, _BOUND, _TILE = 0, 1, 2, 3, 4, 5, 6
_ROWS, _SUM, _MEAN, _STD, _MIN, _MAX, _FIRST_OF, _LAST_OF, _DISTINCT, _STATE = range(10)
_OP, _A, _B, _VALUE, _IS_FLOAT, _WORD1, _MASK1, _WORD2, _MASK2, _SCALE = range(10)
_N, _S1, _S2, _MIN_STAT, _MAX_STAT, _AGE, _VALID_WORD, _VALID_MASK, _LEADER, _LIMIT = range(10, 20)
_EVER = -(2**63)
_HALF = 2**31
DEFAULT, COMPUTED, EXACT, NULL = 0, 1, 2, 3
PARTS = 6  # n, S1, and the words of S2


@njit(cache=True, nogil=True)
def _window(line: Ints, t: int) -> tuple[int, int]:
    if line[_OP] == _STATE:
        return _EVER, t + 1
    return t + line[_A], t + line[_B]


@njit(cache=True, nogil=True)
def _lower(times: Ints, moment: int) -> int:
    """Count the times below `moment`; `times` is ascending."""
    low, high = 0, times.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _needed(lines: Ints, program: Ints, t: int, read: Bools) -> None:
    """Mark in `read` the leaves of one directory whose tiles do not suffice.

    A leaf must be read if it is at the edge of a window, if its tile is not valid at `t`, or if it
    may have the first or last record. For distinct counts, and if a window may exceed the limit of
    events, all leaves of the window must be read.
    """
    first, last, bound, count = lines[_FIRST], lines[_LAST], lines[_BOUND], lines[_COUNT]
    total = count.sum()
    for f in range(program.shape[0]):
        line = program[f]
        op = line[_OP]
        if line[_LEADER] != f:
            continue
        lo, hi = _window(line, t)
        begin, end = _lower(last, lo), _lower(first, hi)
        # The records of a window that may exceed the limit of events must be counted one by one.
        crowded = total > line[_LIMIT] and count[begin:end].sum() > line[_LIMIT]
        if op == _DISTINCT or crowded:
            for j in range(begin, end):
                read[j] = read[j] or count[j] > 0
            continue
        n = lines[_TILE + line[_N]]
        if op == _FIRST_OF:
            for j in range(begin, end):
                if count[j] == 0:
                    continue
                covered = bound[j] <= t and first[j] >= lo and last[j] < hi
                read[j] = read[j] or not covered or n[j] > 0
                if covered and n[j] > 0:
                    break
            continue
        if op == _LAST_OF or op == _STATE:
            for j in range(end - 1, begin - 1, -1):
                if count[j] == 0:
                    continue
                covered = bound[j] <= t and first[j] >= lo and last[j] < hi
                read[j] = read[j] or not covered or n[j] > 0
                if covered and n[j] > 0:
                    break
            continue
        for j in range(begin, end):
            if count[j] > 0 and (bound[j] > t or first[j] < lo or last[j] >= hi):
                read[j] = True


@njit(cache=True, nogil=True)
def needed(words: Ints, edges: Ints, program: Ints, moments: Ints) -> tuple[Bools, Ints, Ints]:
    """Find the leaves of the entities' directories that must be read.

    Args:
        words: the roots.
        edges: int64[entities + 1], the start of each root.
        program: int64[features, WIDTH].
        moments: int64[entities], the prediction times.

    Returns:
        A mask over the leaves of all directories; then the entity and the start of each marked
        leaf.
    """
    total = 0
    for i in range(moments.shape[0]):
        if edges[i + 1] > edges[i] and words[edges[i]] < 0:
            total += (edges[i + 1] - edges[i] - 1) // -words[edges[i]]
    read = np.zeros(total, dtype=np.bool_)
    owners, starts = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    offset, size = 0, 0
    for i in range(moments.shape[0]):
        root = edges[i]
        if edges[i + 1] == root or words[root] >= 0:
            continue
        lines = words[root + 1 : edges[i + 1]].reshape((-words[root], -1))
        marks = read[offset : offset + lines.shape[1]]
        _needed(lines, program, moments[i], marks)
        for j in range(lines.shape[1]):
            if marks[j]:
                owners[size], starts[size] = i, lines[_START, j]
                size += 1
        offset += lines.shape[1]
    return read, owners[:size], starts[:size]


@njit(cache=True, nogil=True)
def _passes(words: Ints, record: int, line: Ints) -> bool:
    """Return True if the record at word `record` passes the filter and has a value."""
    flags = record + _FLAGS
    return bool(
        (words[flags + line[_WORD1]] & line[_MASK1]) == line[_MASK1]
        and (words[flags + line[_WORD2]] & line[_MASK2]) == line[_MASK2]
    )


@njit(cache=True, nogil=True)
def _from(words: Ints, records: Ints, moment: int) -> int:
    """Count the records before `moment`; `records` is ascending in event time."""
    low, high = 0, records.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if words[records[middle] + _E] < moment:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _visible(words: Ints, edges: Ints, first: int, end: int, t: int) -> Ints:
    """Return the word offsets of records visible at t, in event order, of leaves [first, end)."""
    capacity = 0
    for leaf in range(first, end):
        if edges[leaf + 1] > edges[leaf]:
            capacity += (edges[leaf + 1] - edges[leaf] - 1) // words[edges[leaf]]
    records = np.empty(capacity, dtype=np.int64)
    size = 0
    for leaf in range(first, end):
        if edges[leaf + 1] == edges[leaf]:
            continue
        for record in range(edges[leaf] + 1, edges[leaf + 1], words[edges[leaf]]):
            if words[record + _K] <= t and t < words[record + _X]:
                records[size] = record
                size += 1
    return records[:size]


@njit(cache=True, nogil=True)
def _square(q: int, squares: Ints) -> None:
    """Add the square of q to the four 32-bit words `squares`, least significant first."""
    size = np.uint64(abs(q))
    mask = np.uint64(0xFFFFFFFF)
    low, high = size & mask, size >> np.uint64(32)
    below, cross, above = low * low, np.uint64(2) * low * high, high * high
    squares[0] += np.int64(below & mask)
    squares[1] += np.int64((below >> np.uint64(32)) + (cross & mask))
    squares[2] += np.int64((cross >> np.uint64(32)) + (above & mask))
    squares[3] += np.int64(above >> np.uint64(32))


@njit(cache=True, nogil=True)
def _power(scale: int) -> int:
    power = 1
    for _ in range(scale):
        power *= 10
    return power


@njit(cache=True, nogil=True)
def _fits(first: int, second: int) -> bool:
    """Return True if the product of two non-negative numbers certainly fits int64."""
    return float(first) * float(second) < 9.0e18


@njit(cache=True, nogil=True)
def _distinct(words: Ints, records: Ints, line: Ints) -> int:
    values = np.empty(records.shape[0], dtype=np.int64)
    size = 0
    for record in records:
        if _passes(words, record, line):
            values[size] = words[record + line[_VALUE]]
            size += 1
    values = np.sort(values[:size])
    different = 0
    for i in range(size):
        if i == 0 or values[i] != values[i - 1]:
            different += 1
    return different


@njit(cache=True, nogil=True)
def _winner(words: Ints, records: Ints, line: Ints) -> int:
    """Return the first or last record that passes the filter; -1 if none does."""
    count = records.shape[0]
    for i in range(count):
        record = records[i] if line[_OP] == _FIRST_OF else records[count - 1 - i]
        if _passes(words, record, line):
            return int(record)
    return -1


@njit(cache=True, nogil=True)
def _gather(words: Ints, records: Ints, line: Ints, integers: Ints, real: Floats) -> None:
    """Accumulate the records that pass the filter.

    `integers` gets n, sum, minimum, maximum and squares; `real` gets the extremes of floats.
    """
    column = line[_VALUE]
    extremes, squares = line[_MIN_STAT] >= 0 or line[_MAX_STAT] >= 0, line[_S2] >= 0
    plain = line[_S1] < 0 and not extremes
    floats = words.view(np.float64)
    n, total, minimum, maximum = np.int64(0), np.int64(0), integers[2], integers[3]
    low, high = real[0], real[1]
    for record in records:
        if not _passes(words, record, line):
            continue
        n += 1
        if plain:
            continue
        if line[_IS_FLOAT] != 0:
            value = floats[record + column]
            low, high = min(low, value), max(high, value)
            continue
        q = words[record + column]
        total += q
        if extremes:
            minimum, maximum = min(minimum, q), max(maximum, q)
        if squares:
            _square(q, integers[4:])
    integers[0] += n
    integers[1] += total
    integers[2], integers[3], real[0], real[1] = minimum, maximum, low, high


@njit(cache=True, nogil=True)
def _gather_tiles(
    lines: Ints, read: Bools, line: Ints, t: int, integers: Ints, real: Floats
) -> None:
    """Accumulate the tiles of those leaves inside the window that were not read."""
    lo, hi = _window(line, t)
    floats = lines.view(np.float64)
    for j in range(_lower(lines[_LAST], lo), _lower(lines[_FIRST], hi)):
        if read[j] or lines[_COUNT, j] == 0:
            continue
        integers[0] += lines[_TILE + line[_N], j]
        if line[_S1] >= 0:
            integers[1] += lines[_TILE + line[_S1], j]
        if line[_S2] >= 0:
            for w in range(4):
                integers[4 + w] += lines[_TILE + line[_S2] + w, j]
        if line[_MIN_STAT] >= 0:
            if line[_IS_FLOAT] != 0:
                real[0] = min(real[0], floats[_TILE + line[_MIN_STAT], j])
            else:
                integers[2] = min(integers[2], lines[_TILE + line[_MIN_STAT], j])
        if line[_MAX_STAT] >= 0:
            if line[_IS_FLOAT] != 0:
                real[1] = max(real[1], floats[_TILE + line[_MAX_STAT], j])
            else:
                integers[3] = max(integers[3], lines[_TILE + line[_MAX_STAT], j])


@njit(cache=True, nogil=True)
def _entity_features(
    words: Ints,
    records: Ints,
    lines: Ints,
    read: Bools,
    program: Ints,
    t: int,
    state: Bools,
    numbers: Ints,
    reals: Floats,
    parts: Ints,
    wholes: Ints,
    ends: Floats,
) -> None:
    """Compute every feature at t for one entity; `wholes` and `ends` are scratch space."""
    floats = words.view(np.float64)
    for f in range(program.shape[0]):
        line = program[f]
        op, column, is_float = line[_OP], line[_VALUE], line[_IS_FLOAT] != 0
        scale = line[_SCALE]
        leader = line[_LEADER]
        if leader == f:
            lo, hi = _window(line, t)
            inside = records[_from(words, records, lo) : _from(words, records, hi)]
            # `_needed` has marked all leaves of a window that could exceed the limit, so this
            # count is exact.
            if inside.shape[0] > line[_LIMIT]:
                state[f] = NULL
                continue
        elif state[leader] == NULL:
            state[f] = NULL
            continue
        if op == _DISTINCT:
            numbers[f] = _distinct(words, inside, line)
            state[f] = COMPUTED
            continue
        if op >= _FIRST_OF:
            winner = _winner(words, inside, line)
            if winner < 0:
                continue
            if op == _STATE and line[_AGE] >= 0 and words[winner + _E] < t - line[_AGE]:
                continue
            if not words[winner + _FLAGS + line[_VALID_WORD]] & line[_VALID_MASK]:
                state[f] = NULL
                continue
            state[f] = COMPUTED
            if is_float:
                reals[f] = floats[winner + column]
            elif scale >= 0:
                reals[f] = float(words[winner + column]) / float(_power(scale))
            else:
                numbers[f] = words[winner + column]
            continue
        integers, real = wholes[leader], ends[leader]
        if leader == f:
            integers[:] = 0
            integers[2], integers[3] = 2**63 - 1, _EVER
            real[0], real[1] = np.inf, -np.inf
            _gather(words, inside, line, integers, real)
            if lines.shape[1]:
                _gather_tiles(lines, read, line, t, integers, real)
        n, total = integers[0], integers[1]
        if op == _ROWS:
            numbers[f] = n
            state[f] = COMPUTED
            continue
        if n == 0 or (op == _STD and n == 1):
            continue
        state[f] = COMPUTED
        if op == _MIN or op == _MAX:
            if is_float:
                reals[f] = real[0] if op == _MIN else real[1]
            else:
                total = integers[2] if op == _MIN else integers[3]
        if op != _MEAN and op != _STD:
            if not is_float:
                if scale >= 0:
                    reals[f] = float(total) / float(_power(scale))
                else:
                    numbers[f] = total
            continue
        parts[f, 0], parts[f, 1] = n, total
        scale = max(scale, 0)
        if op == _MEAN:
            if scale <= 18 and _fits(n, _power(scale)):
                reals[f] = float(total) / float(n * _power(scale))
            else:
                state[f] = EXACT
            continue
        squares = integers[4:]
        parts[f, 2:] = squares
        square = squares[0] + (squares[1] << 32)
        small = squares[2] == 0 and squares[3] == 0 and squares[1] < _HALF - 1
        small = small and _fits(n, square) and abs(total) < 3_000_000_000
        small = small and 2 * scale <= 18 and _fits(n * (n - 1), _power(2 * scale))
        if small:
            spread = float(n * square - total * total)
            reals[f] = np.sqrt(spread / float(n * (n - 1) * _power(2 * scale)))
        else:
            state[f] = EXACT


@njit(cache=True, nogil=True)
def answer(
    words: Ints,
    edges: Ints,
    leaves: Ints,
    ends: Ints,
    read: Bools,
    program: Ints,
    moments: Ints,
    state: Bools,
    numbers: Ints,
    reals: Floats,
    parts: Ints,
) -> None:
    """Compute every feature of the program for each entity at its prediction time.

    Args:
        words: the roots.
        edges: int64[entities + 1], the start of each root.
        leaves: the leaves of directories.
        ends: int64[leaves + 1], the start of each leaf.
        read: bool[leaves], as returned by `needed`; empty if there is no directory.
        program: int64[features, WIDTH].
        moments: int64[entities], the prediction times.
        state: uint8[entities, features], zeros; set to DEFAULT (the default applies), COMPUTED,
            EXACT (see `parts`), or NULL (null even if there is a default: the first or last record
            has a null, or the window has too many events).
        numbers: int64[entities, features], output: integers, times and codes of texts.
        reals: float64[entities, features], output: floats.
        parts: int64[entities, features, PARTS], output: the exact parts if the state is EXACT.
    """
    features = program.shape[0]
    wholes = np.empty((features, 8), dtype=np.int64)
    extremes = np.empty((features, 2), dtype=np.float64)
    none = words[:0].reshape((_TILE, 0))
    offset, leaf = 0, 0
    for i in range(moments.shape[0]):
        root, t = edges[i], moments[i]
        if edges[i + 1] == root:
            continue
        lines, marks, source = none, read[:0], words
        if words[root] < 0:
            lines = words[root + 1 : edges[i + 1]].reshape((-words[root], -1))
            marks = read[offset : offset + lines.shape[1]]
            offset += lines.shape[1]
            first = leaf
            for j in range(marks.shape[0]):
                leaf += marks[j]
            source = leaves
            records = _visible(leaves, ends, first, leaf, t)
        else:
            records = _visible(words, edges, i, i + 1, t)
        _entity_features(
            source, records, lines, marks, program, t, state[i], numbers[i], reals[i], parts[i],
            wholes, extremes,
        )  # fmt: skip
