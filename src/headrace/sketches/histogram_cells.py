"""The cells that values are counted in: the same for every column, for everybody and for ever.

A number's cell is its sign, its exponent and the first ten bits of its mantissa: 1024 cells from
each power of two to the next, none wider than a thousandth of its values. Integers up to 2048 and
all else that needs no more bits lie alone in theirs. A text's cell is its token, or, where a column
has too many of them, the token's first twelve bits.
"""

from typing import Any

import numpy as np

from headrace.sketches.arrays import Floats, Ints

BITS = 10
ERROR = 2.0**-BITS  # most that `plainest` differs from any value of its cell, relative to it
HALF = 1 << (BITS + 11)  # there are fewer cells of either sign
_SHIFT = 52 - BITS
_WITHIN = (1 << _SHIFT) - 1
_MAGNITUDE = np.iinfo(np.int64).max
_INFINITY = 0x7FF << 52
PREFIX = -1 << 52  # of a token: twelve bits


def ordered(values: Floats) -> Ints:
    """Float64 as int64 in the same order, without loss."""
    bits = values.view(np.int64)
    result: Ints = bits ^ ((bits >> 63) & _MAGNITUDE)
    return result


def from_ordered(values: Ints) -> Floats:
    result: Floats = (values ^ ((values >> 63) & _MAGNITUDE)).view(np.float64)
    return result


def cells_of(values: Any) -> Ints:  # noqa: ANN401 - an array of any numbers
    """The cell of each number, which may be infinite but not NaN; cells ascend as numbers do.

    Integers are counted as the nearest doubles.
    """
    result: Ints = ordered(np.asarray(values, np.float64) + 0.0) >> _SHIFT
    return result


def least_value(cells: Ints) -> Floats:
    """The least double in each cell: a value reaches it if and only if its cell is at least c."""
    return from_ordered(np.clip(cells << _SHIFT, -1 - _INFINITY, _INFINITY))


def plainest(cells: Ints) -> Floats:
    """The value of each cell that is nearest to zero: of a cell with one integer, that one."""
    return from_ordered(np.where(cells < 0, (cells << _SHIFT) | _WITHIN, cells << _SHIFT))
