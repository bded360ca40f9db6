"""Build context: the published tables that the stages of one build share, each read once.

A caller that runs several stages creates a context and passes it to each of them; a stage that gets
none creates its own. `refresh` drops the data that was read if the tables have changed; `clear`
drops it to free memory.
"""

import copy
import re
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
from headrace.datasets.spec import DatasetSpec
from headrace.features.canonical import SPINE, definition_hashes
from headrace.features.frames.materialise import Inputs, Materialised, materialise
from headrace.features.frames.training_frame import Host
from headrace.features.spec import FeatureView, Lookup, RowTransform
from headrace.features.spines import build_spine
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile
from headrace.pipeline.definition import Pipeline

# Cached properties that hold published state; `clear` drops them.
_CACHED = ("snapshots", "live", "batches", "spine")


@dataclass
class BuildContext:
    """Pipeline with one published state of its tables.

    Attributes:
        pipeline: the pipeline's declaration.
        home: home folder with the tables.
        pins: {table: snapshot to read} instead of current snapshots; other tables cannot be read.
        cache: folder of the materialised views, instead of the pipeline's.
        built: names of the views that were built from this state.
    """

    pipeline: Pipeline
    home: Home
    pins: Mapping[str, int] | None = None
    cache: Path | None = None
    built: set[str] = field(default_factory=set)
    _hosts: dict[int, Host] = field(default_factory=dict)
    _tables: dict[tuple[str, int | None, tuple[str, ...]], pa.Table] = field(default_factory=dict)
    _selections: "dict[tuple[tuple[str, ...], ...], BuildContext]" = field(default_factory=dict)

    def refresh(self) -> None:
        """Drop all data that was read, if the current snapshot of any table has changed since."""
        if self.snapshots != self._current_snapshots():
            self.clear()

    def clear(self) -> None:
        """Drop all data that was read, to free memory."""
        for name in _CACHED:
            self.__dict__.pop(name, None)
        self.built.clear()
        self._hosts.clear()
        self._tables.clear()
        for context in self._selections.values():
            context.clear()

    def of(self, pipeline: Pipeline) -> "BuildContext":
        """Return the context of some of the pipeline's parts, such as one dataset with its views.

        It shares the tables that were read.
        """
        parts = part_names(pipeline)
        if parts == part_names(self.pipeline):
            return self
        if parts not in self._selections:
            context = BuildContext(pipeline, self.home, self.pins, self.cache)
            context._tables = self._tables
            self._selections[parts] = context
        return self._selections[parts]

    def with_dataset(self, dataset: DatasetSpec) -> "BuildContext":
        """Return a context with another dataset; both contexts share the tables already read."""
        context = copy.copy(self)
        context.pipeline = self.pipeline.with_dataset(dataset)
        return context

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.home)

    @cached_property
    def snapshots(self) -> dict[str, int | None]:
        """Snapshot to read by table; None if nothing is published."""
        return self._current_snapshots()

    def _current_snapshots(self) -> dict[str, int | None]:
        if self.pins is not None:
            return dict(self.pins)
        return {table.name: self.lake.snapshot_id(table.name) for table in self.pipeline.tables}

    @cached_property
    def live(self) -> dict[str, tuple[LiveFile, ...]]:
        """Published files by table, in the snapshots to read."""
        return {
            name: self.lake.files(name, snapshot) if snapshot is not None else ()
            for name, snapshot in self.snapshots.items()
        }

    @cached_property
    def batches(self) -> dict[str, dict[str, str]]:
        """{table: {batch id: path of the published file}} in the snapshots to read."""
        return {
            name: {file.batch_id: file.path for file in files} for name, files in self.live.items()
        }

    def files(self, table: str) -> tuple[str, ...]:
        """Return the cache keys of a table's published files, on which a view depends.

        In recorded mode a key includes the file's snapshot, because a file that is recalled and
        published again becomes usable at another time.
        """
        if self.pipeline.mode == "declared":
            return tuple(sorted(self.batches[table].values()))
        return tuple(sorted(f"{file.snapshot_id}:{file.path}" for file in self.live[table]))

    def history(self, table: str, columns: list[str]) -> pa.Table:
        """Read rows of a table's snapshot; see `headrace.lake.tables.history`."""
        snapshot = self.snapshots.get(table)
        key = (table, snapshot, tuple(sorted(columns)))
        if key not in self._tables:
            if snapshot is None and self.pins is not None:  # None would read the current snapshot
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
        """Definition hashes of the views and the spine, by name."""
        pipeline = self.pipeline
        return definition_hashes(pipeline.spine, pipeline.views, pipeline.contracts)

    def view(self, view: FeatureView | Lookup) -> Materialised:
        """Return the view's columns for every spine row; recompute rows that can have changed."""
        meaning = digest([self.definitions[view.name], self.definitions[SPINE], self.pipeline.mode])
        tables = sorted({view.table, self.pipeline.spine.table})
        inputs = Inputs(meaning, {table: self.files(table) for table in tables})

        def compute(rows: pa.Table) -> pa.Table:
            columns = self._host(rows).columns(view)
            return pa.table([column for _, column in columns], names=[name for name, _ in columns])

        return materialise(self.folder(view.name), inputs, self.spine, compute, usable_from)

    @property
    def content(self) -> str:
        """Digest of the feature frame's inputs: equal digests mean equal frames.

        Without a dataset, of the published files.
        """
        files = {name: self.files(name) for name in sorted(self.batches)}
        definitions = self.definitions if self.pipeline.datasets else {}
        return digest([definitions, files, self.pipeline.mode])

    def folder(self, view: str) -> Path:
        """Return the folder of a materialised view of the spine's rows."""
        folder = self.cache or self.home.root / "features" / self.pipeline.name
        if scope := self.pipeline.rows_scope:
            folder = folder / "rows" / scope
        return folder / view

    def _host(self, rows: pa.Table) -> Host:
        """Return the state that views share when they compute the same rows of the spine."""
        if rows.num_rows not in self._hosts:
            pipeline = self.pipeline
            views = [view for view in pipeline.views if not isinstance(view, RowTransform)]
            self._hosts[rows.num_rows] = Host.over(
                rows, views, self.history, pipeline.contracts, pipeline.mode
            )
        return self._hosts[rows.num_rows]


def part_names(pipeline: Pipeline) -> tuple[tuple[str, ...], ...]:
    """Return the names of a pipeline's views, datasets, models and monitors."""
    return (
        tuple(view.name for view in pipeline.views),
        tuple(dataset.name for dataset in pipeline.datasets),
        tuple(model.name for model in pipeline.models),
        tuple(monitor.name for monitor in pipeline.monitors),
    )


def usable_from(files: Mapping[str, tuple[str, ...]]) -> int | None:
    """Return the smallest known-at (us, UTC) in these files, before which no row is usable."""
    paths = [re.sub(r"^\d+:", "", file) for names in files.values() for file in names]
    if not paths:
        return None
    with duckdb.connect() as db:
        row = db.execute("SELECT min(known_at) FROM read_parquet(?)", [paths]).fetchone()
    return None if row is None or row[0] is None else to_us(row[0])


def current_context(
    pipeline: Pipeline, home: Home, context: BuildContext | None = None
) -> BuildContext:
    """Refresh and return the caller's context; create one if there is none for this home."""
    if context is None or context.home != home:
        return BuildContext(pipeline, home)
    context = context.of(pipeline)
    context.refresh()
    return context
