"""Hours of the flights from New York: a small lake with a number, a count and a class per hour."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from demo.flights.source import read_raw
from headrace.contracts import load_contract
from headrace.core.clock import days
from headrace.core.home import Home
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.features import FeatureView, Label, Last, Mean, Rows, Spine, Window, calendar
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.models import ModelSpec
from headrace.models.retraining_config import Retraining
from headrace.monitoring import MonitorSpec
from headrace.pipeline import Pipeline
from headrace.sources.files import DropFolder
from tests.serving.world import contract_text, suite_text

FIRST, LAST = "2013-01-01", "2013-05-25"
TURNED = "2013-05-11"  # from this day on, the hours of a day have each other's outcomes
TABLES = {
    "plan": (
        "planned",
        ("origin", "hour"),
        {"origin": "string", "hour": "timestamp", "planned": "integer"},
        "hour",
        "hour - INTERVAL 1 DAY",
    ),
    "outcomes": (
        "event",
        ("origin", "hour"),
        {
            "origin": "string",
            "hour": "timestamp",
            "late": "integer",
            "delay": 2,
            "mood": "string",
        },
        "hour + INTERVAL 4 HOUR",
        "hour + INTERVAL 5 HOUR",
    ),
}
HOURS = """
    SELECT origin, time_hour AS hour, count(*) AS planned,
        count_if(arr_delay::INT > 15)::INT AS late,
        round(avg(arr_delay::INT), 2) AS delay,
        CASE WHEN delay < 0 THEN 'early' WHEN delay < 20 THEN 'late' ELSE 'jammed' END AS mood
    FROM flights WHERE time_hour >= ? AND time_hour < ? AND arr_delay IS NOT NULL
    GROUP BY ALL ORDER BY ALL
"""
VIEWS = (
    FeatureView(
        "place",
        "outcomes",
        ("origin",),
        (
            Mean("delay", Window("-12h")),
            Mean("late", Window("-1d")),
            Last("late", Window("-1d")),
            Last("delay", Window("-1d")),
            Rows(Window("-6h")),
        ),
    ),
    calendar("clock", "hour", "hour", "America/New_York"),
    calendar("weekday", "hour", "weekday", "America/New_York"),
)
LEARNING = {"min_data_in_leaf": 20, "num_leaves": 15, "learning_rate": 0.1}
TASKS = {
    "delay": {"task": "regression", "last_value": "place__delay_last_1d"},
    "late": {"task": "regression", "loss": "poisson", "last_value": "place__late_last_*"},
    "mood": {"task": "multiclass"},
}


def dataset(label: str) -> DatasetSpec:
    return DatasetSpec(
        f"hour_{label}",
        ("origin", "hour"),
        Label(label, "outcomes", ("origin", "hour"), (label,), horizon="12h", settle="2h"),
        TimeSplits("2013-02-25", "2013-03-11", "2013-04-20"),
        "2013-04-25",
        left_out=("all null", "no outcome"),
        description="Hours of flights.",
    )


def model(label: str, **changes) -> ModelSpec:
    fields = {
        "name": f"model_{label}",
        "dataset": f"hour_{label}",
        "baseline": ("clock", "weekday"),
        "context": ("origin", "planned"),
        "segments": ("origin",),
        "params": LEARNING,
        "num_rounds": 150,
        "bootstrap": 200,
    }
    return ModelSpec(**{**fields, **TASKS[label], **changes})


@cache
def outcomes() -> list[dict]:
    flights = read_raw().table("flights")  # noqa: F841 - DuckDB reads it
    with duckdb.connect() as db:
        rows = db.execute(HOURS, [FIRST, "2013-05-26"])
        names = [column[0] for column in rows.description]
        return _turned([dict(zip(names, row, strict=True)) for row in rows.fetchall()])


def _turned(rows: list[dict]) -> list[dict]:
    """Give the last hour of a day at an airport the outcome of its first one, and so on."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["origin"], row["hour"][:10]), []).append(row)
    for (_, day), hours in groups.items():
        if day >= TURNED:
            outcomes_of_day = [{n: hour[n] for n in TASKS} for hour in reversed(hours)]
            for hour, outcome in zip(hours, outcomes_of_day, strict=True):
                hour.update(outcome)
    return rows


@dataclass
class HoursWorld:
    """A home, a drop folder, and a pipeline with a dataset, a model and a monitor per label."""

    root: Path

    def __post_init__(self):
        self.folder = self.root / "drop"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(self.root / "home")
        policy = self.root / "monitors.yaml"
        policy.write_text("version: 1\n")
        self.policy = policy
        self.pipeline = self.declare()

    def declare(self, **changes) -> Pipeline:
        """Return the pipeline; `changes` are fields of each model."""
        policy = self.policy
        return Pipeline(
            name="hours",
            tables=tuple(self.table(name) for name in TABLES),
            shared_spine=Spine("plan", "-2h", ("planned",)),
            views=VIEWS,
            datasets=tuple(map(dataset, TASKS)),
            models=tuple(model(label, **changes) for label in TASKS),
            monitors=tuple(
                MonitorSpec(f"monitor_{label}", policy, FIRST, model=f"model_{label}")
                for label in TASKS
            ),
            retraining=Retraining(test="35d"),
            first_slot=FIRST,
            last_slot=LAST,
        )

    def table(self, name: str) -> Table:
        contract, suite = (self.root / f"{name}.{kind}.yaml" for kind in ("contract", "suite"))
        contract.write_text(contract_text(name, TABLES, FIRST, LAST))
        suite.write_text(suite_text(name).replace("lines.", "hours."))
        source = DropFolder(name, self.folder, f"{name}_{{slot}}*.csv", "the airport")
        return Table(name, source, load_contract(contract), load_suite(suite))

    def publish(self) -> None:
        """Deliver and publish every day of both tables; storms and turned days may be held back."""
        rows = outcomes()
        for slot in days(FIRST, LAST):
            own = [row for row in rows if row["hour"].startswith(slot)]
            for name, (_, _, columns, *_) in TABLES.items():
                lines = [",".join(columns)]
                lines += [
                    ",".join("" if row[c] is None else str(row[c]) for c in columns) for row in own
                ]
                (self.folder / f"{name}_{slot}.csv").write_text("\n".join(lines) + "\n")
        for name in TABLES:
            results = list(ingest(self.pipeline.table(name), days(FIRST, LAST), self.home))
            self.held = [r for r in results if r.state != "published"]
            assert len(self.held) < len(results) / 20, self.held
