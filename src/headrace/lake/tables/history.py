"""History of a table: its published rows with the commit time at which each became usable."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.compute import duckdb_limits
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.core.sql import ident
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.publication_history import EarlierPath, Showings, showings_of
from headrace.lake.tables.lake import Lake

PROVENANCE = ("event_time", "known_at", "_batch", "_line")
# Column with earlier intervals of publication; see `headrace.features.kernel.republication`.
SHOWN_BEFORE = "_shown_before"
_SPANS = pa.list_(pa.struct([("since", pa.int64()), ("until", pa.int64())]))
DELETED = "_deleted"  # column of tables whose contract has deletes
_COMMITS = pa.schema([("_batch", pa.string()), ("at", pa.int64())])
# Start of each row's present publication. From the batch's present file, the query goes back
# through the earlier files of the batch as long as each one holds the row, and takes the time of
# the earliest of these. So a row that was removed and approved again is usable from its approval.
_FIRST = """
    SELECT _batch, _line, min(turns.since) AS at FROM (
        SELECT _batch, _line, shown.since, shown.ago,
            row_number() OVER (PARTITION BY _batch, _line ORDER BY shown.ago) AS turn
        FROM read_parquet(getvariable('paths'), filename = 'path') JOIN shown USING (path)
    ) AS turns WHERE turns.ago = turns.turn GROUP BY ALL"""


def history(
    home: Home,
    table_name: str,
    columns: Sequence[str],
    *,
    snapshot_id: int | None = None,
    pinned: bool = False,
) -> pa.Table:
    """Return published rows with all times that decide when each was usable.

    Args:
        home: where the state lives.
        table_name: a published table.
        columns: contract columns to read, besides the columns that are always returned.
        snapshot_id: snapshot of the table; the current one by default.
        pinned: use the publication history that was stored when the snapshot was pinned.

    Returns:
        `columns` in their contract dtypes, then `event_time`, `known_at` (timestamp[us, UTC]),
        `_batch` (string), `_line` (int64), `_deleted` (bool, null means false) if the contract has
        deletes, and `committed_at` (int64 microseconds UTC; the time since when the row has been
        published without interruption). If rows were removed and approved again, `_shown_before`
        (list of since and until) has their earlier intervals of publication. Rows are in order of
        batch id, then line.

    Raises:
        StateError: nothing was published, or a column or the snapshot is unknown.
    """
    lake = Lake(home)
    names = with_provenance(lake, table_name, columns, snapshot_id)
    rows = lake.scan(table_name, names, snapshot_id)
    with Ledger(home) as ledger:
        showings = showings_of(ledger, table_name, snapshot_id if pinned else None)
    times, earlier = _times(lake, table_name, snapshot_id, showings)
    batches = pa.array(list(times), pa.string())
    moments = pa.array(list(times.values()), pa.int64())
    positions = pc.index_in(rows.column("_batch"), value_set=batches)
    committed = moments.take(positions.combine_chunks())
    if earlier:
        committed = _first_commits(rows, committed, earlier)
    return _with_spans(rows.append_column("committed_at", committed), _spans(showings, times))


def with_provenance(
    lake: Lake, table_name: str, columns: Sequence[str], snapshot_id: int | None
) -> list[str]:
    """Return `columns` with the provenance columns, and `_deleted` if the table has it."""
    present = {column.name for column in lake.schema(table_name, snapshot_id)}
    always = (*PROVENANCE, *({DELETED} & present))
    return [*dict.fromkeys(c for c in columns if c not in always), *always]


def history_batches(
    home: Home,
    table_name: str,
    columns: Sequence[str],
    *,
    snapshot_id: int,
    files: Sequence[str] | None = None,
    keys: pa.Table | None = None,
    rows: int = 100_000,
    pinned: bool = False,
) -> Iterator[pa.Table]:
    """Yield the rows of `history` in any order, at most `rows` at a time, in bounded memory.

    Args:
        home: where the state lives.
        table_name: a published table.
        columns: contract columns to read, besides the columns that are always returned.
        snapshot_id: snapshot of the table.
        files: read only these files of the snapshot.
        keys: read only rows that match one of these keys, in columns of the same names.
        rows: maximum number of rows in a yielded table.
        pinned: as in `history`.

    Raises:
        StateError: nothing was published, or a column or the snapshot is unknown.
    """
    lake = Lake(home)
    names = with_provenance(lake, table_name, columns, snapshot_id)
    with Ledger(home) as ledger:
        showings = showings_of(ledger, table_name, snapshot_id if pinned else None)
    times, earlier = _times(lake, table_name, snapshot_id, showings, files)
    spans = _spans(showings, times)
    with closing(duckdb.connect()) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET preserve_insertion_order = false")
        commits = {"_batch": list(times), "at": list(times.values())}
        db.register("commits", pa.table(commits, schema=_COMMITS))
        first_query = "SELECT NULL::VARCHAR AS _batch, NULL::BIGINT AS _line, NULL::BIGINT AS at"
        if earlier:
            _register(db, earlier)
            first_query = _FIRST
        only = ""
        if keys is not None:
            db.register("keys", keys)
            only = f" SEMI JOIN keys USING ({', '.join(map(ident, keys.column_names))})"
        relation = db.sql(
            f"SELECT rows.*, least(commits.at, first.at) AS committed_at"  # noqa: S608
            f" FROM {lake.relation(table_name, names, snapshot_id, files=files)} AS rows"
            f"{only} JOIN commits USING (_batch)"
            f" LEFT JOIN ({first_query}) AS first USING (_batch, _line)"
        )
        reader, empty = relation.to_arrow_reader(rows), True
        for batch in reader:
            empty = False
            yield _with_spans(pa.Table.from_batches([batch]), spans)
        if empty:
            yield _with_spans(reader.schema.empty_table(), spans)


def _register(db: duckdb.DuckDBPyConnection, earlier: Sequence[EarlierPath]) -> None:
    """Register the relation and the variable that `_FIRST` reads."""
    columns = {
        name: [getattr(showing, name) for showing in earlier] for name in ("path", "since", "ago")
    }
    db.register("shown", pa.table(columns))
    db.execute("SET VARIABLE paths = ?", [sorted(set(columns["path"]))])


def _first_commits(rows: pa.Table, committed: pa.Array, earlier: Sequence[EarlierPath]) -> pa.Array:
    """Return the time at which each row was first published.

    When a batch is published again under newer rules, the rows that it had before keep their times.
    Rows that only the newer rules admit have the time of the newer commit.
    """
    lines = rows.select(["_batch", "_line"]).append_column("at", committed)
    lines = lines.append_column("place", pa.array(np.arange(rows.num_rows)))
    with duckdb.connect(config=duckdb_limits()) as db:
        db.register("lines", lines)
        _register(db, earlier)
        commits = db.sql(
            "SELECT least(lines.at, first.at) AS at FROM lines"  # noqa: S608
            f" LEFT JOIN ({_FIRST}) AS first USING (_batch, _line) ORDER BY place"
        ).to_arrow_table()
    return commits["at"].combine_chunks()


Spans: TypeAlias = dict[tuple[str, int], list[tuple[int, int]]]


def _spans(showings: Showings, batches: Iterable[str]) -> Spans:
    """Return, by batch and line, the earlier intervals in which a row was published.

    Only a batch with at least three recorded publications can have such an interval: one with the
    row, one without it, and one with it again.
    """
    spans = [
        span for b in batches if len(showings.by_batch.get(b, ())) > 2 for span in showings.spans(b)
    ]
    if not spans:
        return {}
    by_row: Spans = {}
    with duckdb.connect(config=duckdb_limits()) as db:
        columns = {
            name: [getattr(span, name) for span in spans] for name in ("path", "since", "until")
        }
        db.register("spans", pa.table(columns))
        db.execute("SET VARIABLE paths = ?", [sorted(set(columns["path"]))])
        rows = db.sql(
            "SELECT _batch, _line, since, until FROM read_parquet(getvariable('paths'),"
            " filename = 'path') JOIN spans USING (path) ORDER BY _batch, _line, since"
        )
        for batch, line, since, until in rows.fetchall():
            by_row.setdefault((batch, line), []).append((since, until))
    return by_row


def _with_spans(rows: pa.Table, spans: Spans) -> pa.Table:
    """Add `_shown_before`: earlier intervals of publication, each before `committed_at`."""
    if not spans:
        return rows
    near = pc.is_in(rows["_batch"], value_set=pa.array(sorted({batch for batch, _ in spans})))
    places = np.flatnonzero(np.asarray(near.combine_chunks().to_numpy(zero_copy_only=False)))
    few = rows.select(["_batch", "_line", "committed_at"]).take(pa.array(places))
    cells: list[list[dict[str, int]] | None] = [None]
    index = np.zeros(rows.num_rows, dtype=np.int64)
    for place, batch, line, committed in zip(
        places.tolist(), *(column.to_pylist() for column in few.columns), strict=True
    ):
        times = [
            {"since": since, "until": min(until, committed)}
            for since, until in spans.get((batch, line), ())
            if since < committed
        ]
        if times:
            index[place] = len(cells)
            cells.append(times)
    return rows.append_column(SHOWN_BEFORE, pa.array(cells, _SPANS).take(pa.array(index)))


def _times(
    lake: Lake,
    table_name: str,
    snapshot_id: int | None,
    showings: Showings,
    files: Sequence[str] | None = None,
) -> tuple[dict[str, int], list[EarlierPath]]:
    """Return ({batch: start of its publication}, earlier files of these batches) of a snapshot.

    With `files`, only batches with these paths are included. Times are int64 microseconds UTC.

    Raises:
        StateError: neither the table nor the ledger knows when a file was committed.
    """
    plan = lake.plan(table_name, snapshot_id)
    times: dict[str, int] = {}
    selected = None if files is None else set(files)
    for file in plan.files if plan else ():
        if selected is not None and file.path not in selected:
            continue
        moment = showings.since(file, plan.committed_at.get(file.snapshot_id) if plan else None)
        if moment is None:
            raise StateError(
                f"the publication time of batch {file.batch_id} is unknown",
                where=f"table {table_name}, {file.path}",
                fix="ingest its slot again; that reconciles the ledger from the table",
            )
        times[file.batch_id] = moment
    return times, [
        showing for key, moment in times.items() for showing in showings.before(key, moment)
    ]
