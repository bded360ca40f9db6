"""Feature vectors from the published tables, computed by the kernel that builds training frames.

A table's rows stay in memory until the table has a newer snapshot. Each call compares snapshot ids,
not times, so late rows are not missed: a row known on Monday but published on Wednesday is used
from Wednesday on.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import Protocol, TypeAlias, overload

import pyarrow as pa

from headrace.contracts.model import Contract
from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.features.canonical import definition_hashes
from headrace.features.frames.training_frame import Host, apply_transforms
from headrace.features.kernel.row_content import Cell
from headrace.features.kernel.visibility import History, Versions
from headrace.features.spec import Mode, RowTransform, Spine, View, output_columns
from headrace.features.validate import validate
from headrace.serving.request import RequestSchema

# Ids of the snapshots that an answer was computed from, by table.
Frontier: TypeAlias = Mapping[str, int]


class Published(Protocol):
    """Access to the published tables."""

    def snapshot_id(self, table: str) -> int | None:
        """Return the id of the current snapshot; None if nothing was published."""
        ...

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        """Return the rows of a snapshot, in the form of `features.kernel.visibility.History`.

        Raises:
            StateError: the snapshot is gone.
        """
        ...


@dataclass(frozen=True)
class Vector:
    """Feature vector: `row` is a one-row table of the typed request, `t` and the features.

    `frontier` has the snapshot of each table that was read; `definition` is a digest of the feature
    definitions.
    """

    row: pa.Table = field(repr=False)
    key: tuple[str, ...]
    features: tuple[str, ...]
    frontier: Frontier
    definition: str

    @cached_property
    def values(self) -> dict[str, Cell]:
        """Features as plain values; timestamps as int microseconds UTC."""
        return cells(self.row.select(self.features))[0]

    @cached_property
    def request(self) -> dict[str, Cell]:
        """Request as the spine stores it: scaled numbers as integers."""
        return cells(self.row.drop_columns(["t", *self.features]))[0]

    @property
    def t(self) -> int:
        """Prediction time in microseconds UTC."""
        return int(self.row["t"][0].as_py())


@dataclass(frozen=True)
class Vectors(Sequence[Vector]):
    """Answers to a batch of requests, all from the same snapshots; a `Vector` is built on access.

    Attributes:
        values: features of each request, in the form of `Vector.values`.
        keys: entity of each request, in the order of the spine's key.
        frontier: the snapshot of each table that was read.
        stale: the views that exceed their staleness limit for any of the requests.
        vector_at: builds the vector of the request at an index.
    """

    values: Sequence[dict[str, Cell]]
    keys: Sequence[tuple[Cell, ...]]
    frontier: Frontier
    vector_at: Callable[[int], Vector] = field(repr=False)
    stale: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Vector: ...
    @overload
    def __getitem__(self, place: slice) -> list[Vector]: ...
    def __getitem__(self, place: int | slice) -> Vector | list[Vector]:
        index = range(len(self))[place]  # resolves negative indices and raises IndexError
        return (
            self.vector_at(index)
            if isinstance(index, int)
            else [self.vector_at(row) for row in index]
        )


@dataclass(frozen=True)
class _Loaded:
    """Loaded versions of each table, and the snapshots from which they were read."""

    frontier: dict[str, int]
    versions: dict[str, Versions]


class DeclaredVectors:
    """Declarations of a vector service, and hashes of their definitions."""

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    mode: Mode

    @cached_property
    def schema(self) -> RequestSchema:
        return RequestSchema(self.spine, self.contracts[self.spine.table])

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Definition hashes of the views and the spine, as models and releases record them."""
        return definition_hashes(self.spine, self.views, self.contracts)

    @cached_property
    def definition(self) -> str:
        """Digest of everything that defines a vector: views, spine, mode."""
        return digest({"definitions": self.definitions, "mode": self.mode})


@dataclass
class FeatureService(DeclaredVectors):
    """Service that computes the features of `views` for requests; safe to use from several threads.

    A request is a row of `spine`.

    Raises:
        DeclarationError: views, contracts and spine do not fit together.
    """

    spine: Spine
    views: tuple[View, ...]
    contracts: Mapping[str, Contract]
    published: Published
    mode: Mode
    _loaded: _Loaded = field(default_factory=lambda: _Loaded({}, {}), init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        validate(self.views, self.contracts, self.spine)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Tables that the views read."""
        stored = [view for view in self.views if not isinstance(view, RowTransform)]
        return tuple(sorted({view.table for view in stored}))

    def vector(self, request: Mapping[str, object], at: int) -> Vector:
        """Return the features of one request as of `at`, microseconds UTC.

        Args:
            request: a value or None for each column of the spine, in the column's unit.
            at: the prediction time. A row is used if it is usable by then and published by now.

        Raises:
            RequestError: the request does not fit the spine.
            StateError: a table has nothing published.
        """
        return self.vectors([(request, at)])[0]

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors:
        """Return vectors for many (request, at) pairs, all from the same snapshots."""
        spine = self.schema.table(requests)
        loaded = self._refreshed()
        frame = self._frame(spine, loaded)
        key, features = self.schema.key, tuple(output_columns(self.views))

        def vector_at(row: int) -> Vector:
            return Vector(frame.slice(row, 1), key, features, loaded.frontier, self.definition)

        values = cells(frame.select(features))
        keys = [tuple(cell[name] for name in key) for cell in cells(spine.select(key))]
        return Vectors(values, keys, loaded.frontier, vector_at)

    def history(self, frontier: Frontier) -> History:
        """Return a function, for `training_frame`, that reads rows of these snapshots."""
        return lambda table, columns: self.published.rows(table, columns, frontier[table])

    def frontier(self) -> dict[str, int]:
        """Return the current snapshot of each table.

        Raises:
            StateError: a table has nothing published.
        """
        snapshots = {table: self.published.snapshot_id(table) for table in self.tables}
        if empty := [table for table, snapshot in snapshots.items() if snapshot is None]:
            raise StateError(
                f"nothing was published to {', '.join(empty)} yet",
                where="serving",
                fix="ingest their partitions first: `headrace run`",
            )
        return {table: snapshot for table, snapshot in snapshots.items() if snapshot is not None}

    def refresh(self) -> Frontier:
        """Load the currently published tables, so that the next answer is fast.

        Raises:
            StateError: a table has nothing published.
        """
        return self._refreshed().frontier

    def _refreshed(self) -> _Loaded:
        """Return the loaded tables, after reloading those whose snapshot has changed."""
        with self._lock:
            frontier, old = self.frontier(), self._loaded
            if frontier != old.frontier:
                fresh = self._host(self.schema.table([]), self.history(frontier))
                versions = {
                    table: old.versions[table]
                    if old.frontier.get(table) == snapshot
                    else fresh.versions(table)
                    for table, snapshot in frontier.items()
                }
                self._loaded = _Loaded(frontier, versions)
            return self._loaded

    def _host(self, spine: pa.Table, history: History) -> Host:
        return Host.over(spine, self.views, history, self.contracts, self.mode)

    def _frame(self, spine: pa.Table, loaded: _Loaded) -> pa.Table:
        host = self._host(spine, self.history(loaded.frontier))
        host = replace(host, _versions=dict(loaded.versions))
        frame = spine
        for view in self.views:
            if not isinstance(view, RowTransform):
                for name, column in host.columns(view):
                    frame = frame.append_column(name, column)
        return apply_transforms(frame, self.views)


def cells(table: pa.Table) -> list[dict[str, Cell]]:
    """Return rows as JSON values: times become int microseconds, infinities become text."""
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    rows = pa.table(columns, names=table.column_names).to_pylist()
    return [plain_cells(row) for row in rows]


def plain_cells(row: dict[str, Cell]) -> dict[str, Cell]:
    """Replace infinities in a row by text, because JSON has no infinities."""
    for value in row.values():
        if type(value) is float and not isfinite(value):
            return {name: plain_cell(value) for name, value in row.items()}
    return row


def plain_cell(value: Cell) -> Cell:
    return repr(value) if isinstance(value, float) and not isfinite(value) else value
