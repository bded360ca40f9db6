"""Hooks: functions that later rooms offer to earlier ones, which may not import them.

Imports run one way. Where an early room has to call a later one on behalf of its user (a release
that shows its card, a served log that is audited), the function is listed here and imported on its
first call.
"""

from importlib import import_module
from typing import Any

PROVIDERS = {
    "card_page": "headrace.reports.card.page:page",
    "diff_page": "headrace.reports.diff.page:page",
    "parity_causes": "headrace.verification.parity:causes_of",
    "row_trace": "headrace.lineage.row_trace.release_trace:trace",
}


def provided(name: str) -> Any:  # noqa: ANN401 - functions of different signatures
    """Return the function that is listed under `name`."""
    module, _, function = PROVIDERS[name].partition(":")
    return getattr(import_module(module), function)
