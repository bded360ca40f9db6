"""Exemptions: decisions of people by which findings of drift detection do not count, until a day.

An acceptance covers what one approved batch showed; a mute covers kinds of findings in a season.
"""

from headrace.gates.exemptions.accepted_findings import AcceptedFinding, Observation
from headrace.gates.exemptions.exemption import NO_EXEMPTIONS, Exemption, Exemptions
from headrace.gates.exemptions.periods import Days, Season

__all__ = [
    "NO_EXEMPTIONS",
    "AcceptedFinding",
    "Days",
    "Exemption",
    "Exemptions",
    "Observation",
    "Season",
]
