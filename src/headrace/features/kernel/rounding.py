"""Rule 15: the only place where exact integers become float64. Every host calls these.

`fl` is one rounding to nearest, ties to even: what the conversion of int64 does in hardware, and
what `float(int)` does in Python for integers of any size.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_INT64_END = 2**63


def power(scale: int) -> float:
    """fl(10^scale); exact up to scale 22."""
    return float(10**scale)


def quantity(q: Ints, scale: int) -> Floats:
    """fl(q) / fl(10^d): a stored integer in its unit."""
    return q.astype(np.float64) / power(scale)


def mean(total: Ints, n: Ints, scale: int) -> Floats:
    """fl(S1) / fl(n 10^d), for n > 0."""
    return total.astype(np.float64) / _times(n, 10**scale)


def std(n: Ints, total: Ints, squares: "Squares", scale: int) -> Floats:
    """sqrt(fl(n S2 - S1^2) / fl(n (n-1) 10^2d)), for n > 1; S1, S2 and the difference are exact."""
    spread = _spread(n, total, squares)
    pairs = n * (n - 1)
    return np.sqrt(spread / _times(pairs, 10 ** (2 * scale)))


def _times(n: Ints, factor: int) -> Floats:
    """fl(n factor), n >= 0."""
    if factor == 1:
        return n.astype(np.float64)
    if factor < _INT64_END and int(n.max(initial=0)) * factor < _INT64_END:
        return (n * np.int64(factor)).astype(np.float64)
    return _rounded([value * factor for value in n.tolist()])


def _rounded(exact: list[int]) -> Floats:
    return np.array([float(value) for value in exact], dtype=np.float64)


# S2 as limbs: exact value = sum of limb << shift. One limb with shift 0 where it provably fits.
Squares: TypeAlias = list[tuple[int, Ints]]
_LIMB = 18


def square_limbs(q: Ints, *, fits: bool) -> Squares:
    """Squares of `q` (|q| < 2^53) in limbs whose sums over 2^24 rows stay below 2^63."""
    if fits:
        return [(0, q * q)]
    low, rest = q & (2**_LIMB - 1), q >> _LIMB
    middle, high = rest & (2**_LIMB - 1), rest >> _LIMB
    products = (low * low, 2 * middle * low, middle * middle + 2 * high * low, 2 * high * middle)
    return [(_LIMB * i, part) for i, part in enumerate((*products, high * high))]


def _spread(n: Ints, total: Ints, squares: Squares) -> Floats:
    """fl(n S2 - S1^2)."""
    if len(squares) == 1 and _small(n, total, squares[0][1]):
        return (n * squares[0][1] - total * total).astype(np.float64)
    exact = [0] * len(n)
    for shift, limb in squares:
        exact = [value + (part << shift) for value, part in zip(exact, limb.tolist(), strict=True)]
    rows = zip(n.tolist(), total.tolist(), exact, strict=True)
    return _rounded([count * square - sum_ * sum_ for count, sum_, square in rows])


def _small(n: Ints, total: Ints, square: Ints) -> bool:
    """True if both products fit int64 for these data; both ways give the same bits."""
    largest = int(n.max(initial=0)) * int(square.max(initial=0))
    return largest < _INT64_END and int(np.abs(total).max(initial=0)) <= math.isqrt(_INT64_END - 1)
