"""A small world whose relation between features and label can be turned in one segment."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.retraining_world import FrameWorld
from headrace.core.clock import DAY, parse_iso
from headrace.core.home import Home
from headrace.datasets import DatasetSpec, TimeSplits
from headrace.datasets.splits.rules import Leakage
from headrace.features.spec import Label
from headrace.models import ModelSpec
from headrace.models.retraining_config import Retraining
from headrace.monitoring import MonitorSpec

FIRST = parse_iso("2024-01-01")
WEEK = 7 * DAY


def rows(weeks=30, a_day=80, seed=0, turned_from=None, where="b"):
    """Labels follow x and z; from `turned_from` (us) on those of segment `where` are flipped."""
    rng = np.random.default_rng(seed)
    n = weeks * 7 * a_day
    t = FIRST + np.repeat(np.arange(weeks * 7), a_day) * DAY + rng.integers(0, DAY, n)
    t.sort()
    x, z = rng.normal(size=n), rng.normal(size=n)
    place = rng.choice(["a", "b", "c"], n, p=[0.4, 0.35, 0.25])
    risk = 1.6 * x + 0.5 * z - 0.4
    label = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(np.int64)
    if turned_from is not None:
        label = np.where((t >= turned_from) & (place == where), 1 - label, label)
    return pa.table(
        {
            "id": np.arange(n),
            "t": t,
            "place": place,
            "x__level": x,
            "x__other": z,
            "label": label,
            "label_reason": pa.nulls(n, pa.string()),
        }
    )


def world(folder: Path, frame, policy="version: 1\ncool_down: 21d\n", **plan) -> FrameWorld:
    path = folder / "monitors.yaml"
    path.write_text(policy)
    label = Label("label", "rows", ("id",), ("label",), "24h", "24h")
    splits = TimeSplits("2024-02-01", "2024-02-15", "2024-03-01")
    return FrameWorld(
        Home(folder / "home"),
        frame,
        DatasetSpec("made_up", ("id",), label, splits, "2024-03-01",
                    leakage=Leakage(because="made up")),
        ModelSpec("turn", "made_up", ("place",), features=("x__*",), context=("place",),
                  segments=("place",), params={"num_leaves": 7, "learning_rate": 0.2},
                  num_rounds=30, early_stopping=5, bootstrap=200),
        MonitorSpec("made_up", path, "2024-01-01"),
        Retraining(**{"valid": "7d", "test": "14d", "recent": "28d", **plan}),
    )  # fmt: skip
