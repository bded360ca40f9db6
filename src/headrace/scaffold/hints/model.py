"""Hint: a property of a contract that the data suggest, with the evidence for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

HintKind = Literal["unit", "zone", "explainedBy", "relation", "levels"]
# high: written in the name or description, or held in deliveries that did not suggest it.
# medium: the name says what is measured, and the values fit a single unit of that quantity.
# low: anything less, which only a person can decide.
Confidence = Literal["high", "medium", "low"]
DECLARED: frozenset[Confidence] = frozenset({"high", "medium"})


@dataclass(frozen=True)
class HintEvidence:
    """Counts of the rows for which a hint holds.

    Attributes:
        rows, holding: rows of the deliveries that suggested the hint; those for which it holds.
        deliveries: number of these deliveries.
        later_rows, later_holding, later_deliveries: the same of the later deliveries, which had no
            part in the suggestion.
        by_chance: share of later rows for which it also holds if the rows of one of its columns
            are shuffled; None if that was not measured.
    """

    rows: int
    holding: int
    deliveries: int
    later_rows: int = 0
    later_holding: int = 0
    later_deliveries: int = 0
    by_chance: float | None = None

    @property
    def share(self) -> float:
        return self.holding / self.rows if self.rows else 0.0

    @property
    def later_share(self) -> float:
        return self.later_holding / self.later_rows if self.later_rows else 0.0

    @property
    def text(self) -> str:
        """State the counts in one sentence."""
        counts = f"{self.holding:,} of {self.rows:,} rows in {self.deliveries:,} deliveries"
        if self.later_deliveries:
            counts += (
                f"; then {self.later_holding:,} of {self.later_rows:,} rows in"
                f" {self.later_deliveries:,} later deliveries"
            )
        if self.by_chance is not None:
            counts += f"; by chance {self.by_chance:.1%} of them would"
        return f"{counts}."

    def document(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "holding": self.holding,
            "deliveries": self.deliveries,
            "later_rows": self.later_rows,
            "later_holding": self.later_holding,
            "later_deliveries": self.later_deliveries,
            "by_chance": None if self.by_chance is None else round(self.by_chance, 4),
        }


@dataclass(frozen=True)
class ContractHint:
    """Suggested property of a contract.

    Attributes:
        kind: property that is suggested.
        columns: the columns it concerns; the first has the property.
        value: unit, zone, key columns, SQL of the relation, or codes.
        reason: why, in words.
        evidence: counts of rows.
        confidence: a hint of low confidence is a question to a person.
        name: name of a relation; empty for other kinds.
    """

    kind: HintKind
    columns: tuple[str, ...]
    value: str | tuple[str, ...]
    reason: str
    evidence: HintEvidence
    confidence: Confidence
    name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def declared(self) -> bool:
        """True if the hint is written into a contract, False if it is a question in a comment."""
        return self.confidence in DECLARED

    @property
    def text(self) -> str:
        return f"{self.reason} {self.evidence.text}"

    def document(self) -> dict[str, Any]:
        value = self.value if isinstance(self.value, str) else list(self.value)
        return {
            "kind": self.kind,
            "columns": list(self.columns),
            "value": value,
            "name": self.name or None,
            "confidence": self.confidence,
            "declared": self.declared,
            "reason": self.reason,
            "evidence": self.evidence.document(),
        }
