"""Drafts of suites from past deliveries, with limits that were tested on later deliveries."""

from headrace.gates.drafting.draft import CheckDraft, Drafted, DraftOptions, draft_checks
from headrace.gates.drafting.statistics import Measure, Statistics
from headrace.gates.drafting.text import check_text, suite_text

__all__ = [
    "CheckDraft",
    "DraftOptions",
    "Drafted",
    "Measure",
    "Statistics",
    "check_text",
    "draft_checks",
    "suite_text",
]
