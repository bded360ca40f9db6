"""The history of a table: its published rows with the commit time each became visible at."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import StateError
from headrace.home import Home
from headrace.lake.ledger import Ledger
from headrace.lake.tables import Lake

PROVENANCE = ("event_time", "known_at", "_batch", "_line")


def history(
    home: Home, table_name: str, columns: Sequence[str], *, snapshot_id: int | None = None
) -> pa.Table:
    """Published rows with everything that decides what was usable when.

    Args:
        home: where the state lives.
        table_name: a published table.
        columns: contract columns wanted, besides the ones that always come.
        snapshot_id: a state of the table; the current one by default.

    Returns:
        `columns` in their contract dtypes, then `event_time`, `known_at` (timestamp[us, UTC]),
        `_batch` (string), `_line` (int64) and `committed_at` (int64 microseconds UTC: when the
        commit of the row's file was made). Rows in order of batch id, then line.

    Raises:
        StateError: nothing was published, or a column or the snapshot is unknown.
    """
    lake = Lake(home)
    wanted = [*dict.fromkeys(c for c in columns if c not in PROVENANCE), *PROVENANCE]
    rows = lake.scan(table_name, wanted, snapshot_id)
    times = commit_times(home, lake, table_name, snapshot_id)
    batches = pa.array(list(times), pa.string())
    moments = pa.array(list(times.values()), pa.int64())
    positions = pc.index_in(rows.column("_batch"), value_set=batches)
    return rows.append_column("committed_at", moments.take(positions.combine_chunks()))


def commit_times(
    home: Home, lake: Lake, table_name: str, snapshot_id: int | None = None
) -> dict[str, int]:
    """Commit time (int64 microseconds UTC) of each batch that a snapshot shows.

    Raises:
        StateError: neither the table nor the ledger knows when a file was committed.
    """
    plan = lake.plan(table_name, snapshot_id)
    if plan is None:
        return {}
    with Ledger(home) as ledger:
        recorded = ledger.commit_times(table_name)
    times: dict[str, int] = {}
    for file in plan.files:
        moment = recorded.get(file.path, plan.committed_at.get(file.snapshot_id))
        if moment is None:
            raise StateError(
                f"nobody knows when batch {file.batch_id} was published",
                where=f"table {table_name}, {file.path}",
                fix="ingest its slot again; that reconciles the ledger from the table",
            )
        times[file.batch_id] = moment
    return times
