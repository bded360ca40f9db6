"""Random small pipelines through a real lake: contracts, views, corrections, deletions, splits.

What is declared is drawn from a strategy; rows come from a seed that is drawn with it.
"""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from headrace.contracts import load_contract
from headrace.core.clock import DAY, HOUR, MINUTE, days, iso, parse_iso
from headrace.core.home import Home
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rules import (
    Evaluation,
    GroupSplits,
    Leakage,
    StratifiedSplits,
    TimeSplits,
)
from headrace.features import (
    Count,
    Distinct,
    FeatureView,
    First,
    Label,
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
    calendar,
    passed_on,
    ratio,
)
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.models import ModelSpec
from headrace.monitoring import MonitorSpec
from headrace.pipeline import Pipeline
from headrace.sources.files import DropFolder

DAYS = days("2024-03-01", "2024-03-08")
FIRST_RELEASE = DAYS[:5]
TEXTS = ["u", "v", "", "Öl", None]
ENTITIES = ["p", "q", "p", "r", None]

FACTS = {
    "id": "integer",
    "part": "string",
    "seq": "integer",
    "who": "string",
    "place": "integer",
    "amount": 2,
    "small": 1,
    "n": "integer",
    "x": "number",
    "s": "string",
    "at": "timestamp",
    "flag": "boolean",
    "status": "string",
    "happened": "timestamp",
    "sent": "timestamp",
    "gone": "boolean",
}
PLAN = {
    "trip": "integer",
    "who": "string",
    "place": "integer",
    "fare": 2,
    "due": "timestamp",
    "sent": "timestamp",
}
STATES = {
    "place": "integer",
    "since": "timestamp",
    "rain": 1,
    "x": "number",
    "s": "string",
    "sent": "timestamp",
}


@dataclass(frozen=True)
class Shape:
    """What is drawn of a pipeline, apart from its rows."""

    mode: str
    scale: int
    with_sequence: bool
    with_deletions: bool
    with_states: bool
    views: tuple[Any, ...]
    splits: Any
    evaluation: Evaluation | None
    label: Label
    offset: str
    seed: int


windows = st.sampled_from([Window("-6h"), Window("-1d"), Window("-3d"), Window("-2d", "-5h")])
ahead = st.sampled_from([Window("0s", "6h"), Window("-3h", "1d"), Window("-1d")])
filters = st.sampled_from(
    [None, Where("status", "==", "on"), Where("n", ">", 0), Where("s", "!=", "u")]
)
aggregates = st.one_of(
    st.builds(lambda w, f: Rows(w, where=f), windows, filters),
    *(
        st.builds(lambda c, w, f, op=op: op(c, w, where=f), st.sampled_from(columns), windows,
                  filters)
        for op, columns in (
            (Count, ("amount", "s", "at", "flag")),
            (Sum, ("amount", "small", "n")),
            (Mean, ("amount", "small", "n")),
            (Std, ("amount", "small", "n")),
            (Min, ("amount", "x", "at", "n")),
            (Max, ("amount", "x", "at", "n")),
            (First, ("s", "flag", "x", "amount")),
            (Last, ("s", "flag", "x", "amount", "at")),
            (Distinct, ("s", "n", "x", "amount")),
        )
    ),
    st.builds(lambda w: LastRow(("amount", "s", "x", "at"), w), windows),
)  # fmt: skip


def _unlike(found: list[Any]) -> tuple[Any, ...]:
    """Features of different names."""
    return tuple({name: one for one in found for name in one.names[:1]}.values())


several = st.lists(aggregates, min_size=1, max_size=6).map(_unlike)
planned = st.lists(
    st.one_of(
        st.builds(Rows, ahead),
        st.builds(lambda w: Sum("fare", w), ahead),
        st.builds(lambda w: Max("due", w), ahead),
    ),
    min_size=1,
    max_size=3,
).map(_unlike)
views_of = {
    "who": several.map(lambda found: FeatureView("who", "facts", ("who",), found)),
    "pair": several.map(lambda found: FeatureView("pair", "facts", ("who", "place"), found)),
    "spot": several.map(lambda found: FeatureView("spot", "facts", ("place",), found)),
    "ahead": planned.map(lambda found: FeatureView("ahead", "plan", ("place",), found)),
}
LOOKUP = Lookup("weather", "states", ("place",), ("rain", "x", "s", "since"), max_age="1d")
CALENDAR = calendar("due_hour", "due", "hour", "Europe/Berlin")
CENTS = passed_on("fare_cents", "fare", "int64")


@st.composite
def shapes(draw) -> Shape:
    chosen = draw(st.sets(st.sampled_from(sorted(views_of)), min_size=1))
    views: list[Any] = [draw(views_of[name]) for name in sorted(chosen)]
    with_states = draw(st.booleans())
    if with_states:
        views.append(LOOKUP)
    if draw(st.booleans()):
        views += [CALENDAR, CENTS, ratio("hourly", "fare_cents", "due_hour")]
    splits = draw(
        st.sampled_from(
            [
                TimeSplits("2024-03-03", "2024-03-04", "2024-03-05"),
                TimeSplits("2024-03-03", "2024-03-04T06:00:00Z", "2024-03-06", embargo="2h"),
                GroupSplits(("trip",), 0.5, 0.25, 0.25, until="2024-03-06"),
                StratifiedSplits(("place",), 0.6, 0.2, 0.2, until="2024-03-06", salt="x"),
            ]
        )
    )
    apart = isinstance(splits, TimeSplits) and draw(st.booleans())
    return Shape(
        mode=draw(st.sampled_from(["declared", "recorded"])),
        scale=draw(st.sampled_from([0, 2, 4])),
        with_sequence=draw(st.booleans()),
        with_deletions=draw(st.booleans()),
        with_states=with_states,
        views=tuple(views),
        splits=splits,
        evaluation=Evaluation(0.3, "2024-03-04T06:00:00Z") if apart else None,
        label=Label(
            "outcome", "facts", ("who",), ("n",), draw(st.sampled_from(["6h", "12h"])), "1h",
            *draw(st.sampled_from([(None, ()), ("status", ("off",))])),
        ),
        offset=draw(st.sampled_from(["0s", "-2h"])),
        seed=draw(st.integers(0, 2**32)),
    )  # fmt: skip


def contract_text(name: str, kind: str, key: tuple[str, ...], columns: dict[str, Any],
                  rules: dict[str, Any]) -> str:  # fmt: skip
    properties = []
    for number, (column, form) in enumerate(columns.items()):
        more = [{"property": "fieldId", "value": 10 + number}]
        if isinstance(form, int):
            more.append({"property": "scale", "value": form})
        if form == "integer" or isinstance(form, int):
            more.append({"property": "maxAbs", "value": 1_000_000})
        if column == "sent":
            more.append({"property": "rounding", "value": "up"})
        one = {
            "name": column,
            "logicalType": "number" if isinstance(form, int) else form,
            "description": column,
            "customProperties": more,
        }
        if column in key:
            one |= {"primaryKey": True, "primaryKeyPosition": key.index(column) + 1}
            one["required"] = True
        properties.append(one)
    given = {
        "tableKind": kind,
        "maxEvents": 10_000,
        "knownAt": {"expression": "sent", "description": "when it was sent"},
        "coverage": {"first": DAYS[0], "last": DAYS[-1]},
        **rules,
    }
    about = {
        "consumers": ["tests"],
        "licence": "CC0-1.0",
        "allowedPurposes": ["training"],
        "privacyClass": "public",
    }
    table = {
        "name": name,
        "dataGranularityDescription": "one row each",
        "properties": properties,
        "customProperties": [{"property": n, "value": v} for n, v in given.items()],
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": name,
            "name": name,
            "version": "1.0.0",
            "status": "active",
            "description": {"purpose": f"Made up {name}."},
            "team": {"name": "nobody"},
            "schema": [table],
            "customProperties": [{"property": n, "value": v} for n, v in about.items()],
        },
        sort_keys=False,
    )


SUITE = """
name: random.{name}
meta: {{table: {name}, version: 1}}
expectations:
  - type: expect_table_row_count_to_be_between
    kwargs: {{min_value: 1}}
    severity: critical
    meta: {{id: rows, reason: there are some}}
"""


class RandomWorld:
    """A home, a drop folder, and the pipeline of a shape between them."""

    def __init__(self, root: Path, shape: Shape) -> None:
        self.root, self.shape = root, shape
        self.drop = root / "drop"
        self.drop.mkdir(parents=True)
        self.home = Home(root / "home")
        self.columns = {"facts": {**FACTS, "amount": shape.scale}, "plan": PLAN}
        if shape.with_states:
            self.columns["states"] = STATES
        self.chance = random.Random(shape.seed)
        self.pipeline = self.declare()

    def declare(self) -> Pipeline:
        policy = self.root / "monitors.yaml"
        policy.write_text("version: 1\n")
        dataset = DatasetSpec(
            "made_up",
            ("trip",),
            self.shape.label,
            self.shape.splits,
            "2024-03-07",
            left_out=("no outcome", "null entity", "all null", "off"),
            evaluation=self.shape.evaluation,
            leakage=Leakage(because="rows are drawn from a handful of values"),
        )
        return Pipeline(
            name="random",
            tables=tuple(self.table(name) for name in self.columns),
            spine=Spine("plan", self.shape.offset, ("who", "place", "due", "fare")),
            views=self.shape.views,
            dataset=dataset,
            model=ModelSpec("m", "made_up", baseline=("place",), features=("who__*",)),
            monitor=MonitorSpec("random", policy, DAYS[0]),
            first_slot=DAYS[0],
            last_slot=DAYS[-1],
            mode=self.shape.mode,
        )

    def table(self, name: str) -> Table:
        event = {"facts": "happened", "plan": "due", "states": "since"}[name]
        kind = {"facts": "event", "plan": "planned", "states": "state"}[name]
        key = {"facts": ("id", "part"), "plan": ("trip",), "states": ("place", "since")}[name]
        rules = {"eventTime": {"expression": event, "description": "when it is"}}
        if name == "facts" and self.shape.with_sequence:
            rules["sequence"] = "seq"
        if name == "facts" and self.shape.with_deletions:
            rules["deleted"] = {"expression": "coalesce(gone, false)", "description": "it is gone"}
        contract, suite = self.root / f"{name}.yaml", self.root / f"{name}-suite.yaml"
        contract.write_text(contract_text(name, kind, key, self.columns[name], rules))
        suite.write_text(SUITE.format(name=name))
        source = DropFolder(name, self.drop, f"{name}_{{slot}}*.csv", "nobody")
        return Table(name, source, load_contract(contract), load_suite(suite))

    def deliver(self, slots: list[str], suffix: str = "") -> None:
        for slot in slots:
            for name, make in (("facts", self.facts), ("plan", self.plan), ("states", self.states)):
                if name in self.columns:
                    self.write(name, slot, make(slot), suffix)

    def write(self, name: str, slot: str, rows: list[dict[str, Any]], suffix: str) -> None:
        names = list(self.columns[name])
        lines = [",".join(names)]
        lines += [",".join(_cell(row[column]) for column in names) for row in rows]
        (self.drop / f"{name}_{slot}{suffix}.csv").write_text("\n".join(lines) + "\n")

    def facts(self, slot: str) -> list[dict[str, Any]]:
        """Rows of few keys, so that corrections, deletions and ties abound; each version once."""
        pick, midnight, found = self.chance.choice, parse_iso(slot), {}
        for _ in range(40):
            happened = midnight + self.chance.randrange(24) * HOUR
            late = pick([0, 10 * MINUTE, 3 * HOUR, 2 * DAY, -HOUR])
            row = {
                "id": self.chance.randrange(60),
                "part": pick("ab"),
                "seq": pick([0, 0, 1, 2]),
                "who": pick(ENTITIES),
                "place": pick([1, 2, 3, None]),
                "amount": pick([None, 0, 1, -3, 12.5 if self.shape.scale else 12, 99_999]),
                "small": pick([None, 0.1, -7.3, 50]),
                "n": pick([None, 0, 1, -9, 77, 999_999]),
                "x": pick([None, -0.0, 0.1, 5e-324, -1e308]),
                "s": pick(TEXTS),
                "at": pick([None, iso(happened - DAY), iso(happened + 1)]),
                "flag": pick([None, "true", "false"]),
                "status": pick(["on", "on", "on", "off"]),
                "happened": iso(happened),
                "sent": iso(happened + late + self.chance.randrange(4) * MINUTE),
                "gone": pick([None, "false", "false", "false", "false", "true"]),
            }
            found[row["id"], row["part"], row["sent"]] = row
        return list(found.values())

    def plan(self, slot: str) -> list[dict[str, Any]]:
        pick, midnight = self.chance.choice, parse_iso(slot)
        found = []
        for n in range(20):
            due = midnight + n * HOUR + self.chance.randrange(3) * 20 * MINUTE
            row = {
                "trip": DAYS.index(slot) * 100 + n,
                "who": pick(ENTITIES),
                "place": pick([1, 2, 3, None]),
                "fare": pick([None, 0, 1.05, 13.37]),
                "due": iso(due),
                "sent": iso(due - pick([DAY, 3 * HOUR])),
            }
            found.append(row)
            if self.chance.random() < 0.2:  # it is changed, and that is known a little later
                later = iso(parse_iso(row["sent"]) + HOUR)
                found.append({**row, "place": pick([1, 2, 3]), "sent": later})
        return found

    def states(self, slot: str) -> list[dict[str, Any]]:
        pick, midnight = self.chance.choice, parse_iso(slot)
        return [
            {
                "place": place,
                "since": iso(midnight + hour * HOUR),
                "rain": pick([None, 0.0, 0.3]),
                "x": pick([None, 0.1, 7.25]),
                "s": pick(TEXTS),
                "sent": iso(midnight + hour * HOUR + 5 * MINUTE),
            }
            for hour in range(0, 24, 6)
            for place in (1, 2, 3)
        ]

    def publish(self) -> None:
        for table in self.pipeline.tables:
            ingest(table, DAYS, self.home)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def commit_on_time(world: RandomWorld) -> None:
    """Every batch that was published was so in its own time, as if the pipeline had been live."""
    chance = random.Random(world.shape.seed + 1)
    with closing(sqlite3.connect(world.home.ledger)) as ledger, ledger:
        asked = "SELECT batch_id, tbl, slot FROM batches ORDER BY tbl, slot"
        rows = ledger.execute(asked).fetchall()
        for batch_id, table, slot in rows:
            late = -2 * DAY if table == "plan" else chance.choice([0, 6 * HOUR, DAY])
            ledger.execute(
                "UPDATE judgements SET published_at = ? WHERE batch_id = ? AND tbl = ?",
                (parse_iso(slot) + late, batch_id, table),
            )
