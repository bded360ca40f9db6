"""History that a study replays: the data of a monitor, window by window.

Prepared histories are stored as Parquet and JSON, so that the next study reads them in a second:

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
# Settings are chosen on the tuning histories only; results are reported for the others.
Part = Literal["tuning", "report", "own"]
Ints = npt.NDArray[np.int64]
_TABLES = ("frame", "scores")
_TUPLES = ("segments", "label_derived", "exclude")


@dataclass(frozen=True, eq=False)
class ReplayedHistory:
    """Rows in order of time, with a model's scores of the later ones.

    Attributes:
        name: of the data.
        frame: `t` (int64 us) and the columns, one row a prediction, ascending in `t`; no label.
        scores: `t` (int64 us), `score` (float64, probability of 1), `label` (int64, may be null)
            and the segment columns, for the last rows of `frame`, row by row; out of sample.
        segments: columns of both tables by which concept drift is detected and injected (text).
        window_days, anchor (ISO day), offset, maturity: as in `MonitorSpec`.
        warmup_days: number of days that bins are frozen from; at least a season of the window.
        label_derived: columns of the frame that come from the label's own table.
        exclude: columns of the frame that are not watched, since they are the calendar.
        known_drift: the data are known to drift; since `drift_from` (us), if that is known.
        part: `tuning` histories choose settings, results are reported for the others.
        about: origin of the rows, in a sentence.
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
        """Row of `frame` that the first row of `scores` belongs to."""
        return int(self.frame.num_rows - self.scores.num_rows)

    @property
    def watched(self) -> list[str]:
        """Columns that a monitor of this history watches."""
        hidden = {"t", *self.exclude}
        return [name for name in self.frame.column_names if name not in hidden]

    @property
    def until(self) -> int:
        """Moment (us) at which every complete window is closed and all its labels are known."""
        last = int(self.day[-1]) + 1 if len(self.day) else 0
        return last * DAY - duration(self.offset)

    def windows(self) -> list[Window]:
        """Return the complete windows of the history, in order."""
        if not len(self.day):
            return []
        first, last = int(self.day[0]), int(self.day[-1])
        return windows(day_number(self.anchor), self.window_days, first, last, last + 1)

    def spec(self, policy_path: Path) -> MonitorSpec:
        """Return the specification that `monitor` takes for this history."""
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
    """Return the table `scores` of a history."""
    body = {"t": rows["t"], "score": pa.array(score), "label": label.cast(pa.int64())}
    return pa.table(body | {name: rows[name] for name in segments})


def save_history(history: ReplayedHistory, folder: Path) -> Path:
    """Write a history, each file completely or not at all, and return its folder."""
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
            "a history of another format", where=str(folder), fix="delete it: it is rebuilt"
        )
    value |= {name: pq.read_table(folder / f"{name}.parquet") for name in _TABLES}
    value |= {name: tuple(value[name]) for name in _TUPLES}
    value["scorer"] = StudyScorer.from_json(value["scorer"]) if value["scorer"] else None
    return ReplayedHistory(**value)


def load_histories(folder: Path) -> list[ReplayedHistory]:
    """Read all histories in `folder`, by name."""
    return [load_history(path.parent) for path in sorted(folder.glob("*/history.json"))]
