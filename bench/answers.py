"""Comparison of two frames: counts and integers exactly, floats to 1e-9 of their size."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RELATIVE = 1e-9


def differences(ours: pa.Table, theirs: pa.Table) -> list[str]:
    """Return a line for each column that differs; rows are compared in the given order."""
    found = []
    if ours.num_rows != theirs.num_rows:
        return [f"{ours.num_rows} rows against {theirs.num_rows}"]
    for name in ours.column_names:
        if name not in theirs.column_names:
            found.append(f"{name}: not there")
            continue
        wrong = _differ(plain(ours[name]), plain(theirs[name]))
        if wrong:
            found.append(f"{name}: {wrong} rows differ")
    return found


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a column to one type per kind of value, because engines use different types."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    return column.cast(pa.string())


def _differ(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> int:
    if ours.type != theirs.type:
        return len(ours)
    if not pa.types.is_floating(ours.type):
        same = pc.fill_null(pc.equal(ours, theirs), pc.and_(ours.is_null(), theirs.is_null()))
        return len(ours) - (pc.sum(same).as_py() or 0)
    nulls = ours.is_null().to_numpy() != theirs.is_null().to_numpy()
    a, b = (column.fill_null(0.0).to_numpy() for column in (ours, theirs))
    far = np.abs(a - b) > RELATIVE * np.maximum(np.abs(a), np.abs(b))
    return int((nulls | far | np.isnan(a) | np.isnan(b)).sum())
