"""Evidence: findings about the subjects of windows, from which decisions are made."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, get_args

from headrace.core.files import digest

Kind = Literal[
    "data_fault",
    "population",
    "concept",
    "performance",
    "volume",
    "staleness",
    "contract",
]
KINDS: tuple[str, ...] = get_args(Kind)
# Kinds of faults in the data of a window.
DATA_FAULTS = frozenset({"data_fault", "volume", "staleness"})
# Kinds that exclude a window from training: faults, or columns that may have changed their meaning.
DISTRUSTED = DATA_FAULTS | {"contract"}
# Kinds of evidence about the model, from its answers.
MODEL = frozenset({"concept", "performance"})
# An alarm can start an action. A notice is only watched, but a quorum of them is a shift.
Severity = Literal["notice", "alarm"]
SCORE = "score"  # subject of population evidence about the model's scores, which follow its inputs
DIGITS = 6  # significant digits of statistics, so that a different last bit changes no evidence

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, order=True)
class Window:
    """Days `first <= day < end`, as epoch days of the monitor's own calendar."""

    first: int
    end: int

    @property
    def text(self) -> str:
        return f"{day_text(self.first)} to {day_text(self.end - 1)}"

    @property
    def slots(self) -> tuple[str, ...]:
        """ISO days of the window."""
        return tuple(day_text(day) for day in range(self.first, self.end))


def day_text(day: int) -> str:
    return (_EPOCH + timedelta(day)).isoformat()


def day_number(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days


def windows(anchor: int, days: int, first: int, last: int, closed_by: int) -> list[Window]:
    """Return the windows of `days` days, counted from `anchor`, from the window that holds `first`.

    Only complete windows are returned. They end on or before day `closed_by`, and start on or
    before day `last`.
    """
    start = anchor + (first - anchor) // days * days
    stops = range(start, min(last + 1, closed_by - days + 1), days)
    return [Window(begin, begin + days) for begin in stops]


@dataclass(frozen=True)
class Evidence:
    """One finding: `statistic` exceeds `threshold`, and `sentence` says so in words.

    `columns` are the columns concerned, strongest first. `segment` is the only segment in which the
    finding holds, as (column, level) pairs. Both may be empty; in older records they always are.
    `accepted` is the cursor of the acceptance (see the ledger) that covers the finding; 0 for none.
    """

    kind: Kind
    window: Window
    subject: str
    statistic: float
    threshold: float
    severity: Severity
    sentence: str
    columns: tuple[str, ...] = ()
    segment: tuple[tuple[str, str], ...] = ()
    accepted: int = 0

    def to_json(self) -> dict[str, Any]:
        where: dict[str, Any] = {}  # absent if empty, so that older records keep their hash
        if self.columns:
            where["columns"] = list(self.columns)
        if self.segment:
            where["segment"] = [list(pair) for pair in self.segment]
        if self.accepted:
            where["accepted"] = self.accepted
        return {
            "kind": self.kind,
            "window": [self.window.first, self.window.end],
            "subject": self.subject,
            "statistic": significant(self.statistic),
            "threshold": significant(self.threshold),
            "severity": self.severity,
            "sentence": self.sentence,
            **where,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Evidence":
        segment = tuple((str(column), str(level)) for column, level in value.get("segment", ()))
        read = {
            "window": Window(*value["window"]),
            "columns": tuple(value.get("columns", ())),
            "segment": segment,
        }
        return cls(**{**value, **read})


def alarms(evidence: Iterable[Evidence]) -> list[Evidence]:
    return [finding for finding in evidence if finding.severity == "alarm"]


def evidence_hash(evidence: Sequence[Evidence]) -> str:
    """Return the sha256 of the findings; their order, wording and last bits do not matter."""
    facts = [
        {k: v for k, v in finding.to_json().items() if k != "sentence"} for finding in evidence
    ]
    return digest(sorted(facts, key=digest))


def significant(value: float) -> float:
    """Return `value` with six significant digits; JSON has no infinity, so use a huge number."""
    if not math.isfinite(value):
        return math.copysign(1e300, value) if not math.isnan(value) else 0.0
    return float(f"{value:.{DIGITS}g}")
