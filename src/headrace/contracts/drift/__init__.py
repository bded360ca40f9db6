"""Semantic change detection: what changed its meaning, told by name, against stored profiles."""

from headrace.contracts.drift.baseline import WINDOW, Reference, reference_of
from headrace.contracts.drift.batch_view import Look
from headrace.contracts.drift.detect import Examined, detect, examine, marked
from headrace.contracts.drift.findings import ACTIONS, Finding
from headrace.contracts.drift.profile import Profile, from_bytes, sketches_of, to_bytes
from headrace.contracts.drift.view_reader import Glance, glance_at, look_at

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
