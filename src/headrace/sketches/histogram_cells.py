"""Histogram cells, in which values are counted; they are the same for all columns and never change.

A number's cell is its sign, its exponent and the first ten bits of its mantissa: there are 1024
cells from each power of two to the next, none wider than a thousandth of its values. An integer up
to 2048 has a cell of its own. A string's cell is its token, or the token's first twelve bits if a
column has too many distinct strings.
"""

from typing import Any

import numpy as np

from headrace.sketches.arrays import Floats, Ints

BITS = 10
ERROR = 2.0**-BITS  # greatest relative difference of `plainest` from a value of its cell
HALF = 1 << (BITS + 11)  # greater than the number of cells of either sign
_SHIFT = 52 - BITS
_WITHIN = (1 << _SHIFT) - 1
_MAGNITUDE = np.iinfo(np.int64).max
_INFINITY = 0x7FF << 52
PREFIX = -1 << 52  # mask of the first twelve bits of a token


def ordered(values: Floats) -> Ints:
    """Convert float64 to int64 values of the same order, without loss."""
    bits = values.view(np.int64)
    result: Ints = bits ^ ((bits >> 63) & _MAGNITUDE)
    return result


def from_ordered(values: Ints) -> Floats:
    result: Floats = (values ^ ((values >> 63) & _MAGNITUDE)).view(np.float64)
    return result


def cells_of(values: Any) -> Ints:  # noqa: ANN401 - an array of any numbers
    """Return the cell of each number, which may be infinite but not NaN.

    Cells have the same order as numbers. Integers are converted to the nearest doubles.
    """
    result: Ints = ordered(np.asarray(values, np.float64) + 0.0) >> _SHIFT
    return result


def least_value(cells: Ints) -> Floats:
    """Return the least double of each cell: values of this and of higher cells are not below it."""
    return from_ordered(np.clip(cells << _SHIFT, -1 - _INFINITY, _INFINITY))


def plainest(cells: Ints) -> Floats:
    """Return the value of each cell that is nearest to zero: the integer, if the cell has one."""
    return from_ordered(np.where(cells < 0, (cells << _SHIFT) | _WITHIN, cells << _SHIFT))
