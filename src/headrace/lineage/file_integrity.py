"""Cells of published files that are not what was delivered: why a rebuild may differ.

Delivered bytes are kept, so what a file should hold can be made again and held against it.
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
class Altered:
    """A cell of a published file that the delivery has otherwise, or what else is wrong with it.

    `line` is the delivery's; 0 and `column` "" where the file as a whole is meant, and `published`
    then says what is wrong.
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


def altered(
    home: Home, tables: Iterable[Table], snapshots: dict[str, int], most: int = MOST_LISTED
) -> list[Altered]:
    """Hold every file of these snapshots against what was delivered; the first `most` findings."""
    found: list[Altered] = []
    lake = Lake(home)
    with Ledger(home) as ledger:
        for table in tables:
            if table.name not in snapshots:
                continue
            batches = ledger.batches(table.name)
            for file in lake.files(table.name, snapshots[table.name]):
                if len(found) >= most:
                    return found[:most]
                found += _in(home, table.contract, batches[file.batch_id], file)
    return found[:most]


def _in(home: Home, contract: Contract, batch: Batch, file: LiveFile) -> Iterator[Altered]:
    def told(line: int, column: str, published: object, delivered: object = None) -> Altered:
        return Altered(
            contract.table, batch.slot, batch.batch_id, file.path, line, column, published,
            delivered,
        )  # fmt: skip

    try:
        published = read_rows(file.path)
        delivered = _delivered(home, contract, batch)
    except (HeadraceError, pa.ArrowException, OSError) as error:
        yield told(0, "", f"cannot be compared: {str(error).splitlines()[0]}")
        return
    if delivered is None:
        yield told(0, "", "cannot be compared: its delivery breaks the contract")
        return
    if published.num_rows != file.rows:
        yield told(0, "", f"it has {published.num_rows} rows, and was published with {file.rows}")
    names = [name for name in published.column_names if name in delivered.column_names]
    wanted = delivered.select(names).cast(published.select(names).schema)
    seen = locate(published.select(names), wanted, ["_line"])
    for row in seen.rows:
        if row["side"] == "stored":
            yield told(row["_line"], "", f"line {row['_line']} was not delivered")
    for cell in seen.cells:
        yield told(cell.key["_line"], cell.column, cell.stored, cell.rebuilt)


def _delivered(home: Home, contract: Contract, batch: Batch) -> pa.Table | None:
    """The delivery's rows in published types, those in quarantine too."""
    delivery = landed_delivery(home, batch)
    if batch.format == "objects":
        scratch = home.staged / contract.table / f"{batch.batch_id}-compared.parquet"
        with conformed_file(contract, delivery, scratch) as (found, path):
            return None if found.violation_count else pq.read_table(Path(path))
    rows = delivered_rows(contract, delivery)
    table: pa.Table | None = conform(
        contract, rows, batch.batch_id, by_row=batch.format == "events"
    ).table
    return table
