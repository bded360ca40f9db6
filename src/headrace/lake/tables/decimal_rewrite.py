"""Rewrite of a table of Headrace 0.1.0: its scaled columns become DECIMAL, in one new snapshot.

Rows, batch ids, line numbers and publication times do not change. The times are in the ledger, in
which the new file names replace the old ones. Earlier snapshots keep their files and schema, so
that releases that pin them can be rebuilt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headrace.contracts import Contract
from headrace.core.home import Home
from headrace.lake.ingest.reconcile import reconcile, rename_files
from headrace.lake.ingest.staging import StagedFile
from headrace.lake.ingest.write_lock import deletion_lock
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.decimals import fitted
from headrace.lake.tables.lake import Lake

WAIT = 30.0


@dataclass(frozen=True)
class Rewritten:
    """Result of a rewrite: the columns that were BIGINT, the number of files, the snapshot."""

    table: str
    columns: tuple[str, ...]
    files: int
    snapshot_id: int | None = None


def pending(home: Home, contract: Contract) -> Rewritten:
    """Return the columns and files that a rewrite of the table would change."""
    lake = Lake(home)
    plan = lake.plan(contract.table)
    types = {column.name: column.type for column in plan.columns} if plan else {}
    scaled = (field.name for field in contract.fields if field.scale)
    columns = tuple(name for name in scaled if types.get(name) == "BIGINT")
    return Rewritten(contract.table, columns, len(plan.files) if plan and columns else 0)


def rewrite(home: Home, contract: Contract, *, wait: float = WAIT) -> Rewritten:
    """Make the scaled columns of a published table DECIMAL; running it again changes nothing.

    Raises:
        StateError: an ingest was still running after `wait` seconds.
    """
    with deletion_lock(home, wait), Ledger(home) as ledger:
        lake, name = Lake(home), contract.table
        reconcile(ledger, lake, name)
        outcome = pending(home, contract)
        # Files that only the ledger names are rewritten too: they may be published again.
        staged = _staged(ledger, name) if lake.snapshot_id(name) is not None else []
        new = {path: fitted(Path(path), contract.table_schema()) for path in staged}
        if outcome.columns:
            files = [
                StagedFile(new[file.path], file.batch_id, file.rows, name)
                for file in lake.files(name)
            ]
            recalled = partial(ledger.recalled, name)
            published = lake.publish(contract, (), files, recalled=recalled, decimals=True)
            outcome = Rewritten(name, outcome.columns, outcome.files, published.snapshot_id)
        rename_files(ledger, name, {old: str(path) for old, path in new.items()})
        reconcile(ledger, lake, name)
    return outcome


def _staged(ledger: Ledger, table: str) -> list[str]:
    """Return the staged files of a table that the ledger names."""
    staged = (row.staged_path for row in ledger.judgements(table).values())
    published = (path for showing in ledger.showings(table).values() for _, path in showing)
    return sorted({path for path in _joined(staged, published) if path and Path(path).exists()})


def _joined(*parts: Iterable[str]) -> Iterable[str]:
    for part in parts:
        yield from part
