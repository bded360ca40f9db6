"""Building of spines, the rows to predict for, with the same visibility as features (rule 20)."""

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import Bools, Ints, key_ranks
from headrace.features.kernel.visibility import History, Versions, load_versions
from headrace.features.spec import Mode, Spine
from headrace.features.table_shapes import Contracts, shape_for, shapes_of


def build_spine(
    spec: Spine, history: History, contracts: Contracts, mode: Mode = "declared"
) -> pa.Table:
    """Build a spine: one row for each version that is visible at t = its event_time + offset.

    Columns are the primary key, `spec.columns`, and `t` (int64 microseconds UTC). Rows are ordered
    by (t, primary key). Scaled columns stay integers; -0 becomes +0, NaN becomes null.
    """
    shape = shape_for(shapes_of(contracts), spec.table, "spine")
    names = list(dict.fromkeys((*shape.primary_key, *spec.columns)))
    versions = load_versions(shape, names, history, mode)
    t = versions.e + spec.offset
    rows = np.flatnonzero(is_visible(versions, t))
    if rows.size:
        keys = key_ranks([versions.array(name) for name in shape.primary_key])[rows]
        rows = rows[np.lexsort((keys, t[rows]))]
    picked = pa.array(rows)
    columns = [versions.array(name).take(picked) for name in names]
    return pa.table([*columns, pa.array(t[rows])], names=[*names, "t"])


def is_visible(versions: Versions, t: Ints) -> Bools:
    """Return True for each version that is visible at its own `t`."""
    return (versions.k <= t) & (t < versions.x)
