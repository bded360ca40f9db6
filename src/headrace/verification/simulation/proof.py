"""Final state of a simulation: content hashes, and row counts of every partition."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from headrace.core.home import Home
from headrace.datasets.hashing.content_hash import content_sum
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.pipeline.build import pinned_release
from headrace.pipeline.definition import Pipeline

_WAITING = {"pending", "received", "judged"}


@dataclass(frozen=True)
class FinalState:
    """Final state: content hash and row count by table; `release` is the dataset's content hash."""

    tables: dict[str, str]
    rows: dict[str, int]
    release: str

    def document(self) -> dict[str, Any]:
        return {"tables": self.tables, "rows": self.rows, "release": self.release}


def state_of(pipeline: Pipeline, home: Home) -> FinalState:
    """Hash the published data, independent of row order, files and batches."""
    tables, rows = {}, {}
    lake = Lake(home)
    for table in pipeline.tables:
        if lake.snapshot_id(table.name) is None:
            tables[table.name], rows[table.name] = "", 0
            continue
        names = [field.name for field in table.contract.fields]
        content = content_sum(lake.scan(table.name, names))
        tables[table.name], rows[table.name] = content.hash, content.rows
    # Hash a release of the current data, because a retraining may have released other days.
    release = pinned_release(pipeline, home, dry_run=True).content_hash
    return FinalState(tables, rows, release)


def rows_by_slot(pipeline: Pipeline, home: Home) -> dict[tuple[str, str], int]:
    """Count the published rows by (table, partition), from the files of the tables."""
    counts: Counter[tuple[str, str]] = Counter()
    lake = Lake(home)
    for table in pipeline.tables:
        with Ledger(home) as ledger:
            slots = {key: batch.slot for key, batch in ledger.batches(table.name).items()}
        if lake.snapshot_id(table.name) is not None:
            for file in lake.files(table.name):
                counts[table.name, slots[file.batch_id]] += file.rows
    return dict(counts)


def unbalanced(pipeline: Pipeline, home: Home) -> list[str]:
    """Return the tables whose row counts do not add up.

    Delivered rows must equal published + quarantined + pending + rejected rows.
    """
    names = []
    for table in pipeline.tables:
        status = table_status(home, table)
        fates = sum(status[fate] for fate in ("published", "quarantined", "pending", "rejected"))
        if status["delivered"] != fates or status["unjudged"]:
            names.append(table.name)
    return names


def waiting_batches(pipeline: Pipeline, home: Home) -> list[tuple[str, str]]:
    """Return (table, slot) of batches that still wait for a decision."""
    waiting = []
    for table in pipeline.tables:
        with Ledger(home) as ledger:
            batches = ledger.batches(table.name).values()
        waiting += [(table.name, batch.slot) for batch in batches if batch.state in _WAITING]
    return sorted(waiting)
