"""Distance between two columns, from 0 (same distribution) to 1 (no value in common).

For numbers and timestamps it is the Kolmogorov-Smirnov distance, for text the total variation
distance. If the change of the share of nulls is greater, that change is the distance.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.compare.values import is_number, numbers, thin


def distance(current: pa.Array, other: pa.Array, shift: int) -> float:
    if current.type != other.type:
        return 1.0
    if not len(current) or not len(other):
        return float(len(current) != len(other))
    nulls = float(abs(current.null_count / len(current) - other.null_count / len(other)))
    a, b = thin(current), thin(other)
    if a.null_count == len(a) or b.null_count == len(b):
        return nulls
    apart = _steps_apart(a, b, shift) if is_number(a.type) else _levels_apart(a, b)
    return float(round(max(nulls, apart), 6))


def _steps_apart(current: pa.Array, other: pa.Array, shift: int) -> float:
    """Return the Kolmogorov-Smirnov distance of two numeric columns."""
    offset = shift if pa.types.is_timestamp(current.type) else 0
    a, b = np.sort(numbers(current) - offset), np.sort(numbers(other))
    pooled = np.concatenate([a, b])
    below = [np.searchsorted(values, pooled, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _levels_apart(current: pa.Array, other: pa.Array) -> float:
    a, b = shares(current), shares(other)
    return sum(abs(a.get(level, 0.0) - b.get(level, 0.0)) for level in {*a, *b}) / 2


def shares(values: pa.Array) -> dict[str, float]:
    present = values.drop_null().cast(pa.string())
    counted = pc.value_counts(present)
    levels, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return {level: count / len(present) for level, count in zip(levels, counts, strict=True)}
