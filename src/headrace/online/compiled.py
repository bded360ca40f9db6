# ruff: noqa: C901, PLR0912, PLR0915, PLR0917, PLR1714, PLR1716, SIM109 - loops for the compiler
"""The kernel for one entity, compiled: which leaves a question needs, and the answer from them.

Integers only until the last division, as in `headrace.features.rounding`. Where a product might
leave int64, the exact parts are handed back and Python finishes them.
"""

from typing import Any, TypeAlias

import numpy as np
from numba import njit

from headrace.features.arrays import Bools, Ints

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# As in layout.py; here as plain numbers, which the compiler takes as constants.
_E, _K, _X, _FLAGS = 0, 2, 3, 4
_START, _LEVEL, _COUNT, _FIRST, _LAST, _BOUND, _TILE = 0, 1, 2, 3, 4, 5, 6
_ROWS, _SUM, _MEAN, _STD, _MIN, _MAX, _FIRST_OF, _LAST_OF, _DISTINCT, _STATE = range(10)
_OP, _A, _B, _VALUE, _IS_FLOAT, _WORD1, _MASK1, _WORD2, _MASK2, _SCALE = range(10)
_N, _S1, _S2, _LEAST, _MOST, _AGE, _VALID_WORD, _VALID_MASK = range(10, 18)
_EVER = -(2**63)
_HALF = 2**31
NOTHING, DONE, EXACT, NULL = 0, 1, 2, 3
PARTS = 6  # n, S1, and the words of S2


@njit(cache=True, nogil=True)
def _window(line: Ints, t: int) -> tuple[int, int]:
    if line[_OP] == _STATE:
        return _EVER, t + 1
    return t + line[_A], t + line[_B]


@njit(cache=True, nogil=True)
def _lower(times: Ints, moment: int) -> int:
    """How many of the ascending times are below the moment."""
    low, high = 0, times.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def needed(lines: Ints, program: Ints, t: int) -> Bools:
    """Which leaves must be read, bool[leaves]: edges, those without a tile yet, winners' leaves."""
    leaves = lines.shape[1]
    read = np.zeros(leaves, dtype=np.bool_)
    first, last, bound, count = lines[_FIRST], lines[_LAST], lines[_BOUND], lines[_COUNT]
    for f in range(program.shape[0]):
        line = program[f]
        op = line[_OP]
        lo, hi = _window(line, t)
        begin, end = _lower(last, lo), _lower(first, hi)
        if op == _DISTINCT:
            for j in range(begin, end):
                read[j] = read[j] or count[j] > 0
            continue
        n = lines[_TILE + line[_N]]
        if op == _FIRST_OF:
            for j in range(begin, end):
                if count[j] == 0:
                    continue
                whole = bound[j] <= t and first[j] >= lo and last[j] < hi
                read[j] = read[j] or not whole or n[j] > 0
                if whole and n[j] > 0:
                    break
            continue
        if op == _LAST_OF or op == _STATE:
            for j in range(end - 1, begin - 1, -1):
                if count[j] == 0:
                    continue
                whole = bound[j] <= t and first[j] >= lo and last[j] < hi
                read[j] = read[j] or not whole or n[j] > 0
                if whole and n[j] > 0:
                    break
            continue
        for j in range(begin, end):
            if count[j] > 0 and (bound[j] > t or first[j] < lo or last[j] >= hi):
                read[j] = True
    return read


@njit(cache=True, nogil=True)
def _counts(record: Ints, line: Ints, t: int) -> bool:
    """Whether the version is visible at t and chosen by filter and column."""
    return bool(
        record[_K] <= t
        and t < record[_X]
        and (record[_FLAGS + line[_WORD1]] & line[_MASK1]) == line[_MASK1]
        and (record[_FLAGS + line[_WORD2]] & line[_MASK2]) == line[_MASK2]
    )


@njit(cache=True, nogil=True)
def _square(q: int, parts: Ints) -> None:
    """Add q squared to four words of 32 bits."""
    size = np.uint64(abs(q))
    mask = np.uint64(0xFFFFFFFF)
    low, high = size & mask, size >> np.uint64(32)
    below, cross, above = low * low, np.uint64(2) * low * high, high * high
    parts[2] += np.int64(below & mask)
    parts[3] += np.int64((below >> np.uint64(32)) + (cross & mask))
    parts[4] += np.int64((cross >> np.uint64(32)) + (above & mask))
    parts[5] += np.int64(above >> np.uint64(32))


@njit(cache=True, nogil=True)
def _power(scale: int) -> int:
    found = 1
    for _ in range(scale):
        found *= 10
    return found


@njit(cache=True, nogil=True)
def _fits(one: int, other: int) -> bool:
    """Whether the product of two numbers of zero or more surely fits int64."""
    return float(one) * float(other) < 9.0e18


@njit(cache=True, nogil=True)
def answer(
    records: Ints,
    floats: Floats,
    lines: Ints,
    tile_floats: Floats,
    read: Bools,
    program: Ints,
    t: int,
    numbers: Ints,
    reals: Floats,
    parts: Ints,
) -> Ints:
    """Every feature of the program at t, for one entity.

    Args:
        records: int64[n, width], of the leaves that were read, in event order.
        floats: the same memory as float64.
        lines: the directory; no leaves where there is none.
        tile_floats: the same memory as float64.
        read: bool[leaves].
        program: int64[features, WIDTH].
        t: the prediction time.
        numbers: where integers, times and texts (by code) go, by feature.
        reals: where float64 go.
        parts: int64[features, PARTS], filled where the state is EXACT.

    Returns:
        int64[features]: NOTHING (the default stands), DONE, EXACT, or NULL (which stays).
    """
    state = np.zeros(program.shape[0], dtype=np.int64)
    e = records[:, _E]
    leaves = lines.shape[1]
    for f in range(program.shape[0]):
        line = program[f]
        op, column, is_float = line[_OP], line[_VALUE], line[_IS_FLOAT] != 0
        lo, hi = _window(line, t)
        begin, end = _lower(e, lo), _lower(e, hi)
        if op >= _FIRST_OF and op != _DISTINCT:
            winner = -1
            if op == _FIRST_OF:
                for i in range(begin, end):
                    if _counts(records[i], line, t):
                        winner = i
                        break
            else:
                for i in range(end - 1, begin - 1, -1):
                    if _counts(records[i], line, t):
                        winner = i
                        break
            if winner < 0:
                continue
            if op == _STATE and line[_AGE] >= 0 and e[winner] < t - line[_AGE]:
                continue
            if not records[winner, _FLAGS + line[_VALID_WORD]] & line[_VALID_MASK]:
                state[f] = NULL
                continue
            state[f] = DONE
            if is_float:
                reals[f] = floats[winner, column]
            elif line[_SCALE] >= 0:
                reals[f] = float(records[winner, column]) / float(_power(line[_SCALE]))
            else:
                numbers[f] = records[winner, column]
            continue
        if op == _DISTINCT:
            found = np.empty(end - begin, dtype=np.int64)
            size = 0
            for i in range(begin, end):
                if _counts(records[i], line, t):
                    found[size] = records[i, column]
                    size += 1
            found = np.sort(found[:size])
            different = 0
            for i in range(size):
                if i == 0 or found[i] != found[i - 1]:
                    different += 1
            numbers[f] = different
            state[f] = DONE
            continue
        n, total = np.int64(0), np.int64(0)
        least, most = np.int64(2**63 - 1), np.int64(_EVER)
        low, high = np.inf, -np.inf
        mine = parts[f]
        mine[:] = 0
        for i in range(begin, end):
            record = records[i]
            if not _counts(record, line, t):
                continue
            n += 1
            if op == _ROWS:
                continue
            if is_float:
                low, high = min(low, floats[i, column]), max(high, floats[i, column])
                continue
            q = record[column]
            if op == _MIN or op == _MAX:
                least, most = min(least, q), max(most, q)
                continue
            total += q
            if op == _STD:
                _square(q, mine)
        if leaves:
            first_leaf, end_leaf = _lower(lines[_LAST], lo), _lower(lines[_FIRST], hi)
            for j in range(first_leaf, end_leaf):
                if read[j] or lines[_COUNT, j] == 0:
                    continue
                n += lines[_TILE + line[_N], j]
                if op == _MIN and is_float:
                    low = min(low, tile_floats[_TILE + line[_LEAST], j])
                elif op == _MAX and is_float:
                    high = max(high, tile_floats[_TILE + line[_MOST], j])
                elif op == _MIN:
                    least = min(least, lines[_TILE + line[_LEAST], j])
                elif op == _MAX:
                    most = max(most, lines[_TILE + line[_MOST], j])
                elif op != _ROWS:
                    total += lines[_TILE + line[_S1], j]
                    if op == _STD:
                        for w in range(4):
                            mine[2 + w] += lines[_TILE + line[_S2] + w, j]
        if op == _ROWS:
            numbers[f] = n
            state[f] = DONE
            continue
        if n == 0 or (op == _STD and n == 1):
            continue
        state[f] = DONE
        scale = line[_SCALE]
        if op == _MIN or op == _MAX:
            if is_float:
                reals[f] = low if op == _MIN else high
            else:
                total = least if op == _MIN else most
        if op != _MEAN and op != _STD:
            if not is_float:
                if scale >= 0:
                    reals[f] = float(total) / float(_power(scale))
                else:
                    numbers[f] = total
            continue
        mine[0], mine[1] = n, total
        scale = max(scale, 0)
        if op == _MEAN:
            if scale <= 18 and _fits(n, _power(scale)):
                reals[f] = float(total) / float(n * _power(scale))
            else:
                state[f] = EXACT
            continue
        square = mine[2] + (mine[3] << 32)
        small = mine[4] == 0 and mine[5] == 0 and mine[3] < _HALF - 1
        small = small and _fits(n, square) and abs(total) < 3_000_000_000
        small = small and 2 * scale <= 18 and _fits(n * (n - 1), _power(2 * scale))
        if small:
            spread = float(n * square - total * total)
            reals[f] = np.sqrt(spread / float(n * (n - 1) * _power(2 * scale)))
        else:
            state[f] = EXACT
    return state
