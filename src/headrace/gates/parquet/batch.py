"""Parquet file that a validation plan runs on, read in pieces within a memory limit."""

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

# These optimizers use the file's statistics, which ignore NaN: DuckDB would evaluate `isnan(x)` as
# false and skip rows with NaN. So they are disabled.
_STATISTICS_OPTIMIZERS = ("statistics_propagation", "filter_pushdown")
PIECE = 65_536  # number of rows in a piece


class ParquetBatch:
    """Parquet file, its footer, and a DuckDB connection that can read only this file.

    Attributes:
        schema: the file's schema; if the file has no `_line`, that column is added: 1, 2, ...
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
            self._disable(_STATISTICS_OPTIMIZERS)
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

    def _disable(self, optimizers: Sequence[str]) -> None:
        """Disable these optimizers of DuckDB, and enable all others."""
        self.connection.execute(f"SET disabled_optimizers = '{','.join(optimizers)}'").fetchall()

    def _reading(self) -> str:
        names = ", ".join(ident(name) for name in self.file_schema.names)
        line = ", file_row_number + 1 AS _line" if self.numbered else ""
        return (
            f"SELECT {names}, file_row_number AS _row{line}"  # noqa: S608
            f" FROM read_parquet({literal(str(self.path))}, file_row_number = true)"
        )

    def beside(self) -> "ParquetBatch":
        """Return a copy with its own cursor for another thread; usable while this one is open."""
        other = copy(self)
        other.connection = self.connection.cursor()
        return other

    def single_row(self, query: str) -> list[Any]:
        """Run a query and return the values of its only row."""
        return list(self.connection.execute(query).fetchall()[0])

    def pieces(self, query: str) -> Iterator[pa.RecordBatch]:
        """Run a query and yield its rows in record batches."""
        yield from self.connection.sql(query).to_arrow_reader(PIECE)

    def take(self, rows: Rows, names: Sequence[str]) -> pa.Table:
        """Read the rows at these positions (ascending)."""
        positions = ", ".join(map(str, rows.tolist())) or "-1"
        columns = ", ".join(ident(name) for name in names)
        query = f"SELECT {columns} FROM _delivered WHERE _row IN ({positions}) ORDER BY _row"  # noqa: S608
        # Row numbers cannot be NaN, so skipping row groups by statistics is safe here.
        self._disable(())
        try:
            return self.connection.sql(query).to_arrow_table()
        finally:
            self._disable(_STATISTICS_OPTIMIZERS)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Read some columns of all rows, in file order, into memory."""
        selected = ", ".join(ident(name) for name in names)
        query = f"SELECT {selected} FROM _delivered ORDER BY _row"  # noqa: S608
        return self.connection.sql(query).to_arrow_table()

    def rest(self) -> None:
        """Close the DuckDB connection, which is not needed any more, to release its memory."""
        self.connection.close()

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (position of the first row, rows) of each piece, in order."""
        first = 0
        # With `pre_buffer`, the whole file would end up in memory.
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
