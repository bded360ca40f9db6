"""One-time survey of a table for conflicting rows published before conflicts were checked.

Conflicting rows can no longer be published, so one survey of all files is enough. Later searches
read only the batches that the survey found. The survey removes no rows.
"""

import json

from headrace.contracts import Contract
from headrace.core.home import Home
from headrace.lake.conflicts.search import held_twice
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import SnapshotPlan


def note_survey(ledger: Ledger, contract: Contract, plan: SnapshotPlan | None) -> None:
    """Survey a table once, before the first commit that is checked for conflicts."""
    if not contract.identity or _surveyed(ledger, contract.table) is not None:
        return
    batches = [] if plan is None else sorted({row.batch for row in held_twice(contract, plan)})
    ledger.connection.execute(
        "INSERT OR IGNORE INTO surveys VALUES (?, ?)", (contract.table, json.dumps(batches))
    )


def keys_held_twice(home: Home, ledger: Ledger, contract: Contract) -> dict[int, list[str]]:
    """Return the batches of published rows in conflict, grouped by the rows' identity.

    The keys of the result number the identities.
    """
    surveyed = _surveyed(ledger, contract.table) if contract.identity else []
    if surveyed == []:
        return {}
    plan = Lake(home).plan(contract.table)
    if plan is None:
        return {}
    files = [file for file in plan.files if surveyed is None or file.batch_id in surveyed]
    batches_by_group: dict[int, list[str]] = {}
    for row in held_twice(contract, plan, files):
        batches_by_group.setdefault(row.group, []).append(row.batch)
    return batches_by_group


def twice_by_batch(home: Home, ledger: Ledger, contract: Contract) -> dict[str, int]:
    """Return {batch: number of identities for which the batch has a published row in conflict}."""
    counts: dict[str, int] = {}
    for batches in keys_held_twice(home, ledger, contract).values():
        for batch in set(batches):
            counts[batch] = counts.get(batch, 0) + 1
    return counts


def _surveyed(ledger: Ledger, table: str) -> list[str] | None:
    """Return the batches that the survey found; None before the survey."""
    row = ledger.connection.execute(
        "SELECT batches FROM surveys WHERE tbl = ?", (table,)
    ).fetchone()
    return None if row is None else list(json.loads(row[0]))
