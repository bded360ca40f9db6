"""Findings of drift detection: a named change, its columns, and a sentence with the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Default action for each kind of finding; the suite of a table can set another.
ACTIONS: Mapping[str, str] = {
    "unit_change": "block",
    "rename": "block",
    "swap": "block",
    "zone_shift": "block",
    "recoding": "block",
    "decimal_comma": "block",
    "timestamp_precision": "block",
    "frozen": "block",
    "truncation": "block",
    "missing_hours": "warn",
    "nulls": "block",
    "stale_rows": "warn",
    "sentinel": "block",
    "new_level": "warn",
    "duplicates": "note",
    "doubled_rows": "warn",
    "file_form": "block",
    "wrong_period": "block",
    "key_shift": "block",
    "repeated_delivery": "block",
    "repeated_rows": "block",
    "sign_change": "block",
    "clipped": "block",
    "constant": "block",
    "merge": "block",
    "missing_level": "block",
    "unseen_values": "block",
    "shifted_rows": "block",
    "dependency": "block",
    "precision": "block",
    "far_from_usual": "block",
    "unusual": "warn",
}


@dataclass(frozen=True)
class DriftFinding:
    """Semantic change that a detector found in a batch.

    Attributes:
        kind: a key of `ACTIONS`.
        columns: names of the affected columns.
        sentence: the hypothesis and its evidence, for a person.
        evidence: the same facts as JSON values: "factor", "scope", "rows" ...
        lines: line numbers of the affected rows; empty if the whole batch is affected.
        weight: number of rows that the change explains; the greatest of competing findings wins.
    """

    kind: str
    columns: tuple[str, ...]
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)
    lines: tuple[int, ...] = ()
    weight: float = 0.0

    @property
    def action(self) -> str:
        return ACTIONS[self.kind]
