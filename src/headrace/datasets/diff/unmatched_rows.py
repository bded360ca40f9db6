"""Buffer for rows that have no match at the same `t`; a large buffer spills to disk.

A row may have a match at another `t`, so these rows are matched again when all rows are read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.datasets.hashing.cell_encoding import words_of
from headrace.datasets.store.parts import numbers_of

# Maximum number of bytes in memory, and target number of rows in a bucket.
IN_MEMORY, OF_A_BUCKET = 256 << 20, 500_000
_MOST_BUCKETS = 256


class Leftovers:
    """Unmatched rows of both sides, in buckets by key; rows with equal keys share a bucket."""

    def __init__(self, key: Sequence[str], rows: int) -> None:
        """Prepare for at most `rows` rows with the given key columns."""
        self._key = list(key)
        self._buckets = max(1, min(_MOST_BUCKETS, rows // OF_A_BUCKET))
        self._tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])
        self._schemas: list[pa.Schema | None] = [None, None]
        self._bytes = 0
        self._folder: TemporaryDirectory[str] | None = None
        self._files: dict[tuple[int, int], pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
        if self._folder:
            self._folder.cleanup()

    def add(self, side: int, rows: pa.Table) -> None:
        """Add rows of side 0 or 1."""
        self._schemas[side] = rows.schema
        if not rows.num_rows:
            return
        self._tables[side].append(rows)
        self._bytes += rows.nbytes
        if self._bytes > IN_MEMORY:
            self._spill()

    def buckets(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield (rows of side 0, rows of side 1) for each bucket."""
        if self._folder is None:
            yield self._concatenated(0, self._tables[0]), self._concatenated(1, self._tables[1])
            return
        self._spill()
        self._close()
        for bucket in range(self._buckets):
            yield self._read(0, bucket), self._read(1, bucket)

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="headrace-diff-")
        for side in (0, 1):
            for table in self._tables[side]:
                self._write(side, table)
            self._tables[side].clear()
        self._bytes = 0

    def _write(self, side: int, table: pa.Table) -> None:
        buckets = bucket_numbers(table, self._key, self._buckets)
        for bucket in np.unique(buckets).tolist():
            place = (side, bucket)
            if place not in self._files:
                path = str(self._path(side, bucket))
                self._files[place] = pa.ipc.new_stream(path, table.schema)
            self._files[place].write_table(table.filter(pa.array(buckets == bucket)))

    def _path(self, side: int, bucket: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"{side}-{bucket}.arrows"

    def _read(self, side: int, bucket: int) -> pa.Table:
        path = self._path(side, bucket)
        if not path.exists():
            return self._concatenated(side, [])
        with pa.ipc.open_stream(str(path)) as stream:
            return stream.read_all()

    def _concatenated(self, side: int, tables: list[pa.Table]) -> pa.Table:
        if tables:
            return pa.concat_tables(tables)
        schema = self._schemas[side]
        return pa.table({}) if schema is None else schema.empty_table()

    def _close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


def bucket_numbers(table: pa.Table, key: Sequence[str], buckets: int) -> npt.NDArray[np.int64]:
    """Bucket of each row, from 0 to `buckets` - 1; rows with equal keys share a bucket."""
    columns = {}
    for name in key:
        column = table.column(name)
        if pa.types.is_floating(column.type):  # -0 equals 0, and all NaNs are equal
            column = pa.chunked_array([words_of(column.combine_chunks(), "float64", name)])
        columns[name] = column
    numbers = numbers_of(pa.table(columns), key) % np.uint64(buckets)
    return numbers.astype(np.int64)
