"""Detector for sentinels: values that stand for a missing one, such as -999, 9999, UNKNOWN."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.baseline import Pool
from headrace.contracts.drift.batch_view import Bools, ViewColumn
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import member, out_of_range
from headrace.contracts.drift.hypothesis_trial import DriftCase

SENTINELS = frozenset(
    [sign * float("9" * digits) for digits in range(1, 10) for sign in (1, -1)]
    + [-1.0, 255.0, 32767.0, -32768.0, 65535.0, 2147483647.0, -2147483648.0, 1e20, 1e30, -1e30]
)
_SENTINEL_VALUES = np.array(sorted(SENTINELS))
WORDS = frozenset(
    {"", "na", "n/a", "#n/a", "null", "none", "nil", "nan", "unknown", "unk", "undefined",
     "missing", "not available", "tbd", "-", "--", "?", "x", "xx", "xxx", "zzz", "test", "-999",
     "999", "9999", "-1"}
)  # fmt: skip
_MOST_SENTINELS = 0.3  # greatest share of rows; above it, another detector explains the change
_GAIN = 0.5  # least number of rows that fit better once the value is nulled
_APART = 0.05  # least distance to the nearest known value, as a share of the window's range
_FREE_TEXT = 0.02  # least share of rows with such a word in a column of free text
_AMONG = 0.3  # least share of a sentinel among all values out of range
_SMALL = 100  # smaller numbers are weak evidence of a sentinel
_TOGETHER = 3  # least rows that share a value inside the usual range for it to be a sentinel


def sentinels(case: DriftCase) -> Iterator[DriftFinding]:
    for field in case.look.contract.delivered:
        column = case.look.columns.get(field.name)
        pool = case.reference.pools.get(field.name)
        if column is None or pool is None or not pool.total:
            continue
        fresh = column.present & ~member(column, pool)
        if fresh.any():
            yield from _column_findings(case, column, fresh)


def _sentinel_finding(
    case: DriftCase, column: ViewColumn, text: str, rows: Bools, weight: float
) -> DriftFinding:
    count = int(rows.sum())
    sentence = (
        f"{count} rows have {text} in {column.name}, which no batch before had and which"
        " usually represents an unknown value."
    )
    evidence = {"value": text, "rows": count}
    lines = tuple(case.look.lines[rows].tolist())
    return DriftFinding("sentinel", (column.name,), sentence, evidence, lines, weight)


def _column_findings(case: DriftCase, column: ViewColumn, fresh: Bools) -> Iterator[DriftFinding]:
    values = _values_in_unit(case, column) if column.is_number else column.tokens
    for value in np.unique(values[_suspicious(case, column, values, fresh)]):
        rows = fresh & (values == value)
        text = _sentinel_text(case, column, value, rows)
        if text is None or rows.mean() > _MOST_SENTINELS or _is_free_text(case, column, rows):
            continue
        gain = _gain(case, column, rows)
        if gain >= _GAIN:
            yield _sentinel_finding(case, column, text, rows, gain)


def _is_free_text(case: DriftCase, column: ViewColumn, rows: Bools) -> bool:
    """Return True for few rows of a column of free text, where such a word may be ordinary."""
    support = case.reference.marks(f"support:{column.name}")
    is_open = case.reference.pools[column.name].coarse or not len(support) or support.min() < 1
    is_key = column.name in case.look.contract.primary_key
    few = float(rows.mean()) < _FREE_TEXT
    return column.kind == "text" and bool(is_open) and few and not is_key


def _gain(case: DriftCase, column: ViewColumn, rows: Bools) -> float:
    """Return how many rows fit better without the value; all its rows if it is out of range."""
    pool = case.reference.pools[column.name]
    if not column.is_number:
        return 2 * case.loss([column.name]) + float(rows.sum())
    if out_of_range(column, pool)[rows].all():
        return float(rows.sum())
    array = case.look.arrays[column.name]
    nulled = pc.if_else(pa.array(rows), pa.scalar(None, array.type), array)
    return case.try_out({column.name: nulled}).gain


def _values_in_unit(case: DriftCase, column: ViewColumn) -> np.ndarray:
    """Return numbers in their unit, clock times as HHMM, NaN for timestamps (never sentinels)."""
    if column.kind == "moment":
        return np.full(case.look.rows, np.nan)
    array = case.look.arrays[column.name].cast(pa.float64(), safe=False)
    unit = 10 ** (case.look.contract.field(column.name).scale or 0)
    numbers: np.ndarray = array.to_numpy(zero_copy_only=False) / unit
    return numbers


def _suspicious(case: DriftCase, column: ViewColumn, values: np.ndarray, fresh: Bools) -> Bools:
    """Return the `fresh` rows whose value is a number or a word that may be a sentinel."""
    if column.is_number:
        return fresh & np.isin(values, _SENTINEL_VALUES)
    texts = case.look.arrays[column.name].cast(pa.string()).filter(pa.array(fresh))
    rows = fresh.copy()
    rows[fresh] = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), pa.array(sorted(WORDS)))
    return rows


def _sentinel_text(case: DriftCase, column: ViewColumn, value: float, rows: Bools) -> str | None:
    """Return the value as text if it is a sentinel."""
    if not column.is_number:
        # Columns with many distinct texts have no names: read the text from one of the rows.
        text = case.look.names.get(int(value))
        if text is None:
            text = str(case.look.arrays[column.name][int(np.flatnonzero(rows)[0])].as_py())
        return repr(text) if text.strip().lower() in WORDS else None
    pool = case.reference.pools[column.name]
    outside = out_of_range(column, pool)
    # Among many values out of range, a nine is one of them.
    out = bool(outside[rows].all()) and int(rows.sum()) >= _AMONG * int(outside.sum())
    is_isolated = int(rows.sum()) >= _TOGETHER and _is_isolated(column.values[rows][0], pool)
    if abs(value) < _SMALL:  # ordinary numbers too, even if no batch of the window has them
        out = out and (int(rows.sum()) >= _TOGETHER or value < 0 <= pool.values[0])
        is_isolated = is_isolated and pool.values[0] >= 0 > value
    return f"{value:g}" if out or is_isolated else None


def _is_isolated(value: float, pool: Pool) -> bool:
    """Return True if the window has no value nearby; 999 between 998 and 1000 is ordinary."""
    reach = float(pool.values[-1] - pool.values[0])
    return float(np.abs(pool.values - value).min()) > _APART * reach
