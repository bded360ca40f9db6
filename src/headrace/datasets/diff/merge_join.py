"""The rows of two releases side by side in the order of time, a bounded number at once."""

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

# Rows of a window, both sides together, as cells allow; and how many windows are held at most
# where rows share one `t`.
_LEAST, _WINDOW, _CELLS, _MOST = 65_536, 262_144, 8_000_000, 8
_OPEN_FILES = 8
_END = np.iinfo(np.int64).max
_MICROSECONDS = pa.timestamp("us", "UTC")

Moments = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """A row group of a part, and the moment of its earliest row in microseconds."""

    first: int
    part: Part
    number: int


def opened(scan: Scan, part: Part) -> pq.ParquetFile:
    """A part's file. Raises StateError if it is missing or is not what was released."""
    return scan.file(part)


class Side:
    """Parts of one release as row groups, the earliest first."""

    def __init__(self, scan: Scan, parts: Sequence[Part]) -> None:
        """The columns of `scan` are read, `t` among them."""
        self._scan, self._columns = scan, list(scan.columns)
        self._files: dict[str, pq.ParquetFile] = {}
        self._parts = parts
        self._left: list[_Group] = []
        self._held: list[pa.Table] = []
        self.rows_held = 0
        self.rows = sum(part.rows for part in parts)

    def __enter__(self) -> Self:
        groups = [group for part in self._parts for group in self._groups(part)]
        self._left = sorted(groups, key=lambda group: group.first, reverse=True)
        return self

    def __exit__(self, *error: object) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def tables(self) -> Iterator[pa.Table]:
        """All rows, group by group."""
        while self._left:
            self.read()
            yield self.take(_END)

    def window(self) -> int:
        """How many rows to hold at once: fewer of many columns."""
        return max(_LEAST, min(_WINDOW, _CELLS // len(self._columns)))

    @property
    def next_moment(self) -> int:
        """No row that is still to be read is earlier."""
        return self._left[-1].first if self._left else _END

    def read(self) -> None:
        """Hold the rows of one more group."""
        group = self._left.pop()
        table = self._file(group.part).read_row_group(group.number, columns=self._columns)
        self._held.append(table.select(self._columns))
        self.rows_held += table.num_rows

    def take(self, before: int) -> pa.Table:
        """Let go of the held rows that are earlier than `before`."""
        ready, kept = [], []
        for table in self._held:
            early, late = _parted(table, before)
            ready.append(early)
            if late.num_rows:
                kept.append(late)
        self._held = kept
        self.rows_held = sum(table.num_rows for table in kept)
        return pa.concat_tables(ready) if ready else self.nothing()

    def nothing(self) -> pa.Table:
        return self._scan.schema.empty_table()

    def _groups(self, part: Part) -> Iterator[_Group]:
        file = self._file(part)
        place = file.schema_arrow.names.index("t")
        for number in range(file.num_row_groups):
            found = file.metadata.row_group(number).column(place).statistics
            if found is not None and found.has_min_max:
                first = pa.scalar(found.min, _MICROSECONDS).cast(pa.int64()).as_py()
            else:
                column = file.read_row_group(number, columns=["t"]).column("t")
                first = pc.min(column.cast(pa.int64())).as_py()
            if first is not None:  # a group without rows has no moment
                yield _Group(first, part, number)

    def _file(self, part: Part) -> pq.ParquetFile:
        if part.object not in self._files:
            while len(self._files) >= _OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[part.object] = opened(self._scan, part)
        return self._files[part.object]


def windows(a: Side, b: Side) -> Iterator[tuple[pa.Table, pa.Table]]:
    """All rows of both, in pairs of tables that follow each other in time.

    Rows of one `t` come in one pair, unless more of them share it than can be held.
    """
    window = min(a.window(), b.window())
    while a.next_moment < _END or b.next_moment < _END:
        side = a if a.next_moment <= b.next_moment else b
        side.read()
        held = a.rows_held + b.rows_held
        if held >= window:
            frontier = min(a.next_moment, b.next_moment)
            yield a.take(frontier), b.take(frontier)
        if a.rows_held + b.rows_held > _MOST * window:
            yield a.take(_END), b.take(_END)
    yield a.take(_END), b.take(_END)


def _parted(table: pa.Table, before: int) -> tuple[pa.Table, pa.Table]:
    """Rows earlier than `before`, and the others."""
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
