"""Hooks: functions of higher packages that lower packages call without importing them.

Imports run one way, from higher packages to lower ones. A function that a lower package has to call
in a higher one (to show a release's card, for example) is listed here and imported on its first
call.
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
