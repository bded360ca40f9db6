"""Bring a store up to what is published: by commit, never by a watermark of time.

What was applied is known by its files. A row known on Monday and published on Wednesday is in a
file that was not there on Monday, and is applied on Wednesday.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace.clock import now_us
from headrace.home import Home
from headrace.lake.history import history
from headrace.lake.tables import Lake
from headrace.online import meta
from headrace.online.apply import apply
from headrace.online.layout import Layout
from headrace.online.port import Store
from headrace.online.words import encode
from headrace.progress import report

_ROWS = 100_000


@dataclass(frozen=True)
class Materialised:
    """By table: the snapshot that is applied, and how many rows were new."""

    snapshots: Mapping[str, int]
    rows: Mapping[str, int]


def materialise(
    home: Home, layout: Layout, store: Store, *, clock: Callable[[], int] = now_us
) -> Materialised:
    """Apply every published file that the store has not; running again is a no-op.

    When a file has gone (its batch was recalled or judged anew) the table is applied from the
    start; until that is done, nothing is answered from it. Rows that come too late for what was
    retained are applied with all versions of their keys.
    """
    lake = Lake(home)
    snapshots, rows = {}, {}
    for done, table in enumerate(layout.tables):
        report("online store", done, len(layout.tables), table)
        as_of = clock()  # before the look: what is published later is not claimed
        snapshot = lake.snapshot_id(table)
        if snapshot is None:
            continue
        files = {f.path: f.batch_id for f in lake.files(table, snapshot)}
        rows[table] = _bring_up(home, layout, store, table, files, snapshot, as_of)
        snapshots[table] = snapshot
    report("online store", len(layout.tables), len(layout.tables))
    return Materialised(snapshots, rows)


def _bring_up(  # noqa: PLR0917
    home: Home,
    layout: Layout,
    store: Store,
    table: str,
    files: Mapping[str, str],
    snapshot: int,
    as_of: int,
) -> int:
    with store.reading() as reader:
        applied = set(meta.read_files(reader, table))
    if applied - set(files):
        _clear(store, layout, table)
        applied = set()
    added = [batch for path, batch in files.items() if path not in applied]
    form = layout.tables[table]
    everything = form.shape.columns
    rows = history(home, table, list(everything), snapshot_id=snapshot) if added else None
    frontier = {"snapshot_id": snapshot, "as_of": as_of, "files": sorted(files)}
    if rows is None:
        with store.writing() as writer:
            meta.write_frontier(writer, table, frontier)
        return 0
    fresh = rows.filter(pc.is_in(rows["_batch"], value_set=pa.array(added, pa.string())))
    with store.reading() as reader:
        may_refuse = meta.read_horizon(reader) is not None
    for start in range(0, fresh.num_rows, _ROWS):
        batch = fresh.slice(start, _ROWS)
        # Rows and claim in one transaction, wherever nothing may be left over.
        last = start + _ROWS >= fresh.num_rows and not may_refuse
        claim = frontier if last else None
        refused = apply(store, layout, table, batch, frontier=claim).refused
        if refused:
            _rebuild(store, layout, table, rows, batch.take(pa.array(refused)))
    if may_refuse or not fresh.num_rows:
        with store.writing() as writer:  # only now is the commit claimed
            meta.write_frontier(writer, table, frontier)
    return int(fresh.num_rows)


def _rebuild(store: Store, layout: Layout, table: str, rows: pa.Table, late: pa.Table) -> None:
    """Apply all versions of the keys of late rows."""
    form = layout.tables[table]
    wanted = set(encode(form, late, layout.mode).names)
    names = encode(form, rows, layout.mode).names
    places = [i for i, name in enumerate(names) if name in wanted]
    apply(store, layout, table, rows.take(pa.array(places)), rebuilding=True)


def _clear(store: Store, layout: Layout, table: str) -> None:
    with store.writing() as writer:
        prefixes = [b"v%02x" % layout.tables[table].number, meta.frontier_key(table)]
        prefixes += [kind + join.prefix for join in layout.joins_of(table) for kind in (b"e", b"l")]
        prefixes.append(meta.files_key(table))
        for prefix in prefixes:
            writer.delete_many([key for key, _ in writer.scan(prefix)])
