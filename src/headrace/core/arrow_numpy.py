"""Conversion between Arrow and numpy without pandas.

Arrow's own conversions import pandas, which costs 40 MB of memory and as much time as validating a
million rows.
"""

from typing import Any

import numpy as np
import pyarrow as pa

Numbers = np.ndarray[Any, np.dtype[Any]]


def to_numbers(column: pa.Array) -> Numbers:
    """Return a numeric column without nulls as a numpy view of the same memory."""
    kind: np.dtype[Any] = np.dtype(str(column.type).replace("double", "float64"))
    numbers: Numbers = np.frombuffer(
        column.buffers()[1], kind, len(column), column.offset * kind.itemsize
    )
    return numbers


def to_column(numbers: Numbers) -> pa.Array:
    """Return int64 or uint64 numbers as an Arrow column."""
    kinds = {np.dtype(np.int64): pa.int64(), np.dtype(np.uint64): pa.uint64()}
    buffer = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(kinds[numbers.dtype], len(numbers), [None, buffer])
