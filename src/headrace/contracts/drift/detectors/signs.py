"""Detector for numbers whose sign changed, in all rows or in some."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.batch_view import Bools, ViewColumn
from headrace.contracts.drift.detectors.sentinels import SENTINELS
from headrace.contracts.drift.detectors.stuck_readings import measured
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import LEAST_ROWS, levels_of, surprise

_OTHER_SIGN = 0.01  # least share of values with a sign that the column never had
_MAGNITUDES = 0.9  # least share of these values that fit the past once their sign is restored
_LARGE = 0.8  # least median of their magnitudes, as a share of the usual lower level
_NEVER_NEAR = 0.2  # smallest magnitude, as a share of the median, of a quantity never near zero
_TURNED = 2.5  # surprise from which a column with both signs may have been turned
_ONE_VALUE = 0.99  # least share of one value in a batch of which a column has only one


def sign_changes(case: DriftCase) -> Iterator[DriftFinding]:
    """Report values with a sign that the column never had, if their magnitudes are usual."""
    if case.reference.batches < LEAST_BATCHES:
        return
    for column in measured(case.look):
        pool = case.reference.pools.get(column.name)
        if pool is None or not pool.total or pool.values[0] == pool.values[-1] == 0:
            continue
        if pool.values[0] >= 0 or pool.values[-1] <= 0:
            sign = 1.0 if pool.values[0] >= 0 else -1.0
            rows = column.present & (sign * column.values < 0)
            if _is_one_placeholder(case, column, rows):
                continue
            if _fit_with_usual_sign(case, column, rows, np.sort(sign * pool.values)):
                yield _sign_changed(case, column, rows)
        elif _turned(case, column):
            yield _sign_changed(case, column, column.present)


def _is_one_placeholder(case: DriftCase, column: ViewColumn, rows: Bools) -> bool:
    """Return True if all of these rows have the same usual placeholder, such as -999."""
    values = np.unique(column.values[rows])
    unit = 10.0 ** (case.look.contract.field(column.name).scale or 0)
    return len(values) == 1 and abs(values[0]) > unit and float(values[0] / unit) in SENTINELS


def _fit_with_usual_sign(
    case: DriftCase, column: ViewColumn, rows: Bools, magnitudes: np.ndarray
) -> bool:
    """Return True if the magnitudes of these rows lie among the usual `magnitudes`.

    A quantity that falls below zero by itself is small there, and its first negative values are
    few. Equal values may be a sentinel.
    """
    never_near = magnitudes[0] > _NEVER_NEAR * float(np.median(magnitudes))
    if int(rows.sum()) < max(1 if never_near else 3, _OTHER_SIGN * case.look.rows):
        return False
    values = np.abs(column.values[rows])
    constancy = case.reference.marks(f"most:{column.name}")
    one_value = bool(len(constancy)) and float(constancy.min()) >= _ONE_VALUE
    if not (never_near or one_value) and len(np.unique(values)) == 1:
        return False
    levels = [np.abs(case.reference.marks(f"{kind}:{column.name}")) for kind in ("low", "high")]
    usual = min((float(np.median(level)) for level in levels if len(level)), default=0.0)
    inside = (values >= magnitudes[0]) & (values <= magnitudes[-1])
    return bool(float(np.median(values)) >= _LARGE * usual and inside.mean() >= _MAGNITUDES)


def _turned(case: DriftCase, column: ViewColumn) -> bool:
    """Return True if the levels of a column are usual only with the opposite sign."""
    values = column.values[column.present]
    if len(values) < LEAST_ROWS:
        return False

    def worst(levels: tuple[float, ...]) -> float:
        kinds = zip(("low", "middle", "high"), levels, strict=True)
        return max(
            surprise(kind, case.reference.marks(f"{kind}:{column.name}"), level, len(values))
            for kind, level in kinds
        )

    low, middle, high = levels_of(values)
    return worst((low, middle, high)) >= _TURNED and worst((-high, -middle, -low)) <= 1.0


def _sign_changed(case: DriftCase, column: ViewColumn, rows: Bools) -> DriftFinding:
    count = int(rows.sum())
    sentence = (
        f"{column.name} has the opposite sign in {count} of {case.look.rows} rows: with the sign"
        " restored, its values are usual."
    )
    is_part = count < int(column.present.sum())
    lines = tuple(case.look.lines[rows].tolist()) if is_part else ()
    return DriftFinding(
        "sign_change", (column.name,), sentence, {"rows": count}, lines, 2.0 * count
    )
