"""Compiled counting of numbers in one pass. Imported only if numba is installed.

Cells, registers and sums equal those that `counting` computes with numpy; tests compare them.
"""
# ruff: noqa: ANN401, ARG001, PLR0917  # the compiler's objects have no types; calls cost nothing here

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from headrace.sketches.arrays import Bits, Halves, Ints, Numbers, Words
from headrace.sketches.distinct import Registers
from headrace.sketches.histogram_cells import HALF

_compiled: Any = njit(cache=True, nogil=True)

_SHIFT = 42
_MAGNITUDE = np.iinfo(np.int64).max
_LIMB_MASK = (1 << 32) - 1
_STEP, _FIRST, _SECOND = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_R30, _R27, _R31, _R54 = (np.uint64(n) for n in (30, 27, 31, 54))
_R1, _HIGHEST, _REST = (np.uint64(n) for n in (1, 1 << 51, (1 << 52) - 1))


@intrinsic
def _bits(typing: Any, value: Any) -> Any:
    """Return the bits of a double as int64."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), code


@_compiled
def _hash(word: int) -> np.uint64:
    mixed = np.uint64(word) + _STEP
    mixed = (mixed ^ (mixed >> _R30)) * _FIRST
    mixed = (mixed ^ (mixed >> _R27)) * _SECOND
    return mixed ^ (mixed >> _R31)


@_compiled
def sums(words: Words, starts: Ints, out: Words) -> None:
    """Write into `out` the sum of the hashes of each partition's words, modulo 2^64."""
    for part in range(len(starts)):
        end = starts[part + 1] if part + 1 < len(starts) else len(words)
        total = np.uint64(0)
        for row in range(starts[part], end):
            total += _hash(words[row])
        out[part] = total


def _counting(real: bool) -> Any:
    """Compile the counting function for real numbers or for integers."""

    @_compiled
    def counting(
        values: Numbers,
        valid: Bits,
        offset: int,
        starts: Ints,
        nulls: Ints,
        low: Numbers,
        high: Numbers,
        limbs: Ints,
        registers: Registers,
        ends: Ints,
        table: Halves,
        cells: Halves,
        counts: Halves,
    ) -> None:
        filled = 0
        for part in range(len(starts)):
            end = starts[part + 1] if part + 1 < len(starts) else len(values)
            begin = filled
            smallest, greatest = low[part], high[part]
            upper, lower, absent = 0, 0, 0
            for row in range(starts[part], end):
                at = row + offset
                value = values[row]
                if (len(valid) and not (valid[at >> 3] >> (at & 7)) & 1) or value != value:  # noqa: PLR0124
                    absent += 1
                    continue
                smallest = min(smallest, value)
                greatest = max(greatest, value)
                bits = _bits(float(value) + 0.0)
                place = ((bits ^ ((bits >> 63) & _MAGNITUDE)) >> _SHIFT) + HALF
                if table[place] == 0:
                    cells[filled] = place
                    filled += 1
                table[place] += 1
                if real:
                    mixed = _hash(bits)
                else:
                    upper += value >> 32
                    lower += value & _LIMB_MASK
                    mixed = _hash(value)
                index, rest = mixed >> _R54, mixed & _REST
                rank = registers[part, index]
                if rest >> np.uint64(52 - rank) == 0:  # at least as many leading zeros as before
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
                cells[at] = place - HALF
            nulls[part], ends[part] = absent, filled
            low[part], high[part] = smallest, greatest
            limbs[part, 0], limbs[part, 1] = upper, lower

    return counting


# Both fill all arguments from `nulls` on, partition by partition. `valid` is Arrow's validity
# bitmap, in which bit `offset` belongs to the first row; it is empty if there are no nulls. `cells`
# and `counts` have as many entries as rows; partition p fills `ends[p - 1]` to `ends[p]`.
# `table` is all zeros before and after.
reals, integers = _counting(real=True), _counting(real=False)
