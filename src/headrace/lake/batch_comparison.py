"""A batch against an earlier one of its table: which, where their rows are, and what is kept of it.

A blocked batch has no staged file, so its rows are read from the delivered bytes again. Files may
go; what `keep` wrote stays, and holds no row.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import Conformed, Contract, conform
from headrace.core.clock import parse_iso
from headrace.core.errors import StateError
from headrace.core.files import write_json
from headrace.core.home import Home
from headrace.gates.compare import Comparison, Usual, compare, usual_moves
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.object_batches import conformed_file
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.table import Table
from headrace.lake.tables.decimals import integer_schema, integers
from headrace.lake.tables.lake import Lake
from headrace.sources.base import Delivery
from headrace.sources.parse import read_rows

FORMAT = 1
USUAL = 8  # good batches that say what is usual
MOST_ROWS = 2_000_000  # in those together; beyond, the usual is left open


Judged = tuple[Batch, JudgementRow]


@dataclass(frozen=True)
class JudgedBatches:
    """A table's batches, and of those that were judged the verdict that counts."""

    batches: Mapping[str, Batch]
    verdicts: Mapping[str, JudgementRow]

    def of(self, batch_id: str) -> Judged:
        """Raises StateError if it was not judged yet."""
        if batch_id not in self.verdicts:
            raise StateError(
                f"batch {batch_id} was not judged yet", fix="headrace run --stage ingest"
            )
        return self.batches[batch_id], self.verdicts[batch_id]

    def until(self, batch: Batch) -> list[Judged]:
        """Judged ones up to `batch`, by slot and order of arrival."""
        place = (batch.slot, *batch.order)
        judged = (self.of(key) for key in self.batches if key in self.verdicts)
        found = [one for one in judged if (one[0].slot, *one[0].order) <= place]
        return sorted(found, key=lambda one: (one[0].slot, *one[0].order))

    def good_before(self, batch: Batch) -> list[Judged]:
        """Those before it that the table shows; the last one is the last good."""
        return [
            (one, row)
            for one, row in self.until(batch)
            if one.batch_id != batch.batch_id and one.state == "published" and row.staged_path
        ]


def judged_batches(home: Home, table: str, ledger: Ledger | None = None) -> JudgedBatches:
    """Of one table, from its ledger, which is opened if none is given."""
    if ledger is None:
        with Ledger(home) as opened:
            return judged_batches(home, table, opened)
    verdicts = current_verdicts(ledger.judgements(table), Lake(home).live(table))
    return JudgedBatches(ledger.batches(table), verdicts)


class Rows:
    """The rows of Parquet files, one column at a time; as much of a table as comparing asks for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.files = [pq.ParquetFile(path) for path in paths]
        self.schema = integer_schema(self.files[0].schema_arrow)
        self.num_rows = sum(file.metadata.num_rows for file in self.files)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        kind = self.schema.field(name).type
        parts = [integers(file.read(columns=[name])[name]).cast(kind) for file in self.files]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)


def batch_rows_of(home: Home, contract: Contract, batch: Batch, judged: JudgementRow) -> Any:  # noqa: ANN401 - a table, or `Rows`, which reads as one
    """Every row of a batch, those in quarantine too.

    Raises:
        StateError: neither its files nor its delivered bytes are there, or its rows cannot be
            typed under the contract.
    """
    paths = [Path(path) for path in _paths(judged)]
    if paths and all(path.exists() for path in paths):
        return Rows(paths)
    delivery = landed_delivery(home, batch)
    if batch.format == "objects":
        return _rows_in_place(contract, delivery)
    known = [name for field in contract.delivered for name in (field.name, *field.aliases)]
    rows = read_rows(delivery, null_tokens=contract.null_tokens, known=known)
    conformed = conform(contract, rows, batch.batch_id, by_row=batch.format == "events")
    if conformed.table is None:
        raise _unreadable(contract, batch.batch_id, conformed)
    return conformed.table


def _rows_in_place(contract: Contract, delivery: Delivery) -> Rows:
    """Of an object that is read where it lies, out of core: from a scratch file, kept open."""
    scratch = Path(tempfile.gettempdir()) / f"headrace-{delivery.batch_id}.parquet"
    with conformed_file(contract, delivery, scratch) as (conformed, path):
        if conformed.violation_count:
            raise _unreadable(contract, delivery.batch_id, conformed)
        return Rows([path])


def _unreadable(contract: Contract, batch_id: str, conformed: Conformed) -> StateError:
    return StateError(
        f"its rows cannot be read under contract {contract.version}: {conformed.violations[0]}",
        where=f"batch {batch_id} of {contract.table}",
    )


def _paths(judged: JudgementRow) -> list[str]:
    """The files that together hold every row; none of a blocked batch, whose file is a part."""
    if not judged.staged_path:
        return []
    return [path for path in (judged.staged_path, judged.quarantine_path) if path]


def compare_batches(
    home: Home,
    table: Table,
    this: Judged,
    other: Judged,
    before: Sequence[Judged] = (),
) -> Comparison:
    """`this` batch against the `other`; `before` are good ones that say how far columns move.

    Raises:
        StateError: see `batch_rows_of`.
    """
    contract = table.contract
    mine, theirs = (batch_rows_of(home, contract, *one) for one in (this, other))
    return compare(
        mine,
        theirs,
        shift=slot_start(this[0].slot) - slot_start(other[0].slot),
        keys=contract.primary_key,
        scales={field.name: field.scale for field in contract.fields if field.scale},
        usual=_usual(home, contract, before[-USUAL:]),
    )


def _usual(home: Home, contract: Contract, before: Sequence[Judged]) -> dict[str, Usual] | None:
    if len(before) < 2 or sum(judged.delivered for _, judged in before) > MOST_ROWS:
        return None
    try:
        return usual_moves(
            [
                (batch_rows_of(home, contract, *judged), slot_start(judged[0].slot))
                for judged in before
            ]
        )
    except StateError:
        return None  # an old file is gone: then nobody knows what is usual


def slot_start(slot: str) -> int:
    """When a day's slot begins, microseconds UTC; 0 of one that is no day."""
    try:
        return parse_iso(slot)
    except ValueError:
        return 0


# What is kept


def kept_path(home: Home, table: str, batch_id: str, rule: str) -> Path:
    return home.reports / table / f"{batch_id}-{rule}.json"


def keep(path: Path, other: str, found: Comparison) -> None:
    """Write what a comparison with batch `other` found; it outlives the rows."""
    write_json(path, {"format": FORMAT, "other": other, "comparison": found.to_json()})


def kept(path: Path, other: str) -> Comparison | None:
    """What `keep` wrote of the comparison with the same batch, if it did."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if document["format"] != FORMAT or document["other"] != other:
        return None
    return Comparison.of(document["comparison"])
