"""Monitoring policy: every number used for detection and for decisions, in one reviewed file."""

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
    """Thresholds for evidence. They bound the limits that each column's history determines."""

    warmup_days: int = 28
    """Number of first days with values from which a column's bins are computed and frozen."""
    min_history: int = 6
    """Number of earlier clean windows needed before a column's own limits apply. Until then,
    `cold_distance` applies.
    """
    reference_windows: int = 4
    """Number of earlier windows with which rows and scores are compared and which plots show."""
    relation_windows: int = 4
    """Number of earlier clean windows needed before columns are predicted from each other."""
    settles: int = 8
    """Number of windows in a row with a changed relation after which it becomes the baseline."""
    spread: float = 3.0
    """Distance of a limit above the median of earlier windows, in robust standard deviations."""
    least_spread: float = 0.15
    """Lower bound of the standard deviation in a limit, in log units (0.15 is about 15 percent)."""
    distance_floor: float = 0.1
    """Jensen-Shannon distances (0 to 1) below this are never evidence."""
    cold_distance: float = 0.75
    """Limit of the Jensen-Shannon distance until a column has `min_history` windows."""
    bias_floor: float = 0.15
    """Smallest mean of a column's residual, given the other columns, that is evidence (in standard
    deviations of the residual).
    """
    scatter_floor: float = 0.5
    """Smallest change of the variance of that residual that is evidence, in log units."""
    scale_floor: float = 0.3
    """Smallest change of the slope of a column on its prediction that is evidence, in log units."""
    gross: float = 1.7
    """A measure of more than this many times its limit is an alarm by itself. A smaller measure
    above its limit is a notice and counts towards `quorum`.
    """
    usual_strain: float = 0.75
    """Each earlier window has a largest measure of any column, in multiples of the column's limit.
    The usual strain is this quantile of these largest measures.
    """
    strain: float = 1.6
    """An alarm must also exceed this many times the usual strain (see `usual_strain`)."""
    broken: float = 3.0
    """A relation whose measure exceeds its limit more than this many times is excluded from the
    baseline of later windows.
    """
    explained: float = 0.3
    """Share of a column's variance that other columns must explain before the column is compared
    with their prediction.
    """
    company: float = 0.1
    """Largest share of other columns that may change together with a data fault. If more columns
    change, the change is a population shift.
    """
    named: int = 5
    """Largest number of columns that a finding names."""
    null_floor: float = 0.05
    """Smallest rise of a column's share of nulls that is a data fault."""
    null_swing: float = 1.0
    """Smallest rise of a column's share of nulls that is a data fault, as a multiple of the range
    of that share in earlier windows. The larger of this rise and `null_floor` applies.
    """
    novel_floor: float = 0.5
    """Smallest share of values in previously always empty bins that is a data fault."""
    far_floor: float = 0.02
    """Smallest share of values far outside the range of the first days (by several times that
    range) that is a data fault.
    """
    unseen_floor: float = 0.05
    """Smallest share of categories unknown when the bins were frozen that is a data fault."""
    frozen_most: float = 0.7
    """A window in which a column has only its usual most frequent value is a data fault if that
    value's share was at most this in earlier windows.
    """
    standing_floor: float = 0.12
    """Smallest rise of the share of a column's most frequent value that is a data fault."""
    standing_most: float = 0.2
    """`standing_floor` does not apply to columns whose most frequent value had a larger share than
    this before.
    """
    doubled_floor: float = 0.05
    """Smallest rise of the share of duplicate rows that is a data fault."""
    again_floor: float = 0.3
    """Smallest rise of the share of rows repeated from an earlier window that is a data fault."""
    quarantined_floor: float = 0.01
    """Smallest share of rows quarantined by the gate that is a data fault."""
    volume_floor: float = 0.4
    """Smallest relative change of a window's number of rows that is evidence."""
    volume_ceiling: float = 0.45
    """A larger relative change of the number of rows is always evidence, however much the number
    varied before.
    """
    gap_floor: float = 0.25
    """Smallest rise of the share of days without rows, above its earlier maximum, that is
    evidence.
    """
    min_labelled: int = 200
    """Number of scored rows with a mature label that a window needs for its evaluation."""
    label_share: float = 0.5
    """A window with less than this part of the usual share of labels is reported."""
    min_scored_windows: int = 4
    """Number of earlier windows of the same model needed to evaluate its answers."""
    loss_floor: float = 0.1
    """Smallest rise of the excess loss that is evidence, in nats per row; for predicted numbers, as
    a share of the usual loss. The excess loss is the log loss minus the log loss that the scores
    themselves imply.
    """
    loss_spread: float = 4.0
    """Rise of the excess loss above earlier windows that is evidence, in robust standard
    deviations. The larger of this rise and `loss_floor` applies.
    """
    score_floor: float = 0.35
    """Jensen-Shannon distances of the scores below this are never evidence."""
    slope_floor: float = 0.3
    """Smallest fall of the slope of outcomes on scores (1 if calibrated) that is evidence."""
    cold_slope: float = 0.25
    """A slope significantly below this is evidence before there are enough earlier windows."""
    segment_share: float = 0.03
    """Smallest share of a window's rows that forms a segment."""
    slope_spread: float = 0.1
    """Lower bound of the standard deviation of a segment's slope between windows."""
    level_spread: float = 0.15
    """Lower bound of the standard deviation of a segment's level between windows, in log odds."""
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
                    f"{threshold.name} is {value}", fix=f"set a finite number of at least {minimum}"
                )


@dataclass(frozen=True)
class Policy:
    """Rules that turn evidence into action. Durations are microseconds here, "28d" in the file."""

    quorum: int = 3
    """Columns that must shift in one window before it counts as a population shift."""
    hysteresis: int = 2
    """Number of windows in a row, not counting faulty ones, that must show the evidence."""
    strong: float | None = None
    """One window is enough if the relation changed by this many times its limit; null: never."""
    patience: int = 4
    """Windows in which data and relation must change together before a retraining starts without an
    acknowledgement. The same applies if the relation first changed in a window with faulty data.
    """
    attempts: int = 2
    """Number of retrainings for the same lasting evidence that may fail or change nothing before a
    person must investigate. After a rollback, a person must investigate at once.
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
                    f"{name} is {say(value)}", fix=f"set at least {say(minimum)}{off}"
                )

    @property
    def hash(self) -> str:
        return digest(asdict(self))


def load_policy(path: Path) -> Policy:
    """Return the policy in the YAML file at `path`; refuse unknown keys and wrong types."""
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
            f"the policy cannot be read: {what}",
            where=where,
            fix="write a YAML file with version: 1",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"the policy cannot be read: {error}",
            where=str(path),
            fix="write a YAML file with version: 1",
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
    """Add the place `where` to errors that have no place."""
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
