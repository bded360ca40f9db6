"""Comparison of published files with their deliveries, to find the cells that changed.

The delivered bytes are kept, so that the expected content of a file can be derived from them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import Contract, conform
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.datasets.table_diff import locate
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.object_batches import conformed_file
from headrace.lake.ingest.validator import delivered_rows
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.table import Table
from headrace.lake.tables.decimals import read_rows
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile

MOST_LISTED = 50


@dataclass(frozen=True)
class AlteredCell:
    """Cell of a published file that differs from the delivery, or a problem of the whole file.

    `line` is the line in the delivery. For a problem of the whole file, `line` is 0, `column` is ""
    and `published` describes the problem.
    """

    table: str
    slot: str
    batch: str
    path: str
    line: int
    column: str
    published: Any
    delivered: Any

    def __str__(self) -> str:
        where = f"{self.table} {self.slot}, batch {self.batch[:12]}"
        if not self.column:
            return f"{where}: {self.published}"
        cell = f"{self.column} is {self.published!r}, delivered {self.delivered!r}"
        return f"{where}, line {self.line}: {cell}"


def altered_cells(
    home: Home, tables: Iterable[Table], snapshots: dict[str, int], limit: int = MOST_LISTED
) -> list[AlteredCell]:
    """Compare each file of these snapshots with its delivery; return the first `limit` findings."""
    cells: list[AlteredCell] = []
    lake = Lake(home)
    with Ledger(home) as ledger:
        for table in tables:
            if table.name not in snapshots:
                continue
            batches = ledger.batches(table.name)
            for file in lake.files(table.name, snapshots[table.name]):
                if len(cells) >= limit:
                    return cells[:limit]
                cells += _in(home, table.contract, batches[file.batch_id], file)
    return cells[:limit]


def _in(home: Home, contract: Contract, batch: Batch, file: LiveFile) -> Iterator[AlteredCell]:
    def finding(line: int, column: str, published: object, delivered: object = None) -> AlteredCell:
        return AlteredCell(
            contract.table, batch.slot, batch.batch_id, file.path, line, column, published,
            delivered,
        )  # fmt: skip

    try:
        published = read_rows(file.path)
        delivered = _delivered(home, contract, batch)
    except (HeadraceError, pa.ArrowException, OSError) as error:
        yield finding(0, "", f"cannot be compared: {str(error).splitlines()[0]}")
        return
    if delivered is None:
        yield finding(0, "", "cannot be compared: its delivery breaks the contract")
        return
    if published.num_rows != file.rows:
        yield finding(
            0, "", f"the file has {published.num_rows} rows, but was published with {file.rows}"
        )
    names = [name for name in published.column_names if name in delivered.column_names]
    expected = delivered.select(names).cast(published.select(names).schema)
    diff = locate(published.select(names), expected, ["_line"])
    for row in diff.rows:
        if row["side"] == "stored":
            yield finding(row["_line"], "", f"line {row['_line']} was not delivered")
    for cell in diff.cells:
        yield finding(cell.key["_line"], cell.column, cell.stored, cell.rebuilt)


def _delivered(home: Home, contract: Contract, batch: Batch) -> pa.Table | None:
    """Return the delivery's rows in published types, including quarantined rows."""
    delivery = landed_delivery(home, batch)
    if batch.format == "objects":
        scratch = home.staged / contract.table / f"{batch.batch_id}-compared.parquet"
        with conformed_file(contract, delivery, scratch) as (conformed, path):
            return None if conformed.violation_count else pq.read_table(Path(path))
    rows = delivered_rows(contract, delivery)
    table: pa.Table | None = conform(
        contract, rows, batch.batch_id, by_row=batch.format == "events"
    ).table
    return table
