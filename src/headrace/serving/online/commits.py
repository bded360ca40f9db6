"""Bring a store up to what is published: by commit, never by a watermark of time.

What was applied is known by its files. A row known on Monday and published on Wednesday is in a
file that was not there on Monday, and is applied on Wednesday. Only files that came or went are
read.
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
class Materialised:
    """By table: the snapshot that is applied, how many rows were new, how many keys were renewed.

    A key is renewed when a row of it has gone, or came later than what was retained.
    """

    snapshots: Mapping[str, int]
    rows: Mapping[str, int]
    renewed: Mapping[str, int]


def materialise(
    home: Home, layout: Layout, store: Store, *, clock: Callable[[], int] = now_us
) -> Materialised:
    """Apply every published file that the store has not; running again is a no-op.

    Of a table that is being served, all that is new is applied in one transaction, which also says
    which snapshot it is: an answer holds a commit whole or not at all. Rows of a file that has gone
    (its batch was recalled, judged anew or written anew) leave, unless other files hold them too.
    The first time, a table is applied in several transactions, from which a run that was killed
    goes on; nothing is answered from it until it is whole.

    Raises:
        StateError: the store is of another layout, or lost what it held meanwhile.
    """
    lake = Lake(home)
    snapshots, rows, renewed = {}, {}, {}
    for table in layout.tables:
        work = _Work(home, lake, layout, table)
        snapshot = work.bring_up(store, clock)
        if snapshot is not None:
            snapshots[table], rows[table], renewed[table] = snapshot, work.rows, work.renewed
    return Materialised(snapshots, rows, renewed)


def clear(store: Store) -> None:
    """Forget all that the store holds, and what was retained: it can be filled from the start."""
    with store.writing() as writer:
        writer.delete_many([key for key, _ in writer.scan(b"")])


def file_name(file: LiveFile) -> str:
    """What a store knows a file by: its rows have been usable since the commit that added it."""
    return f"{file.snapshot_id}:{file.path}"


@dataclass(frozen=True)
class _State:
    """A snapshot of a table, and which of its files (by name) a store has."""

    snapshot: int
    files: dict[str, LiveFile]
    applied: set[str]
    served: bool
    as_of: int

    @cached_property
    def added(self) -> list[LiveFile]:
        return [file for name, file in self.files.items() if name not in self.applied]

    @cached_property
    def gone(self) -> list[str]:
        """Paths; one that was taken back and published again has gone and was added."""
        return sorted(name.partition(":")[2] for name in self.applied - set(self.files))

    @property
    def again(self) -> list[str]:
        return sorted({file.path for file in self.added} & set(self.gone))

    @property
    def coming(self) -> int:
        """Rows to apply, of all files that were added."""
        return sum(file.rows for file in self.added)

    @property
    def claim(self) -> dict[str, object]:
        return {"snapshot_id": self.snapshot, "as_of": self.as_of, "files": sorted(self.files)}


@dataclass
class _Work:
    """One table; `rows` and `renewed` count what was done."""

    home: Home
    lake: Lake
    layout: Layout
    table: str
    rows: int = 0
    renewed: int = 0

    def bring_up(self, store: Store, clock: Callable[[], int]) -> int | None:
        """Apply what is new; the snapshot that is applied then, if anything was ever published."""
        while True:
            with store.writing() as writer:  # nobody else writes while it is looked at
                state = self._state(writer, clock())
                if state is None:
                    return None
                store_metadata.claim_layout(writer, self.layout)
                if state.served and all(Path(path).exists() for path in state.gone):
                    self._apply_commit(writer, state)
                    return state.snapshot
                if state.gone:
                    self._clear(writer)
                    state = replace(state, applied=set())
                store_metadata.write_files(writer, self.table, sorted(state.applied))
            # From then on it is served, and what is new since is a commit.
            self._apply_all(store, state)

    def _state(self, reader: Reader, as_of: int) -> _State | None:
        """`as_of` is before the look: what is published later is not claimed."""
        snapshot = self.lake.snapshot_id(self.table)
        if snapshot is None:
            return None
        files = {file_name(file): file for file in self.lake.files(self.table, snapshot)}
        applied = set(store_metadata.read_files(reader, self.table))
        served = store_metadata.read_frontier(reader, self.table) is not None
        return _State(snapshot, files, applied, served, as_of)

    def _apply_commit(self, writer: Writer, state: _State) -> None:
        keys = [self._keys_that_lost_rows(state)] if state.gone else []
        for batch in self._batches(state, state.added):
            refused = apply_in(writer, self.layout, self.table, batch).refused
            if refused:
                keys.append(batch.take(pa.array(refused)).select(self._key))
        if keys:
            self._renew(writer, state, pa.concat_tables(keys))
        store_metadata.write_frontier(writer, self.table, state.claim)

    def _apply_all(self, store: Store, state: _State) -> None:
        """From the start, or from where it was left; what was retained is dropped in the end.

        Each transaction finds the store as the one before left it, or nothing is claimed: between
        two of them a Redis that keeps nothing on disk may have been restarted, flushed or evicted.
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
                return  # another was faster, and may be further
            self._expect(writer, applied)
            horizon = store_metadata.read_horizon(writer)
            if horizon is not None:
                drop_useless(writer, self.layout, self.table, horizon)
            store_metadata.write_frontier(writer, self.table, state.claim)

    def _expect(self, reader: Reader, applied: Sequence[str]) -> None:
        """Refuse to go on in a store that is not as this run left it."""
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
        """Give keys the versions that the table holds of them."""
        keys = keys.group_by(keys.column_names).aggregate([])
        for start in range(0, keys.num_rows, _KEYS):
            some = keys.slice(start, _KEYS)
            batches = history_batches(
                self.home, self.table, self._columns, snapshot_id=state.snapshot, keys=some
            )
            rows = pa.concat_tables(batches)
            self.renewed += replace_in(writer, self.layout, self.table, some, rows)

    def _keys_that_lost_rows(self, state: _State) -> pa.Table:
        """Keys with a row in a file that has gone, which its batch does not hold any more.

        All keys of a file that was published again: its rows are usable later than they were.
        """
        wanted = with_provenance(self.lake, self.table, self._columns, state.snapshot)
        names = ", ".join(map(ident, wanted))
        key = ", ".join(map(ident, self._key))

        def read(files: Sequence[str]) -> str:
            return self.lake.relation(self.table, None, state.snapshot, files=files)

        added = [file.path for file in state.added]
        with closing(duckdb.connect()) as db:
            db.execute("SET TimeZone = 'UTC'")
            return db.sql(
                f"SELECT DISTINCT {key} FROM (SELECT {names} FROM {read(state.gone)}"  # noqa: S608
                f" EXCEPT SELECT {names} FROM {read(added)}"
                f" UNION SELECT {names} FROM {read(state.again)})"
            ).to_arrow_table()

    def _clear(self, writer: Writer) -> None:
        """Forget the table; what was retained stays known."""
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
    """Files in order that together have enough rows for a transaction."""
    group: list[LiveFile] = []
    for file in files:
        group.append(file)
        if sum(file.rows for file in group) >= _ROWS:
            yield group
            group = []
    if group:
        yield group
