"""A pipeline whose monitor has seen half a year: a fault, a relation that moved, a retraining."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from headrace.core.clock import DAY
from headrace.core.home import Home
from headrace.monitoring import DecisionLedger, MonitorSpec, monitor
from headrace.monitoring.run_details import write_details
from tests.monitoring.worlds import LATER, changed, scored, spec, world

HOSTILE = "<script>alert('x')</script>\" onload=\"x() & [b]"
STEPS = ("started", "released", "trained", "compared", "promoted", "watching")


@dataclass(frozen=True)
class Watched:
    """What the report and the commands ask of a pipeline, and no more."""

    name: str
    monitor: MonitorSpec
    dataset: SimpleNamespace
    model: SimpleNamespace
    tables: tuple = ()

    def each_dataset(self):
        return [self]

    each_model = each_monitor = each_dataset

    @property
    def full_pipeline(self):
        return self

    @property
    def monitors(self):
        return (self.monitor,)

    @property
    def datasets(self):
        return (self.dataset,)

    @property
    def models(self):
        return (self.model,)


def watched(folder: Path):
    """(pipeline, home): week 12 has nulls, from week 19 on labels are turned, week 23 is odd."""
    home = Home(folder / "home")
    frame = world(weeks=26, rows=100)
    frame = changed(frame, "speed", lambda v: np.full(len(v), np.nan), [12])
    frame = changed(frame, "carrier", lambda v: np.full(len(v), HOSTILE, dtype=object), [23])
    scores = scored(frame, flipped=range(19, 26)).append_column("carrier", frame["carrier"])
    rules = "version: 1\nhysteresis: 2\nmax_age: 900d\n"
    pipeline = Watched(
        "world",
        spec(folder, rules),
        SimpleNamespace(training_until=int(frame["t"][0].as_py()) + 5 * DAY),
        SimpleNamespace(name="model"),
    )
    run = monitor(pipeline.monitor, frame, scores, [], home, LATER)
    write_details(home, run)
    return pipeline, home, run


def retrained(home: Home, trigger: str, steps=STEPS):
    """Record what became of a trigger, with texts that try to be markup."""
    ledger = DecisionLedger(home)
    level = {"difference": -0.1, "low": -0.2, "high": 0.01, "rows": 900}
    segments = {"carrier": [
        {**level, "value": HOSTILE, "worse": False},
        {**level, "value": "AA", "difference": 0.3, "low": 0.1, "high": 0.5, "worse": True},
    ]}  # fmt: skip
    whole = {"rows": 2_000, "days": 14, "challenger": 0.5, "champion": 0.61, "segments": segments}
    details = {
        "released": {
            "dataset": "d@1.1.0", "rows": {"train": 12_000, "test": 900}, "seconds": 1.5,
            "cpu_s": 2.0, "withheld_rows": 700,
        },
        "trained": {
            "model": "model@0123", "rows": 12_000, "recipe": "all rows", "seconds": 3.0,
            "cpu_s": 6.0,
            "candidates": [
                {"recipe": name, "rows": 12_000, "valid_loss": 0.5} for name in ("all", HOSTILE)
            ],
        },
        "compared": {"because": f"better by 0.11, {HOSTILE}", "comparison": whole},
    }  # fmt: skip
    for at, step in enumerate(steps):
        ledger.record_step("world", trigger, step, details.get(step, {}), LATER + at)
