"""Whether keys repeat, in a file of any length: by their 64-bit hashes, sorted a part at a time.

Different hashes prove different keys. Equal ones prove nothing, so the rows that share a hash, and
no others, are compared by their keys.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.gates.check import Check
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.plan import Plan
from headrace.sql import ident

MOST_KEYS = 8_000_000  # hashes that are in memory at a time: 64 MB

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


class Keys:
    """The key of one check that wants it to be unique."""

    def __init__(self, batch: ParquetBatch, plan: Plan, check: Check) -> None:
        self.batch, self.plan = batch, plan
        self.names = ", ".join(ident(name) for name in check.repeated)
        self.among = check.among or "TRUE"
        self.shared = self._shared_hashes()

    def _shared_hashes(self) -> Hashes:
        """Hashes that more than one row has, ascending."""
        parts = max(1, -(-self.batch.rows // MOST_KEYS))
        return np.concatenate([_repeated(self._hashes(part, parts)) for part in range(parts)])

    def _hashes(self, part: int, parts: int) -> Hashes:
        of_part = f" AND hash({self.names}) % {parts} = {part}" if parts > 1 else ""
        query = (
            f"{self.plan.batch} SELECT hash({self.names}) AS key FROM batch"  # noqa: S608
            f" WHERE {self.among}{of_part}"
        )
        found = _Growing(self.batch.rows // parts + 1)
        for piece in self.batch.pieces(query):
            found.add(piece["key"].to_numpy())
        return found.values()

    def count(self) -> int:
        """Rows whose key another row has too."""
        if not len(self.shared):
            return 0
        with self._suspects():
            return int(self.batch.one(f"{self._query('count(*)')}")[0])

    def first(self, limit: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Positions of the first of them."""
        with self._suspects():
            query = f"{self._query('min(_row, ' + str(limit) + ')')}"
            return np.asarray(self.batch.one(query)[0] or [], dtype=np.int64)

    def rows(self) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        """Positions of all of them, some at a time, in no order."""
        with self._suspects():
            for piece in self.batch.pieces(self._query("_row")):
                yield piece["_row"].to_numpy()

    def _query(self, selected: str) -> str:
        return (
            f"{self.plan.batch} SELECT {selected} FROM"  # noqa: S608
            f" (SELECT _row, count(*) OVER (PARTITION BY {self.names}) AS _times FROM batch"
            f" WHERE {self.among} AND hash({self.names}) IN (SELECT key FROM _shared))"
            " WHERE _times > 1"
        )

    @contextmanager
    def _suspects(self) -> Iterator[None]:
        self.batch.connection.register("_shared", pa.table({"key": pa.array(self.shared)}))
        try:
            yield
        finally:
            self.batch.connection.unregister("_shared")


class _Growing:
    """Pieces gathered in one array: no second copy of all of them, as joining them would need."""

    def __init__(self, expected: int) -> None:
        self._array: Hashes = np.empty(expected, np.uint64)
        self._used = 0

    def add(self, piece: Hashes) -> None:
        end = self._used + len(piece)
        if end > len(self._array):
            grown: Hashes = np.empty(end + end // 8, np.uint64)
            grown[: self._used] = self._array[: self._used]
            self._array = grown
        self._array[self._used : end] = piece
        self._used = end

    def values(self) -> Hashes:
        return self._array[: self._used]


def _repeated(hashes: Hashes) -> Hashes:
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
