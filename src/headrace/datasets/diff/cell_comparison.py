"""Comparison of two columns cell by cell, with the equality rules of the content hash."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.hashing.cell_encoding import DIGESTED, words_of

Marks = npt.NDArray[np.bool_]


def differing(a: pa.ChunkedArray, b: pa.ChunkedArray, kind: str, name: str) -> Marks | None:
    """Mask of the rows whose cells differ; None if no cell differs.

    `a` and `b` have equal length and the canonical type `kind`; `name` is for errors. Null equals
    null, NaN equals NaN and -0 equals 0.
    """
    # Fast path over whole buffers. `equals` treats NaN as unequal to NaN; the comparison below
    # does not.
    if a.equals(b):
        return None
    first, second = (_combined(column) for column in (a, b))
    valid = [column.is_valid().to_numpy(zero_copy_only=False) for column in (first, second)]
    if kind in DIGESTED:
        unlike = pc.not_equal(first, second).fill_null(False).to_numpy(zero_copy_only=False)
    else:
        unlike = words_of(first, kind, name) != words_of(second, kind, name)
    marks: Marks = unlike | (valid[0] != valid[1])
    return marks if marks.any() else None


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
