"""The one cause that a person is told first, from a judgement as the ledger keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.gates import Result
from headrace.lake.conflicts import CONFLICT

_NAMED = "semantic"
# What people did about the batch stands among its findings; nobody has to be told of that.
OVERRIDE = "override"
# Errors that are no single check's; of a check it is open whether it crashed or cannot be run.
_BROKEN = {"crash": "the gate crashed", "suite": "the suite cannot be read"}
_DONE = {"release": "released", "quarantine": "rows taken out", "reject": "rows rejected"}


@dataclass(frozen=True)
class Cause:
    """`key` is stable for the same fault of the same batch; `words` and `reason` are for people."""

    key: str
    words: str
    reason: str
    check: str = ""


def named_cause(document: Mapping[str, Any], verdict: str) -> Cause:
    """Of the findings that gave the verdict the one that explains: a named fault before a check.

    A check that only reports (in shadow) is none. `document` may lack its findings.
    """
    if verdict == "PASS":
        return Cause("pass", "", "")
    results = [Result.of(one) for one in document.get("results", ())]
    gravest = [
        result
        for result in results
        if result.verdict.value == verdict and not getattr(result, "shadow", False)
    ]
    if not gravest:
        return Cause(verdict.lower(), "", _violations(document))
    first = _first([result for result in results if result.kind == OVERRIDE], gravest)
    return Cause(_key(first), _words(first), first.reason + _more(len(gravest) - 1), first.id)


def _first(done: Sequence[Result], gravest: Sequence[Result]) -> Result:
    """What people did explains the verdict best; then a named fault; then a check."""
    named = [one for one in gravest if one.kind == _NAMED]
    return [*done[-1:], *named, *gravest][0]


def _key(result: Result) -> str:
    if result.kind == _NAMED:
        return f"{result.type}:{','.join(result.columns)}"
    if result.kind == OVERRIDE:
        return f"{OVERRIDE}:{result.id}"
    return result.id


def _words(result: Result) -> str:
    """Short enough for a title: `unit change in distance`, `check mean_distance`."""
    if result.status == "error":
        return _BROKEN.get(result.type, f"no answer of check {result.id}")
    if result.kind == _NAMED:
        return _in(result.type.replace("_", " "), result.columns)
    if result.kind == OVERRIDE:
        action = result.id.partition(":")[0]
        return _DONE.get(action, action)
    if result.type == CONFLICT:
        return _in("conflict with an earlier delivery", result.columns)
    if result.kind == "contract":
        return _in("contract broken", result.columns)
    return f"check {result.id} failed"


def _in(what: str, columns: Sequence[str]) -> str:
    named = ", ".join(columns[:2]) + (" ..." if len(columns) > 2 else "")
    return f"{what} in {named}" if named else what


def _more(others: int) -> str:
    return f" (and {others} more)" if others else ""


def _violations(document: Mapping[str, Any]) -> str:
    count = document.get("violation_count", 0)
    return f"{count} contract violations" if count else "see the report"
