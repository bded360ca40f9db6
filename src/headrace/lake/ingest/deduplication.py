"""The same rows in other bytes are the same delivery once more, and are not published again.

A producer who sends a file again sends it sorted otherwise, or with other line ends. Its bytes make
another batch; published, every row would be there twice. Only the delivery that is shown last
counts: one that puts back what a correction had changed is news.
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
    found: Pick, batches: Sequence[Batch], live: Mapping[str, str], contract: Contract
) -> Pick:
    """What is to happen to a slot's batches, less those that would only repeat the one before.

    Args:
        found: what `pick` decided.
        batches: the slot's, in order of arrival.
        live: path of each published batch.
        contract: whose columns are compared.
    """
    adding = {row.batch_id: row for row in found.add}
    if not any(batch.batch_id in adding and batch.format not in STANDALONE for batch in batches):
        return found
    shown: tuple[str, str] | None = None  # id and path of the one before
    repeats: list[tuple[str, str]] = []
    for batch in batches:
        if batch.format in STANDALONE:
            continue
        row = adding.get(batch.batch_id)
        if row is None:
            if batch.batch_id in live:
                shown = batch.batch_id, live[batch.batch_id]
            continue
        if not row.staged_path:
            continue
        if shown is not None and same_rows(shown[1], row.staged_path, contract):
            repeats.append((batch.batch_id, shown[0]))
        else:
            shown = batch.batch_id, row.staged_path
    if not repeats:
        return found
    gone = {batch_id for batch_id, _ in repeats}
    kept = tuple(row for row in found.add if row.batch_id not in gone)
    return replace(found, add=kept, superseded=(*found.superseded, *repeats))


def same_rows(one: str, other: str, contract: Contract) -> bool:
    """Whether two staged files hold the same rows, in whatever order, by the contract's columns."""
    import duckdb

    names = [field.name for field in contract.fields]
    sides = [file_sql(path, names) for path in (one, other)]
    try:
        with duckdb.connect(config=duckdb_limits()) as connection:
            counts = [
                connection.sql(f"SELECT count(*) FROM ({query})").fetchall()  # noqa: S608
                for query in (*sides, f"{sides[0]} EXCEPT ALL {sides[1]}")
            ]
    except duckdb.BinderException:  # a column that the older file does not have
        return False
    return bool(counts[0] == counts[1] and counts[2] == [(0,)])
