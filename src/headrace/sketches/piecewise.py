"""Sketches of a table that is read in pieces, so that only a few pieces are in memory."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa

from headrace.core.compute import threads
from headrace.sketches.arrays import kind_of
from headrace.sketches.counting import sketch
from headrace.sketches.sketch import Sketches, merged

_WAITING = 8  # sketches that are merged together: merging two costs as much as merging many
_START = np.zeros(1, np.int64)


def sketch_pieces(pieces: Iterable[pa.RecordBatch | pa.Table]) -> dict[str, Sketches]:
    """Return one sketch per column over all pieces, as if they were one table.

    Columns are sketched in parallel, on as many threads as the process may use.
    """
    waiting: dict[str, list[Sketches]] = {}
    rows = 0
    with ThreadPoolExecutor(threads()) as pool:
        for piece in pieces:
            names = piece.schema.names
            rows += piece.num_rows
            sketches = pool.map(partial(_sketch_column, piece, rows), range(len(names)))
            for name, column_sketch in zip(names, sketches, strict=True):
                pending = waiting.setdefault(name, [])
                pending.append(column_sketch)
                if len(pending) == _WAITING:
                    pending[:] = [merged(pending)]
        return dict(zip(waiting, pool.map(merged, waiting.values()), strict=True))


def _sketch_column(piece: pa.RecordBatch | pa.Table, rows: int, at: int) -> Sketches:
    return sketch(kind_of(piece.schema.field(at)), piece.column(at), _START, among=rows)
