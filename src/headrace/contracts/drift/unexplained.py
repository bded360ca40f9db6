"""Findings for statistics far from their prediction that no named change explains."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.detectors.stuck_readings import measured
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import LEAST_PAST, surprise

WARN, BLOCK = 2.0, 4.0  # surprise from which a statistic is reported, and from which it blocks
_MOSTLY = 0.8  # share of one value from which a column is mostly constant
_FEW = 8  # rows below which a column far from its prediction is only unusual
_FEW_ROWS = 2  # least rows with another value, where each batch had a single one
_POOL_SHARE = 0.5  # least share of one value in all batches, for the same
_LEVELS = frozenset({"low", "middle", "high"})
_WORDS = {
    "filled": "share of rows with a value",
    "zero": "share of zeros",
    "negative": "share of negative values",
    "top": "share of the most frequent value",
    "middle": "usual level",
    "low": "lower level",
    "high": "upper level",
    "rows": "number of rows",
}


def unusual(case: DriftCase) -> Iterator[DriftFinding]:
    """Report each surprising statistic of the columns, and of the batch."""
    aside = {*case.look.contract.primary_key, *time_inputs(case.look), *case.calendar}
    for mark, now in case.statistics.items():
        kind, _, column = mark.partition(":")
        if kind not in _WORDS or (column in aside and kind != "filled"):
            continue
        score = surprise(kind, case.reference.marks(mark), now, case.look.rows)
        if score < BLOCK and kind in _LEVELS and _is_mostly_constant(case, column, kind):
            continue
        if score >= WARN:
            yield _finding(case, column, kind, now, score)
    yield from _several_values(case)


def _is_mostly_constant(case: DriftCase, column: str, kind: str) -> bool:
    """Return True if most rows of all earlier batches had one value, such as 0 for no rain.

    A column with another single value in each batch, such as the temperature of a day, does not
    count. Also return True if a level never moved: then the past does not show how far it may move.
    """
    constancy = case.reference.marks(f"most:{column}")
    is_constant = bool(len(constancy)) and float(np.median(constancy)) >= _MOSTLY
    is_still = float(np.ptp(case.reference.marks(f"{kind}:{column}"))) == 0
    return is_still or (is_constant and _has_common_value(case, column))


def _has_common_value(case: DriftCase, column: str) -> bool:
    counts = case.reference.pools[column].counts
    return bool(len(counts)) and float(counts.max() / counts.sum()) >= _POOL_SHARE


def _several_values(case: DriftCase) -> Iterator[DriftFinding]:
    """Report columns that have several values, and had one in each batch, not always the same."""
    for column in measured(case.look):
        past = case.reference.marks(f"most:{column.name}")
        if len(past) < LEAST_PAST or past.min() < 1 or _has_common_value(case, column.name):
            continue
        values, counts = np.unique(column.values[column.present], return_counts=True)
        rows = int(counts.sum() - counts.max()) if len(counts) else 0
        if rows < _FEW_ROWS:
            continue
        sentence = (
            f"{column.name} has {len(values)} different values; each of the {len(past)} batches"
            f" before had a single one. No known kind of change explains the {rows} other rows."
        )
        evidence = {"statistic": "most", "values": len(values), "rows": rows}
        yield DriftFinding("far_from_usual", (column.name,), sentence, evidence, weight=float(rows))


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
    is_few = bool(column) and kind != "filled" and case.look.rows < _FEW
    is_sure = score >= BLOCK and not is_vague and not is_few
    return DriftFinding(
        "far_from_usual" if is_sure else "unusual",
        (column,) if column else (),
        sentence,
        evidence,
        weight=score,
    )
