"""Search for duplicate keys in a file larger than memory.

Integer keys, or hashes of other keys, are sorted in parts that fit in memory. Two keys with
different hashes are different. Two keys with the same hash may be different, so the rows that share
a hash are compared by their keys.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from headrace.core.arrow_numpy import to_column, to_numbers
from headrace.core.sql import ident
from headrace.gates.checks.check import Check
from headrace.gates.failing_samples import SAMPLE
from headrace.gates.parquet import column_stream
from headrace.gates.parquet.batch import ParquetBatch
from headrace.gates.parquet.column_stream import Numbers, gathered
from headrace.gates.plan import NO_ROWS, Plan, Rows


class UniqueKey:
    """Key columns of one uniqueness check, and the keys that occur more than once."""

    def __init__(self, batch: ParquetBatch, plan: Plan, check: Check) -> None:
        self.batch, self.plan = batch, plan
        self.names = ", ".join(ident(name) for name in check.repeated)
        self.among = check.among or "TRUE"
        kinds = [batch.schema.field(name).type for name in check.repeated]
        # If rows with a null key are checked too, hashes are needed: null is not an integer.
        is_integer = len(kinds) == 1 and pa.types.is_signed_integer(kinds[0]) and check.among
        self.key = f"{self.names}::BIGINT" if is_integer else f"hash({self.names})"
        self.kind: type[np.generic] = np.int64 if is_integer else np.uint64
        self.shared = self._shared_keys()
        self._repeats: tuple[int, Rows] | None = None

    def _shared_keys(self) -> Numbers:
        """Return the integer keys, or hashes of keys, that occur in more than one row."""
        parts = max(1, -(-self.batch.rows // column_stream.CHUNK_NUMBERS))
        if parts > 1 and self.kind is np.int64 and self._increase():
            return np.empty(0, np.int64)
        return np.concatenate([_repeated(self._keys(part, parts)) for part in range(parts)])

    def _increase(self) -> bool:
        """Return True if the keys are strictly ascending; stop at the first one that is not."""
        last = np.empty(0, np.int64)
        for keys in self._pieces(""):
            run = np.concatenate([last, keys])
            if not np.all(run[1:] > run[:-1]):
                return False
            last = run[-1:]
        return True

    def _keys(self, part: int, parts: int) -> Numbers:
        of_part = f" AND hash({self.names}) % {parts} = {part}" if parts > 1 else ""
        return gathered(self._pieces(of_part), self.kind, self.batch.rows // parts + 1)

    def _pieces(self, of_part: str) -> Iterator[Numbers]:
        query = (
            f"{self.plan.batch} SELECT {self.key} AS key FROM batch"  # noqa: S608
            f" WHERE {self.among}{of_part}"
        )
        return (to_numbers(piece["key"]) for piece in self.batch.pieces(query))

    def repeats(self) -> tuple[int, Rows]:
        """Return the number of rows with a duplicate key, and the positions of the first ones."""
        if not len(self.shared):
            return 0, NO_ROWS
        if self._repeats is None:
            with self._suspects():
                query = self._query(f"count(*), min(_row, {SAMPLE})")
                count, first = self.batch.single_row(query)
            self._repeats = int(count), np.asarray(first or [], dtype=np.int64)
        return self._repeats

    def rows(self) -> Iterator[Rows]:
        """Yield the positions of all rows with a duplicate key in pieces, unordered."""
        with self._suspects():
            for piece in self.batch.pieces(self._query("_row")):
                yield to_numbers(piece["_row"])

    def _query(self, selected: str) -> str:
        return (
            f"{self.plan.batch} SELECT {selected} FROM"  # noqa: S608
            f" (SELECT _row, count(*) OVER (PARTITION BY {self.names}) AS _times FROM batch"
            f" WHERE {self.among} AND {self.key} IN (SELECT key FROM _shared))"
            " WHERE _times > 1"
        )

    @contextmanager
    def _suspects(self) -> Iterator[None]:
        shared = pa.Table.from_arrays([to_column(self.shared)], ["key"])
        self.batch.connection.register("_shared", shared)
        try:
            yield
        finally:
            self.batch.connection.unregister("_shared")


def _repeated(keys: Numbers) -> Numbers:
    if np.all(keys[1:] > keys[:-1]):  # keys are often ascending already: skip the sort
        return keys[:0].copy()
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])
