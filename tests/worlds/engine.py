"""The engine's answers for a world, on each of its ways: frames, stores, replay."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Field
from headrace.contracts.typed_cells import parse
from headrace.features import training_frame
from headrace.features.frames import out_of_core as partitions
from headrace.features.kernel import row_ranges
from headrace.features.kernel.row_content import content_bytes
from headrace.features.spec import (
    Count,
    Distinct,
    FeatureView,
    First,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Spine,
    Std,
    Sum,
    Where,
    Window,
)
from headrace.features.table_shapes import Column, TableShape
from headrace.features.validate import validate
from headrace.serving.online import apply, layout_of, retain
from headrace.serving.online.apply import replace_in
from headrace.serving.online.layout import Layout
from headrace.serving.online.view_values import values
from tests.worlds.oracle import (
    Action,
    Cell,
    Delivery,
    Feature,
    Row,
    Table,
    World,
    accept,
    bits,
    typed,
)

ENTITY = ("who", "place")
AGGREGATES = {one.op: one for one in (Count, Sum, Mean, Std, Min, Max, First, Last, Distinct)}
_TYPES = {"scaled": pa.int64(), "int": pa.int64(), "float": pa.float64(), "text": pa.string()}


# Declarations


def width(world: World) -> int:
    return len(world.points[0].entity)


def shape(world: World) -> TableShape:
    """The world's table as the engine declares it."""
    table = world.tables["facts"]
    first = next(step.rows[0] for step in world.steps if isinstance(step, Delivery) and step.rows)
    key = pa.string() if isinstance(first.key, str) else pa.int64()
    columns = {"id": Column(key), "seq": Column(pa.int64())}
    columns |= {name: Column(pa.string()) for name in ENTITY[: width(world)]}
    for name, column in table.columns.items():
        scale = column.scale if column.kind == "scaled" else None
        columns[name] = Column(_TYPES[column.kind], scale, column.max_abs or None)
    kind = "planned" if table.planned else "event"
    sequence = "seq" if table.sequence else None
    return TableShape("facts", kind, ("id",), columns, sequence, table.max_events)


def declared(world: World) -> tuple[tuple[FeatureView | Lookup, ...], list[str]]:
    """Views of the world's features, and the name of each feature's output."""
    entity, made, lookups, names = ENTITY[: width(world)], [], [], []
    for number, feature in enumerate(world.features):
        name = f"f{number}"
        if feature.kind == "lookup":
            age = None if feature.max_age is None else f"{feature.max_age}us"
            default = None if feature.default is None else (feature.default,)
            lookups.append(Lookup(name, "facts", entity, (feature.column,), age, default=default))
            names.append(f"{name}__{feature.column}")
            continue
        made.append(_aggregate(feature, name))
        names.append(f"v__{made[-1].names[0]}")
    views = (FeatureView("v", "facts", entity, tuple(made)),) if made else ()
    return (*views, *lookups), names


def _aggregate(feature: Feature, name: str) -> Any:
    window = Window(f"{feature.start}us", f"{feature.end}us")
    where = None if feature.where is None else Where(*feature.where)
    if feature.kind == "rows":
        return Rows(window, where, name)
    if feature.kind == "last_row":
        default = None if feature.default is None else (feature.default,)
        return LastRow((feature.column,), window, where, name, default)
    return AGGREGATES[feature.kind](feature.column, window, where, name, feature.default)


def prove(world: World) -> None:
    """What a pipeline checks when it loads: a world is one that could be declared."""
    plan = TableShape("plan", "planned", ("id",), {
        "id": Column(pa.int64()), **{name: Column(pa.string()) for name in ENTITY},
    })  # fmt: skip
    spine = Spine("plan", "0s", ENTITY)
    validate(declared(world)[0], {"facts": shape(world), "plan": plan}, spine)


# Rows


def _field(name: str, world: World) -> Field:
    column = world.tables["facts"].columns[name]
    kind = {"scaled": "number", "int": "integer", "float": "number", "text": "string"}
    return Field(
        name, kind[column.kind], 1, "", "public",
        scale=column.scale if column.kind == "scaled" else None,
        form=column.source, max_abs=column.max_abs or None,
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else repr(value)


def typed_by_engine(world: World, rows: Sequence[Row]) -> tuple[dict[str, pa.Array], set[int]]:
    """The rows' columns as conformed, and which of the rows a contract refuses."""
    columns, refused = {}, set()
    for name in world.tables["facts"].columns:
        cells = parse(_field(name, world), pa.array([_text(r.values[name]) for r in rows],
                                                    pa.string()))  # fmt: skip
        assert not cells.wrong, (name, cells.wrong)
        refused |= {row for row, _, _ in cells.problems}
        columns[name] = cells.values
    return columns, refused


def table_of(world: World, rows: Sequence[Row], committed: Sequence[int]) -> pa.Table:
    """Rows that were typed already, as a table that is published."""
    made = shape(world)
    columns = {"id": [row.key for row in rows], "seq": [row.sequence for row in rows]}
    for place, name in enumerate(ENTITY[: width(world)]):
        columns[name] = [row.entity[place] for row in rows]
    for name in world.tables["facts"].columns:
        columns[name] = [row.values[name] for row in rows]
    arrays = {name: pa.array(column, made.columns[name].type) for name, column in columns.items()}
    moments = {
        "event_time": [row.event_time for row in rows],
        "known_at": [row.known_at for row in rows],
        "committed_at": list(committed),
    }
    arrays |= {name: pa.array(column, pa.int64()) for name, column in moments.items()}
    return pa.table({**arrays, "_deleted": pa.array([row.deleted for row in rows], pa.bool_())})


def legacy(world: World) -> World:
    """The world in a table that takes conflicting rows, as all did once."""

    def content(row: Row) -> bytes:
        cells = {"id": row.key, "seq": row.sequence, **dict(zip(ENTITY, row.entity, strict=False))}
        cells |= {**row.values, "event_time": row.event_time, "_deleted": row.deleted}
        return content_bytes(cells)

    return replace(world, content=content)


Copies = list[tuple[Row, int]]
"""Rows, and since when the table holds them: a row that was sent twice is there twice."""


def copies(world: World, until: int = 2**60) -> Copies:
    """What the world's table holds after the steps up to a moment."""
    past = replace(world, steps=tuple(step for step in world.steps if step.at <= until))
    return [
        (version.row, spans[-1][0])
        for version in accept(past)["facts"]
        for spans in version.copies.values()
        if spans[-1][1] is None
    ]


def published(world: World) -> pa.Table:
    """All rows that the world's table holds at its end."""
    held = copies(world)
    return table_of(world, [row for row, _ in held], [since for _, since in held])


def spine_of(world: World) -> pa.Table:
    columns = {
        name: pa.array([point.entity[place] for point in world.points], pa.string())
        for place, name in enumerate(ENTITY[: width(world)])
    }
    return pa.table({**columns, "t": pa.array([point.t for point in world.points], pa.int64())})


# Frames


def frame(world: World, rows: pa.Table, **more: Any) -> list[list[Cell]]:
    views, names = declared(world)

    def history(_: str, columns: list[str]) -> pa.Table:
        moments = [n for n in rows.column_names if n not in shape(world).columns]
        return rows.select([*columns, *moments])

    made = training_frame(
        spine_of(world), views, history, {"facts": shape(world)}, world.mode, reasons=True, **more
    )
    return [
        list(zip(map(bits, made[name].to_pylist()), made[f"{name}__reason"].to_pylist(),
                 strict=True))
        for name in names
    ]  # fmt: skip


@contextmanager
def kernel(name: str) -> Iterator[None]:
    with patch.dict(os.environ, {"HEADRACE_KERNEL": name}), patch.object(row_ranges, "_FEW", 1):
        yield


def out_of_core(world: World, rows: pa.Table) -> list[list[Cell]]:
    """Batches of a few rows, and parts of a few more; of every other table, rows by key."""
    size = 3
    if rows.num_rows % 2:
        rows, size = rows.take(pc.sort_indices(rows["id"])), 1
    with patch.object(partitions, "_BATCH", size):
        return frame(world, rows, memory=700)


# Stores


def ask(world: World, layout: Layout, store: Any, answerer: Any, points: Any) -> Any:
    """Bits of every feature at each of the points."""
    rows = [dict(zip(ENTITY, point.entity, strict=False)) for point in points]
    with store.reading() as reader:
        found = values(reader, layout, answerer, rows, [point.t for point in points])
    names = declared(world)[1]
    return [[bits(one[name]) for name in names] for one in found]


@dataclass
class Fed:
    """A store that is fed commit by commit; `lateness`: what is of no use is dropped each time."""

    world: World
    store: Any
    limit: int = 2
    lateness: int | None = None
    held: Copies = field(default_factory=list)
    retained: int = -(2**60)

    def __post_init__(self) -> None:
        self.shape = shape(self.world)
        self.layout = layout_of(declared(self.world)[0], {"facts": self.shape}, self.world.mode)

    def bring_up(self, at: int) -> None:
        """Apply what came by a moment; keys that lost a row, or are too late, are renewed."""
        held = copies(self.world, at)
        renewed = {row.key for row, since in self.held if (row, since) not in held}
        coming = [one for one in held if one not in self.held and one[0].key not in renewed]
        if coming:
            table = table_of(self.world, *zip(*coming, strict=True))
            done = apply(self.store, self.layout, "facts", table, limit=self.limit)
            renewed |= {coming[row][0].key for row in done.refused}
        if renewed:
            mine = [(row, since) for row, since in held if row.key in renewed]
            table = table_of(self.world, [row for row, _ in mine], [since for _, since in mine])
            keys = pa.table({"id": pa.array(sorted(renewed), self.shape.columns["id"].type)})
            with self.store.writing() as writer:
                replace_in(writer, self.layout, "facts", keys, table, limit=self.limit)
        self.held = held
        if self.lateness is not None:
            self.retained = at if self.world.mode == "recorded" else self._edge()
            retain(self.store, self.layout, self.retained, lateness=self.lateness,
                   limit=self.limit, clock=lambda: 0)  # fmt: skip

    def _edge(self) -> int:
        """A moment to keep from: if one is asked for, the last at which an event is in reach."""
        moments = sorted(point.t for point in self.world.points)
        reach = min(feature.start for feature in self.world.features)
        events = {row.event_time for row, _ in copies(self.world)}
        edges = [t for t in moments if t + reach in events]
        return edges[0] if edges else moments[len(moments) // 2]


def served(
    world: World,
    store: Any,
    answerers: Sequence[Any],
    *,
    limit: int = 2,
    lateness: int | None = None,
    afterwards: bool = False,
) -> list[list[list[str | None]]]:
    """By answerer, feature and point; None for what is asked of a time that was given up.

    In mode `recorded` a point is asked at its own moment, between two commits; in mode `declared`,
    and `afterwards`, when all is applied.
    """
    fed = Fed(world, store, limit, lateness)
    last = max(step.at for step in world.steps)
    moments = [-(2**60), *sorted({step.at for step in world.steps}), 2**60]
    places = range(len(world.points))
    cells: list[list[list[str | None]]] = [
        [[None for _ in places] for _ in world.features] for _ in answerers
    ]
    for at, following in pairwise(moments):
        if at > moments[0]:
            fed.bring_up(at)
        asked = [i for i in places if at <= world.points[i].t < following]
        if afterwards or world.mode == "declared":
            asked = [i for i in places if world.points[i].t >= fed.retained] * (at == last)
        for answerer, found in zip(answerers, cells, strict=True):
            rows = ask(world, fed.layout, store, answerer, [world.points[i] for i in asked])
            for i, row in zip(asked, rows, strict=True):
                for feature, value in enumerate(row):
                    found[feature][i] = value
    return cells


# Comparison


Answers = list[list[Cell]]


def reasons_apart(cells: list[list[Cell]]) -> list[list[str]]:
    return [[value for value, _ in column] for column in cells]


def differences(world: World, expected: Any, got: Any) -> list[str]:
    """None is what nobody could ask."""
    return [
        f"{world.features[f]} at {world.points[p]}: expected {expected[f][p]}, got {got[f][p]}"
        for f in range(len(expected))
        for p in range(len(world.points))
        if got[f][p] is not None and expected[f][p] != got[f][p]
    ]


def typing_differences(world: World) -> list[str]:
    """Where the contract types or refuses a row otherwise than the oracle."""
    found = []
    for step in world.steps:
        if not isinstance(step, Delivery) or isinstance(step, Action):
            continue
        columns, refused = typed_by_engine(world, step.rows)
        lists = {name: column.to_pylist() for name, column in columns.items()}
        for line, row in enumerate(step.rows):
            mine = _typed(row, world.tables["facts"])
            theirs = None if line in refused else {name: cells[line] for name, cells in
                                                   lists.items()}  # fmt: skip
            if repr(mine) != repr(theirs):
                found.append(f"{row}: expected {mine}, got {theirs}")
    return found


def _typed(row: Row, table: Table) -> dict[str, Any] | None:
    try:
        return typed(row, table).values
    except ValueError:
        return None


Path = Callable[[World], list[str]]
