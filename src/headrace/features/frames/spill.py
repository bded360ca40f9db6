"""Rows written to disk in parts; the parts are read back one at a time."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import Ints, stable_order

# Rows are buffered until a part has this many, because each batch on disk costs a few hundred bytes
# and one read.
_ROWS = 1 << 14


class Spill:
    """Rows of one schema, split over `parts` files; within a file, rows keep their order."""

    def __init__(self, folder: Path, name: str, parts: int) -> None:
        self.parts = parts
        self.rows = np.zeros(parts, dtype=np.int64)
        self._paths = [folder / f"{name}-{part}.arrow" for part in range(parts)]
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._waiting: dict[int, list[pa.Table]] = {}
        self._waiting_rows = np.zeros(parts, dtype=np.int64)
        self._schema: pa.Schema | None = None

    def write(self, table: pa.Table, parts: Ints) -> None:
        """Append each row of `table` to the part with its number in `parts`; -1 skips the row."""
        self._schema = self._schema or table.schema
        order = stable_order(parts + 1, self.parts + 1)
        ends = np.cumsum(np.bincount(parts + 1, minlength=self.parts + 1))
        table = table.take(pa.array(order)).combine_chunks()
        for part in range(self.parts):
            start, end = int(ends[part]), int(ends[part + 1])
            if start < end:
                self.append(part, table.slice(start, end - start))

    def append(self, part: int, table: pa.Table) -> None:
        self._schema = self._schema or table.schema
        self._waiting.setdefault(part, []).append(table)
        self.rows[part] += table.num_rows
        self._waiting_rows[part] += table.num_rows
        if self._waiting_rows[part] >= _ROWS:
            self.flush(part)

    def flush(self, part: int) -> None:
        """Write the buffered rows of a part as one batch, which may be empty."""
        tables = self._waiting.pop(part, [])
        if not tables:
            return
        if part not in self._writers:
            self._writers[part] = pa.ipc.new_stream(str(self._paths[part]), self._schema)
        combined = pa.concat_tables(tables).combine_chunks()
        batches = combined.to_batches()
        self._writers[part].write_batch(batches[0] if batches else empty_batch(combined.schema))
        self._waiting_rows[part] = 0

    def close(self) -> None:
        """Flush all parts and close the files."""
        for part in range(self.parts):
            self.flush(part)
        for writer in self._writers.values():
            writer.close()

    def read(self, part: int) -> pa.Table | None:
        """Read the rows of a part and delete its file; None if there are none."""
        if not self.rows[part]:
            return None
        with pa.OSFile(str(self._paths[part])) as file, pa.ipc.open_stream(file) as reader:
            table = reader.read_all().combine_chunks()  # once, for all later steps
        self._paths[part].unlink()
        return table

    def batches(self, part: int) -> Generator[pa.RecordBatch, None, None]:
        """Yield the batches of a part, one at a time."""
        if self._paths[part].exists():
            with pa.OSFile(str(self._paths[part])) as file, pa.ipc.open_stream(file) as reader:
                yield from reader


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
