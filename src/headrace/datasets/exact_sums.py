"""Exact sums: the result does not depend on the order of the values, chunking or threads.

A float64 is a whole number times a power of two. The whole numbers are added exactly, one sum for
each power, and the total is rounded once at the end.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HALF = 27  # bits of half a mantissa; products stay below 2^54, sums of 2^31 halves fit an int64
_LOW = (1 << _HALF) - 1


def sums(values: npt.NDArray[Any]) -> tuple[Fraction, Fraction]:
    """Exact sum of `values` (finite float64, or int64), and exact sum of their squares."""
    if values.dtype == np.int64:
        if len(values) and np.abs(values.astype(np.float64)).max() > 2**53:
            integers = values.tolist()
            return Fraction(sum(integers)), Fraction(sum(number * number for number in integers))
        values = values.astype(np.float64)
    first, second = Fraction(0), Fraction(0)
    for exponent, mantissas in _by_exponent(values):
        power = Fraction(2) ** exponent
        first += _sum(mantissas) * power
        second += _sum_of_squares(mantissas) * power * power
    return first, second


def _by_exponent(values: Floats) -> Iterator[tuple[int, Ints]]:
    """Yield (e, m): the values that equal m x 2^e, with integers m below 2^53."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    order = np.argsort(exponents, kind="stable")
    powers, start = np.unique(exponents[order], return_index=True)
    for exponent, part in zip(
        powers.tolist(), np.split(mantissas[order], start[1:]), strict=bool(len(powers))
    ):
        yield exponent - 53, part


def _sum(integers: Ints) -> int:
    return (int((integers >> _HALF).sum()) << _HALF) + int((integers & _LOW).sum())


def _sum_of_squares(mantissas: Ints) -> int:
    size = np.abs(mantissas)
    high, low = size >> _HALF, size & _LOW
    return (_sum(high * high) << (2 * _HALF)) + (_sum(high * low) << (_HALF + 1)) + _sum(low * low)


def mean(values: npt.NDArray[Any]) -> float:
    """The float64 nearest to the true mean; `values` are not empty."""
    return float(sums(values)[0] / len(values))


def deviation(values: npt.NDArray[Any]) -> float:
    """The sample standard deviation: the root of the float64 nearest to the true variance.

    0.0 for a single value.
    """
    n = len(values)
    if n < 2:
        return 0.0
    first, second = sums(values)
    return sqrt(float((n * second - first * first) / (n * (n - 1))))


def quantile(ordered: npt.NDArray[Any], share: Fraction) -> float:
    """The smallest value v such that at least `share` of all values are at most v.

    The result is one of the values. `ordered` is sorted and not empty; the median of an even number
    of values is the lower of the middle two.
    """
    return float(ordered[max(ceil(share * len(ordered)) - 1, 0)])
