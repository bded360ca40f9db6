"""What came of it in the end: content hashes, and every delivery accounted for."""

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
class State:
    """The end of a run: `tables` and `rows` by table name, `release` the dataset's content hash."""

    tables: dict[str, str]
    rows: dict[str, int]
    release: str

    def document(self) -> dict[str, Any]:
        return {"tables": self.tables, "rows": self.rows, "release": self.release}


def state_of(pipeline: Pipeline, home: Home) -> State:
    """Hashes of what is published, whatever its order, files and batches are."""
    tables, rows = {}, {}
    lake = Lake(home)
    for table in pipeline.tables:
        if lake.snapshot_id(table.name) is None:
            tables[table.name], rows[table.name] = "", 0
            continue
        names = [field.name for field in table.contract.fields]
        found = content_sum(lake.scan(table.name, names))
        tables[table.name], rows[table.name] = found.hash, found.rows
    # What would be released now: a retraining may have released other days meanwhile.
    release = pinned_release(pipeline, home, dry_run=True).content_hash
    return State(tables, rows, release)


def rows_by_slot(pipeline: Pipeline, home: Home) -> dict[tuple[str, str], int]:
    """Published rows of each slot of each table, from the table's own files."""
    found: Counter[tuple[str, str]] = Counter()
    lake = Lake(home)
    for table in pipeline.tables:
        with Ledger(home) as ledger:
            slots = {key: batch.slot for key, batch in ledger.batches(table.name).items()}
        if lake.snapshot_id(table.name) is not None:
            for file in lake.files(table.name):
                found[table.name, slots[file.batch_id]] += file.rows
    return dict(found)


def unbalanced(pipeline: Pipeline, home: Home) -> list[str]:
    """Tables in which delivered is not published + quarantined + pending + rejected."""
    found = []
    for table in pipeline.tables:
        status = table_status(home, table)
        fates = sum(status[fate] for fate in ("published", "quarantined", "pending", "rejected"))
        if status["delivered"] != fates or status["unjudged"]:
            found.append(table.name)
    return found


def held_back(pipeline: Pipeline, home: Home) -> list[tuple[str, str]]:
    """(table, slot) of what still waits for somebody."""
    found = []
    for table in pipeline.tables:
        with Ledger(home) as ledger:
            batches = ledger.batches(table.name).values()
        found += [(table.name, batch.slot) for batch in batches if batch.state in _WAITING]
    return sorted(found)
