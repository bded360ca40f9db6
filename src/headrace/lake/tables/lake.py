"""Published tables: commit files in one transaction, and read published rows.

Iceberg manages the transactions, and DuckDB reads the files.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.core.clock import forward, machine_us
from headrace.core.compute import duckdb_limits
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ingest.staging import StagedFile, fitting
from headrace.lake.tables.duckdb_relations import select_files
from headrace.lake.tables.relocation import home_path
from headrace.lake.tables.snapshot_files import (
    LiveFile,
    SnapshotColumn,
    SnapshotPlan,
    duckdb_name,
    load_plan,
    metadata_without_iceberg,
    save_plan,
    warehouse_root,
)

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

    from headrace.contracts import Contract

_NAMESPACE = "headrace"


@dataclass(frozen=True)
class Snapshot:
    """State of a table after a commit.

    Attributes:
        snapshot_id: id of the new snapshot, or of the current one if nothing had to change.
        committed_at: its commit time, int64 microseconds UTC.
        added: batches that this commit published.
        replaced: batches whose file this commit replaced.
        withdrawn: recalled batches whose file this commit removed.
    """

    snapshot_id: int | None
    committed_at: int | None
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    withdrawn: tuple[str, ...] = ()


class Lake:
    """The published tables of a home.

    They are under the home's folder unless `HEADRACE_CATALOG` or `HEADRACE_WAREHOUSE` is set.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._opened: SqlCatalog | None = None
        self._plans: dict[tuple[str, int], SnapshotPlan] = {}

    # Writing

    def publish(
        self,
        contract: "Contract",
        add: Sequence[StagedFile],
        replace: Sequence[StagedFile] = (),
        *,
        recalled: Callable[[], Collection[str]] = tuple,
        outdated: Callable[[], Collection[str]] = tuple,
        decimals: bool = False,
    ) -> Snapshot:
        """Publish files in exactly one snapshot; files that are published already are skipped.

        Args:
            contract: the table's name and schema; new fields are added in the same commit.
            add: files of batches to publish.
            replace: files that replace their batch's present file; a file without rows only removes
                it.
            recalled: function that returns the batches that must not be published. It is called
                after the table's state is read: if a batch leaves the table by a recall after that,
                the commit fails and is tried again.
            outdated: function, called at the same time as `recalled`, that returns the batches for
                which `add` or `replace` has an outdated file; their present files stay.
            decimals: make scaled columns DECIMAL; `replace` then holds every published batch.

        Raises:
            StateError: a field changed its type, or other commits interfered too often.
        """
        from headrace.lake.tables import iceberg

        return iceberg.retrying(
            lambda: self._attempt(contract, add, replace, recalled, outdated, decimals),
            f"publishing to {contract.table}",
        )

    def _attempt(  # noqa: PLR0917
        self,
        contract: "Contract",
        add: Sequence[StagedFile],
        replace: Sequence[StagedFile],
        recalled: Callable[[], Collection[str]],
        outdated: Callable[[], Collection[str]],
        decimals: bool,
    ) -> Snapshot:
        from headrace.lake.tables import iceberg

        arrow, root = contract.table_schema(), warehouse_root(self.home)
        table = iceberg.load_or_create(self._catalog(), contract.table, arrow, root)
        arrow = arrow if decimals else iceberg.with_types_of(table, arrow)
        add, replace = (fitting(files, contract, arrow) for files in (add, replace))
        live = self._live_at(table)
        barred = set(recalled())
        excluded = barred | set(outdated())
        candidates = [f for f in (*add, *replace) if f.batch_id not in excluded]
        new = [f for f in candidates if f.rows and f.batch_id not in live]
        exchanged = [
            f
            for f in replace
            if f.batch_id in live.keys() - excluded and live[f.batch_id].path != str(f.path)
        ]
        withdrawn = sorted(live.keys() & barred)
        staged = {f.batch_id: f for f in (*new, *exchanged)}
        if decimals and live.keys() - {*staged, *withdrawn}:
            what = f"{contract.table} was published to while it was rewritten"
            raise StateError(what, where=f"table {contract.table}", fix="run it again")
        if not staged and not withdrawn:
            return _unchanged(table)
        summary = {"headrace.contract": contract.hash, "headrace.batches": str(len(staged))}
        plan = self._commit(table, arrow, live, staged, withdrawn, summary)
        return Snapshot(
            plan.snapshot_id,
            plan.committed_at[plan.snapshot_id],
            tuple(f.batch_id for f in new),
            tuple(f.batch_id for f in exchanged),
            tuple(withdrawn),
        )

    def withdraw(self, table: str, recalled: Callable[[], Collection[str]]) -> Snapshot:
        """Remove the files of recalled batches in one snapshot; a no-op if none is published.

        Args:
            table: name of the table, which may never have been published.
            recalled: as in `publish`.
        """
        from headrace.lake.tables import iceberg

        def attempt() -> Snapshot:
            loaded = self.iceberg_table(table)
            live = self._live_at(loaded) if loaded is not None else {}
            withdrawn = sorted(live.keys() & set(recalled()))
            if loaded is None or not withdrawn:
                return _unchanged(loaded)
            plan = self._commit(loaded, None, live, {}, withdrawn, {})
            moment = plan.committed_at[plan.snapshot_id]
            return Snapshot(plan.snapshot_id, moment, (), (), tuple(withdrawn))

        return iceberg.retrying(attempt, f"taking batches out of {table}")

    def _live_at(self, loaded: "IcebergTable") -> dict[str, LiveFile]:
        """Return the published files by batch, in the loaded state of the table."""
        current = loaded.current_snapshot()
        plan = self.plan(loaded.name()[-1], current.snapshot_id) if current else None
        return {file.batch_id: file for file in plan.files} if plan else {}

    def _commit(  # noqa: PLR0917
        self,
        loaded: "IcebergTable",
        arrow: pa.Schema | None,
        live: Mapping[str, LiveFile],
        staged: Mapping[str, StagedFile],
        withdrawn: Sequence[str],
        summary: Mapping[str, str],
    ) -> SnapshotPlan:
        """Commit one snapshot that replaces the files of `staged` and removes `withdrawn`."""
        from headrace.lake.tables import iceberg

        current = loaded.current_snapshot()
        if current is not None:
            # Iceberg takes commit times from the machine's clock, even if Headrace uses another.
            forward(current.timestamp_ms * 1000, loaded.location(), machine_us)
        leaving = {*withdrawn, *(live.keys() & staged.keys())}
        snapshot_id, files = iceberg.commit(
            loaded,
            arrow,
            [f.path for f in staged.values() if f.rows],
            [live[batch].path for batch in sorted(leaving)],
            {**summary, **({"headrace.recalled": " ".join(withdrawn)} if withdrawn else {})},
        )
        added = [_live_file(self.home, file, snapshot_id) for file in files]
        remaining = [file for batch, file in live.items() if batch not in leaving]
        return self._keep_plan(loaded, snapshot_id, [*remaining, *added])

    def pin(self, table: str, snapshot_id: int, tag: str, *, instead_of: str = "") -> None:
        """Tag a snapshot, so that it does not expire until the tag is removed; idempotent.

        The tag `instead_of`, if it exists, is removed in the same commit.

        Raises:
            StateError: the snapshot has expired, or the tag belongs to another one.
        """
        from headrace.lake.tables import iceberg

        def attempt() -> None:
            loaded = self._loaded(table)
            if loaded.snapshot_by_id(snapshot_id) is None:
                raise _no_snapshot(table, snapshot_id)
            ref = loaded.metadata.refs.get(tag)
            if ref is not None and ref.snapshot_id != snapshot_id:
                raise StateError(
                    f"tag {tag} of {table} pins snapshot {ref.snapshot_id}, not {snapshot_id}",
                    where=f"table {table}",
                    fix="use another tag; a pin never moves",
                )
            removed = [instead_of] if instead_of in loaded.metadata.refs else []
            if ref is None or removed:
                iceberg.retag(loaded, {} if ref else {tag: snapshot_id}, removed)

        iceberg.retrying(attempt, f"pinning {table}")

    def unpin(self, table: str, *tags: str) -> None:
        """Remove these tags, so that their snapshots may expire; unknown tags are ignored."""
        from headrace.lake.tables import iceberg

        def attempt() -> None:
            loaded = self.iceberg_table(table)
            present = [] if loaded is None else [tag for tag in tags if tag in loaded.metadata.refs]
            if loaded is not None and present:
                iceberg.retag(loaded, {}, present)

        iceberg.retrying(attempt, f"unpinning {table}")

    def tags(self, table: str) -> dict[str, int]:
        """Return {tag: snapshot id}; tagged snapshots do not expire."""
        metadata = metadata_without_iceberg(self.home, _NAMESPACE, table)
        if metadata is not None:
            refs = metadata.get("refs", {}).items()
            return {name: int(r["snapshot-id"]) for name, r in refs if r["type"] == "tag"}
        loaded = self.iceberg_table(table)
        refs = loaded.metadata.refs.items() if loaded is not None else ()
        return {name: r.snapshot_id for name, r in refs if str(r.snapshot_ref_type) == "tag"}

    # Reading

    def snapshot_id(self, table: str) -> int | None:
        """Return the id of the current snapshot; None if nothing was ever published."""
        metadata = metadata_without_iceberg(self.home, _NAMESPACE, table)
        if metadata is not None:
            current_id = metadata.get("current-snapshot-id")
            return int(current_id) if current_id not in (None, -1) else None
        loaded = self.iceberg_table(table)
        current = loaded.current_snapshot() if loaded is not None else None
        return int(current.snapshot_id) if current else None

    def plan(self, table: str, snapshot_id: int | None = None) -> SnapshotPlan | None:
        """Return the files and columns of a snapshot, by default of the current one.

        None if nothing was ever published.

        Raises:
            StateError: that snapshot is unknown or expired.
        """
        resolved_id = self.snapshot_id(table) if snapshot_id is None else snapshot_id
        if resolved_id is None:
            return None
        key = (table, resolved_id)
        if key not in self._plans:
            self._plans[key] = load_plan(self.home, table, resolved_id) or self._make_plan(
                table, resolved_id
            )
        return self._plans[key]

    def ranged_plan(self, table: str) -> SnapshotPlan | None:
        """Return the plan of the current snapshot, with each file's range of known-at."""
        plan = self.plan(table)
        if plan is None or all(file.known_from is not None for file in plan.files):
            return plan
        return self._make_plan(table, plan.snapshot_id)

    def files(self, table: str, snapshot_id: int | None = None) -> tuple[LiveFile, ...]:
        """Return the published files of a snapshot, in order of batch id."""
        return plan.files if (plan := self.plan(table, snapshot_id)) else ()

    def live(self, table: str, snapshot_id: int | None = None) -> dict[str, str]:
        """Return the path of each published batch, from the table itself."""
        return {file.batch_id: file.path for file in self.files(table, snapshot_id)}

    def schema(self, table: str, snapshot_id: int | None = None) -> tuple[SnapshotColumn, ...]:
        """Return the table's columns with field ids and DuckDB types."""
        return self._required_plan(table, snapshot_id).columns

    def relation(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        snapshot_id: int | None = None,
        *,
        files: Sequence[str] | None = None,
    ) -> str:
        """Return a parenthesised DuckDB SELECT over the published files.

        Columns are matched by field id, so old files work after a column is renamed or added. With
        `files`, only these paths are read, which may be files of another snapshot.
        """
        return select_files(self._required_plan(table, snapshot_id), columns, files)

    def scan(
        self, table: str, columns: Sequence[str] | None = None, snapshot_id: int | None = None
    ) -> pa.Table:
        """Return published rows in the contract's types (int64, float64, string, timestamp, bool).

        Rows are in order of batch id, then of the delivery's lines.

        Raises:
            StateError: nothing was published, or the snapshot or a column is unknown.
        """
        import duckdb

        with duckdb.connect(config=duckdb_limits()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(
                f"SELECT * FROM {self.relation(table, columns, snapshot_id)}"  # noqa: S608
            ).to_arrow_table()

    # Inside

    def _catalog(self) -> "SqlCatalog":
        if self._opened is None:
            from headrace.lake.tables import iceberg

            self.home.warehouse.mkdir(parents=True, exist_ok=True)
            self._opened = iceberg.open_catalog(self.home)
        return self._opened

    def iceberg_table(self, table: str) -> "IcebergTable | None":
        """Return pyiceberg's table object; None if nothing was published."""
        from headrace.lake.tables import iceberg

        return iceberg.load(self._catalog(), table)

    def _loaded(self, table: str) -> "IcebergTable":
        loaded = self.iceberg_table(table)
        if loaded is None:
            raise _nothing_published(table)
        return loaded

    def _make_plan(self, table: str, snapshot_id: int) -> SnapshotPlan:
        from headrace.lake.tables import iceberg

        loaded = self._loaded(table)
        if loaded.snapshot_by_id(snapshot_id) is None:
            raise _no_snapshot(table, snapshot_id)
        entries = iceberg.manifest_entries(loaded, snapshot_id)
        return self._keep_plan(loaded, snapshot_id, [_live_file(self.home, *e) for e in entries])

    def _keep_plan(
        self, loaded: "IcebergTable", snapshot_id: int, files: Sequence[LiveFile]
    ) -> SnapshotPlan:
        schema = loaded.schemas()[loaded.snapshot_by_id(snapshot_id).schema_id]
        plan = SnapshotPlan(
            table=loaded.name()[-1],
            snapshot_id=snapshot_id,
            columns=tuple(
                SnapshotColumn(f.field_id, f.name, duckdb_name(str(f.field_type)))
                for f in schema.fields
            ),
            files=tuple(sorted(files, key=lambda file: file.batch_id)),
            committed_at={s.snapshot_id: s.timestamp_ms * 1000 for s in loaded.snapshots()},
        )
        self._plans[plan.table, snapshot_id] = plan
        save_plan(self.home, plan)
        return plan

    def _required_plan(self, table: str, snapshot_id: int | None) -> SnapshotPlan:
        plan = self.plan(table, snapshot_id)
        if plan is None:
            raise _nothing_published(table)
        return plan


def _unchanged(loaded: "IcebergTable | None") -> Snapshot:
    current = loaded.current_snapshot() if loaded is not None else None
    if current is None:
        return Snapshot(None, None, (), ())
    return Snapshot(current.snapshot_id, current.timestamp_ms * 1000, (), ())


def _live_file(home: Home, file: "DataFile", added_by: int) -> LiveFile:
    from headrace.lake.tables import iceberg

    return LiveFile(
        path=home_path(home.root, file.file_path),
        batch_id=iceberg.batch_of(file),
        rows=int(file.record_count),
        bytes=int(file.file_size_in_bytes),
        snapshot_id=added_by,
        known_from=iceberg.moment_of(file.lower_bounds),
        known_to=iceberg.moment_of(file.upper_bounds),
    )


def _nothing_published(table: str) -> StateError:
    return StateError(
        f"nothing was published to table {table} yet",
        where="the lake",
        fix="ingest its slots first: `headrace run`",
    )


def _no_snapshot(table: str, snapshot_id: int) -> StateError:
    return StateError(
        f"table {table} has no snapshot {snapshot_id}",
        where="the Iceberg catalog",
        fix="it expired before it was pinned; use the current one",
    )
