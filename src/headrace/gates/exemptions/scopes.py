"""Scope of an action on findings, as the audit trail stores it in JSON."""

from collections.abc import Mapping
from typing import Any

from headrace.gates.exemptions.accepted_findings import AcceptedFinding
from headrace.gates.exemptions.periods import Days, Season

# Accepted findings; muted kinds; ids of the acceptances and mutes that an action ends.
FINDINGS, KINDS, ENDED = "findings", "kinds", "exemptions"


def period_of(document: Mapping[str, Any]) -> Season | Days | None:
    """Return the period in the JSON of a mute; None if it has none."""
    if "season" in document:
        return Season(*document["season"])
    if "days" in document:
        return Days(*document["days"])
    return None


def exemption_words(scope: Mapping[str, Any]) -> list[str]:
    """Return the findings in a scope as phrases; [] for a scope without findings."""
    if FINDINGS in scope:
        return [AcceptedFinding.from_document(d).words for d in scope[FINDINGS]]
    if KINDS not in scope:
        return []
    columns = f" of {', '.join(scope['columns'])}" if scope.get("columns") else ""
    period: Season | Days | None = period_of(scope)
    when = f" {period.words}" if period else ""
    return [f"{kind.replace('_', ' ')}{columns}{when}" for kind in scope[KINDS]]
