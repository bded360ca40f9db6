"""What the stages of one build share: pinned snapshots, tables read once, the spine."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa

from headrace.core.clock import to_us
from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.features.canonical import SPINE, definition_hashes
from headrace.features.frames.materialise import Inputs, Materialised, materialise
from headrace.features.frames.training_frame import Host
from headrace.features.spec import FeatureView, Lookup, RowTransform
from headrace.features.spines import build_spine
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile
from headrace.pipeline.definition import Pipeline


@dataclass
class Workshop:
    """One pipeline over one published state: the snapshots are read once, then kept.

    Attributes:
        pipeline: what is declared.
        home: where the state lives.
        pins: the snapshots to read, by table, instead of the current ones; other tables are none.
        cache: where views are kept, instead of the pipeline's folder.
    """

    pipeline: Pipeline
    home: Home
    pins: Mapping[str, int] | None = None
    cache: Path | None = None
    built: set[str] = field(default_factory=set)
    _hosts: dict[int, Host] = field(default_factory=dict)
    _tables: dict[tuple[str, tuple[str, ...]], pa.Table] = field(default_factory=dict)

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.home)

    @cached_property
    def snapshots(self) -> dict[str, int | None]:
        if self.pins is not None:
            return dict(self.pins)
        return {table.name: self.lake.snapshot_id(table.name) for table in self.pipeline.tables}

    @cached_property
    def live(self) -> dict[str, tuple[LiveFile, ...]]:
        """{table: published files} of the pinned snapshots."""
        return {
            name: self.lake.files(name, snapshot) if snapshot is not None else ()
            for name, snapshot in self.snapshots.items()
        }

    @cached_property
    def batches(self) -> dict[str, dict[str, str]]:
        """{table: {batch id: published file}} of the pinned snapshots."""
        return {
            name: {file.batch_id: file.path for file in files} for name, files in self.live.items()
        }

    def files(self, table: str) -> tuple[str, ...]:
        """What the rows of a view depend on: in recorded mode also since when they are usable.

        A file that was taken back and published again is another one then.
        """
        if self.pipeline.mode == "declared":
            return tuple(sorted(self.batches[table].values()))
        return tuple(sorted(f"{file.snapshot_id}:{file.path}" for file in self.live[table]))

    def history(self, table: str, columns: list[str]) -> pa.Table:
        """Rows of the pinned snapshot; see `headrace.lake.tables.history`."""
        key = (table, tuple(sorted(columns)))
        if key not in self._tables:
            snapshot = self.snapshots.get(table)
            if snapshot is None and self.pins is not None:  # None would be read as the current one
                raise StateError(
                    f"no snapshot of {table} is pinned",
                    where=f"pipeline {self.pipeline.name}",
                    fix="rebuild at the code revision of the release",
                )
            self._tables[key] = history(
                self.home, table, columns, snapshot_id=snapshot, pinned=self.pins is not None
            )
        return self._tables[key]

    @cached_property
    def spine(self) -> pa.Table:
        pipeline = self.pipeline
        return build_spine(pipeline.spine, self.history, pipeline.contracts, pipeline.mode)

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Definition hashes of the views and the spine."""
        pipeline = self.pipeline
        return definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)

    def view(self, view: FeatureView | Lookup) -> Materialised:
        """The view's columns for every row of the spine, renewed where they can have changed."""
        meaning = digest([self.definitions[view.name], self.definitions[SPINE], self.pipeline.mode])
        tables = sorted({view.table, self.pipeline.spine.table})
        inputs = Inputs(meaning, {table: self.files(table) for table in tables})

        def compute(rows: pa.Table) -> pa.Table:
            named = self._host(rows).columns(view)
            return pa.table([column for _, column in named], names=[name for name, _ in named])

        return materialise(self.folder(view.name), inputs, self.spine, compute, usable_from)

    @property
    def content(self) -> str:
        """Names the feature frame: equal names, equal bytes."""
        files = {name: self.files(name) for name in sorted(self.batches)}
        return digest([self.definitions, files, self.pipeline.mode])

    def folder(self, view: str) -> Path:
        kept = self.cache or self.home.root / "features" / self.pipeline.name
        return kept / view

    def _host(self, rows: pa.Table) -> Host:
        """Views that renew the same rows share what is computed once for them."""
        if rows.num_rows not in self._hosts:
            pipeline = self.pipeline
            views = [view for view in pipeline.views if not isinstance(view, RowTransform)]
            self._hosts[rows.num_rows] = Host.over(
                rows, views, self.history, pipeline.contracts, pipeline.mode
            )
        return self._hosts[rows.num_rows]


def usable_from(files: Mapping[str, tuple[str, ...]]) -> int | None:
    """The least known-at in these files, microseconds UTC: nothing in them is usable earlier."""
    names = [name for some in files.values() for name in some]
    paths = [re.sub(r"^\d+:", "", name) for name in names]
    if not paths:
        return None
    with duckdb.connect() as db:
        row = db.execute("SELECT min(known_at) FROM read_parquet(?)", [paths]).fetchone()
    return None if row is None or row[0] is None else to_us(row[0])


_LATEST: list[Workshop] = []
_LOCK = threading.Lock()


def workshop(pipeline: Pipeline, home: Home) -> Workshop:
    """The workshop over what is published now; the last one, if nothing was published since."""
    fresh = Workshop(pipeline, home)
    with _LOCK:
        if _LATEST:
            last = _LATEST[0]
            same = last.pipeline is pipeline and last.home == home
            if same and last.snapshots == fresh.snapshots:
                return last
        _LATEST[:] = [fresh]
    return fresh


def leave() -> None:
    """Forget the last workshop and the memory it holds."""
    with _LOCK:
        _LATEST.clear()
