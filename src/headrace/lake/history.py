"""The history of a table: its published rows with the commit time each became visible at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
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
        row was first published). Rows in order of batch id, then line.

    Raises:
        StateError: nothing was published, or a column or the snapshot is unknown.
    """
    lake = Lake(home)
    wanted = [*dict.fromkeys(c for c in columns if c not in PROVENANCE), *PROVENANCE]
    rows = lake.scan(table_name, wanted, snapshot_id)
    with Ledger(home) as ledger:
        published = ledger.publications(table_name)
    times = _commit_times(lake, table_name, snapshot_id, published)
    batches = pa.array(list(times), pa.string())
    moments = pa.array(list(times.values()), pa.int64())
    positions = pc.index_in(rows.column("_batch"), value_set=batches)
    committed = moments.take(positions.combine_chunks())
    earlier = {
        path: moment
        for batch, shown in published.items()
        for path, moment in shown.items()
        if moment < times.get(batch, moment) and Path(path).exists()
    }
    if earlier:
        committed = _first_commits(rows, committed, earlier)
    return rows.append_column("committed_at", committed)


def _first_commits(rows: pa.Table, committed: pa.Array, earlier: Mapping[str, int]) -> pa.Array:
    """When each row was first shown: a batch judged again keeps the times of the rows it had.

    Rows that only the newer rules let through were not there before, and keep the newer time.
    """
    lines = rows.select(["_batch", "_line"]).append_column("at", committed)
    lines = lines.append_column("place", pa.array(np.arange(rows.num_rows)))
    with duckdb.connect() as db:
        db.register("lines", lines)
        db.register("files", pa.table({"path": list(earlier), "at": list(earlier.values())}))
        found = db.sql(
            "SELECT least(lines.at, first.at) AS at FROM lines LEFT JOIN ("
            " SELECT _batch, _line, min(files.at) AS at"
            " FROM read_parquet(?, filename = 'path') JOIN files USING (path) GROUP BY ALL"
            ") AS first USING (_batch, _line) ORDER BY place",
            params=[list(earlier)],
        ).to_arrow_table()
    return found["at"].combine_chunks()


def _commit_times(
    lake: Lake,
    table_name: str,
    snapshot_id: int | None,
    published: Mapping[str, Mapping[str, int]],
) -> dict[str, int]:
    """Commit time (int64 microseconds UTC) of the file of each batch that a snapshot shows.

    Raises:
        StateError: neither the table nor the ledger knows when a file was committed.
    """
    plan = lake.plan(table_name, snapshot_id)
    times: dict[str, int] = {}
    for file in plan.files if plan else ():
        shown = published.get(file.batch_id, {})
        moment = shown.get(file.path, plan.committed_at.get(file.snapshot_id) if plan else None)
        if moment is None:
            raise StateError(
                f"nobody knows when batch {file.batch_id} was published",
                where=f"table {table_name}, {file.path}",
                fix="ingest its slot again; that reconciles the ledger from the table",
            )
        times[file.batch_id] = moment
    return times
