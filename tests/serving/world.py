"""Trips of three lines from two stops, over two weeks: a small pipeline with a real lake."""

import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import yaml

from headrace.contracts import Contract, load_contract
from headrace.core.clock import DAY, HOUR, MINUTE, days, iso, parse_iso
from headrace.core.home import Home
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.features import (
    Count,
    FeatureView,
    Label,
    Last,
    Lookup,
    Max,
    Mean,
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
from headrace.gates import Suite, load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.models import ModelSpec
from headrace.monitoring import MonitorSpec
from headrace.pipeline import Pipeline
from headrace.sources.files import DropFolder

FIRST, LAST = "2024-03-01", "2024-03-14"
DAYS = days(FIRST, LAST)
TABLES = {
    # name: (kind, key, columns, event time, known at)
    "plan": (
        "planned",
        ("trip",),
        {"trip": "integer", "line": "string", "stop": "string", "due": "timestamp", "fare": 2},
        "due",
        "due - INTERVAL 1 DAY",
    ),
    "arrivals": (
        "event",
        ("trip",),
        {
            "trip": "integer",
            "line": "string",
            "stop": "string",
            "seen_at": "timestamp",
            "delay": "integer",
            "taken": 2,
            "late": "integer",
        },
        "seen_at",
        "seen_at + INTERVAL 10 MINUTE",
    ),
    "gauges": (
        "state",
        ("stop", "seen_at"),
        {"stop": "string", "seen_at": "timestamp", "rain": 1, "wind": "number"},
        "seen_at",
        "seen_at + INTERVAL 5 MINUTE",
    ),
}
VIEWS = (
    FeatureView(
        "line",
        "arrivals",
        ("line",),
        (
            Rows(Window("-6h")),
            Count("delay", Window("-1d")),
            Mean("delay", Window("-1d")),
            Std("taken", Window("-3d")),
            Sum("taken", Window("-1d"), where=Where("delay", ">", 5)),
            Mean("late", Window("-7d")),
            Last("delay", Window("-1d")),
        ),
    ),
    FeatureView("stop", "arrivals", ("stop",), (Max("delay", Window("-6h")), Rows(Window("-1d")))),
    FeatureView(
        "ahead", "plan", ("stop",), (Rows(Window("0s", "3h")), Sum("fare", Window("-1h", "3h")))
    ),
    Lookup("gauge", "gauges", ("stop",), ("rain", "wind", "seen_at"), max_age="6h"),
    calendar("due_hour", "due", "hour", "Europe/Berlin"),
    passed_on("fare_cents", "fare", "int64"),
    ratio("busy", "line__rows_6h", "stop__rows_1d"),
)
SPINE = Spine("plan", "-2h", ("line", "stop", "due", "fare"))
LABEL = Label("late", "arrivals", ("trip",), ("late",), horizon="6h", settle="2h")


def contract_text(name: str, tables=TABLES, first=FIRST, last=LAST) -> str:
    kind, key, columns, event, known = tables[name]
    properties = []
    for number, (column, form) in enumerate(columns.items()):
        more = [{"property": "fieldId", "value": 10 + number}]
        if isinstance(form, int):
            more.append({"property": "scale", "value": form})
        if form == "integer" or isinstance(form, int):
            more.append({"property": "maxAbs", "value": 100000})
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
    rules = {
        "tableKind": kind,
        "maxEvents": 10000,
        "eventTime": {"expression": event, "description": "when it is"},
        "knownAt": {"expression": known, "description": "when it is known"},
        "coverage": {"first": first, "last": last},
    }
    about = {
        "consumers": ["tests"],
        "licence": "CC0-1.0",
        "allowedPurposes": ["training"],
        "privacyClass": "public",
    }
    document = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": f"The {name} of three lines."},
        "team": {"name": "lines"},
        "schema": [
            {
                "name": name,
                "dataGranularityDescription": "one row each",
                "properties": properties,
                "customProperties": _properties(rules),
            }
        ],
        "customProperties": _properties(about),
    }
    return yaml.safe_dump(document, sort_keys=False)


def _properties(values):
    return [{"property": name, "value": value} for name, value in values.items()]


def suite_text(name: str) -> str:
    rows = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 1},
        "severity": "critical",
        "meta": {"id": "rows", "reason": "there are some"},
    }
    return yaml.safe_dump(
        {"name": f"lines.{name}", "meta": {"table": name, "version": 1}, "expectations": [rows]}
    )


@cache
def declared(name: str) -> tuple[Contract, Suite]:
    with TemporaryDirectory() as folder:
        contract, suite = Path(folder) / "contract.yaml", Path(folder) / "suite.yaml"
        contract.write_text(contract_text(name))
        suite.write_text(suite_text(name))
        return load_contract(contract), load_suite(suite)


_KEPT = TemporaryDirectory()
_PUBLISHED: dict[tuple[tuple[str, bytes], ...], Path] = {}


@dataclass
class World:
    """A home, a drop folder, and the pipeline between them."""

    root: Path
    mode: str = "declared"
    views: tuple = VIEWS
    seed: int = 0
    trips: list[dict] = field(default_factory=list)

    def __post_init__(self):
        self.folder = self.root / "drop"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(self.root / "home")
        self.pipeline = self.declare(self.mode, self.views)

    def declare(self, mode="declared", views=VIEWS) -> Pipeline:
        policy = self.root / "monitors.yaml"
        policy.write_text("version: 1\n")
        splits = TimeSplits("2024-03-08", "2024-03-11", "2024-03-15")
        return Pipeline(
            name="lines",
            tables=tuple(self.table(name) for name in TABLES),
            spine=SPINE,
            views=views,
            dataset=DatasetSpec(
                "line_lateness", ("trip",), LABEL, splits, "2024-03-16", description="made up"
            ),
            model=ModelSpec(
                "line_late",
                "line_lateness",
                baseline=("due_hour",),
                features=("line__*", "stop__*", "ahead__*", "gauge__rain", "due_hour", "busy"),
                context=("line", "stop"),
                params={"min_data_in_leaf": 5, "num_leaves": 7},
                num_rounds=20,
                bootstrap=50,
            ),
            monitor=MonitorSpec("lines", policy, FIRST),
            first_slot=FIRST,
            last_slot=LAST,
            mode=mode,
        )

    def table(self, name: str) -> Table:
        source = DropFolder(name, self.folder, f"{name}_{{slot}}*.csv", "the lines")
        return Table(name, source, *declared(name))

    def deliver(self, name: str, slot: str, rows: list[dict], suffix: str = "") -> None:
        names = list(TABLES[name][2])
        lines = [",".join(names)]
        lines += [",".join("" if row[n] is None else str(row[n]) for n in names) for row in rows]
        (self.folder / f"{name}_{slot}{suffix}.csv").write_text("\n".join(lines) + "\n")

    def rows(self, slot: str) -> dict[str, list[dict]]:
        """What each table gets for a day, from the seed and the day alone."""
        chance = random.Random(f"{self.seed} {slot}")
        midnight, number = parse_iso(slot), DAYS.index(slot)
        found = {"plan": [], "arrivals": [], "gauges": []}
        for n in range(40):
            due = midnight + n * 36 * MINUTE
            line, stop = chance.choice(["A", "B", "C"]), chance.choice(["north", "south"])
            delay = chance.choice([None, *range(-3, 30)])
            trip = {"trip": number * 100 + n, "line": line, "stop": stop, "due": iso(due)}
            found["plan"].append({**trip, "fare": chance.choice([None, "1.05", "2.5", "13.37"])})
            found["arrivals"].append(
                {
                    **trip,
                    "seen_at": iso(due + (delay or 0) * MINUTE),
                    "delay": delay,
                    "taken": chance.choice(["0", "0.1", "2.35", None]),
                    "late": int((delay or 0) + (line == "A") * 8 > 15),
                }
            )
        for hour in range(0, 24, 2):
            for stop in ("north", "south"):
                rain = chance.choice(["0.0", "0.3", None])
                at = iso(midnight + hour * HOUR)
                wind = chance.choice([0.1, 7.25, 33.3])
                found["gauges"].append({"stop": stop, "seen_at": at, "rain": rain, "wind": wind})
        return found

    @staticmethod
    def corrected(arrivals: list[dict], **values) -> list[dict]:
        """Rows of arrivals once more with other values, seen and so known a minute later."""
        return [
            {**row, **values, "seen_at": iso(parse_iso(row["seen_at"]) + MINUTE)}
            for row in arrivals
        ]

    def deliver_days(self, slots=DAYS, *, without=()) -> None:
        for slot in slots:
            for name, rows in self.rows(slot).items():
                if (name, slot) not in without:
                    self.deliver(name, slot, rows)

    def publish(self, *names: str) -> None:
        """Publish what lies in the drop folder; of a fresh home, a copy of what that gave before.

        Dozens of tests start from the same days, and a published home may be copied.
        """
        key = tuple((one.name, one.read_bytes()) for one in sorted(self.folder.iterdir()))
        if names or self.home.ledger.exists():
            self._publish(names or tuple(TABLES))
            return
        kept = _PUBLISHED.get(key)
        if kept is None:
            self._publish(tuple(TABLES))
            kept = _PUBLISHED[key] = Path(_KEPT.name) / str(len(_PUBLISHED))
            shutil.copytree(self.home.root, kept)
        else:
            shutil.copytree(kept, self.home.root, dirs_exist_ok=True)

    def _publish(self, names: tuple[str, ...]) -> None:
        for name in names:
            for result in ingest(self.pipeline.table(name), DAYS, self.home):
                assert result.state in ("published", "missing"), result

    def commit_on_time(self, **moved: int) -> None:
        """Every batch committed a day after its slot began; `moved`: {table_slot: moment}.

        Commits of a test all happen now; what was live is history only if it has other times.
        """
        with closing(sqlite3.connect(self.home.ledger)) as ledger, ledger:
            batches = ledger.execute("SELECT batch_id, tbl, slot, origin FROM batches").fetchall()
            for batch_id, table, slot, origin in batches:
                stem = Path(origin).stem.replace("-", "_")
                late = 0 if table == "plan" else DAY
                moment = moved.get(stem, parse_iso(slot) - DAY + late)
                ledger.execute(
                    "UPDATE judgements SET published_at = ? WHERE batch_id = ? AND tbl = ?",
                    (moment, batch_id, table),
                )


def request_of(row: dict) -> dict:
    """A row of the spine as a client would ask for it: in units, without `t`."""
    found = {name: value for name, value in row.items() if name != "t"}
    return found | {"fare": None if row["fare"] is None else row["fare"] / 100}


def same_bytes(vector, frame: pa.Table, row: int) -> bool:
    """Whether a vector's Arrow row is that row of a training frame: types, nulls and bits."""
    one = frame.slice(row, 1).combine_chunks()
    served = vector.row.combine_chunks()
    if served.schema != one.schema:
        return False
    return all(_bits(served[name]) == _bits(one[name]) for name in one.column_names)


def _bits(column: pa.ChunkedArray) -> str:
    if pa.types.is_float64(column.type):
        column = pa.chunked_array([column.combine_chunks().view(pa.int64())])
    return json.dumps([str(value) for value in column])
