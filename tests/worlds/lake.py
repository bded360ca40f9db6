"""A world through the real lake: files and micro-batches are gated, taken out and approved."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import yaml
from pyiceberg.table import snapshots

from headrace.contracts import Contract, load_contract
from headrace.core import clock
from headrace.core.home import Home
from headrace.core.permissions import ACTIONS, Grant, PermissionPolicy
from headrace.features import training_frame
from headrace.features.frames import out_of_core as partitions
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.partition_state import SlotResult
from headrace.lake.table import Table
from headrace.lake.tables.history import history, history_batches
from headrace.lake.tables.lake import Lake
from headrace.operations import batch_actions
from headrace.serving.online import layout_of, materialise
from headrace.sources.base import Delivery as Delivered
from headrace.streams import RedisStream, Stream
from headrace.streams.events import Event, delivery_of
from tests.worlds.engine import ENTITY, ask, declared, spine_of, width
from tests.worlds.oracle import Action, Cell, Column, Delivery, Row, World, accept, bits

BASE = 1_704_067_200_000_000  # 2024-01-01
POLICY = PermissionPolicy({"ana": Grant(frozenset(ACTIONS))})
STREAM = Stream("facts", RedisStream("facts"), "the test")
CALENDAR = [f"2024-01-{day:02}" for day in range(1, 31)]
FIELDS = {"id": "integer", "seq": "integer", "happened": "timestamp", "known": "timestamp",
          "gone": "integer"}  # fmt: skip


def dated(world: World) -> World:
    """The same world in the year 2024, a millisecond for each microsecond."""

    def at(moment: int | None) -> int | None:
        return None if moment is None else BASE + moment * 1000

    def rows(step: Delivery) -> tuple[Row, ...]:
        return tuple(
            replace(row, event_time=at(row.event_time), known_at=at(row.known_at))
            for row in step.rows
        )

    steps = tuple(
        replace(step, at=at(step.at), rows=rows(step))
        if isinstance(step, Delivery)
        else replace(step, at=at(step.at))
        for step in sorted(world.steps, key=lambda step: step.at)
    )
    features = tuple(
        replace(one, start=one.start * 1000, end=one.end * 1000,
                max_age=None if one.max_age is None else one.max_age * 1000)
        for one in world.features
    )  # fmt: skip
    points = tuple(replace(point, t=at(point.t)) for point in world.points)
    return replace(world, steps=steps, features=features, points=points)


# Declarations


class _Plain(Decimal):
    """A number that YAML writes without an exponent."""


yaml.SafeDumper.add_representer(
    _Plain,
    lambda dumper, value: dumper.represent_scalar(
        "tag:yaml.org,2002:float", f"{value:f}" if "." in f"{value:f}" else f"{value:f}.0"
    ),
)


def _properties(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in values.items()]


def _field(number: int, name: str, kind: str, column: Column | None) -> dict[str, Any]:
    custom: dict[str, Any] = {"fieldId": 10 + number}
    if name == "known":
        custom["rounding"] = "up"
    if column is not None and column.kind == "scaled":
        custom |= {"scale": column.scale, "sourceForm": column.source}
    if column is not None and column.max_abs:
        custom["maxAbs"] = _Plain(Decimal(column.max_abs).scaleb(-column.scale))
    made = {"name": name, "logicalType": kind, "description": name,
            "customProperties": _properties(custom)}  # fmt: skip
    if kind == "timestamp":
        made["logicalTypeOptions"] = {"timezone": True, "defaultTimezone": "UTC"}
    if name == "id":
        made |= {"required": True, "primaryKey": True, "primaryKeyPosition": 1}
    return made


def contract_of(world: World, folder: Path) -> Contract:
    table = world.tables["facts"]
    kinds = {"scaled": "number", "int": "integer", "float": "number", "text": "string"}
    names = {**FIELDS, **dict.fromkeys(ENTITY[: width(world)], "string")}
    names |= {name: kinds[column.kind] for name, column in table.columns.items()}
    rules = {
        "tableKind": "planned" if table.planned else "event",
        "maxEvents": table.max_events,
        "eventTime": {"expression": "happened", "description": "when it is"},
        "knownAt": {"expression": "known", "description": "when it is known"},
        "deleted": {"expression": "gone = 1", "description": "it is taken back"},
        "coverage": {"first": CALENDAR[0], "last": CALENDAR[-1]},
        **({"sequence": "seq"} if table.sequence else {}),
    }
    about = {"consumers": ["tests"], "licence": "CC0-1.0", "allowedPurposes": ["testing"],
             "privacyClass": "public"}  # fmt: skip
    properties = [
        _field(number, name, kind, table.columns.get(name))
        for number, (name, kind) in enumerate(names.items())
    ]
    schema = {"name": "facts", "dataGranularityDescription": "one row for each fact",
              "properties": properties, "customProperties": _properties(rules)}  # fmt: skip
    path = folder / "facts.yaml"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": "facts", "name": "facts",
        "version": "1.0.0", "status": "active", "description": {"purpose": "Facts."},
        "team": {"name": "tests"}, "schema": [schema], "customProperties": _properties(about),
    }))  # fmt: skip
    return load_contract(path)


SUITE = """
name: worlds.facts
meta: {table: facts, version: 1, max_quarantined_share: 1.0}
expectations:
  - type: expect_table_row_count_to_be_between
    kwargs: {min_value: 0}
    meta: {id: rows, action: block, reason: there may be none}
"""


# Deliveries


def _cells(row: Row, world: World) -> dict[str, str | None]:
    moments = {"happened": row.event_time, "known": row.known_at}
    cells = {"id": row.key, "seq": row.sequence, "gone": int(row.deleted)}
    cells |= {name: None if t is None else clock.iso(t) for name, t in moments.items()}
    cells |= dict(zip(ENTITY, row.entity, strict=False)) | row.values
    return {
        name: value if value is None or isinstance(value, str) else repr(value)
        for name, value in cells.items()
    }


def delivered(step: Delivery, number: int, world: World) -> Delivered:
    """The delivery as a source would hand it over: a CSV file, or events of a stream."""
    rows = [_cells(row, world) for row in step.rows]
    if step.stream:
        first = number * 100
        # The same bytes would be the same batch: the order of the fields tells batches apart.
        texts = [
            json.dumps(dict(sorted(row.items())[number:] + sorted(row.items())[:number]))
            for row in rows
        ]
        events = [
            Event(f"{step.at // 1000}-{first + i}", step.at, text.encode())
            for i, text in enumerate(texts)
        ]
        return delivery_of(STREAM, "redis", "", world_position(world, step), events)
    text = io.StringIO()
    names = [*FIELDS, *ENTITY[: width(world)], *world.tables["facts"].columns]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Delivered("facts", CALENDAR[number], text.getvalue().encode(), "csv", step.id, step.at,
                     "the test")  # fmt: skip


def world_position(world: World, step: Delivery) -> str:
    """The position of the event before the step's first, "" at the start."""
    position = ""
    for number, other in enumerate(s for s in world.steps if isinstance(s, Delivery)):
        if other.id == step.id:
            break
        position = f"{other.at // 1000}-{number * 100 + len(other.rows) - 1}"
    return position


@dataclass(frozen=True)
class Source:
    """A source that shows what it was given."""

    name: str
    given: tuple[Delivered, ...]

    def deliveries(self, slot: str) -> list[Delivered]:
        return [one for one in self.given if one.slot == slot]


# The lake


@dataclass
class Lived:
    """A world's lake, step by step; `batches` are ids by delivery."""

    world: World
    root: Path
    now: int = BASE
    batches: dict[str, Delivered] = field(default_factory=dict)
    results: list[SlotResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = Home(self.root / "home")
        self.contract = contract_of(self.world, self.root)
        path = self.root / "suite.yaml"
        path.write_text(SUITE)
        self.table = Table("facts", Source("facts", ()), self.contract, load_suite(path))
        self.policy = POLICY

    def take(self, step: Delivery | Action) -> None:
        self.now = step.at
        if isinstance(step, Action):
            self._act(step)
            return
        made = delivered(step, len(self.batches), self.world)
        self.batches[step.id] = made
        table = replace(self.table, source=Source(made.source, (made,)))
        self.results += ingest(table, [made.slot], self.home)

    def _act(self, action: Action) -> None:
        verbs = {
            ("take out", True): "recall",
            ("take out", False): "quarantine",
            ("approve", True): "restore",
            ("approve", False): "release",
        }
        verb = verbs[action.what, action.lines is None]
        made = self.batches[action.delivery]
        first = 1 if made.format == "events" else 2
        lines = self._lines(action)
        if not lines:
            return  # nothing of it is in the table, or out of it
        scope = {}
        if action.lines is not None:
            scope = {"scope": {"lines": [first + line for line in lines]}}
        getattr(batch_actions, verb)(
            self.home, self.table, made.batch_id, principal="ana", reason="a test",
            policy=self.policy, **scope,
        )  # fmt: skip

    def _lines(self, action: Action) -> list[int]:
        """The lines that the action moves; others cannot be named."""
        before = tuple(step for step in self.world.steps if step.at < self.now)
        after = (*before, action)
        held = [
            {
                copy
                for version in accept(replace(self.world, steps=steps))["facts"]
                for copy, spans in version.copies.items()
                if copy[0] == action.delivery and spans[-1][1] is None
            }
            for steps in (before, after)
        ]
        return sorted(line for _, line in held[0] ^ held[1])

    @property
    def published(self) -> bool:
        return Lake(self.home).snapshot_id("facts") is not None

    def history(self, name: str, columns: list[str]) -> pa.Table:
        return history(self.home, name, columns)

    def batched(self, name: str, columns: list[str]) -> pa.RecordBatchReader:
        snapshot = Lake(self.home).snapshot_id(name)
        tables = list(history_batches(self.home, name, columns, snapshot_id=snapshot, rows=3))
        batches = [batch for table in tables for batch in table.to_batches()]
        return pa.RecordBatchReader.from_batches(tables[0].schema, batches)

    def frame(self, history: Any, **more: Any) -> list[list[Cell]]:
        views, names = declared(self.world)
        spine = spine_of(self.world)
        made = training_frame(
            spine, views, history, {"facts": self.contract}, self.world.mode, reasons=True, **more
        )
        return [
            list(zip(map(bits, made[name].to_pylist()), made[f"{name}__reason"].to_pylist(),
                     strict=True))
            for name in names
        ]  # fmt: skip

    def out_of_core(self) -> list[list[Cell]]:
        with patch.object(partitions, "_BATCH", 3):
            return self.frame(self.batched, memory=700)


@contextmanager
def clock_of(lived: Lived) -> Iterator[None]:
    """Let every module of the package, and the catalog, read the time from the world.

    Commits are dated in milliseconds; what leads to one happens half a millisecond before.
    """
    clocks = SimpleNamespace(time=lambda: lived.now / 1e6 + 2e-4)  # cut to milliseconds
    with ExitStack() as stack:
        stack.enter_context(patch.object(snapshots, "time", clocks))
        for name, module in list(sys.modules.items()):
            ours = name.startswith("headrace.") and module is not clock
            if ours and getattr(module, "now_us", None) is clock.now_us:
                stack.enter_context(patch.object(module, "now_us", lambda: lived.now - 500))
        yield


def live(world: World, root: Path, store: Any, answerers: Any) -> tuple[Lived, Any]:
    """Take every step; the store is brought up to each commit and asked in between."""
    lived = Lived(world, root)
    layout = layout_of(declared(world)[0], {"facts": lived.contract}, world.mode)
    steps = sorted(world.steps, key=lambda step: step.at)
    cells: Any = [[[None] * len(world.points) for _ in world.features] for _ in answerers]
    with clock_of(lived):
        for number, step in enumerate(steps):
            lived.take(step)
            materialise(lived.home, layout, store, clock=lambda: lived.now)
            last = number == len(steps) - 1
            until = 2**62 if last else steps[number + 1].at
            asked = [
                i for i, point in enumerate(world.points)
                if (last if world.mode == "declared" else step.at <= point.t < until)
            ]  # fmt: skip
            for place, answerer in enumerate(answerers):
                rows = ask(world, layout, store, answerer, [world.points[i] for i in asked])
                for i, row in zip(asked, rows, strict=True):
                    for feature, value in enumerate(row):
                        cells[place][feature][i] = value
    return lived, cells
