"""Semantic change detection: compare a batch with stored profiles, name the change of meaning."""

from headrace.contracts.drift.baseline import WINDOW, Baseline, reference_of
from headrace.contracts.drift.batch_view import BatchView
from headrace.contracts.drift.detect import Examination, detect, examine, marked
from headrace.contracts.drift.findings import ACTIONS, DriftFinding
from headrace.contracts.drift.profile import BatchProfile, from_bytes, sketches_of, to_bytes
from headrace.contracts.drift.view_reader import BatchSummary, glance_at, look_at

__all__ = [
    "ACTIONS",
    "WINDOW",
    "Baseline",
    "BatchProfile",
    "BatchSummary",
    "BatchView",
    "DriftFinding",
    "Examination",
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
