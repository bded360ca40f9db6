"""Parquet file as the batch that a plan runs over, read in pieces under a memory limit."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.sql import ident, literal
from headrace.gates.plan import Rows

# DuckDB trusts the file's statistics, which ignore NaN: it takes `isnan(x)` for false, and skips
# rows with NaN. These optimizers are disabled, since they are wrong for such files.
_CREDULOUS = ("statistics_propagation", "filter_pushdown")
PIECE = 65_536  # rows of one piece


class ParquetBatch:
    """Parquet file, its footer, and an engine that can read only this file.

    Attributes:
        schema: of the file, with `_line` if the file has none: its rows are lines 1, 2, ...
        rows: number of rows.
        metadata: the footer.
    """

    def __init__(self, path: Path, *, memory_mb: int, threads: int | None) -> None:
        self.path = path.resolve()
        with pq.ParquetFile(self.path) as file:
            self.metadata, self.file_schema = file.metadata, file.schema_arrow
        self.rows = int(self.metadata.num_rows)
        self.numbered = "_line" not in self.file_schema.names
        line = [pa.field("_line", pa.int64())] if self.numbered else []
        self.schema = pa.schema([*self.file_schema, *line])
        self._memory_mb, self._threads = memory_mb, threads or _cores()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as opening:
            spill = opening.enter_context(TemporaryDirectory(prefix="headrace-gate-"))
            self.connection = opening.enter_context(self._engine(spill))
            self._doubt(_CREDULOUS)
            self.connection.execute(f"CREATE VIEW _delivered AS {self._reading()}").fetchall()
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _engine(self, spill: str) -> duckdb.DuckDBPyConnection:
        config = {
            "threads": self._threads,
            "memory_limit": f"{self._memory_mb}MB",
            "temp_directory": spill,
        }
        connection = duckdb.connect(":memory:", config=config)
        for setting in (
            "TimeZone = 'UTC'",
            f"allowed_paths = [{literal(str(self.path))}]",
            "enable_external_access = false",
        ):
            connection.execute(f"SET {setting}").fetchall()
        return connection

    def _doubt(self, optimizers: Sequence[str]) -> None:
        """Disable some of the engine's optimizers."""
        self.connection.execute(f"SET disabled_optimizers = '{','.join(optimizers)}'").fetchall()

    def _reading(self) -> str:
        names = ", ".join(ident(name) for name in self.file_schema.names)
        line = ", file_row_number + 1 AS _line" if self.numbered else ""
        return (
            f"SELECT {names}, file_row_number AS _row{line}"  # noqa: S608
            f" FROM read_parquet({literal(str(self.path))}, file_row_number = true)"
        )

    def beside(self) -> "ParquetBatch":
        """Return the same file for another thread, valid as long as this one is open."""
        other = copy(self)
        other.connection = self.connection.cursor()
        return other

    def single_row(self, query: str) -> list[Any]:
        """Return the values of a query's only row."""
        return list(self.connection.execute(query).fetchall()[0])

    def pieces(self, query: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `query`, some at a time."""
        yield from self.connection.sql(query).to_arrow_reader(PIECE)

    def take(self, rows: Rows, names: Sequence[str]) -> pa.Table:
        """Return the rows at these positions (ascending), as in the file."""
        positions = ", ".join(map(str, rows.tolist())) or "-1"
        columns = ", ".join(ident(name) for name in names)
        query = f"SELECT {columns} FROM _delivered WHERE _row IN ({positions}) ORDER BY _row"  # noqa: S608
        # Row numbers are exact, so here row groups may be skipped.
        self._doubt(())
        try:
            return self.connection.sql(query).to_arrow_table()
        finally:
            self._doubt(_CREDULOUS)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return all rows of some columns, in order, in memory."""
        selected = ", ".join(ident(name) for name in names)
        query = f"SELECT {selected} FROM _delivered ORDER BY _row"  # noqa: S608
        return self.connection.sql(query).to_arrow_table()

    def rest(self) -> None:
        """Release the engine's memory: it is not used any more."""
        self.connection.close()

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (position of the first row, rows) of each piece, in order."""
        first = 0
        # With read-ahead, the whole file would be in memory at the end.
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for piece in file.iter_batches(PIECE):
                table = pa.Table.from_batches([piece])
                if self.numbered:
                    lines = np.arange(first + 1, first + 1 + len(piece))
                    table = table.append_column("_line", pa.array(lines))
                yield first, table
                first += len(piece)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
