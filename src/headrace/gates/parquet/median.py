"""The median of a column of any length, in memory for so many numbers only.

Where there are more, the middle of a sample gives two limits that the median lies between, and a
second reading gathers what lies between them.
"""

from collections.abc import Callable, Iterator

import numpy as np

from headrace.gates.parquet import column_stream
from headrace.gates.parquet.column_stream import Numbers, gathered

Read = Callable[[], Iterator[Numbers]]
# The rank of a sample's middle is off by half the root of its length: this is 12 times as much.
_DEVIATIONS = 6


def median(read: Read, most: int) -> float | None:
    """Of the floats that each `read()` gives, at most `most`, NaN not among them; None of none.

    Between two middle ones it is half way, as DuckDB has it.

    Raises:
        ValueError: the sample misled, which needs numbers in an order made for it.
    """
    if most <= column_stream.MOST:
        values = gathered(read(), np.float64, most)
        return _middle(values) if len(values) else None
    sample, count = _sampled(read(), -(-most // (column_stream.MOST // 4)))
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
    """One number in `step`, sorted; and how many there are of all."""
    picked, count = [], 0
    for piece in pieces:
        picked.append(piece[-count % step :: step].copy())
        count += len(piece)
    return np.sort(gathered(picked, np.float64)), count


def _between(pieces: Iterator[Numbers], first: float, last: float) -> tuple[list[int], Numbers]:
    """How many are below `first`, are it, lie between, are `last`; and those between."""
    counts = [0, 0, 0, 0]
    between: list[Numbers] = []
    for piece in pieces:
        between.append(piece[(piece > first) & (piece < last)])
        counts[0] += int(np.count_nonzero(piece < first))
        counts[1] += int(np.count_nonzero(piece == first))
        counts[2] += len(between[-1])
        counts[3] += int(np.count_nonzero(piece == last)) if last > first else 0
        if counts[2] > column_stream.MOST:
            raise ValueError(f"more than {column_stream.MOST} numbers between {first} and {last}")
    return counts, gathered(between, np.float64, counts[2])


def _ranked(rank: int, counts: list[int], limits: tuple[float, float], between: Numbers) -> float:
    """The number of `rank`, of what `_between` found."""
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
