"""Materialisation of an online store from published commits, never by a watermark of time.

The store records the files that it has applied. A row known on Monday and published on Wednesday is
in a file that did not exist on Monday, and is applied on Wednesday. Only added and removed files
are read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa

from headrace.core.clock import now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.core.sql import ident
from headrace.lake.tables.history import history_batches, with_provenance
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile
from headrace.serving.online import store_metadata
from headrace.serving.online.apply import apply_in, replace_in
from headrace.serving.online.layout import Layout
from headrace.serving.online.retention import drop_useless
from headrace.serving.online.stores.port import Reader, Store, Writer

_ROWS = 100_000
_KEYS = 100_000


@dataclass(frozen=True)
class AppliedCommits:
    """Result by table: the applied snapshot, and counts of new rows and renewed keys.

    A key is renewed, from all its rows in the table, if a row of it was removed, or arrived so late
    that the history it needs was pruned.
    """

    snapshots: Mapping[str, int]
    rows: Mapping[str, int]
    renewed: Mapping[str, int]


def materialise(
    home: Home, layout: Layout, store: Store, *, clock: Callable[[], int] = now_us
) -> AppliedCommits:
    """Apply every published file that the store lacks; running it twice changes nothing.

    For a table that is being served, all changes are applied in one transaction, which records the
    snapshot, too: an answer has a commit completely or not at all. Rows of a removed file (its
    batch was recalled, re-validated or rewritten) are removed, unless other files have them too.
    The first time, a table is applied in several transactions, and a run that was killed can be
    continued; the table is not served until it is complete.

    Raises:
        StateError: the store is of another layout, or lost content meanwhile.
    """
    lake = Lake(home)
    snapshots, rows, renewed = {}, {}, {}
    for table in layout.tables:
        work = _TableWork(home, lake, layout, table)
        snapshot = work.bring_up(store, clock)
        if snapshot is not None:
            snapshots[table], rows[table], renewed[table] = snapshot, work.rows, work.renewed
    return AppliedCommits(snapshots, rows, renewed)


def clear(store: Store) -> None:
    """Remove all content of the store, including its horizon, so that it can be filled again."""
    with store.writing() as writer:
        writer.delete_many([key for key, _ in writer.scan(b"")])


def file_name(file: LiveFile) -> str:
    """Return the name of a file in a store's records: commit that published it, and path."""
    return f"{file.snapshot_id}:{file.path}"


@dataclass(frozen=True)
class _State:
    """Snapshot of a table, and the names of its files that a store has applied."""

    snapshot: int
    files: dict[str, LiveFile]
    applied: set[str]
    served: bool
    as_of: int

    @cached_property
    def added(self) -> list[LiveFile]:
        return [file for name, file in self.files.items() if name not in self.applied]

    @cached_property
    def removed(self) -> list[str]:
        """Paths of removed files; one that was withdrawn and republished is removed and added."""
        return sorted(name.partition(":")[2] for name in self.applied - set(self.files))

    @property
    def republished(self) -> list[str]:
        return sorted({file.path for file in self.added} & set(self.removed))

    @property
    def coming(self) -> int:
        """Rows to apply, of all added files."""
        return sum(file.rows for file in self.added)

    @property
    def claim(self) -> dict[str, object]:
        return {"snapshot_id": self.snapshot, "as_of": self.as_of, "files": sorted(self.files)}


@dataclass
class _TableWork:
    """Work on one table; `rows` and `renewed` count the changes."""

    home: Home
    lake: Lake
    layout: Layout
    table: str
    rows: int = 0
    renewed: int = 0

    def bring_up(self, store: Store, clock: Callable[[], int]) -> int | None:
        """Apply new files, and return the applied snapshot; None if nothing was ever published."""
        while True:
            with store.writing() as writer:  # no other writer while it is read
                state = self._state(writer, clock())
                if state is None:
                    return None
                store_metadata.claim_layout(writer, self.layout)
                if state.served and all(Path(path).exists() for path in state.removed):
                    self._apply_commit(writer, state)
                    return state.snapshot
                if state.removed:
                    self._clear(writer)
                    state = replace(state, applied=set())
                store_metadata.write_files(writer, self.table, sorted(state.applied))
            # After this the table is served, and the next pass applies later changes as a commit.
            self._apply_all(store, state)

    def _state(self, reader: Reader, as_of: int) -> _State | None:
        """Return the table's state; `as_of` is taken first, so all commits until then are in it."""
        snapshot = self.lake.snapshot_id(self.table)
        if snapshot is None:
            return None
        files = {file_name(file): file for file in self.lake.files(self.table, snapshot)}
        applied = set(store_metadata.read_files(reader, self.table))
        served = store_metadata.read_frontier(reader, self.table) is not None
        return _State(snapshot, files, applied, served, as_of)

    def _apply_commit(self, writer: Writer, state: _State) -> None:
        keys = [self._keys_that_lost_rows(state)] if state.removed else []
        for batch in self._batches(state, state.added):
            refused = apply_in(writer, self.layout, self.table, batch).refused
            if refused:
                keys.append(batch.take(pa.array(refused)).select(self._key))
        if keys:
            self._renew(writer, state, pa.concat_tables(keys))
        store_metadata.write_frontier(writer, self.table, state.claim)

    def _apply_all(self, store: Store, state: _State) -> None:
        """Apply all files in several transactions, then drop history beyond the horizon.

        Each transaction must find the store as the previous one left it: in between, a Redis
        without persistence may have been restarted, flushed or evicted.
        """
        applied = sorted(state.applied)
        for files in _groups(state.added):
            for batch in self._batches(state, files):
                with store.writing() as writer:
                    self._expect(writer, applied)
                    apply_in(writer, self.layout, self.table, batch, thinned=False)
            before, applied = applied, sorted({*applied, *map(file_name, files)})
            with store.writing() as writer:
                self._expect(writer, before)
                store_metadata.write_files(writer, self.table, applied)
        with store.writing() as writer:
            if store_metadata.read_frontier(writer, self.table) is not None:
                return  # another run was faster, and may be further
            self._expect(writer, applied)
            horizon = store_metadata.read_horizon(writer)
            if horizon is not None:
                drop_useless(writer, self.layout, self.table, horizon)
            store_metadata.write_frontier(writer, self.table, state.claim)

    def _expect(self, reader: Reader, applied: Sequence[str]) -> None:
        """Raise StateError if the store is not as this run left it."""
        if not store_metadata.holds_files(reader, self.table, applied):
            raise StateError(
                f"the store lost what it held of {self.table}, or another run fills it as well",
                where="online store",
                fix="headrace online sync, one at a time; see why a server drops what it holds",
            )

    def _batches(self, state: _State, files: Sequence[LiveFile]) -> Iterator[pa.Table]:
        if not files:
            return
        paths = [file.path for file in files]
        stage, total = f"store {self.table}", state.coming
        report(stage, self.rows, total, "rows")
        for batch in history_batches(
            self.home,
            self.table,
            self._columns,
            snapshot_id=state.snapshot,
            files=paths,
            rows=_ROWS,
        ):
            yield batch
            self.rows += batch.num_rows
            report(stage, self.rows, total, "rows")

    def _renew(self, writer: Writer, state: _State, keys: pa.Table) -> None:
        """Replace the versions of keys by those of the table."""
        keys = keys.group_by(keys.column_names).aggregate([])
        for start in range(0, keys.num_rows, _KEYS):
            part = keys.slice(start, _KEYS)
            batches = history_batches(
                self.home, self.table, self._columns, snapshot_id=state.snapshot, keys=part
            )
            rows = pa.concat_tables(batches)
            self.renewed += replace_in(writer, self.layout, self.table, part, rows)

    def _keys_that_lost_rows(self, state: _State) -> pa.Table:
        """Return keys with a row in a removed file that no added file has.

        All keys of a republished file are included: its rows became usable later.
        """
        columns = with_provenance(self.lake, self.table, self._columns, state.snapshot)
        names = ", ".join(map(ident, columns))
        key = ", ".join(map(ident, self._key))

        def read(files: Sequence[str]) -> str:
            return self.lake.relation(self.table, None, state.snapshot, files=files)

        added = [file.path for file in state.added]
        with closing(duckdb.connect()) as db:
            db.execute("SET TimeZone = 'UTC'")
            return db.sql(
                f"SELECT DISTINCT {key} FROM (SELECT {names} FROM {read(state.removed)}"  # noqa: S608
                f" EXCEPT SELECT {names} FROM {read(added)}"
                f" UNION SELECT {names} FROM {read(state.republished)})"
            ).to_arrow_table()

    def _clear(self, writer: Writer) -> None:
        """Remove the table's content; the horizon stays."""
        layout, table = self.layout, self.table
        prefixes = [b"v%02x" % layout.tables[table].number, store_metadata.frontier_key(table)]
        prefixes += [kind + join.prefix for join in layout.joins_of(table) for kind in (b"e", b"l")]
        prefixes.append(store_metadata.files_key(table))
        for prefix in prefixes:
            writer.delete_many([key for key, _ in writer.scan(prefix)])

    @property
    def _columns(self) -> list[str]:
        return list(self.layout.tables[self.table].columns)

    @property
    def _key(self) -> list[str]:
        return list(self.layout.tables[self.table].shape.primary_key)


def _groups(files: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    """Yield groups of files, in order, with enough rows for a transaction."""
    group: list[LiveFile] = []
    for file in files:
        group.append(file)
        if sum(file.rows for file in group) >= _ROWS:
            yield group
            group = []
    if group:
        yield group
