"""What was noticed, about what, in which window, and why it counts: the input of every decision."""

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
# What is wrong with the data of a window.
DATA_FAULTS = frozenset({"data_fault", "volume", "staleness"})
# What keeps a window from being learned from: its data, or that they may mean something else now.
DISTRUSTED = DATA_FAULTS | {"contract"}
# What is said of the model, by its answers.
MODEL = frozenset({"concept", "performance"})
# A notice is watched at most, but enough columns that moved are a shift; an alarm decides.
Severity = Literal["notice", "alarm"]
SCORE = "score"  # the subject of population evidence on what the model says: it follows its inputs
DIGITS = 6  # statistics are kept at six significant digits, so that a last bit is not new evidence

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, order=True)
class Window:
    """The days `first <= day < end`, as epoch days of the monitor's own calendar."""

    first: int
    end: int

    @property
    def text(self) -> str:
        return f"{day_text(self.first)} to {day_text(self.end - 1)}"

    @property
    def slots(self) -> tuple[str, ...]:
        """The ISO days of the window."""
        return tuple(day_text(day) for day in range(self.first, self.end))


def day_text(day: int) -> str:
    return (_EPOCH + timedelta(day)).isoformat()


def day_number(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days


def windows(anchor: int, days: int, first: int, last: int, closed_by: int) -> list[Window]:
    """Windows of `days` days laid from `anchor`, from the one holding `first` on.

    Only whole windows that end on or before day `closed_by`, and none that starts after day `last`.
    """
    start = anchor + (first - anchor) // days * days
    stops = range(start, min(last + 1, closed_by - days + 1), days)
    return [Window(begin, begin + days) for begin in stops]


@dataclass(frozen=True)
class Evidence:
    """One finding: `statistic` exceeds `threshold`, and `sentence` says so in words.

    `columns` carry it, strongest first; `segment` is where alone it holds, as (column, level)
    pairs. Both may be empty, and are in records older than they are. `accepted` is the cursor of
    the acceptance (see the ledger) by which this is as it should be; 0 for none.
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
    return [one for one in evidence if one.severity == "alarm"]


def evidence_hash(evidence: Sequence[Evidence]) -> str:
    """sha256 over the findings; their order, wording and last bits do not matter."""
    facts = [{k: v for k, v in one.to_json().items() if k != "sentence"} for one in evidence]
    return digest(sorted(facts, key=digest))


def significant(value: float) -> float:
    """`value` at six significant digits; infinities, which JSON lacks, become huge numbers."""
    if not math.isfinite(value):
        return math.copysign(1e300, value) if not math.isnan(value) else 0.0
    return float(f"{value:.{DIGITS}g}")
