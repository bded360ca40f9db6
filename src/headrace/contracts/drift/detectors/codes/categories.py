"""Detectors for categories of a text column: a new category, or a renamed one."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.batch_view import MOST_LEVELS, Bools, ViewColumn
from headrace.contracts.drift.dependencies import label, with_values
from headrace.contracts.drift.detectors.sentinels import WORDS
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import member
from headrace.contracts.drift.hypothesis_trial import DriftCase

_NEW_SHARE = 0.005  # least share of the batch's rows for a new category to be reported
_FEW_NEW = 3  # least rows of a new category, unless the set of categories is closed
_SMALL_SET = 20  # most categories of a closed set
_OFTEN = 2  # earlier batches with new categories from which another is not reported
_USUAL_SHARE = 0.9  # each earlier batch had at least this share of rows in known categories
_CHANCE = 0.01
_FEW = 5  # rows of a new category; with fewer, do not look for the category that it replaced
_ROWS_OF_ASSUMED = 3  # least rows of a new category if no contract declares its key
_AGREE = 0.8  # share of a new category's rows whose keys had the same earlier category


def level_changes(case: DriftCase) -> Iterator[DriftFinding]:
    for column in case.look.columns.values():
        pool = case.reference.pools.get(column.name)
        if column.kind != "text" or pool is None or not 0 < len(pool.values) <= MOST_LEVELS:
            continue
        fresh = column.present & ~member(column, pool)
        # There is no mark if no earlier batch had a history to compare with.
        usual = case.reference.marks(f"support:{column.name}")
        if not fresh.any() or not len(usual) or usual.min() < _USUAL_SHARE:
            continue
        grows = int((usual < 1).sum()) >= _OFTEN
        for token in np.unique(column.tokens[fresh]):
            rows = column.tokens == token
            if case.look.names.get(int(token), "").strip().lower() not in WORDS:
                findings = _category_findings(case, column, int(token), rows)
                yield from (f for f in findings if not grows or f.kind != "new_level")


def _category_findings(
    case: DriftCase, column: ViewColumn, token: int, rows: Bools
) -> Iterator[DriftFinding]:
    name, count = case.look.names.get(token, "?"), int(rows.sum())
    lines = tuple(case.look.lines[rows].tolist())
    old = _replaced_by_key(case, column, rows) or _replaced_by_absence(case, column, rows)
    if old is not None and _fits_old_name(case, column, rows, old):
        was = case.reference.names.get(old, "?")
        sentence = (
            f"{column.name} {name!r} looks like another name of {was!r}: it is new, its"
            f" {count} rows are where {was!r} used to be, and {was!r} is gone."
        )
        evidence = {"old": was, "new": name, "rows": count}
        # Outweighs a swap of columns that would explain the same rows.
        weight = 2 * case.loss([column.name]) + count + 0.5
        yield DriftFinding("recoding", (column.name,), sentence, evidence, lines, weight)
    elif count / case.look.rows >= _NEW_SHARE and (
        count >= _FEW_NEW or _is_closed_set(case, column)
    ):
        sentence = (
            f"{column.name} has a level that was never seen before: {name!r}, in {count} of"
            f" {case.look.rows} rows."
        )
        evidence = {"new": name, "rows": count}
        yield DriftFinding("new_level", (column.name,), sentence, evidence, lines, count)


def _is_closed_set(case: DriftCase, column: ViewColumn) -> bool:
    """Return True if the set of categories is small and no batch of the window added to it."""
    pool = case.reference.pools[column.name]
    marks = case.reference.marks(f"support:{column.name}")
    return len(pool.values) <= _SMALL_SET and bool(len(marks)) and float(marks.min()) == 1.0


def _replaced_by_key(case: DriftCase, column: ViewColumn, rows: Bools) -> int | None:
    """Return the category that most of these rows' keys had before, if it has disappeared."""
    for name, key in with_values(case.look, case.reference.last):
        last = case.reference.last.get(label(name, key))
        if name != column.name or last is None or not len(last.hashes):
            continue
        hashes, complete = case.look.key(key)
        places = np.minimum(np.searchsorted(last.hashes, hashes), len(last.hashes) - 1)
        comparable = rows & complete & (last.hashes[places] == hashes)
        is_declared = key in case.look.contract.field(name).explained_by
        if int(comparable.sum()) < (1 if is_declared else _ROWS_OF_ASSUMED):
            continue
        levels, counts = np.unique(last.values[places][comparable], return_counts=True)
        top = int(levels[np.argmax(counts)])
        disappeared = not (column.tokens == top).any()
        agree = disappeared and counts.max() >= _AGREE * comparable.sum()
        if (
            agree
            and _chance_probability(case, label(column.name, key), int(comparable.sum())) <= _CHANCE
        ):
            return top
    return None


def _chance_probability(case: DriftCase, mark: str, rows: int) -> float:
    """Return the probability that this many rows differ from their keys' last value by chance."""
    usual = case.reference.marks(f"keyed:{mark}")
    return float(1 - np.median(usual)) ** rows if len(usual) else 1.0


def _replaced_by_absence(case: DriftCase, column: ViewColumn, rows: Bools) -> int | None:
    """Return a category that every earlier batch had with similar row counts and this one lacks."""
    pool = case.reference.pools[column.name]
    always = pool.values[pool.batches == case.reference.batches]
    disappeared = [int(t) for t in always if not (column.tokens == t).any()]
    count = int(rows.sum())
    if count < _FEW:
        return None
    alike = [
        token
        for token in disappeared
        if 0.5 <= count / max(_mean(case, column.name, token), 1e-9) <= 2.0
    ]
    return min(alike, key=lambda t: abs(_mean(case, column.name, t) - count), default=None)


def _mean(case: DriftCase, name: str, token: int) -> float:
    pool = case.reference.pools[name]
    return float(pool.counts[np.searchsorted(pool.values, token)] / case.reference.batches)


def _fits_old_name(case: DriftCase, column: ViewColumn, rows: Bools, old: int) -> bool:
    """Return True if restoring the old name brings the batch no further from its baseline."""
    was = case.reference.names.get(old)
    if was is None:
        return False
    array = case.look.arrays[column.name]
    back = pc.if_else(pa.array(rows), pa.scalar(was, array.type), array)
    return case.try_out({column.name: back}).gain >= 0
