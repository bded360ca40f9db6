"""Materialisation of an online store from published files, without a time watermark.

The store records which files it has applied, so it does not miss late rows: a row that is known on
Monday but published on Wednesday is in a file of Wednesday. Only added and removed files are read.
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
    """Applied snapshot, number of new rows and number of renewed keys of each table.

    A key is renewed, which means rebuilt from all its rows in the table, if one of its rows was
    removed, or arrived so late that the history it needs was pruned.
    """

    snapshots: Mapping[str, int]
    rows: Mapping[str, int]
    renewed: Mapping[str, int]


def materialise(
    home: Home, layout: Layout, store: Store, *, clock: Callable[[], int] = now_us
) -> AppliedCommits:
    """Apply every published file that the store lacks; running it twice changes nothing.

    Changes to a table that is already served are applied in one transaction, which also records the
    snapshot, so that an answer reads all of a commit or nothing of it. Rows of a removed file (its
    batch was recalled, re-validated or rewritten) are removed unless other files contain them. The
    first load of a table takes several transactions and continues after a crash; the table is not
    served until the load is complete.

    Raises:
        StateError: the store has another layout, or lost content during the load.
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
    """Remove all content of the store, with the retention horizon, so that it can be refilled."""
    with store.writing() as writer:
        writer.delete_many([key for key, _ in writer.scan(b"")])


def file_name(file: LiveFile) -> str:
    """Return `<snapshot id>:<path>`, the name under which a store records an applied file."""
    return f"{file.snapshot_id}:{file.path}"


@dataclass(frozen=True)
class _State:
    """Current snapshot and files of a table, and the names of the files that a store has applied.

    `served` is True if the first load is complete; `as_of` is the time of the check.
    """

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
        """Paths of removed files; a withdrawn and republished file is both removed and added."""
        return sorted(name.partition(":")[2] for name in self.applied - set(self.files))

    @property
    def republished(self) -> list[str]:
        return sorted({file.path for file in self.added} & set(self.removed))

    @property
    def coming(self) -> int:
        """Number of rows in the added files."""
        return sum(file.rows for file in self.added)

    @property
    def claim(self) -> dict[str, object]:
        return {"snapshot_id": self.snapshot, "as_of": self.as_of, "files": sorted(self.files)}


@dataclass
class _TableWork:
    """Materialisation of one table; `rows` and `renewed` count applied rows and renewed keys."""

    home: Home
    lake: Lake
    layout: Layout
    table: str
    rows: int = 0
    renewed: int = 0

    def bring_up(self, store: Store, clock: Callable[[], int]) -> int | None:
        """Apply new files and return the applied snapshot; None if nothing was ever published."""
        while True:
            with store.writing() as writer:  # excludes other writers while the state is read
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
            # After this load the table is served. The next pass applies newer commits in one
            # transaction.
            self._apply_all(store, state)

    def _state(self, reader: Reader, as_of: int) -> _State | None:
        """Return the table's state, which includes all commits until `as_of`."""
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
        """Apply all files in several transactions, then prune history before the retention horizon.

        Each transaction checks that the content of the previous one is still there, because a Redis
        server without persistence may have been restarted or flushed, or may have evicted keys.
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
                return  # another run has finished first, maybe with a later snapshot
            self._expect(writer, applied)
            horizon = store_metadata.read_horizon(writer)
            if horizon is not None:
                drop_useless(writer, self.layout, self.table, horizon)
            store_metadata.write_frontier(writer, self.table, state.claim)

    def _expect(self, reader: Reader, applied: Sequence[str]) -> None:
        """Raise StateError unless the store records exactly the files `applied`."""
        if not store_metadata.holds_files(reader, self.table, applied):
            raise StateError(
                f"the store lost content of {self.table}, or another run fills it at the same time",
                where="online store",
                fix="run headrace online sync again, alone; check why the server loses content",
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
        """Replace all versions of `keys` in the store by those in the table."""
        keys = keys.group_by(keys.column_names).aggregate([])
        for start in range(0, keys.num_rows, _KEYS):
            part = keys.slice(start, _KEYS)
            batches = history_batches(
                self.home, self.table, self._columns, snapshot_id=state.snapshot, keys=part
            )
            rows = pa.concat_tables(batches)
            self.renewed += replace_in(writer, self.layout, self.table, part, rows)

    def _keys_that_lost_rows(self, state: _State) -> pa.Table:
        """Return the keys of rows that are in a removed file and in no added file.

        All keys of a republished file are included, because its rows became usable later.
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
        """Remove the table's content, but keep the retention horizon."""
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
    """Yield groups of consecutive files, each with at least `_ROWS` rows except the last."""
    group: list[LiveFile] = []
    for file in files:
        group.append(file)
        if sum(file.rows for file in group) >= _ROWS:
            yield group
            group = []
    if group:
        yield group
