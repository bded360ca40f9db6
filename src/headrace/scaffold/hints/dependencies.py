"""Keys of columns: columns whose last value predicts another column in later deliveries.

A key is tested as drift detection uses it (`explainedBy`): each value is compared with the last one
of its key in earlier deliveries. A key is accepted if it predicts far better than the column's most
frequent value or median does, in later deliveries.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from headrace.scaffold.hints.model import ContractHint
from headrace.scaffold.hints.sample import Bools, Floats, HintColumn, HintSample, Ints
from headrace.scaffold.inspection.domains import is_calendar, is_code

MOST_KEYS = 12  # columns that are tried as keys, and in pairs
_LEAST_RECURRING = 0.3  # least share of later rows whose key came before
_LEAST_ROWS = 30
_LEAST_REPEATS = 1.5  # mean rows of a key
_EQUAL = 0.95  # least share of later rows that equal the key's last value
MOST_GAIN = 0.6  # greatest error of a key, as a multiple of the error without it
_WIDEST = 0.5  # relative distance above which a value is not predicted
_BAND = 0.8  # quantile of the distances, as in drift detection
_EQUALLY_GOOD = 1.05  # ratio of errors up to which keys are about equally good
_EXACT = 1e-4  # error of a key that a second column cannot improve
_PAIR_GAIN = 0.6  # greatest error of two columns, as a multiple of the better of both


@dataclass(frozen=True, eq=False)
class Prediction:
    """Result of a key in the later deliveries.

    Attributes:
        key: its columns.
        error, plain: its error, and the error of the last value without a key.
        tested: rows whose key came before.
        near: those within `band` of the key's last value.
        band: error that 80% of the first rows do not exceed; 0 for texts.
        by_chance: share of later rows within `band` of the last value without a key.
    """

    key: tuple[str, ...]
    error: float
    plain: float
    tested: Bools
    near: Bools
    band: float
    by_chance: float

    @property
    def gain(self) -> float:
        return self.error / self.plain if self.plain > 0 else 1.0


def dependencies(sample: HintSample) -> Iterator[ContractHint]:
    """Yield a hint for each column that a key of one or two columns predicts."""
    if sample.count < 2:
        return
    keys = _keys(sample)
    names = list(sample.columns)
    for column in sample.columns.values():
        if not _is_target(column):
            continue
        single = [
            prediction
            for key in keys
            if key.name != column.name
            and (prediction := predict(sample, column, (key,))) is not None
        ]
        best = _best(single, names)
        pair = _best_pair(sample, column, keys, best)
        best = pair or best
        if best is not None and _is_accepted(sample, column, best):
            yield _hint(sample, column, best)


def _best(predictions: list[Prediction], names: list[str]) -> Prediction | None:
    """Return the best prediction; of about equally good ones, that of the first column."""
    best_error = min((prediction.error for prediction in predictions), default=0.0)
    good = [
        prediction for prediction in predictions if prediction.error <= _EQUALLY_GOOD * best_error
    ]
    return min(good, key=lambda prediction: names.index(prediction.key[0]), default=None)


def _keys(sample: HintSample) -> list[HintColumn]:
    """Return the columns that may be keys: texts and whole numbers with values that recur."""
    rows = len(sample.delivery)
    keys = [
        column
        for column in sample.columns.values()
        if (column.kind == "text" or _is_number_key(column))
        and column.distinct >= 2
        and column.distinct * _LEAST_REPEATS <= rows
        and _recurs(sample, column)
    ]
    texts_first = sorted(keys, key=lambda c: (c.kind != "text", -c.distinct))
    return texts_first[:MOST_KEYS]


def _is_number_key(column: HintColumn) -> bool:
    """Return True for whole numbers that identify things or hours, not for measures."""
    return column.is_number and column.step >= 1 and (is_code(column) or is_calendar(column))


def _recurs(sample: HintSample, column: HintColumn) -> bool:
    """Return True if most values of the later deliveries came before."""
    earlier = np.unique(column.tokens[sample.first & column.present])
    later = column.tokens[~sample.first & column.present]
    return len(later) > 0 and bool(np.isin(later, earlier).mean() >= _LEAST_RECURRING)


def _is_target(column: HintColumn) -> bool:
    fixed = column.field.primary_key_position or column.field.explained_by
    return not fixed and column.kind in {"text", "number"} and column.distinct >= 2


def _best_pair(
    sample: HintSample, column: HintColumn, keys: list[HintColumn], best: Prediction | None
) -> Prediction | None:
    """Return the best pair of keys if it is much better than the best single key."""
    if best is not None and best.error <= _EXACT:
        return None
    rivals = [key for key in keys if key.name != column.name][:6]
    pairs = [
        prediction
        for pair in combinations(rivals, 2)
        if (prediction := predict(sample, column, pair)) is not None
    ]
    pair = min(pairs, key=lambda p: (p.error, p.key), default=None)
    limit = 1.0 if best is None else _PAIR_GAIN * best.error
    return pair if pair is not None and pair.error < limit else None


def predict(
    sample: HintSample, column: HintColumn, key: tuple[HintColumn, ...]
) -> Prediction | None:
    """Predict each delivery from the last values of its keys; None if most keys are new."""
    present = column.present.copy()
    for part in key:
        present &= part.present
    rows = np.flatnonzero(present)
    groups = _groups(key, rows)
    if not len(rows) or groups.max() + 1 > len(rows) / _LEAST_REPEATS:
        return None
    target = column.values if column.is_number else column.tokens
    expected = _last_values(sample.delivery[rows], groups, target[rows])
    recurring = ~np.isnan(expected) if column.is_number else expected != 0
    later = ~sample.first[rows]
    if recurring[later].sum() < max(_LEAST_ROWS, _LEAST_RECURRING * later.sum()):
        return None
    values = target[rows]
    error = _errors(column, values, expected)
    # Without a key, the last value of all rows is the best prediction of a column that drifts.
    unkeyed = _last_values(sample.delivery[rows], np.zeros(len(rows), np.int64), values)
    plain = _errors(column, values, unkeyed)
    test, before = recurring & later, recurring & ~later
    if not before.any():
        return None
    band = float(np.quantile(error[before], _BAND)) if column.is_number else 0.0
    tested, near = np.zeros(len(present), bool), np.zeros(len(present), bool)
    tested[rows[recurring]] = True
    near[rows[recurring]] = error[recurring] <= band + 1e-9
    names = tuple(part.name for part in key)
    return Prediction(
        names,
        _size(error[test]),
        _size(plain[test]),
        tested,
        near,
        band,
        float((plain[test] <= band + 1e-9).mean()),
    )


def _size(error: Floats) -> float:
    """Return the mean error; an error beyond 100% counts as 100%."""
    return float(np.minimum(error, 1.0).mean())


def _groups(key: tuple[HintColumn, ...], rows: Ints) -> Ints:
    """Number the rows by their key."""
    groups = np.zeros(len(rows), np.int64)
    for part in key:
        codes = np.unique(part.tokens[rows], return_inverse=True)[1]
        groups = groups * (codes.max(initial=0) + 1) + codes
    numbered: Ints = np.unique(groups, return_inverse=True)[1]
    return numbered


def _last_values(delivery: Ints, groups: Ints, values: Floats | Ints) -> Floats | Ints:
    """Return the median value of each row's key in the last earlier delivery that has the key."""
    unknown = np.nan if values.dtype == np.float64 else 0
    last = np.full(int(groups.max()) + 1, unknown, values.dtype)
    expected: Floats | Ints = np.full(len(values), unknown, values.dtype)  # type: ignore[assignment]
    for number in np.unique(delivery):
        rows = np.flatnonzero(delivery == number)
        expected[rows] = last[groups[rows]]
        order = rows[np.lexsort((values[rows], groups[rows]))]
        keys, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
        last[keys] = values[order[starts + (counts - 1) // 2]]
    return expected


def _errors(column: HintColumn, values: Floats | Ints, expected: Floats | Ints) -> Floats:
    """Return the error of each row: distance relative to the value, or 1 for another text."""
    if not column.is_number:
        unequal: Floats = (values != expected).astype(np.float64)
        return unequal
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.maximum(np.maximum(np.abs(expected), np.abs(values)), 1e-9)
        error: Floats = np.nan_to_num(np.abs(values - expected) / scale, nan=1.0)
        return error


def _is_accepted(sample: HintSample, column: HintColumn, best: Prediction) -> bool:
    varied = _varies(sample, column)
    if column.is_number:
        return varied and best.gain <= MOST_GAIN and best.plain > 0 and best.band <= _WIDEST
    return varied and best.error <= 1 - _EQUAL and best.gain <= MOST_GAIN


def _varies(sample: HintSample, column: HintColumn) -> bool:
    """Return True if the column has several values within most deliveries."""
    several = [
        len(np.unique(column.tokens[column.present & (sample.delivery == number)])) > 1
        for number in range(sample.count)
    ]
    return float(np.mean(several)) >= 0.5


def _hint(sample: HintSample, column: HintColumn, best: Prediction) -> ContractHint:
    key = ", ".join(best.key)
    rule = f"within {best.band:.1%} of" if column.is_number else "equal to"
    return ContractHint(
        "explainedBy",
        (column.name, *best.key),
        best.key,
        f"{column.name} is {rule} the last value of the same {key}.",
        replace(sample.evidence(best.near, best.tested), by_chance=best.by_chance),
        "high",
        details={"error": best.error, "error_without_key": best.plain},
    )
