"""What detection says: a named change, what it is about, and a sentence with the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What each kind does to a batch unless its suite says otherwise.
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
class Finding:
    """A change of meaning.

    Attributes:
        kind: a key of `ACTIONS`.
        columns: what it is about.
        sentence: hypothesis, factor and evidence, for a person.
        evidence: the same as JSON values: "factor", "scope", "rows", "explained" ...
        lines: the delivery's lines of the rows concerned; empty if it is the batch as a whole.
        weight: how many rows it explains, by which findings compete.
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
