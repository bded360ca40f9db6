"""How far two columns are apart: 0 is alike, 1 is nothing in common.

Of numbers and moments it is the greatest difference of the shares below any value (Kolmogorov and
Smirnov); of text the share of rows that would have to change their value (total variation). A share
of nulls that moved further counts in its place.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.compare.values import is_number, numbers, thin


def distance(this: pa.Array, other: pa.Array, shift: int) -> float:
    if this.type != other.type:
        return 1.0
    if not len(this) or not len(other):
        return float(len(this) != len(other))
    nulls = float(abs(this.null_count / len(this) - other.null_count / len(other)))
    a, b = thin(this), thin(other)
    if a.null_count == len(a) or b.null_count == len(b):
        return nulls
    apart = _steps_apart(a, b, shift) if is_number(a.type) else _levels_apart(a, b)
    return float(round(max(nulls, apart), 6))


def _steps_apart(this: pa.Array, other: pa.Array, shift: int) -> float:
    """The greatest difference of the two shares below any value."""
    moved = shift if pa.types.is_timestamp(this.type) else 0
    a, b = np.sort(numbers(this) - moved), np.sort(numbers(other))
    every = np.concatenate([a, b])
    below = [np.searchsorted(values, every, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _levels_apart(this: pa.Array, other: pa.Array) -> float:
    a, b = shares(this), shares(other)
    return sum(abs(a.get(level, 0.0) - b.get(level, 0.0)) for level in {*a, *b}) / 2


def shares(values: pa.Array) -> dict[str, float]:
    present = values.drop_null().cast(pa.string())
    counted = pc.value_counts(present)
    levels, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return {level: count / len(present) for level, count in zip(levels, counts, strict=True)}
