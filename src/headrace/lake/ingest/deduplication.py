"""Detection of redeliveries, so that the same rows in different bytes are not published twice.

A producer that sends a file again may sort it differently or use other line endings. The result is
another batch with the same rows. A batch is compared only with the batch before it: a delivery that
repeats an older batch reverts the correction between them, so it is new data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.contracts import Contract
from headrace.core.compute import duckdb_limits
from headrace.lake.ledger.ledger import Batch
from headrace.lake.ledger.partition_state import Pick
from headrace.lake.tables.decimals import file_sql
from headrace.sources.base import STANDALONE


def without_repeats(
    pick: Pick, batches: Sequence[Batch], live: Mapping[str, str], contract: Contract
) -> Pick:
    """Remove the batches from `pick` that have the same rows as the batch before them.

    Args:
        pick: the decision for one partition.
        batches: batches of the partition, in order of arrival.
        live: path of each published batch.
        contract: its columns are compared.
    """
    adding = {row.batch_id: row for row in pick.add}
    if not any(batch.batch_id in adding and batch.format not in STANDALONE for batch in batches):
        return pick
    previous: tuple[str, str] | None = None  # id and path of the previous batch
    repeats: list[tuple[str, str]] = []
    for batch in batches:
        if batch.format in STANDALONE:
            continue
        row = adding.get(batch.batch_id)
        if row is None:
            if batch.batch_id in live:
                previous = batch.batch_id, live[batch.batch_id]
            continue
        if not row.staged_path:
            continue
        if previous is not None and same_rows(previous[1], row.staged_path, contract):
            repeats.append((batch.batch_id, previous[0]))
        else:
            previous = batch.batch_id, row.staged_path
    if not repeats:
        return pick
    repeated_ids = {batch_id for batch_id, _ in repeats}
    remaining = tuple(row for row in pick.add if row.batch_id not in repeated_ids)
    return replace(pick, add=remaining, superseded=(*pick.superseded, *repeats))


def same_rows(first: str, second: str, contract: Contract) -> bool:
    """Return True if two staged files hold the same rows of contract columns in any order."""
    import duckdb

    names = [field.name for field in contract.fields]
    sides = [file_sql(path, names) for path in (first, second)]
    try:
        with duckdb.connect(config=duckdb_limits()) as connection:
            counts = [
                connection.sql(f"SELECT count(*) FROM ({query})").fetchall()  # noqa: S608
                for query in (*sides, f"{sides[0]} EXCEPT ALL {sides[1]}")
            ]
    except duckdb.BinderException:  # a column that the older file does not have
        return False
    return bool(counts[0] == counts[1] and counts[2] == [(0,)])
