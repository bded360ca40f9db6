"""One Parquet file as the batch that a plan runs over, read in pieces under a limit of memory."""

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

# DuckDB believes of a column what the file's statistics say, which leave NaN out: `isnan(x)` is
# false to it, and rows with NaN are skipped. Only what holds of every file may be concluded.
_CREDULOUS = ("statistics_propagation", "filter_pushdown")
PIECE = 65_536  # rows that are handed over at a time


class ParquetBatch:
    """A file, its footer, and an engine that sees nothing but this file.

    Attributes:
        schema: of the file, with `_line` if the file has none: its rows are lines 1, 2, ...
        rows: how many there are.
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
        """Do without some of the engine's optimizers."""
        self.connection.execute(f"SET disabled_optimizers = '{','.join(optimizers)}'").fetchall()

    def _reading(self) -> str:
        names = ", ".join(ident(name) for name in self.file_schema.names)
        line = ", file_row_number + 1 AS _line" if self.numbered else ""
        return (
            f"SELECT {names}, file_row_number AS _row{line}"  # noqa: S608
            f" FROM read_parquet({literal(str(self.path))}, file_row_number = true)"
        )

    def beside(self) -> "ParquetBatch":
        """The same file for another thread, as long as this one is open."""
        other = copy(self)
        other.connection = self.connection.cursor()
        return other

    def one(self, query: str) -> list[Any]:
        """The values of the only row."""
        return list(self.connection.execute(query).fetchall()[0])

    def pieces(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of `query`, some at a time."""
        yield from self.connection.sql(query).to_arrow_reader(PIECE)

    def take(self, rows: Rows, names: Sequence[str]) -> pa.Table:
        """The rows at these positions (ascending), as the file has them."""
        wanted = ", ".join(map(str, rows.tolist())) or "-1"
        columns = ", ".join(ident(name) for name in names)
        query = f"SELECT {columns} FROM _delivered WHERE _row IN ({wanted}) ORDER BY _row"  # noqa: S608
        # Row numbers are exact, so here groups of rows may be skipped.
        self._doubt(())
        try:
            return self.connection.sql(query).to_arrow_table()
        finally:
            self._doubt(_CREDULOUS)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """All rows of some columns, in order, in memory."""
        wanted = ", ".join(ident(name) for name in names)
        query = f"SELECT {wanted} FROM _delivered ORDER BY _row"  # noqa: S608
        return self.connection.sql(query).to_arrow_table()

    def rest(self) -> None:
        """Give the engine's memory back: nothing is asked of it any more."""
        self.connection.close()

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """(position of its first row, rows) of one piece after the other, in order."""
        first = 0
        # Read ahead, the whole file would be in memory at the end.
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for piece in file.iter_batches(PIECE):
                table = pa.Table.from_batches([piece])
                if self.numbered:
                    lines = np.arange(first + 1, first + 1 + len(piece))
                    table = table.append_column("_line", pa.array(lines))
                yield first, table
                first += len(piece)


def _cores() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
