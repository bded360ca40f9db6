"""History that a study replays: the input of a monitor, window by window.

Prepared histories are stored as Parquet and JSON, so that later studies load them fast:

    from headrace.verification.drift_study import load_histories
    for history in load_histories(folder):           # or bench.monitoring_data.histories()
        run = monitor(history.spec(policy_path), history.frame, history.scores, [], home, ...)
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.clock import DAY, duration
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import move_into_place, temporary_beside, write_json
from headrace.monitoring.evidence.model import Window, day_number, windows
from headrace.monitoring.spec import MonitorSpec
from headrace.verification.drift_study.study_model import StudyScorer

FORMAT = 1
# `tuning` histories are used to choose settings only; results are reported for the others.
Part = Literal["tuning", "report", "own"]
Ints = npt.NDArray[np.int64]
_TABLES = ("frame", "scores")
_TUPLES = ("segments", "label_derived", "exclude")


@dataclass(frozen=True, eq=False)
class ReplayedHistory:
    """Rows in order of time, with a model's scores of the later rows.

    Attributes:
        name: name of the data.
        frame: `t` (int64 microseconds UTC) and the columns, one row per prediction, ascending in
            `t`; without the label.
        scores: `t`, `score` (float64, probability of 1), `label` (int64, may be null) and the
            segment columns. Its rows match the last rows of `frame`; the scores are out of sample.
        segments: text columns of both tables by which concept drift is detected and injected.
        window_days, anchor (ISO day), offset, maturity: as in `MonitorSpec`.
        warmup_days: number of days from which bins are computed; at least one season.
        label_derived: columns of the frame that come from the label's own table.
        exclude: columns of the frame that are not monitored, such as calendar columns.
        known_drift: True if the data are known to drift.
        drift_from: start of the known drift (microseconds UTC); None if unknown.
        part: "tuning", "report" or "own"; tuning histories are not reported.
        about: sentence on the origin of the rows.
        scorer: the model behind `scores`; None if it is not available.
    """

    name: str
    frame: pa.Table
    scores: pa.Table
    segments: tuple[str, ...]
    window_days: int
    anchor: str
    offset: str = "0s"
    maturity: str = "0s"
    warmup_days: int = 28
    label_derived: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    known_drift: bool = False
    drift_from: int | None = None
    part: Part = "report"
    about: str = ""
    scorer: StudyScorer | None = None

    def __post_init__(self) -> None:
        first = self.frame.num_rows - self.scores.num_rows
        t = self.t
        if first < 0 or not np.array_equal(t[first:], self.scores["t"].to_numpy()):
            raise DeclarationError(
                "the scores are not those of the last rows of the frame",
                where=f"history {self.name}",
            )
        if len(t) and np.any(np.diff(t) < 0):
            raise DeclarationError("rows are not in order of t", where=f"history {self.name}")

    @cached_property
    def t(self) -> Ints:
        """Prediction times (int64 us), ascending."""
        result: Ints = self.frame["t"].to_numpy()
        return result

    @cached_property
    def day(self) -> Ints:
        """Day (int64, epoch days of the monitor's own calendar) of each row of `frame`."""
        result: Ints = (self.t + duration(self.offset)) // DAY
        return result

    @property
    def first_scored(self) -> int:
        """Index of the first row of `frame` that has a score."""
        return int(self.frame.num_rows - self.scores.num_rows)

    @property
    def watched(self) -> list[str]:
        """Columns that a monitor of this history monitors."""
        hidden = {"t", *self.exclude}
        return [name for name in self.frame.column_names if name not in hidden]

    @property
    def until(self) -> int:
        """Time (microseconds UTC) at which the last day of the frame ends."""
        last = int(self.day[-1]) + 1 if len(self.day) else 0
        return last * DAY - duration(self.offset)

    def windows(self) -> list[Window]:
        """Return the complete windows of the history, in order."""
        if not len(self.day):
            return []
        first, last = int(self.day[0]), int(self.day[-1])
        return windows(day_number(self.anchor), self.window_days, first, last, last + 1)

    def spec(self, policy_path: Path) -> MonitorSpec:
        """Return the specification of a monitor for this history."""
        return MonitorSpec(
            name=self.name,
            policy_path=policy_path,
            anchor=self.anchor,
            window_days=self.window_days,
            offset=self.offset,
            exclude=self.exclude,
            maturity=self.maturity,
            segments=self.segments,
            label_derived=self.label_derived,
        )


def scores_of(
    rows: pa.Table,
    score: npt.NDArray[np.float64],
    label: pa.ChunkedArray | pa.Array,
    segments: Iterable[str],
) -> pa.Table:
    """Build the table `scores` of a history."""
    body = {"t": rows["t"], "score": pa.array(score), "label": label.cast(pa.int64())}
    return pa.table(body | {name: rows[name] for name in segments})


def save_history(history: ReplayedHistory, folder: Path) -> Path:
    """Write a history, each file atomically, and return its folder."""
    target = folder / history.name
    target.mkdir(parents=True, exist_ok=True)
    for name in _TABLES:
        temporary = temporary_beside(target / f"{name}.parquet")
        pq.write_table(getattr(history, name), temporary, compression="zstd")
        move_into_place(temporary, target / f"{name}.parquet")
    plain = {
        field.name: getattr(history, field.name)
        for field in fields(history)
        if field.name not in {*_TABLES, "scorer"}
    }
    model = history.scorer.to_json() if history.scorer else None
    write_json(target / "history.json", {"format": FORMAT, "scorer": model, **plain})
    return target


def load_history(folder: Path) -> ReplayedHistory:
    """Read a history that `save_history` wrote."""
    value: dict[str, Any] = json.loads((folder / "history.json").read_text())
    if value.pop("format") != FORMAT:
        raise StateError(
            "the history has another format", where=str(folder), fix="delete it: it is rebuilt"
        )
    value |= {name: pq.read_table(folder / f"{name}.parquet") for name in _TABLES}
    value |= {name: tuple(value[name]) for name in _TUPLES}
    value["scorer"] = StudyScorer.from_json(value["scorer"]) if value["scorer"] else None
    return ReplayedHistory(**value)


def load_histories(folder: Path) -> list[ReplayedHistory]:
    """Read all histories in `folder`, sorted by name."""
    return [load_history(path.parent) for path in sorted(folder.glob("*/history.json"))]
