"""Rounding of exact integers to float64 (rule 15), shared by all engines.

`fl(x)` is x rounded once to the nearest float64, ties to even. The hardware rounds like this when
it converts int64, and Python's `float(int)` does so for integers of any size.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_INT64_END = 2**63


def power(scale: int) -> float:
    """Return fl(10^scale), which is exact up to scale 22."""
    return float(10**scale)


def quantity(q: Ints, scale: int) -> Floats:
    """Convert stored integers to their unit: fl(q) / fl(10^scale)."""
    return q.astype(np.float64) / power(scale)


def mean(total: Ints, n: Ints, scale: int) -> Floats:
    """Return means, fl(total) / fl(n 10^scale), for n > 0."""
    return total.astype(np.float64) / _times(n, 10**scale)


def std(n: Ints, total: Ints, squares: "Squares", scale: int) -> Floats:
    """Return sample standard deviations, for n > 1.

    With S1 = total, S2 = the sum of squares and d = scale, the formula is
    sqrt(fl(n S2 - S1^2) / fl(n (n-1) 10^2d)); S1, S2 and the difference are exact.
    """
    spread = _spread(n, total, squares)
    pairs = n * (n - 1)
    return np.sqrt(spread / _times(pairs, 10 ** (2 * scale)))


def _times(n: Ints, factor: int) -> Floats:
    """Return fl(n factor), for n >= 0."""
    if factor == 1:
        return n.astype(np.float64)
    if factor < _INT64_END and int(n.max(initial=0)) * factor < _INT64_END:
        return (n * np.int64(factor)).astype(np.float64)
    return _rounded([value * factor for value in n.tolist()])


def _rounded(exact: list[int]) -> Floats:
    return np.array([float(value) for value in exact], dtype=np.float64)


# Sum of squares S2 as limbs: the exact value is the sum of limb << shift. If the sum certainly fits
# int64, there is one limb with shift 0.
Squares: TypeAlias = list[tuple[int, Ints]]
_LIMB = 18


def square_limbs(q: Ints, *, fits: bool) -> Squares:
    """Split the squares of `q` (|q| < 2^53) in limbs whose sums over 2^24 rows are below 2^63."""
    if fits:
        return [(0, q * q)]
    low, rest = q & (2**_LIMB - 1), q >> _LIMB
    middle, high = rest & (2**_LIMB - 1), rest >> _LIMB
    products = (low * low, 2 * middle * low, middle * middle + 2 * high * low, 2 * high * middle)
    return [(_LIMB * i, part) for i, part in enumerate((*products, high * high))]


def _spread(n: Ints, total: Ints, squares: Squares) -> Floats:
    """Return fl(n S2 - S1^2)."""
    if len(squares) == 1 and _small(n, total, squares[0][1]):
        return (n * squares[0][1] - total * total).astype(np.float64)
    exact = [0] * len(n)
    for shift, limb in squares:
        exact = [value + (part << shift) for value, part in zip(exact, limb.tolist(), strict=True)]
    rows = zip(n.tolist(), total.tolist(), exact, strict=True)
    return _rounded([count * square - sum_ * sum_ for count, sum_, square in rows])


def _small(n: Ints, total: Ints, square: Ints) -> bool:
    """Return True if n S2 and S1^2 fit int64 for these values.

    This only affects speed: int64 and integers of any size give the same bits.
    """
    largest = int(n.max(initial=0)) * int(square.max(initial=0))
    return largest < _INT64_END and int(np.abs(total).max(initial=0)) <= math.isqrt(_INT64_END - 1)
