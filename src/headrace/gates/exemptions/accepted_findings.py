"""Accepted findings: what a person called right in one batch, and which later findings it covers.

A finding is covered if it has the same kind and columns, the same identifying facts (such as the
factor of a change of unit), and no measure beyond the accepted one by more than a margin. Facts
that this module does not know must be equal, so that a new kind of finding is not covered by
mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import copysign, isclose
from numbers import Real
from typing import Any

# A measure may exceed the accepted one by this part of its distance from the usual range, and by
# at most this part of itself: else 100 rows accepted where 1,000 are usual would cover 0 rows.
MARGIN = 0.25

# Figures that describe the past, or how well the change explains the batch. They differ from batch
# to batch, and say nothing about what the batch is.
_IGNORED = frozenset(
    {"misfits", "left", "usual", "low", "high", "score", "least", "examples", "slots"}
)
# The rows of a category vary, and are no part of what the change is.
_WITHOUT_EXTENT = frozenset({"unit_change"})
# A finding of the second kind is a milder form of the first.
_MILDER = {"far_from_usual": "unusual"}
_TOLERANCE = 1e-9  # relative, for numbers that must be equal


@dataclass(frozen=True)
class Observation:
    """Finding of drift detection in a batch with `rows` rows."""

    kind: str
    columns: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rows: int = 0


@dataclass(frozen=True)
class AcceptedFinding:
    """Finding that a person accepted.

    Attributes:
        facts: what a covered finding shares, such as {"factor": 1.609344}.
        ranges: range of each measure of a covered finding, both ends included, with the margin.
    """

    kind: str
    columns: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, observed: Observation) -> "AcceptedFinding":
        """Return the narrowest acceptance that covers a finding, plus the margin."""
        facts, measures = _facts(observed)
        ranges = {name: _reach(*measure) for name, measure in measures.items()}
        return cls(observed.kind, observed.columns, facts, ranges)

    def covers(self, observed: Observation) -> bool:
        """Return True if a finding lies within this one."""
        if observed.columns != self.columns:
            return False
        if observed.kind not in {self.kind, _MILDER.get(self.kind, self.kind)}:
            return False
        facts, measures = _facts(observed)
        return (
            facts.keys() == self.facts.keys()
            and measures.keys() == self.ranges.keys()
            and all(_equal(facts[name], self.facts[name]) for name in facts)
            and all(low <= measures[name][0] <= high for name, (low, high) in self.ranges.items())
        )

    @property
    def words(self) -> str:
        """Return the acceptance as a phrase for people."""
        of = f" of {' and '.join(self.columns)}" if self.columns else ""
        name = f"{self.kind.replace('_', ' ')}{of}"
        if "side" in self.facts:
            low, high = self.ranges["value"]
            end = (
                f"up to {_text(high)}" if self.facts["side"] == "above" else f"down to {_text(low)}"
            )
            return f"{name} ({self.facts['statistic']} {end})"
        details = [f"{fact} {_text(value)}" for fact, value in sorted(self.facts.items())]
        details += [
            f"{measure.replace('_', ' ')} from {_text(low)} to {_text(high)}"
            for measure, (low, high) in sorted(self.ranges.items())
        ]
        return name + (f" ({', '.join(details)})" if details else "")

    def document(self) -> dict[str, Any]:
        """Return the acceptance as JSON values."""
        return {
            "kind": self.kind,
            "columns": list(self.columns),
            "facts": dict(self.facts),
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "AcceptedFinding":
        ranges = {name: (low, high) for name, (low, high) in document["ranges"].items()}
        return cls(document["kind"], tuple(document["columns"]), document["facts"], ranges)


_Measures = dict[str, tuple[float, float]]


def _facts(observed: Observation) -> tuple[dict[str, Any], _Measures]:
    """Return the identifying facts of a finding, and its measures with the usual value of each."""
    evidence = {name: _plain(value) for name, value in observed.evidence.items()}
    numbers = {name: value for name, value in evidence.items() if _is_number(value)}
    if "statistic" in evidence and {"value", "low", "high"} <= numbers.keys():
        return _statistic(evidence)
    measures = _measures(observed, numbers)
    aside = _IGNORED | measures.keys() | ({"rows"} & numbers.keys())
    return {name: value for name, value in evidence.items() if name not in aside}, measures


def _measures(observed: Observation, numbers: Mapping[str, Any]) -> _Measures:
    usual = numbers.get("usual", 0.0)
    measures = {name: (numbers[name], usual) for name in ("share", "run") if name in numbers}
    if "jump" in numbers:
        measures["jump"] = (numbers["jump"], copysign(usual, numbers["jump"]))
    if {"lost", "first_hour", "last_hour"} <= numbers.keys():
        first, last = numbers["first_hour"], numbers["last_hour"]
        measures |= {"first_hour": (first, last), "last_hour": (last, first)}
        measures["lost"] = (numbers["lost"], 0.0)
    if "rows" not in numbers:
        return measures
    # Few rows are unusual if rows are missing, and many rows if a change affects them.
    if "level" in observed.evidence or observed.kind == "truncation":
        measures["rows"] = (numbers["rows"], numbers.get("least", usual))
    elif not measures and observed.kind not in _WITHOUT_EXTENT:
        measures["share_of_rows"] = (numbers["rows"] / max(observed.rows, 1), 0.0)
    return measures


def _statistic(evidence: Mapping[str, Any]) -> tuple[dict[str, Any], _Measures]:
    """Return the side on which a statistic left the range of the past, and its distance."""
    value, low, high = (evidence[name] for name in ("value", "low", "high"))
    side, edge = ("above", high) if value > high else ("below", low)
    if low <= value <= high:
        side = "within"
    return {"statistic": evidence["statistic"], "side": side}, {"value": (value, edge)}


def _reach(value: float, usual: float) -> tuple[float, float]:
    """Return the range from the usual value to the accepted one and its margin."""
    margin = MARGIN * min(abs(value - usual), abs(value))
    end = value + copysign(margin, value - usual)
    return min(usual, end), max(usual, end)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Return a value as it is after a round trip through JSON."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if _is_number(value) and not isinstance(value, int):
        return float(value)
    return value


def _is_number(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    return isinstance(value, Real) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:  # noqa: ANN401 - JSON values
    if _is_number(left) and _is_number(right):
        return isclose(left, right, rel_tol=_TOLERANCE)
    return bool(left == right)


def _text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return f"{value:.6g}" if isinstance(value, float) else str(value)
