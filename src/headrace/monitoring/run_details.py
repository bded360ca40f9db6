"""Details of the latest monitor run that only its report shows: heat, losses and distributions.

Decisions and evidence stay in the ledger. These details are in one file beside the profiles, and
each run replaces that file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.files import write_json
from headrace.core.home import Home
from headrace.monitoring.detectors.shift_shapes import Shape
from headrace.monitoring.evidence.model import MODEL, Window
from headrace.monitoring.profiles.labelled_scores import FIXED, Scored
from headrace.monitoring.profiles.store import folder_of
from headrace.monitoring.spec import MonitorRun, WindowResult

FORMAT = 1
_DIGITS = 4


@dataclass(frozen=True)
class Rate:
    """Share of positive labels in one segment, observed and as predicted by the scores."""

    level: str
    rows: int
    observed: float
    expected: float


@dataclass(frozen=True)
class WindowDetails:
    """Details of one window.

    `heat` and `shapes` are as in `WindowResult`. `loss` (mean per row, in nats for log loss) and
    `ranking` are as in `Scored`; they are None if the model was not evaluated, and `ranking` also
    if its label is not binary. `rates` has {segment column: rates of
    its segments} for windows with evidence about the model.
    """

    window: Window
    rows: int
    heat: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    ranking: float | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunDetails:
    """Details of the latest run, oldest window first; `notes` say what is not watched, and why."""

    monitor: str
    windows: tuple[WindowDetails, ...]
    notes: tuple[str, ...]


def details_path(home: Home, monitor: str) -> Path:
    return folder_of(home, monitor) / "seen.json"


def write_details(home: Home, run: MonitorRun) -> Path:
    """Write the details of `run`, replacing those of the earlier run."""
    path = details_path(home, run.name)
    windows = [_form(result) for result in run.results]
    body = {"format": FORMAT, "monitor": run.name, "windows": windows, "notes": list(run.notes)}
    write_json(path, body)
    return path


def _form(result: WindowResult) -> dict[str, Any]:
    ranking = None if result.scored is None else result.scored.ranking
    return {
        "window": [result.window.first, result.window.end],
        "rows": result.rows,
        "heat": {name: round(value, _DIGITS) for name, value in sorted(result.heat.items())},
        "loss": None if result.scored is None else round(result.scored.loss, _DIGITS),
        "ranking": None if ranking is None else round(ranking, _DIGITS),
        "shapes": {name: asdict(shape) for name, shape in result.shapes.items()},
        "rates": {name: list(map(asdict, rates)) for name, rates in _rates(result).items()},
    }


def _rates(result: WindowResult) -> dict[str, list[Rate]]:
    """Return the rates by segment column; empty if there is no evidence about the model."""
    rates: dict[str, list[Rate]] = {}
    about_model = any(evidence.kind in MODEL for evidence in result.evidence)
    if not isinstance(result.scored, Scored) or not about_model:
        return rates
    sums = result.scored.cells.sum(axis=1)
    for pairs, (rows, positives, scores) in zip(result.scored.segments, sums.tolist(), strict=True):
        if rows and len(pairs) == 1:
            ((column, level),) = pairs
            shares = (round(positives / rows, _DIGITS), round(scores / FIXED / rows, _DIGITS))
            rates.setdefault(column, []).append(Rate(level, rows, *shares))
    return rates


def read_details(home: Home, monitor: str) -> RunDetails:
    """Return the details of the latest run; empty without a run, or if the file has another format.

    Missing details are not an error, because only the report shows them and the next run writes
    them.
    """
    path = details_path(home, monitor)
    value = json.loads(path.read_text()) if path.exists() else {}
    if value.get("format") != FORMAT:
        return RunDetails(monitor, (), ())
    return RunDetails(value["monitor"], tuple(map(_read, value["windows"])), tuple(value["notes"]))


def _read(value: Mapping[str, Any]) -> WindowDetails:
    shapes = {
        name: Shape(tuple(shape["labels"]), tuple(shape["before"]), tuple(shape["after"]))
        for name, shape in value["shapes"].items()
    }
    figures = {key: value[key] for key in ("rows", "heat", "loss", "ranking")}
    rates = {
        name: tuple(Rate(**level) for level in levels)
        for name, levels in value.get("rates", {}).items()
    }
    return WindowDetails(Window(*value["window"]), **figures, shapes=shapes, rates=rates)
