"""The policy: every number that detection and decision use, in one reviewed file."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from headrace.clock import duration, duration_text
from headrace.contracts.lines import syntax_place, with_line
from headrace.errors import DeclarationError
from headrace.files import digest

_DURATIONS = {"cool_down", "budget_period", "max_age"}
_OPTIONAL = {"max_age", "strong"}
_LEAST = {
    "quorum": 1,
    "hysteresis": 1,
    "patience": 1,
    "attempts": 1,
    "strong": 1,
    "budget": 0,
    "cool_down": 0,
    "budget_period": 1,
    "max_age": 1,
}
_MEANT: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    float | None: "a number, or null for none",
    tuple[str, ...]: "a list of kinds, such as [concept, performance]",
}


@dataclass(frozen=True)
class Detection:
    """When a finding is evidence. Limits come from a subject's own past; these bound them."""

    warmup_days: int = 28
    """Days with values that a column's bins are frozen from."""
    min_history: int = 6
    """Earlier clean windows needed before own limits hold; before that `cold_distance` does."""
    reference_windows: int = 4
    """Rows and scores are compared with so many windows before; plots show so many together."""
    relation_windows: int = 4
    """Earlier clean windows that columns must have been seen together in to predict each other."""
    settles: int = 8
    """Windows in a row with another relation, after which it is the new one."""
    spread: float = 3.0
    """How many robust standard deviations above the median of earlier windows a limit lies."""
    least_spread: float = 0.15
    """The smallest standard deviation believed, in log units (0.15 is about 15 percent)."""
    distance_floor: float = 0.1
    """Jensen-Shannon distances (0 to 1) below this are never evidence."""
    cold_distance: float = 0.75
    bias_floor: float = 0.15
    """Means of what other columns leave unexplained, in its deviations: below, never evidence."""
    scatter_floor: float = 0.5
    """The same of its variance, as a change in log units."""
    scale_floor: float = 0.3
    """The same of the slope of a column on its prediction, as a change in log units."""
    gross: float = 1.7
    """A measure of so many times its limit is an alarm; less is a notice: see quorum."""
    usual_strain: float = 0.75
    """Quantile of how far the furthest column of earlier windows went, in its limits."""
    strain: float = 1.6
    """An alarm is further than so many times that quantile, where that is more than `gross`."""
    broken: float = 3.0
    """A relation so many times further than allowed is no reference for later windows."""
    explained: float = 0.3
    """Share of a column's variance that others must explain before it is held to what they say."""
    company: float = 0.1
    """Share of other columns that may be new beside a fault; more, and the population moved."""
    named: int = 5
    """Columns that a finding names at most."""
    null_floor: float = 0.05
    """Smallest rise of a column's share of nulls that is a fault."""
    null_swing: float = 1.0
    """The same in parts of how far that share went up and down before."""
    novel_floor: float = 0.5
    """Smallest share of values where no earlier window had any that is a fault."""
    far_floor: float = 0.02
    """The same of values several times the range of the first days away from it."""
    unseen_floor: float = 0.05
    """Smallest share of levels that were unknown when the bins were frozen that is a fault."""
    frozen_most: float = 0.7
    """A favourite value, in no more than this share of values before, that fills a window."""
    standing_floor: float = 0.12
    """Smallest rise of the share of a column's most frequent value that is a fault."""
    standing_most: float = 0.2
    """Columns with a value more frequent than this have a favourite: nothing stands still."""
    doubled_floor: float = 0.05
    """Smallest rise of the share of rows that come twice that is a fault."""
    again_floor: float = 0.3
    """The same of rows that an earlier window had already."""
    quarantined_floor: float = 0.01
    volume_floor: float = 0.4
    """Smallest relative change of a window's rows that is evidence."""
    volume_ceiling: float = 0.45
    """A change that is always evidence, however much rows went up and down before."""
    gap_floor: float = 0.25
    """Smallest share of a window's days that have no rows, more than ever, that is evidence."""
    min_labelled: int = 200
    """Scored rows with a mature label that a window needs to be judged by its answers."""
    label_share: float = 0.5
    """A window with a smaller part of the usual share of labels says so."""
    min_scored_windows: int = 4
    """Earlier windows of the same model needed before its answers are judged."""
    loss_floor: float = 0.1
    """Smallest rise of log loss beyond what the scores promised (nats a row) that is evidence."""
    loss_spread: float = 4.0
    """How many robust deviations above that of earlier windows it must be."""
    score_floor: float = 0.35
    """Jensen-Shannon distances of the scores below this are never evidence."""
    slope_floor: float = 0.3
    """Smallest fall of the slope of outcomes over scores (1 as trained) that is evidence."""
    cold_slope: float = 0.25
    """A slope surely below this is evidence before there are enough earlier windows."""
    segment_share: float = 0.03
    """Smallest share of a window's rows that is a segment."""
    slope_spread: float = 0.1
    """The smallest deviation believed of a segment's slope from window to window."""
    level_spread: float = 0.15
    """The same of a segment's level, in log odds."""
    segment_error: float = 0.01
    """Share of windows in which chance alone may take any segment beyond the limit."""
    segment_spread: float = 4.0
    """The greatest departure of a segment may be so many deviations above earlier windows'."""
    accumulate: int = 4
    """Windows that are also judged together, for drift too small to be seen in one."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, least = getattr(self, one.name), 1 if one.type is int else 0
            if not least <= value < math.inf:
                raise DeclarationError(
                    f"{one.name} is {value}", fix=f"it is a number and at least {least}"
                )


@dataclass(frozen=True)
class Policy:
    """When evidence becomes action. Durations are microseconds here, text ("28d") in the file."""

    quorum: int = 3
    """Columns that must have shifted in one window before it counts as a population shift."""
    hysteresis: int = 2
    """Windows in a row, faulty ones apart, that must show it."""
    strong: float | None = None
    """A relation that moved so many times its limit needs one window only; None: no exception."""
    patience: int = 4
    """Windows that data and relation moved together before that retrains unacknowledged.

    So many, too, where the relation seemed to move first in a window whose data were faulty."""
    attempts: int = 2
    """Retrainings on one stretch of evidence that may fail or change nothing; then a person looks.

    One that was promoted and rolled back ends it at once."""
    retrain_on: tuple[str, ...] = ("concept", "performance", "schedule")
    """Kinds that may retrain. A shift alone is watched: nothing says a new model is better."""
    cool_down: int = duration("28d")
    budget: int = 6
    """Retrainings in any `budget_period`."""
    budget_period: int = duration("365d")
    max_age: int | None = None
    """Age of the model from which it is retrained without other evidence."""
    detection: Detection = field(default_factory=Detection)

    def __post_init__(self) -> None:
        unknown = set(self.retrain_on) - {"concept", "performance", "schedule", "population"}
        if unknown:
            raise DeclarationError(
                f"retraining on {', '.join(sorted(unknown))} is not possible",
                fix="choose from concept, performance, schedule and population",
            )
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                say = duration_text if name in _DURATIONS else str
                off = ", or null for none" if name in _OPTIONAL else ""
                raise DeclarationError(
                    f"{name} is {say(value)}", fix=f"it is at least {say(least)}{off}"
                )

    @property
    def hash(self) -> str:
        return digest(asdict(self))


def load_policy(path: Path) -> Policy:
    """The policy in the YAML file at `path`; every key must be known and of its type."""
    try:
        return _read_policy(path)
    except DeclarationError as error:
        where = with_line(path, error.where, error.what)
        raise DeclarationError(error.what, where=where, fix=error.fix) from None


def _read_policy(path: Path) -> Policy:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        what, where = syntax_place(path, error)
        raise DeclarationError(
            f"the policy cannot be read: {what}", where=where, fix="a YAML file with version: 1"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"the policy cannot be read: {error}",
            where=str(path),
            fix="a YAML file with version: 1",
        ) from error
    if not isinstance(value, dict) or value.get("version") != 1:
        raise DeclarationError(
            "not a monitoring policy", where=str(path), fix="start the file with 'version: 1'"
        )
    body = {name: part for name, part in value.items() if name != "version"}
    detail = f"{path}: detection"
    found = _checked(Detection, body.pop("detection", {}), detail)
    with _located(detail):
        detection = Detection(**found)
    rules = _checked(Policy, body, str(path))
    with _located(str(path)):
        return Policy(**rules, detection=detection)


@contextmanager
def _located(where: str) -> Iterator[None]:
    """What is wrong with a value is told of the file that it stands in."""
    try:
        yield
    except DeclarationError as error:
        raise DeclarationError(error.what, where=error.where or where, fix=error.fix) from None


def _checked(kind: type[Any], value: object, where: str) -> dict[str, Any]:
    """`value` as keyword arguments of `kind`; durations read, anything unknown refused."""
    if not isinstance(value, Mapping):
        raise DeclarationError(f"expected keys and values, got {value!r}", where=where)
    known = {f.name: f.type for f in fields(kind) if f.name != "detection"}
    unknown = set(value) - set(known)
    if unknown:
        raise DeclarationError(
            f"unknown key {', '.join(map(repr, sorted(unknown, key=str)))}",
            where=where,
            fix=f"the keys are {', '.join(known)}",
        )
    return {key: _read(key, one, known[key], where) for key, one in value.items()}


def _read(
    key: str, value: object, kind: object, where: str
) -> int | float | tuple[str, ...] | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _DURATIONS and isinstance(value, str):
        with _located(f"{where}: {key}"):
            return duration(value)
    if value is None and key in _OPTIONAL:
        return None
    if kind is int and isinstance(value, int) and number and key not in _DURATIONS:
        return value
    if kind in {float, float | None} and number:
        return float(value)  # type: ignore[arg-type]
    if (
        key == "retrain_on"
        and isinstance(value, list)
        and all(isinstance(one, str) for one in value)
    ):
        return tuple(value)
    meant = "a duration such as '28d'" if key in _DURATIONS else _MEANT[kind]
    raise DeclarationError(f"{key} is {value!r}, expected {meant}", where=where, fix=meant)
