"""What a run of the monitor saw beside evidence, kept for its report: made anew by every run.

Decisions and evidence are on the ledger for good. The heat of columns, losses and the shapes of
columns are only for the eye; they are in one file beside the profiles, of the latest run.
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
from headrace.monitoring.profiles.labelled_scores import FIXED
from headrace.monitoring.profiles.store import folder_of
from headrace.monitoring.spec import MonitorRun, WindowResult

FORMAT = 1
_DIGITS = 4


@dataclass(frozen=True)
class Rate:
    """Of the labelled rows of one level of a segment column: the shares of ones seen and scored."""

    level: str
    rows: int
    observed: float
    expected: float


@dataclass(frozen=True)
class SeenWindow:
    """One window: `heat` as in `WindowResult`; `loss` (nats a row) and `ranking` where judged.

    `rates` are kept of windows with evidence about the model: {segment column: its levels}.
    """

    window: Window
    rows: int
    heat: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    ranking: float | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the latest run saw, oldest window first; `notes` are what is not watched, and why."""

    monitor: str
    windows: tuple[SeenWindow, ...]
    notes: tuple[str, ...]


def seen_path(home: Home, monitor: str) -> Path:
    return folder_of(home, monitor) / "seen.json"


def keep_seen(home: Home, run: MonitorRun) -> Path:
    """Write what `run` saw; the earlier run's is replaced as a whole."""
    path = seen_path(home, run.name)
    windows = [_form(result) for result in run.results]
    body = {"format": FORMAT, "monitor": run.name, "windows": windows, "notes": list(run.notes)}
    write_json(path, body)
    return path


def _form(one: WindowResult) -> dict[str, Any]:
    return {
        "window": [one.window.first, one.window.end],
        "rows": one.rows,
        "heat": {name: round(value, _DIGITS) for name, value in sorted(one.heat.items())},
        "loss": None if one.scored is None else round(one.scored.loss, _DIGITS),
        "ranking": None if one.scored is None else round(one.scored.ranking, _DIGITS),
        "shapes": {name: asdict(shape) for name, shape in one.shapes.items()},
        "rates": {name: list(map(asdict, rates)) for name, rates in _rates(one).items()},
    }


def _rates(one: WindowResult) -> dict[str, list[Rate]]:
    """By segment column; none without evidence about the model."""
    rates: dict[str, list[Rate]] = {}
    if one.scored is None or not any(evidence.kind in MODEL for evidence in one.evidence):
        return rates
    sums = one.scored.cells.sum(axis=1)
    for pairs, (rows, ones, scores) in zip(one.scored.segments, sums.tolist(), strict=True):
        if rows and len(pairs) == 1:
            ((column, level),) = pairs
            shares = (round(ones / rows, _DIGITS), round(scores / FIXED / rows, _DIGITS))
            rates.setdefault(column, []).append(Rate(level, rows, *shares))
    return rates


def read_seen(home: Home, monitor: str) -> Seen:
    """What the latest run saw; nothing if there was none, or one of another format.

    It is only for the eye, and the next run writes it anew: no command waits for that.
    """
    path = seen_path(home, monitor)
    value = json.loads(path.read_text()) if path.exists() else {}
    if value.get("format") != FORMAT:
        return Seen(monitor, (), ())
    return Seen(value["monitor"], tuple(map(_read, value["windows"])), tuple(value["notes"]))


def _read(value: Mapping[str, Any]) -> SeenWindow:
    shapes = {
        name: Shape(tuple(one["labels"]), tuple(one["before"]), tuple(one["after"]))
        for name, one in value["shapes"].items()
    }
    given = {key: value[key] for key in ("rows", "heat", "loss", "ranking")}
    rates = {
        name: tuple(Rate(**level) for level in levels)
        for name, levels in value.get("rates", {}).items()
    }
    return SeenWindow(Window(*value["window"]), **given, shapes=shapes, rates=rates)
