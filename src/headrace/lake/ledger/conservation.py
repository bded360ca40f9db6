"""Conservation of rows: the table and the ledger account for every delivered row."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.core.clock import from_us, now_us
from headrace.core.home import Home
from headrace.lake.conflicts.survey import keys_held_twice
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.row_counts import account, current_verdicts
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile


@dataclass
class _Tally:
    rows: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    recalled: int = 0
    recalled_rows: int = 0
    redelivered: int = 0
    redelivered_rows: int = 0
    unjudged: int = 0


def table_status(home: Home, table: Table) -> dict[str, Any]:
    """Count rows by fate and batches by verdict, and list the missing partitions.

    Published rows are counted in the table's live files, not from the ledger. All rows of all
    deliveries = delivered + repeated + redelivered + superseded rows. All rows of recalled batches
    count as rejected; `recalled` has their number. `held_twice` is the number of identities with
    conflicting published rows, from before conflicts were checked.
    """
    files = {file.batch_id: file for file in Lake(home).files(table.name)}
    with Ledger(home) as ledger:
        batches = ledger.batches(table.name)
        origins = ledger.origins(table.name)
        verdicts = current_verdicts(
            ledger.judgements(table.name), {key: file.path for key, file in files.items()}
        )
        twice = len(keys_held_twice(home, ledger, table.contract))
    tally = _Tally()
    for batch in batches.values():
        _count(tally, batch, verdicts.get(batch.batch_id), files, origins)
    slots = {batch.slot for batch in batches.values()}
    return {**_report(table, tally, slots), "held_twice": twice}


def _count(
    tally: _Tally,
    batch: Batch,
    judgement: JudgementRow | None,
    files: Mapping[str, LiveFile],
    origins: Mapping[str, set[str]],
) -> None:
    if judgement is None:
        tally.unjudged += 1
        return
    tally.rows.update(vars(account(batch, judgement, files.get(batch.batch_id))))
    redeliveries = len(origins[batch.batch_id]) - 1
    tally.redelivered += redeliveries
    tally.redelivered_rows += redeliveries * (judgement.delivered + judgement.repeated)
    if batch.state == "superseded":
        tally.superseded += 1
    elif batch.state == "recalled":
        tally.recalled += 1
        tally.recalled_rows += judgement.delivered
    else:
        tally.verdicts[judgement.verdict] += 1


def _report(table: Table, tally: _Tally, delivered_slots: set[str]) -> dict[str, Any]:
    today = from_us(now_us()).date().isoformat()
    fates = ("delivered", "published", "quarantined", "pending", "rejected", "repeated")
    missing = [slot for slot in table.expected_slots(today) if slot not in delivered_slots]
    return {
        "table": table.name,
        **{fate: tally.rows[fate] for fate in fates},
        "redelivered": {"batches": tally.redelivered, "rows": tally.redelivered_rows},
        "superseded": {"batches": tally.superseded, "rows": tally.rows["superseded"]},
        "recalled": {"batches": tally.recalled, "rows": tally.recalled_rows},
        "missing": missing,
        "batches": dict(sorted(tally.verdicts.items())),
        "unjudged": tally.unjudged,
    }
