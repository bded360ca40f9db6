"""Sampling of two releases, such that the two samples differ only where the releases differ.

Rows of equal parts are sampled once, with the same weight on both sides. Other rows are sampled in
pairs with the same key. So sampling noise does not dominate the distance between the samples.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

ROWS = 20_000
_GROUPS = 4  # row groups of equal parts to sample


class Sampler:
    """Sample of every n-th row of each side."""

    def __init__(self, columns: Sequence[str], rows: int) -> None:
        """Prepare to sample `columns`; each side has about `rows` rows."""
        self.stride = max(1, -(-rows // ROWS))
        self._columns = list(columns)
        self._row_counts = [0, 0, 0]
        self.unread: Counter[str] = Counter()
        self.tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])

    def pairs(self, a: pa.Table, b: pa.Table, names: Sequence[str] | None = None) -> None:
        """Sample the same rows of two tables with equal keys; `names` limits the columns."""
        places = self._places(2, a.num_rows)
        for side, table in enumerate((a, b)):
            self._keep(side, table.select(list(names or self._columns)), places)

    def add_unmatched(self, side: int, rows: pa.Table) -> None:
        """Sample rows that only one side has."""
        self._keep(side, rows.select(self._columns), self._places(side, rows.num_rows))

    def common(self, names: Sequence[str], rows: int) -> None:
        """Count rows whose columns `names` were not read, since they are equal on both sides."""
        for name in names:
            self.unread[name] += rows

    def of(self, side: int, name: str) -> list[pa.ChunkedArray]:
        """Sampled cells of a column."""
        return [t.column(name) for t in self.tables[side] if name in t.column_names]

    def _places(self, of: int, rows: int) -> pa.Array:
        places = np.arange(-self._row_counts[of] % self.stride, rows, self.stride)
        self._row_counts[of] += rows
        return pa.array(places, pa.int64())

    def _keep(self, side: int, table: pa.Table, places: pa.Array) -> None:
        if len(places):
            self.tables[side].append(table.take(places))


def spread(scan: Scan, parts: Sequence[Part]) -> pa.Table:
    """Sample of at most ROWS rows, from row groups spread over all parts."""
    rows = sum(part.rows for part in parts)
    picked = sorted({n * len(parts) // _GROUPS for n in range(_GROUPS)}) if parts else []
    tables = []
    for place in picked:
        with scan.file(parts[place]) as file:
            tables += _read_groups(file, scan.columns, max(1, -(-_GROUPS // len(picked))))
    if not tables:
        return scan.schema.empty_table()
    table = pa.concat_tables(tables)
    stride = max(1, -(-min(rows, table.num_rows) // ROWS))
    return table.take(pa.array(np.arange(0, table.num_rows, stride), pa.int64()))


def _read_groups(file: pq.ParquetFile, columns: Sequence[str], groups: int) -> list[pa.Table]:
    numbers = sorted({n * file.num_row_groups // groups for n in range(groups)})
    names = list(columns)
    return [
        file.read_row_group(number, columns=names).select(names)
        for number in numbers
        if file.num_row_groups
    ]
