"""Monitoring policy: every number that detection and decision use, in one reviewed file."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from headrace.core.clock import duration, duration_text
from headrace.core.declarations.yaml_lines import syntax_place, with_line
from headrace.core.errors import DeclarationError
from headrace.core.files import digest

_DURATIONS = {"cool_down", "budget_period", "max_age"}
_OPTIONAL = {"max_age", "strong"}
_MINIMUM = {
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
_EXPECTED: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    float | None: "a number, or null for none",
    tuple[str, ...]: "a list of kinds, such as [concept, performance]",
}


@dataclass(frozen=True)
class Detection:
    """Thresholds for evidence, which bound the limits computed from each column's history."""

    warmup_days: int = 28
    """Days with values from which a column's bins are frozen."""
    min_history: int = 6
    """Earlier clean windows needed before a column's own limits apply; `cold_distance` applies
    until then.
    """
    reference_windows: int = 4
    """Number of earlier windows that rows and scores are compared with, and that plots show."""
    relation_windows: int = 4
    """Earlier clean windows in which columns must occur together before one predicts another."""
    settles: int = 8
    """Windows in a row with another relation after which that relation is the baseline."""
    spread: float = 3.0
    """Robust standard deviations above the median of earlier windows at which a limit lies."""
    least_spread: float = 0.15
    """Smallest standard deviation that is used, in log units (0.15 is about 15 percent)."""
    distance_floor: float = 0.1
    """Jensen-Shannon distances (0 to 1) below this are never evidence."""
    cold_distance: float = 0.75
    """Limit of the Jensen-Shannon distance until a column has `min_history` windows."""
    bias_floor: float = 0.15
    """Smallest mean of a column's residual, given the other columns, that is evidence (in standard
    deviations of the residual).
    """
    scatter_floor: float = 0.5
    """The same for the variance of the residual, as a change in log units."""
    scale_floor: float = 0.3
    """The same for the slope of a column on its prediction, as a change in log units."""
    gross: float = 1.7
    """A measure this many times its limit is an alarm by itself; a smaller one is a notice and
    counts towards `quorum`.
    """
    usual_strain: float = 0.75
    """Quantile, over earlier windows, of the largest measure of any column in multiples of its
    limit.
    """
    strain: float = 1.6
    """An alarm must also exceed this many times that quantile."""
    broken: float = 3.0
    """A relation this many times beyond its limit is not used as a baseline for later windows."""
    explained: float = 0.3
    """Share of a column's variance that other columns must explain before the column is compared
    with their prediction.
    """
    company: float = 0.1
    """Largest share of other columns that may change together with a data fault; beyond it the
    change is a population shift.
    """
    named: int = 5
    """Largest number of columns that a finding names."""
    null_floor: float = 0.05
    """Smallest rise of a column's share of nulls that is a data fault."""
    null_swing: float = 1.0
    """The same as a multiple of the range of that share in earlier windows."""
    novel_floor: float = 0.5
    """Smallest share of values in bins that were always empty before that is a data fault."""
    far_floor: float = 0.02
    """The same for values that are several times the range of the first days away from it."""
    unseen_floor: float = 0.05
    """Smallest share of categories unknown when the bins were frozen that is a data fault."""
    frozen_most: float = 0.7
    """A window with only one value, the column's most frequent one, is a data fault if the value's
    share was at most this before.
    """
    standing_floor: float = 0.12
    """Smallest rise of the share of a column's most frequent value that is a data fault."""
    standing_most: float = 0.2
    """`standing_floor` does not apply to columns whose most frequent value had a larger share
    before.
    """
    doubled_floor: float = 0.05
    """Smallest rise of the share of duplicate rows that is a data fault."""
    again_floor: float = 0.3
    """The same for rows that an earlier window already had."""
    quarantined_floor: float = 0.01
    """The same for rows that the gate quarantined."""
    volume_floor: float = 0.4
    """Smallest relative change of a window's number of rows that is evidence."""
    volume_ceiling: float = 0.45
    """Change of the number of rows that is always evidence, however much it varied before."""
    gap_floor: float = 0.25
    """Smallest share of a window's days without rows, above every earlier one, that is evidence."""
    min_labelled: int = 200
    """Scored rows with a mature label that a window needs to evaluate the model's answers."""
    label_share: float = 0.5
    """A window with less than this part of the usual share of labels is reported."""
    min_scored_windows: int = 4
    """Earlier windows of the same model needed to evaluate its answers."""
    loss_floor: float = 0.1
    """Smallest rise of log loss beyond what the scores imply that is evidence (nats a row)."""
    loss_spread: float = 4.0
    """Robust standard deviations above earlier windows that the rise of log loss must reach."""
    score_floor: float = 0.35
    """Jensen-Shannon distances of the scores below this are never evidence."""
    slope_floor: float = 0.3
    """Smallest fall of the slope of outcomes on scores (1 as trained) that is evidence."""
    cold_slope: float = 0.25
    """A slope significantly below this is evidence before there are enough earlier windows."""
    segment_share: float = 0.03
    """Smallest share of a window's rows that forms a segment."""
    slope_spread: float = 0.1
    """Smallest standard deviation of a segment's slope between windows that is used."""
    level_spread: float = 0.15
    """The same for a segment's level, in log odds."""
    segment_error: float = 0.01
    """Share of windows in which chance alone may take any segment beyond its limit."""
    segment_spread: float = 4.0
    """Standard deviations above earlier windows that a segment's departure may reach."""
    accumulate: int = 4
    """Number of windows that are also evaluated together, for drift too small for one window."""

    def __post_init__(self) -> None:
        for threshold in fields(self):
            value, minimum = getattr(self, threshold.name), 1 if threshold.type is int else 0
            if not minimum <= value < math.inf:
                raise DeclarationError(
                    f"{threshold.name} is {value}", fix=f"it is a number and at least {minimum}"
                )


@dataclass(frozen=True)
class Policy:
    """Rules that turn evidence into action. Durations are microseconds here, "28d" in the file."""

    quorum: int = 3
    """Columns that must shift in one window before it counts as a population shift."""
    hysteresis: int = 2
    """Number of windows in a row, not counting faulty ones, that must show the evidence."""
    strong: float | None = None
    """A relation this many times beyond its limit needs one window only; null: no exception."""
    patience: int = 4
    """Windows in which data and relation must change together before a retraining starts without an
    acknowledgement. The same applies if the relation first changed in a window with faulty data.
    """
    attempts: int = 2
    """Retrainings on one stretch of evidence that may fail or change nothing before a person has to
    look. One that was promoted and rolled back ends the stretch at once.
    """
    retrain_on: tuple[str, ...] = ("concept", "performance", "schedule")
    """Kinds of evidence that may retrain: concept, performance, schedule, population. A population
    shift alone does not show that a new model is better.
    """
    cool_down: int = duration("28d")
    """Shortest time between two retrainings."""
    budget: int = 6
    """Largest number of retrainings in a `budget_period`."""
    budget_period: int = duration("365d")
    """Period over which `budget` counts."""
    max_age: int | None = None
    """Age of the model at which it is retrained without other evidence; null: no limit."""
    detection: Detection = field(default_factory=Detection)

    def __post_init__(self) -> None:
        unknown = set(self.retrain_on) - {"concept", "performance", "schedule", "population"}
        if unknown:
            raise DeclarationError(
                f"retraining on {', '.join(sorted(unknown))} is not possible",
                fix="choose from concept, performance, schedule and population",
            )
        for name, minimum in _MINIMUM.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                say = duration_text if name in _DURATIONS else str
                off = ", or null for none" if name in _OPTIONAL else ""
                raise DeclarationError(
                    f"{name} is {say(value)}", fix=f"it is at least {say(minimum)}{off}"
                )

    @property
    def hash(self) -> str:
        return digest(asdict(self))


def load_policy(path: Path) -> Policy:
    """Return the policy in the YAML file at `path`; every key must be known and of its type."""
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
    thresholds = _checked(Detection, body.pop("detection", {}), detail)
    with _located(detail):
        detection = Detection(**thresholds)
    rules = _checked(Policy, body, str(path))
    with _located(str(path)):
        return Policy(**rules, detection=detection)


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Add the place `where` to errors without one."""
    try:
        yield
    except DeclarationError as error:
        raise DeclarationError(error.what, where=error.where or where, fix=error.fix) from None


def _checked(kind: type[Any], value: object, where: str) -> dict[str, Any]:
    """Return `value` as keyword arguments of `kind`; parse durations and refuse unknown keys."""
    if not isinstance(value, Mapping):
        raise DeclarationError(f"expected keys and values, got {value!r}", where=where)
    types = {f.name: f.type for f in fields(kind) if f.name != "detection"}
    unknown = set(value) - set(types)
    if unknown:
        raise DeclarationError(
            f"unknown key {', '.join(map(repr, sorted(unknown, key=str)))}",
            where=where,
            fix=f"the keys are {', '.join(types)}",
        )
    return {key: _read(key, setting, types[key], where) for key, setting in value.items()}


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
        and all(isinstance(entry, str) for entry in value)
    ):
        return tuple(value)
    expected = "a duration such as '28d'" if key in _DURATIONS else _EXPECTED[kind]
    raise DeclarationError(f"{key} is {value!r}, expected {expected}", where=where, fix=expected)
