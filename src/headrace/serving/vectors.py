"""Feature vectors for requests, by the kernel that makes training frames, over published tables.

What was read of a table is kept for as long as its snapshot is the current one. Each call looks at
the snapshot ids, never at a clock: a row known on Monday and published on Wednesday is there on
Wednesday.
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

# The snapshot of each table that an answer was computed from.
Frontier: TypeAlias = Mapping[str, int]


class Published(Protocol):
    """The published tables."""

    def snapshot_id(self, table: str) -> int | None:
        """The current snapshot; None where nothing was published."""
        ...

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        """Rows of a snapshot, as `headrace.features.kernel.visibility.History` has them.

        Raises:
            StateError: the snapshot is gone.
        """
        ...


@dataclass(frozen=True)
class Vector:
    """One answer: `row` is the request as typed, `t`, and the features, as a table of one row.

    `frontier` says which snapshot of each table was read, `definition` what the features mean.
    """

    row: pa.Table = field(repr=False)
    key: tuple[str, ...]
    features: tuple[str, ...]
    frontier: Frontier
    definition: str

    @cached_property
    def values(self) -> dict[str, Cell]:
        """The features as plain values; timestamps as int microseconds UTC."""
        return cells(self.row.select(self.features))[0]

    @cached_property
    def request(self) -> dict[str, Cell]:
        """The request as the spine stores it: scaled numbers as integers."""
        return cells(self.row.drop_columns(["t", *self.features]))[0]

    @property
    def t(self) -> int:
        """Microseconds UTC."""
        return int(self.row["t"][0].as_py())


@dataclass(frozen=True)
class Vectors(Sequence[Vector]):
    """Answers to what was asked together, from one frontier; a `Vector` is made when it is taken.

    Attributes:
        values: the features of each, as `Vector.values` has them.
        keys: the entity of each, in the order of the spine's key.
        frontier: the snapshot of each table that was read.
        stale: the views that are older than they declare, for any of them.
        made: the vector at a place.
    """

    values: Sequence[dict[str, Cell]]
    keys: Sequence[tuple[Cell, ...]]
    frontier: Frontier
    made: Callable[[int], Vector] = field(repr=False)
    stale: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Vector: ...
    @overload
    def __getitem__(self, place: slice) -> list[Vector]: ...
    def __getitem__(self, place: int | slice) -> Vector | list[Vector]:
        chosen = range(len(self))[place]  # with its IndexError, and negative places
        return self.made(chosen) if isinstance(chosen, int) else [self.made(one) for one in chosen]


@dataclass(frozen=True)
class _Loaded:
    """What was read of each table, and of which snapshot."""

    frontier: dict[str, int]
    versions: dict[str, Versions]


class Declared:
    """What a service of vectors is asked for, and what its answers mean, wherever they are from."""

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
        """One digest of all that gives a vector its meaning: views, spine, mode."""
        return digest({"definitions": self.definitions, "mode": self.mode})


@dataclass
class FeatureService(Declared):
    """Vectors of `views` for requests that are rows of `spine`; safe to use from several threads.

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
        """The tables that the views read."""
        stored = [view for view in self.views if not isinstance(view, RowTransform)]
        return tuple(sorted({view.table for view in stored}))

    def vector(self, request: Mapping[str, object], at: int) -> Vector:
        """The features of one request as of `at`, microseconds UTC.

        Args:
            request: a value, or None, for each column of the spine, in the column's unit.
            at: the prediction time. Facts usable by then and published by now count.

        Raises:
            RequestError: the request does not fit the spine.
            StateError: a table has nothing published.
        """
        return self.vectors([(request, at)])[0]

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors:
        """Like `vector` for many (request, at), all answered from the same frontier."""
        spine = self.schema.table(requests)
        loaded = self._refreshed()
        frame = self._frame(spine, loaded)
        key, features = self.schema.key, tuple(output_columns(self.views))

        def made(row: int) -> Vector:
            return Vector(frame.slice(row, 1), key, features, loaded.frontier, self.definition)

        values = cells(frame.select(features))
        keys = [tuple(cell[name] for name in key) for cell in cells(spine.select(key))]
        return Vectors(values, keys, loaded.frontier, made)

    def history(self, frontier: Frontier) -> History:
        """The rows of these snapshots, for `training_frame`."""
        return lambda table, columns: self.published.rows(table, columns, frontier[table])

    def frontier(self) -> dict[str, int]:
        """What is published now.

        Raises:
            StateError: a table has nothing published.
        """
        found = {table: self.published.snapshot_id(table) for table in self.tables}
        if empty := [table for table, snapshot in found.items() if snapshot is None]:
            raise StateError(
                f"nothing was published to {', '.join(empty)} yet",
                where="serving",
                fix="ingest their slots first: `headrace run`",
            )
        return {table: snapshot for table, snapshot in found.items() if snapshot is not None}

    def refresh(self) -> Frontier:
        """Read what is published now, so that the next answer has it at hand.

        Raises:
            StateError: a table has nothing published.
        """
        return self._refreshed().frontier

    def _refreshed(self) -> _Loaded:
        """What is published now, read again only where the snapshot is another one."""
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
    """Rows as JSON values that keep every bit: times as int microseconds, infinities as text."""
    kept = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in table.columns
    ]
    rows = pa.table(kept, names=table.column_names).to_pylist()
    return [plain_cells(row) for row in rows]


def plain_cells(row: dict[str, Cell]) -> dict[str, Cell]:
    """Infinities as text: JSON has none."""
    for value in row.values():
        if type(value) is float and not isfinite(value):
            return {name: plain_cell(value) for name, value in row.items()}
    return row


def plain_cell(value: Cell) -> Cell:
    return repr(value) if isinstance(value, float) and not isfinite(value) else value
