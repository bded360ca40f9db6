"""Which cells of two columns differ, as the content hash sees them."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.hashing.cell_encoding import DIGESTED, words_of

Marks = npt.NDArray[np.bool_]


def differing(a: pa.ChunkedArray, b: pa.ChunkedArray, kind: str, name: str) -> Marks | None:
    """Marks the rows whose cells differ; None where none do.

    `a` and `b` are of equal length and canonical type `kind`; `name` is for errors. Null is null,
    NaN is NaN, -0 is 0, and nothing else is equal.
    """
    # Whole buffers at once; it takes NaN for unequal, which the slow way then decides.
    if a.equals(b):
        return None
    one, other = (_whole(column) for column in (a, b))
    valid = [column.is_valid().to_numpy(zero_copy_only=False) for column in (one, other)]
    if kind in DIGESTED:
        unlike = pc.not_equal(one, other).fill_null(False).to_numpy(zero_copy_only=False)
    else:
        unlike = words_of(one, kind, name) != words_of(other, kind, name)
    marks: Marks = unlike | (valid[0] != valid[1])
    return marks if marks.any() else None


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
