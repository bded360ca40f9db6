"""Values that stand for one that is not known: -999, 9999, UNKNOWN."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.baseline import Pool
from headrace.contracts.drift.batch_view import Bools, Column
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.fit_scores import member, out_of_range
from headrace.contracts.drift.hypothesis_trial import Case

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
_MOST_SENTINELS = 0.3  # of the rows; more is another change
_GAIN = 0.5  # rows, at least, that fit better without it
_APART = 0.02  # of the window's range, to the nearest value that was seen
_TOGETHER = 3  # rows that share a value inside the usual range, before it stands for nothing


def sentinels(case: Case) -> Iterator[Finding]:
    for field in case.look.contract.delivered:
        column = case.look.columns.get(field.name)
        pool = case.reference.pools.get(field.name)
        if column is None or pool is None or not pool.total:
            continue
        fresh = column.present & ~member(column, pool)
        if fresh.any():
            yield from _of_column(case, column, fresh)


def _stands_for_nothing(
    case: Case, column: Column, shown: str, rows: Bools, weight: float
) -> Finding:
    count = int(rows.sum())
    sentence = (
        f"{count} rows have {shown} in {column.name}, which no batch before had and which"
        " usually stands for a value that is not known."
    )
    evidence = {"value": shown, "rows": count}
    lines = tuple(case.look.lines[rows].tolist())
    return Finding("sentinel", (column.name,), sentence, evidence, lines, weight)


def _of_column(case: Case, column: Column, fresh: Bools) -> Iterator[Finding]:
    values = _as_given(case, column) if column.is_number else column.tokens
    for value in _suspicious(column, np.unique(values[fresh])):
        rows = fresh & (values == value)
        shown = _sentinel(case, column, value, rows)
        if shown is None or rows.mean() > _MOST_SENTINELS:
            continue
        gain = _gain(case, column, rows)
        if gain >= _GAIN:
            yield _stands_for_nothing(case, column, shown, rows, gain)


def _gain(case: Case, column: Column, rows: Bools) -> float:
    """The rows that fit better without the value; all of them if nothing like it ever came."""
    pool = case.reference.pools[column.name]
    if not column.is_number:
        return 2 * case.loss([column.name]) + float(rows.sum())
    if out_of_range(column, pool)[rows].all():
        return float(rows.sum())
    array = case.look.arrays[column.name]
    nulled = pc.if_else(pa.array(rows), pa.scalar(None, array.type), array)
    return case.try_out({column.name: nulled}).gain


def _as_given(case: Case, column: Column) -> np.ndarray:
    """Numbers in their unit, clocks as HHMM; NaN of moments, which have no sentinels."""
    if column.kind == "moment":
        return np.full(case.look.rows, np.nan)
    array = case.look.arrays[column.name].cast(pa.float64(), safe=False)
    unit = 10 ** (case.look.contract.field(column.name).scale or 0)
    given: np.ndarray = array.to_numpy(zero_copy_only=False) / unit
    return given


def _suspicious(column: Column, values: np.ndarray) -> np.ndarray:
    """Of numbers those that may stand for nothing; texts are looked up one by one."""
    if column.kind == "text":
        return values
    found: np.ndarray = values[np.isin(values, _SENTINEL_VALUES)]
    return found


def _sentinel(case: Case, column: Column, value: float, rows: Bools) -> str | None:
    """The value as text if it is one that stands for nothing."""
    if not column.is_number:
        # Only columns of few texts have names; of the others a row tells what the token stands for.
        text = case.look.names.get(int(value))
        if text is None:
            text = str(case.look.arrays[column.name][int(np.flatnonzero(rows)[0])].as_py())
        return repr(text) if text.strip().lower() in WORDS else None
    pool = case.reference.pools[column.name]
    out = bool(out_of_range(column, pool)[rows].all())
    alone = int(rows.sum()) >= _TOGETHER and _stands_apart(column.values[rows][0], pool)
    return f"{value:g}" if out or alone else None


def _stands_apart(value: float, pool: Pool) -> bool:
    """Whether nothing in the window came near the value: 999 among 998 and 1000 is a number."""
    reach = float(pool.values[-1] - pool.values[0])
    return float(np.abs(pool.values - value).min()) > _APART * reach
