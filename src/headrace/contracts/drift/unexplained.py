"""Findings for statistics far from their prediction that no named change explains."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import surprise

WARN, BLOCK = 2.0, 4.0  # surprise from which a statistic is reported, and from which it blocks
_MOSTLY = 0.8  # share of one value from which a column is mostly constant
_LEVELS = frozenset({"low", "middle", "high"})
_WORDS = {
    "filled": "share of rows with a value",
    "zero": "share of zeros",
    "negative": "share of negative values",
    "top": "share of the most frequent value",
    "edge": "share of rows at the greatest or the smallest value",
    "middle": "usual level",
    "low": "lower level",
    "high": "upper level",
    "rows": "number of rows",
}


def unusual(case: DriftCase) -> Iterator[DriftFinding]:
    """Report each surprising statistic of the columns, and of the batch."""
    aside = {*case.look.contract.primary_key, *time_inputs(case.look)}
    for mark, now in case.statistics.items():
        kind, _, column = mark.partition(":")
        if kind not in _WORDS or (column in aside and kind != "filled"):
            continue
        score = surprise(kind, case.reference.marks(mark), now, case.look.rows)
        if score < BLOCK and kind in _LEVELS and _is_mostly_constant(case, column, kind):
            continue
        if score >= WARN:
            yield _finding(case, column, kind, now, score)


def _is_mostly_constant(case: DriftCase, column: str, kind: str) -> bool:
    """Return True if most rows of earlier batches had one value, such as 0 for no rain.

    Also if a level never moved: then the past gives no measure of how far it may move.
    """
    constancy, level = (
        case.reference.marks(f"most:{column}"),
        case.reference.marks(f"{kind}:{column}"),
    )
    is_constant = bool(len(constancy)) and float(np.median(constancy)) >= _MOSTLY
    return is_constant or float(np.ptp(level)) == 0


def _finding(case: DriftCase, column: str, kind: str, now: float, score: float) -> DriftFinding:
    past = case.reference.marks(f"{kind}:{column}")
    of = f" of {column}" if column else ""
    unit = 1.0 if not column else 10.0 ** (case.look.contract.field(column).scale or 0)
    if kind not in _LEVELS:
        unit = 1.0
    low, high = past.min() / unit, past.max() / unit
    sentence = (
        f"The {_WORDS[kind]}{of} is {now / unit:.6g}; in the {len(past)} batches before it was"
        f" between {low:.6g} and {high:.6g}. No known kind of change explains it."
    )
    evidence = {"statistic": kind, "value": now / unit, "low": low, "high": high, "score": score}
    is_vague = kind not in {"filled", "rows"} and _is_mostly_constant(case, column, kind)
    is_sure = score >= BLOCK and not is_vague
    return DriftFinding(
        "far_from_usual" if is_sure else "unusual",
        (column,) if column else (),
        sentence,
        evidence,
        weight=score,
    )
