"""Sketches of rows that come piece by piece, in memory for a few pieces."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa

from headrace.core.compute import threads
from headrace.sketches.arrays import kind_of
from headrace.sketches.counting import sketch
from headrace.sketches.sketch import Sketches, merged

_WAITING = 8  # sketches of pieces that are merged at once: sorting a few costs as much as many
_START = np.zeros(1, np.int64)


def sketch_pieces(pieces: Iterable[pa.RecordBatch | pa.Table]) -> dict[str, Sketches]:
    """One sketch for each column over all pieces, as if they had been one table.

    Columns go side by side, on as many threads as the process may use.
    """
    waiting: dict[str, list[Sketches]] = {}
    seen = 0
    with ThreadPoolExecutor(threads()) as pool:
        for piece in pieces:
            names = piece.schema.names
            seen += piece.num_rows
            done = pool.map(partial(_one, piece, seen), range(len(names)))
            for name, one in zip(names, done, strict=True):
                some = waiting.setdefault(name, [])
                some.append(one)
                if len(some) == _WAITING:
                    some[:] = [merged(some)]
        return dict(zip(waiting, pool.map(merged, waiting.values()), strict=True))


def _one(piece: pa.RecordBatch | pa.Table, seen: int, at: int) -> Sketches:
    return sketch(kind_of(piece.schema.field(at)), piece.column(at), _START, among=seen)
