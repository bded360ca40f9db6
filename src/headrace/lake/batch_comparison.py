"""Comparison of a batch with an earlier batch of its table, and the stored result.

A blocked batch has no staged file, so its rows are read again from the delivered bytes. The stored
comparison contains no rows, and is kept after the batch's files are deleted.
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
USUAL = 8  # number of good batches used to measure how far each column usually moves
# Maximum total rows of these batches; with more, the usual movement of columns is not measured.
MOST_ROWS = 2_000_000


BatchVerdict = tuple[Batch, JudgementRow]


@dataclass(frozen=True)
class JudgedBatches:
    """All batches of a table, and the current verdict of each validated batch."""

    batches: Mapping[str, Batch]
    verdicts: Mapping[str, JudgementRow]

    def of(self, batch_id: str) -> BatchVerdict:
        """Return the batch and its verdict; raise StateError if it was never validated."""
        if batch_id not in self.verdicts:
            raise StateError(
                f"batch {batch_id} was not validated yet", fix="headrace run --stage ingest"
            )
        return self.batches[batch_id], self.verdicts[batch_id]

    def until(self, batch: Batch) -> list[BatchVerdict]:
        """Return `batch` and the validated batches before it, sorted by partition and arrival."""
        place = (batch.slot, *batch.order)
        pairs = (self.of(key) for key in self.batches if key in self.verdicts)
        earlier = [pair for pair in pairs if (pair[0].slot, *pair[0].order) <= place]
        return sorted(earlier, key=lambda pair: (pair[0].slot, *pair[0].order))

    def good_before(self, batch: Batch) -> list[BatchVerdict]:
        """Return the published batches before `batch`; the last one is the last good batch."""
        return [
            (candidate, row)
            for candidate, row in self.until(batch)
            if candidate.batch_id != batch.batch_id
            and candidate.state == "published"
            and row.staged_path
        ]


def judged_batches(home: Home, table: str, ledger: Ledger | None = None) -> JudgedBatches:
    """Read a table's batches and verdicts from `ledger`, or from the home's ledger by default."""
    if ledger is None:
        with Ledger(home) as opened:
            return judged_batches(home, table, opened)
    verdicts = current_verdicts(ledger.judgements(table), Lake(home).live(table))
    return JudgedBatches(ledger.batches(table), verdicts)


class ParquetRows:
    """Rows of Parquet files, read one column at a time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.files = [pq.ParquetFile(path) for path in paths]
        self.schema = integer_schema(self.files[0].schema_arrow)
        self.num_rows = sum(file.metadata.num_rows for file in self.files)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        kind = self.schema.field(name).type
        parts = [integers(file.read(columns=[name])[name]).cast(kind) for file in self.files]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)


def batch_rows_of(home: Home, contract: Contract, batch: Batch, judgement: JudgementRow) -> Any:  # noqa: ANN401 - a table or `ParquetRows`
    """Return every row of a batch, including quarantined rows.

    Raises:
        StateError: its files and its delivered bytes are gone, or its rows do not fit the types of
            the contract.
    """
    paths = [Path(path) for path in _paths(judgement)]
    if paths and all(path.exists() for path in paths):
        return ParquetRows(paths)
    delivery = landed_delivery(home, batch)
    if batch.format == "objects":
        return _rows_in_place(contract, delivery)
    column_names = [name for field in contract.delivered for name in (field.name, *field.aliases)]
    rows = read_rows(delivery, null_tokens=contract.null_tokens, known=column_names)
    conformed = conform(contract, rows, batch.batch_id, by_row=batch.format == "events")
    if conformed.table is None:
        raise _unreadable(contract, batch.batch_id, conformed)
    return conformed.table


def _rows_in_place(contract: Contract, delivery: Delivery) -> ParquetRows:
    """Return the rows of an object batch from a temporary Parquet file, which stays open."""
    scratch = Path(tempfile.gettempdir()) / f"headrace-{delivery.batch_id}.parquet"
    with conformed_file(contract, delivery, scratch) as (conformed, path):
        if conformed.violation_count:
            raise _unreadable(contract, delivery.batch_id, conformed)
        return ParquetRows([path])


def _unreadable(contract: Contract, batch_id: str, conformed: Conformed) -> StateError:
    return StateError(
        f"the rows cannot be read under contract {contract.version}: {conformed.violations[0]}",
        where=f"batch {batch_id} of {contract.table}",
    )


def _paths(judgement: JudgementRow) -> list[str]:
    """Return the files that together hold every row; none for a blocked batch."""
    if not judgement.staged_path:
        return []
    return [path for path in (judgement.staged_path, judgement.quarantine_path) if path]


def compare_batches(
    home: Home,
    table: Table,
    current: BatchVerdict,
    other: BatchVerdict,
    before: Sequence[BatchVerdict] = (),
) -> Comparison:
    """Compare the batch `current` with `other`.

    The good batches `before` show how far each column usually moves.

    Raises:
        StateError: see `batch_rows_of`.
    """
    contract = table.contract
    rows, other_rows = (batch_rows_of(home, contract, *pair) for pair in (current, other))
    return compare(
        rows,
        other_rows,
        shift=slot_start(current[0].slot) - slot_start(other[0].slot),
        keys=contract.primary_key,
        scales={field.name: field.scale for field in contract.fields if field.scale},
        usual=_usual(home, contract, before[-USUAL:]),
    )


def _usual(
    home: Home, contract: Contract, before: Sequence[BatchVerdict]
) -> dict[str, Usual] | None:
    if len(before) < 2 or sum(judgement.delivered for _, judgement in before) > MOST_ROWS:
        return None
    try:
        return usual_moves(
            [(batch_rows_of(home, contract, *pair), slot_start(pair[0].slot)) for pair in before]
        )
    except StateError:
        return None  # an old file is gone, so the usual movements cannot be measured


def slot_start(slot: str) -> int:
    """Return the start of a day's partition in microseconds UTC; 0 for any other partition."""
    try:
        return parse_iso(slot)
    except ValueError:
        return 0


# Stored comparisons


def comparison_path(home: Home, table: str, batch_id: str, rule: str) -> Path:
    return home.reports / table / f"{batch_id}-{rule}.json"


def store_comparison(path: Path, other: str, comparison: Comparison) -> None:
    """Write the result of a comparison with batch `other`."""
    write_json(path, {"format": FORMAT, "other": other, "comparison": comparison.to_json()})


def stored_comparison(path: Path, other: str) -> Comparison | None:
    """Return the stored comparison with batch `other`, if there is one."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if document["format"] != FORMAT or document["other"] != other:
        return None
    return Comparison.of(document["comparison"])
