"""Some rows of each release: what they have in common, and what only one of them has so.

Rows in parts that both releases have weigh on both sides alike, so that a distance hangs on them
only as far as the numbers of rows differ; the others are taken in pairs of the same key. A value
that moved is therefore not drowned by the luck of the draw.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

ROWS = 20_000
_GROUPS = 4  # row groups of equal parts that are looked at


class Sampler:
    """Every n-th of the rows that come by, of each side."""

    def __init__(self, columns: Sequence[str], rows: int) -> None:
        """`rows`: about as many will come on either side."""
        self.every = max(1, -(-rows // ROWS))
        self._columns = list(columns)
        self._seen = [0, 0, 0]
        self.unread: Counter[str] = Counter()
        self.tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])

    def pairs(self, a: pa.Table, b: pa.Table, names: Sequence[str] | None = None) -> None:
        """Rows that are the same by key: the same ones are taken of both, all columns or these."""
        places = self._places(2, a.num_rows)
        for side, table in enumerate((a, b)):
            self._keep(side, table.select(list(names or self._columns)), places)

    def alone(self, side: int, rows: pa.Table) -> None:
        """Rows of one side."""
        self._keep(side, rows.select(self._columns), self._places(side, rows.num_rows))

    def common(self, names: Sequence[str], rows: int) -> None:
        """Rows that were not read, since both sides have the same cells in these columns."""
        for name in names:
            self.unread[name] += rows

    def of(self, side: int, name: str) -> list[pa.ChunkedArray]:
        """The cells that were taken of a column."""
        return [t.column(name) for t in self.tables[side] if name in t.column_names]

    def _places(self, of: int, rows: int) -> pa.Array:
        places = np.arange(-self._seen[of] % self.every, rows, self.every)
        self._seen[of] += rows
        return pa.array(places, pa.int64())

    def _keep(self, side: int, table: pa.Table, places: pa.Array) -> None:
        if len(places):
            self.tables[side].append(table.take(places))


def spread(scan: Scan, parts: Sequence[Part]) -> pa.Table:
    """At most ROWS rows of row groups that lie far apart."""
    rows = sum(part.rows for part in parts)
    picked = sorted({n * len(parts) // _GROUPS for n in range(_GROUPS)}) if parts else []
    found = []
    for place in picked:
        with scan.file(parts[place]) as file:
            found += _some(file, scan.columns, max(1, -(-_GROUPS // len(picked))))
    if not found:
        return scan.schema.empty_table()
    table = pa.concat_tables(found)
    every = max(1, -(-min(rows, table.num_rows) // ROWS))
    return table.take(pa.array(np.arange(0, table.num_rows, every), pa.int64()))


def _some(file: pq.ParquetFile, columns: Sequence[str], groups: int) -> list[pa.Table]:
    numbers = sorted({n * file.num_row_groups // groups for n in range(groups)})
    wanted = list(columns)
    return [
        file.read_row_group(number, columns=wanted).select(wanted)
        for number in numbers
        if file.num_row_groups
    ]
