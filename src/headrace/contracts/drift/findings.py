"""Findings of detection: a named change, its columns, and a sentence with the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Action of each kind on a batch, unless its suite sets another.
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
    "anomaly": "warn",
}


@dataclass(frozen=True)
class DriftFinding:
    """Semantic change.

    Attributes:
        kind: a key of `ACTIONS`.
        columns: columns that it is about.
        sentence: hypothesis, factor and evidence, for a person.
        evidence: the same facts as JSON values: "factor", "scope", "rows", "explained" ...
        lines: the delivery's lines of the rows concerned; empty if it is the batch as a whole.
        weight: number of rows that it explains; of competing findings the greatest wins.
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
