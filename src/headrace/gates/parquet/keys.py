"""Whether keys repeat, in a file of any length: integers, or hashes, sorted a part at a time.

Different hashes prove different keys. Equal ones prove nothing, so the rows that share one, and no
others, are compared by their keys.
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


class Keys:
    """The key of one check that wants it to be unique."""

    def __init__(self, batch: ParquetBatch, plan: Plan, check: Check) -> None:
        self.batch, self.plan = batch, plan
        self.names = ", ".join(ident(name) for name in check.repeated)
        self.among = check.among or "TRUE"
        kinds = [batch.schema.field(name).type for name in check.repeated]
        # Nulls, where they count among the keys, have a hash but are no integer.
        is_integer = len(kinds) == 1 and pa.types.is_signed_integer(kinds[0]) and check.among
        self.key = f"{self.names}::BIGINT" if is_integer else f"hash({self.names})"
        self.kind: type[np.generic] = np.int64 if is_integer else np.uint64
        self.shared = self._shared_keys()
        self._found: tuple[int, Rows] | None = None

    def _shared_keys(self) -> Numbers:
        """Keys, or hashes of keys, that more than one row has, ascending."""
        parts = max(1, -(-self.batch.rows // column_stream.MOST))
        if parts > 1 and self.kind is np.int64 and self._increase():
            return np.empty(0, np.int64)
        return np.concatenate([_repeated(self._keys(part, parts)) for part in range(parts)])

    def _increase(self) -> bool:
        """Whether each key is greater than the one before; found out soon where it is not."""
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

    def found(self) -> tuple[int, Rows]:
        """How many rows have a key that another row has too; positions of the first of them."""
        if not len(self.shared):
            return 0, NO_ROWS
        if self._found is None:
            with self._suspects():
                query = self._query(f"count(*), min(_row, {SAMPLE})")
                count, first = self.batch.one(query)
            self._found = int(count), np.asarray(first or [], dtype=np.int64)
        return self._found

    def rows(self) -> Iterator[Rows]:
        """Positions of all of them, some at a time, in no order."""
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
    if np.all(keys[1:] > keys[:-1]):  # in order already, as keys often are
        return keys[:0].copy()
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])
