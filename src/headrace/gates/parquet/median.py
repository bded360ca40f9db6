"""Median of a column of any length, computed in bounded memory.

A long column is read twice. The first pass takes a sample, whose middle gives two limits around the
median; the second pass collects the values between these limits.
"""

from collections.abc import Callable, Iterator

import numpy as np

from headrace.gates.parquet import column_stream
from headrace.gates.parquet.column_stream import Numbers, gathered

Read = Callable[[], Iterator[Numbers]]
# The rank of the median in a sample of n values has a standard error of sqrt(n) / 2. The limits are
# 6 * sqrt(n), or 12 standard errors, on either side.
_DEVIATIONS = 6


def median(read: Read, max_count: int) -> float | None:
    """Compute the median of a column of floats without NaN.

    Each call of `read` yields the whole column, at most `max_count` values. As in DuckDB, the
    median of an even number of values is the mean of the middle two; None if there are no values.

    Raises:
        ValueError: the limits from the sample are wrong, which happens only if the numbers have an
            adversarial order.
    """
    if max_count <= column_stream.CHUNK_NUMBERS:
        values = gathered(read(), np.float64, max_count)
        return _middle(values) if len(values) else None
    sample, count = _sampled(read(), -(-max_count // (column_stream.CHUNK_NUMBERS // 4)))
    if not count:
        return None
    margin, middle = int(_DEVIATIONS * len(sample) ** 0.5) + 1, len(sample) // 2
    first = float(sample[max(0, middle - margin)])
    last = float(sample[min(middle + margin, len(sample) - 1)])
    counts, between = _between(read(), first, last)
    low, high = (_ranked(rank, counts, (first, last), between) for rank in _ranks(count))
    return _half_way(low, high)


def _middle(values: Numbers) -> float:
    low, high = _ranks(len(values))
    values.partition((low, high))
    return _half_way(float(values[low]), float(values[high]))


def _ranks(count: int) -> tuple[int, int]:
    return (count - 1) // 2, count // 2


def _sampled(pieces: Iterator[Numbers], step: int) -> tuple[Numbers, int]:
    """Return every `step`-th number, sorted, and the count of all numbers."""
    picked, count = [], 0
    for piece in pieces:
        picked.append(piece[-count % step :: step].copy())
        count += len(piece)
    return np.sort(gathered(picked, np.float64)), count


def _between(pieces: Iterator[Numbers], first: float, last: float) -> tuple[list[int], Numbers]:
    """Return counts of the values in four ranges, and the values between `first` and `last`.

    The ranges are below `first`, equal to `first`, between, equal to `last`.
    """
    counts = [0, 0, 0, 0]
    between: list[Numbers] = []
    for piece in pieces:
        between.append(piece[(piece > first) & (piece < last)])
        counts[0] += int(np.count_nonzero(piece < first))
        counts[1] += int(np.count_nonzero(piece == first))
        counts[2] += len(between[-1])
        counts[3] += int(np.count_nonzero(piece == last)) if last > first else 0
        if counts[2] > column_stream.CHUNK_NUMBERS:
            raise ValueError(
                f"more than {column_stream.CHUNK_NUMBERS} numbers between {first} and {last}"
            )
    return counts, gathered(between, np.float64, counts[2])


def _ranked(rank: int, counts: list[int], limits: tuple[float, float], between: Numbers) -> float:
    """Return the number at `rank` (from 0) in sorted order, from the result of `_between`."""
    place = rank - counts[0]
    if 0 <= place < counts[1]:
        return limits[0]
    place -= counts[1]
    if 0 <= place < counts[2]:
        return float(np.partition(between, place)[place])
    if 0 <= place - counts[2] < counts[3]:
        return limits[1]
    raise ValueError(f"the median does not lie between {limits[0]} and {limits[1]}")


def _half_way(low: float, high: float) -> float:
    return low if low == high else low + (high - low) * 0.5
