"""Rule 15 where numbers leave int64: one rounding of the exact integer, at any scale."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from headrace.features.kernel.rounding import mean, quantity, square_limbs, std


def nearest(exact):
    """The float64 nearest to a fraction, ties to even: Python's division of integers is that."""
    return exact.numerator / exact.denominator


@pytest.mark.parametrize("scale", [0, 2, 6, 9, 12, 18, 22])
def test_means_and_quantities_are_roundings_of_exact_numbers(scale):
    chance = random.Random(scale)
    n = [chance.randrange(2, 2**24) for _ in range(300)]
    total = [chance.randrange(-(2**62), 2**62) for _ in n]
    counts, sums = np.array(n), np.array(total)
    assert mean(sums, counts, scale).tolist() == [
        nearest(Fraction(s)) / nearest(Fraction(k * 10**scale))
        for s, k in zip(total, n, strict=True)
    ]
    assert quantity(sums, scale).tolist() == [nearest(Fraction(s)) / 10.0**scale for s in total]


@pytest.mark.parametrize("scale", [0, 2, 6, 9, 12, 18, 22])
@pytest.mark.parametrize("fits", [True, False])
def test_spreads_are_roundings_of_exact_numbers(scale, fits):
    """k rows of q and one of -3q: S1 = (k - 3) q and S2 = (k + 9) q^2, in one int64 or in limbs."""
    chance = random.Random(scale)
    k = [chance.randrange(1, 2**16) for _ in range(300)]
    q = [chance.choice([1, -1]) * chance.randrange(2**23 if fits else 2**37) for _ in k]
    rows, values = np.array(k), np.array(q)
    limbs = square_limbs(values, fits=fits)
    squares = [(shift, limb * (rows + 9)) for shift, limb in limbs]
    assert std(rows + 1, (rows - 3) * values, squares, scale).tolist() == [
        math.sqrt(
            nearest(Fraction((m + 1) * (m + 9) * v * v - ((m - 3) * v) ** 2))
            / nearest(Fraction((m + 1) * m * 10 ** (2 * scale)))
        )
        for m, v in zip(k, q, strict=True)
    ]
