"""Semantic change detection: what changed its meaning, told by name, against stored profiles."""

from headrace.contracts.semantic.detect import Examined, detect, examine, marked
from headrace.contracts.semantic.findings import ACTIONS, Finding
from headrace.contracts.semantic.look import Look
from headrace.contracts.semantic.profile import Profile, from_bytes, sketches_of, to_bytes
from headrace.contracts.semantic.reading import Glance, glance_at, look_at
from headrace.contracts.semantic.reference import WINDOW, Reference, reference_of

__all__ = [
    "ACTIONS",
    "WINDOW",
    "Examined",
    "Finding",
    "Glance",
    "Look",
    "Profile",
    "Reference",
    "detect",
    "examine",
    "from_bytes",
    "glance_at",
    "look_at",
    "marked",
    "reference_of",
    "sketches_of",
    "to_bytes",
]
