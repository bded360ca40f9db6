"""Medians of numbers that do not all fit in memory are those of numbers that do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.gates.parquet import column_stream
from headrace.gates.parquet.median import median

FLOATS = st.lists(
    st.one_of(st.floats(allow_nan=False, width=32), st.sampled_from([0.0, 1.0, -1e300, np.inf]))
)


def in_pieces(numbers: np.ndarray, length: int):
    return lambda: (numbers[first : first + length] for first in range(0, len(numbers), length))


@given(FLOATS, st.integers(1, 7))
def test_the_median_in_memory(numbers, length) -> None:
    found = median(in_pieces(np.array(numbers, np.float64), length), len(numbers))
    ordered = sorted(numbers)
    if not ordered:
        assert found is None
        return
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    half_way = low if low == high else low + (high - low) * 0.5  # NaN between the infinities
    assert found == half_way or (np.isnan(found) and np.isnan(half_way))


@pytest.mark.parametrize("numbers", [
    np.random.default_rng(1).normal(size=20_001),
    np.sort(np.random.default_rng(2).gamma(1, 2, 20_000)),
    np.repeat([1.0, 2.0], 10_000),
    np.repeat([1.0, 2.0, 3.0], [2000, 16_000, 2000]),
    np.random.default_rng(3).integers(0, 4, 20_000).astype(float),
    np.array([np.inf] * 9_000 + [5.0] * 11_000),
    np.full(15_000, 3.5),
])  # fmt: skip
def test_the_median_by_a_sample(monkeypatch, numbers) -> None:
    expected = median(in_pieces(numbers, 100), len(numbers))
    monkeypatch.setattr(column_stream, "CHUNK_NUMBERS", 10_000)
    assert median(in_pieces(numbers, 777), len(numbers) + 5) == expected
    assert expected == np.median(numbers)
