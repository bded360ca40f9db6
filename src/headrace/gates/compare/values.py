"""Conversion of Arrow columns to the values that are compared."""

from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.failing_samples import plain

Floats = npt.NDArray[np.float64]
MOST_ROWS = 250_000  # in a batch with more rows, only every n-th is examined


def column_of(table: pa.Table, name: str) -> pa.Array | None:
    """Return a column as one array, with NaN replaced by null; None if the table lacks it."""
    if name not in table.schema.names:
        return None
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def readable(value: float, kind: pa.DataType, scale: int) -> Any:  # noqa: ANN401 - a JSON value
    """Convert a float from `numbers` back to a JSON value in the contract's unit."""
    if pa.types.is_timestamp(kind):
        return plain(pa.scalar(round(value), pa.int64()).cast(kind).as_py())
    if not isfinite(value):
        return plain(float(value))
    if scale:
        return round(value / 10**scale, scale + 1)
    return int(value) if pa.types.is_integer(kind) and float(value).is_integer() else float(value)


def is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
    )


def numbers(values: pa.Array) -> Floats:
    """Return the non-null values as float64.

    Timestamps become microseconds since 1970, which are exact within 285 years of 1970.
    """
    present = values.drop_null()
    if pa.types.is_timestamp(present.type):
        present = present.cast(pa.int64())
    floats: Floats = present.to_numpy(zero_copy_only=False).astype(np.float64)
    return floats


def thin(values: pa.Array) -> pa.Array:
    step = step_of(len(values))
    return values if step == 1 else values.take(pa.array(np.arange(0, len(values), step)))


def step_of(rows: int) -> int:
    """Return n such that every n-th of this number of rows is examined."""
    return max(1, -(-rows // MOST_ROWS))
