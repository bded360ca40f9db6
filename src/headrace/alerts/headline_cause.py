"""The most informative cause of a verdict, for the title of an alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.gates import Result
from headrace.lake.conflicts import CONFLICT

_DIAGNOSED = "semantic"
# Kind of a result that records a person's decision on the batch.
OVERRIDE = "override"
# Errors outside of single checks. A check with status "error" crashed, or cannot run.
_BROKEN = {"crash": "the gate crashed", "suite": "the suite cannot be read"}
_DECISIONS = {"release": "released", "quarantine": "rows quarantined", "reject": "rows rejected"}


@dataclass(frozen=True)
class HeadlineCause:
    """Cause to show: `key` identifies the fault of a batch; `words`, `reason` are for people."""

    key: str
    words: str
    reason: str
    check: str = ""


def headline_cause(document: Mapping[str, Any], verdict: str) -> HeadlineCause:
    """Choose the cause among the results that gave the verdict, in the order of `_first`.

    Checks in shadow mode are ignored. `document` is the batch's report, which may be empty.
    """
    if verdict == "PASS":
        return HeadlineCause("pass", "", "")
    results = [Result.of(result) for result in document.get("results", ())]
    severest = [
        result
        for result in results
        if result.verdict.value == verdict and not getattr(result, "shadow", False)
    ]
    if not severest:
        return HeadlineCause(verdict.lower(), "", _violations(document))
    first = _first([result for result in results if result.kind == OVERRIDE], severest)
    return HeadlineCause(
        _key(first), _words(first), first.reason + _and_others(len(severest) - 1), first.id
    )


def _first(decisions: Sequence[Result], severest: Sequence[Result]) -> Result:
    """Prefer the last decision of a person, then a diagnosed fault, then a check."""
    diagnosed = [result for result in severest if result.kind == _DIAGNOSED]
    return [*decisions[-1:], *diagnosed, *severest][0]


def _key(result: Result) -> str:
    if result.kind == _DIAGNOSED:
        return f"{result.type}:{','.join(result.columns)}"
    if result.kind == OVERRIDE:
        return f"{OVERRIDE}:{result.id}"
    return result.id


def _words(result: Result) -> str:
    """Return the cause for a title, such as `unit change in distance`."""
    if result.status == "error":
        return _BROKEN.get(result.type, f"check {result.id} could not run")
    if result.kind == _DIAGNOSED:
        return _in(result.type.replace("_", " "), result.columns)
    if result.kind == OVERRIDE:
        action = result.id.partition(":")[0]
        return _DECISIONS.get(action, action)
    if result.type == CONFLICT:
        return _in("conflict with an earlier delivery", result.columns)
    if result.kind == "contract":
        return _in("contract broken", result.columns)
    return f"check {result.id} failed"


def _in(what: str, columns: Sequence[str]) -> str:
    listed = ", ".join(columns[:2]) + (" ..." if len(columns) > 2 else "")
    return f"{what} in {listed}" if listed else what


def _and_others(count: int) -> str:
    return f" (and {count} more)" if count else ""


def _violations(document: Mapping[str, Any]) -> str:
    count = document.get("violation_count", 0)
    return f"contract violations: {count}" if count else "see the report"
