"""Between Arrow and numpy without pandas.

Arrow's own ways there import it, which takes 40 MB and as long as judging a million rows.
"""

from typing import Any

import numpy as np
import pyarrow as pa

Numbers = np.ndarray[Any, np.dtype[Any]]


def to_numbers(column: pa.Array) -> Numbers:
    """A column of numbers without nulls, as it lies in memory."""
    kind: np.dtype[Any] = np.dtype(str(column.type).replace("double", "float64"))
    found: Numbers = np.frombuffer(
        column.buffers()[1], kind, len(column), column.offset * kind.itemsize
    )
    return found


def to_column(numbers: Numbers) -> pa.Array:
    """The other way."""
    kinds = {np.dtype(np.int64): pa.int64(), np.dtype(np.uint64): pa.uint64()}
    data = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(kinds[numbers.dtype], len(numbers), [None, data])
