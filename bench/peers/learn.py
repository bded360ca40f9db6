"""Last step of both scripts: train model and baseline, with only the steps that LightGBM needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flights.model import MODEL

KEY = ("year", "month", "day", "carrier", "flight", "origin")
SPINE = ("dest", "distance", "sched_arr_at", "sched_dep_at", "sched_minutes")
CATEGORICAL = ("carrier", "origin", "dest")


@dataclass
class Marks:
    """Stopwatch of the seconds from one mark to the next."""

    seconds: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def mark(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now


@dataclass(frozen=True)
class Result:
    """Frame of all flights, seconds of each step, and log loss of model and baseline."""

    frame: Callable[[], pa.Table]
    breakdown: dict[str, float]
    losses: dict[str, float]


def train(rows: pa.Table, out: Path) -> dict[str, float]:
    """Train model and baseline on `train`, stop early by `valid`; return their log loss on `test`.

    `rows` has the key, t, spine, features, late and split.
    """
    split = rows["split"].to_numpy()
    parts = {name: np.flatnonzero(split == name) for name in ("train", "valid", "test")}
    left_out = {*KEY, *SPINE, "t", "late", "split"}
    # Sort by name: LightGBM samples the columns of a tree by their position.
    features = [*CATEGORICAL, *sorted(set(rows.column_names) - {*left_out, *CATEGORICAL})]
    of_row = ("dep_", "arr_", "miles", "scheduled_minutes")
    baseline = [name for name in features if name in CATEGORICAL or name.startswith(of_row)]
    late = rows["late"].to_numpy().astype(np.float64)
    return {
        what: _one(_matrix(rows, names, parts["train"]), names, late, parts, out / f"{what}.txt")
        for what, names in (("model", features), ("baseline", baseline))
    }


def _matrix(rows: pa.Table, names: list[str], train: np.ndarray) -> np.ndarray:
    matrix = np.empty((rows.num_rows, len(names)))
    for place, name in enumerate(names):
        column = rows[name]
        if name in CATEGORICAL:
            levels = pc.unique(column.take(pa.array(train))).sort()
            column = pc.index_in(column, value_set=levels)
        matrix[:, place] = column.cast(pa.float64()).to_numpy()
    return matrix


def _one(
    matrix: np.ndarray,
    names: list[str],
    late: np.ndarray,
    parts: dict[str, np.ndarray],
    path: Path,
) -> float:
    about: dict[str, Any] = {
        "feature_name": names,
        "categorical_feature": [names.index(name) for name in CATEGORICAL],
        "params": MODEL.all_params(),
    }
    train, valid, test = (parts[name] for name in ("train", "valid", "test"))
    learning = lightgbm.Dataset(matrix[train], late[train], **about)
    booster = lightgbm.train(
        MODEL.all_params(),
        learning,
        MODEL.num_rounds,
        valid_sets=[lightgbm.Dataset(matrix[valid], late[valid], reference=learning, **about)],
        callbacks=[lightgbm.early_stopping(MODEL.early_stopping, verbose=False)],
    )
    booster.save_model(path)
    score = booster.predict(matrix[test])
    return float(-np.mean(np.log(np.where(late[test] == 1, score, 1 - score))))
