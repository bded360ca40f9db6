"""Counting numbers in one pass, in machine code. Imported only where numba is.

The same cells, registers and sums as `counting` makes with numpy; the tests prove them equal.
"""
# ruff: noqa: PLR0917  # calls cost nothing here

from typing import Any

import numpy as np
from numba import njit

from headrace.sketches.arrays import Ints, Mask, Numbers, Words
from headrace.sketches.distinct import Registers

_compiled: Any = njit(cache=True, nogil=True)

_SHIFT = 42
_HALF = 1 << 21  # more than the cells of either sign
_MAGNITUDE = np.iinfo(np.int64).max
_LIMB_MASK = (1 << 32) - 1
_STEP, _FIRST, _SECOND = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_R30, _R27, _R31, _R54 = (np.uint64(n) for n in (30, 27, 31, 54))
_R1, _HIGHEST, _REST = (np.uint64(n) for n in (1, 1 << 51, (1 << 52) - 1))


@_compiled
def _hash(word: int) -> np.uint64:
    found = np.uint64(word) + _STEP
    found = (found ^ (found >> _R30)) * _FIRST
    found = (found ^ (found >> _R27)) * _SECOND
    return found ^ (found >> _R31)


@_compiled
def sums(words: Words, starts: Ints, out: Words) -> None:
    """The sum of the hashes of each partition's words; it may wrap around."""
    for part in range(len(starts)):
        end = starts[part + 1] if part + 1 < len(starts) else len(words)
        total = np.uint64(0)
        for row in range(starts[part], end):
            total += _hash(words[row])
        out[part] = total


@_compiled
def count(
    values: Numbers,
    words: Ints,
    doubles: Words,
    present: Mask,
    starts: Ints,
    nulls: Ints,
    low: Numbers,
    high: Numbers,
    limbs: Ints,
    registers: Registers,
    ends: Ints,
    cells: Ints,
    counts: Ints,
) -> None:
    """Fill everything from `nulls` on, partition by partition.

    `words` are the bits of the values, `doubles` those of the values as doubles; `cells` and
    `counts` have a place for each row, of which partition p fills those up to `ends[p]`.
    """
    table = np.zeros(2 * _HALF, dtype=np.int32)
    filled = 0
    for part in range(len(starts)):
        end = starts[part + 1] if part + 1 < len(starts) else len(values)
        begin = filled
        least, greatest = low[part], high[part]
        upper, lower, absent = 0, 0, 0
        for row in range(starts[part], end):
            if not present[row]:
                absent += 1
                continue
            value = values[row]
            least = min(least, value)
            greatest = max(greatest, value)
            bits = np.int64(doubles[row])
            place = ((bits ^ ((bits >> 63) & _MAGNITUDE)) >> _SHIFT) + _HALF
            if table[place] == 0:
                cells[filled] = place
                filled += 1
            table[place] += 1
            upper += words[row] >> 32
            lower += words[row] & _LIMB_MASK
            found = _hash(words[row])
            index, rest = found >> _R54, found & _REST
            rank = registers[part, index]
            if rest >> np.uint64(52 - rank) == 0:  # it has at least as many leading zeros
                probe = _HIGHEST >> np.uint64(rank)
                rank += 1
                while probe and not rest & probe:
                    probe >>= _R1
                    rank += 1
                registers[part, index] = rank
        cells[begin:filled].sort()
        for at in range(begin, filled):
            place = cells[at]
            counts[at] = table[place]
            table[place] = 0
            cells[at] = place - _HALF
        nulls[part], ends[part] = absent, filled
        low[part], high[part] = least, greatest
        limbs[part, 0], limbs[part, 1] = upper, lower
