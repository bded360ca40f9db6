"""Rows of two releases side by side in time order, a bounded number at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

# Minimum and maximum number of rows in a window (both sides together), target number of cells in a
# window, and maximum number of windows held at once if many rows share one `t`.
_MIN_WINDOW, _MAX_WINDOW, _CELLS, _MAX_WINDOWS_HELD = 65_536, 262_144, 8_000_000, 8
_OPEN_FILES = 8
_END = np.iinfo(np.int64).max
_MICROSECONDS = pa.timestamp("us", "UTC")

Moments = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """A row group of a part; `first` is its earliest `t`, microseconds UTC."""

    first: int
    part: Part
    number: int


def opened(scan: Scan, part: Part) -> pq.ParquetFile:
    """Open the file of a part. Raises StateError if it is missing or differs from the manifest."""
    return scan.file(part)


class Side:
    """Rows of one release, read row group by row group, earliest first."""

    def __init__(self, scan: Scan, parts: Sequence[Part]) -> None:
        """Prepare to read the columns of `scan`, which include `t`, from `parts`."""
        self._scan, self._columns = scan, list(scan.columns)
        self._files: dict[str, pq.ParquetFile] = {}
        self._parts = parts
        self._pending: list[_Group] = []
        self._tables: list[pa.Table] = []
        self.rows_held = 0
        self.rows = sum(part.rows for part in parts)

    def __enter__(self) -> Self:
        groups = [group for part in self._parts for group in self._groups(part)]
        self._pending = sorted(groups, key=lambda group: group.first, reverse=True)
        return self

    def __exit__(self, *error: object) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows, row group by row group."""
        while self._pending:
            self.read()
            yield self.take(_END)

    def window(self) -> int:
        """Number of rows to hold at once; fewer if there are many columns."""
        return max(_MIN_WINDOW, min(_MAX_WINDOW, _CELLS // len(self._columns)))

    @property
    def next_moment(self) -> int:
        """Lower bound of `t` of all unread rows, microseconds UTC."""
        return self._pending[-1].first if self._pending else _END

    def read(self) -> None:
        """Read one more row group into memory."""
        group = self._pending.pop()
        table = self._file(group.part).read_row_group(group.number, columns=self._columns)
        self._tables.append(table.select(self._columns))
        self.rows_held += table.num_rows

    def take(self, before: int) -> pa.Table:
        """Remove and return the rows in memory that are earlier than `before`."""
        ready, late_tables = [], []
        for table in self._tables:
            early, late = _parted(table, before)
            ready.append(early)
            if late.num_rows:
                late_tables.append(late)
        self._tables = late_tables
        self.rows_held = sum(table.num_rows for table in late_tables)
        return pa.concat_tables(ready) if ready else self.empty()

    def empty(self) -> pa.Table:
        return self._scan.schema.empty_table()

    def _groups(self, part: Part) -> Iterator[_Group]:
        file = self._file(part)
        place = file.schema_arrow.names.index("t")
        for number in range(file.num_row_groups):
            statistics = file.metadata.row_group(number).column(place).statistics
            if statistics is not None and statistics.has_min_max:
                first = pa.scalar(statistics.min, _MICROSECONDS).cast(pa.int64()).as_py()
            else:
                column = file.read_row_group(number, columns=["t"]).column("t")
                first = pc.min(column.cast(pa.int64())).as_py()
            if first is not None:  # None for a row group without rows
                yield _Group(first, part, number)

    def _file(self, part: Part) -> pq.ParquetFile:
        if part.object not in self._files:
            while len(self._files) >= _OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[part.object] = opened(self._scan, part)
        return self._files[part.object]


def windows(a: Side, b: Side) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield all rows as pairs of tables (rows of `a`, rows of `b`), in time order.

    Rows with the same `t` are in one pair, unless they are too many to hold in memory.
    """
    window = min(a.window(), b.window())
    while a.next_moment < _END or b.next_moment < _END:
        side = a if a.next_moment <= b.next_moment else b
        side.read()
        rows = a.rows_held + b.rows_held
        if rows >= window:
            frontier = min(a.next_moment, b.next_moment)
            yield a.take(frontier), b.take(frontier)
        if a.rows_held + b.rows_held > _MAX_WINDOWS_HELD * window:
            yield a.take(_END), b.take(_END)
    yield a.take(_END), b.take(_END)


def _parted(table: pa.Table, before: int) -> tuple[pa.Table, pa.Table]:
    """Split a table into (rows earlier than `before`, all other rows)."""
    if before == _END:
        return table, table.slice(0, 0)
    moments = _moments(table)
    if bool((moments[:-1] <= moments[1:]).all()):
        cut = int(np.searchsorted(moments, before))
        return table.slice(0, cut), table.slice(cut)
    early = pa.array(moments < before)
    return table.filter(early), table.filter(pc.invert(early))


def _moments(table: pa.Table) -> Moments:
    moments: Moments = table.column("t").cast(pa.int64()).to_numpy()
    return moments
