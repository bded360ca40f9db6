"""Spines: the rows to predict for, built under the same visibility as features (rule 20)."""

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import Bools, Ints, key_ranks
from headrace.features.kernel.visibility import History, Versions, load_versions
from headrace.features.spec import Mode, Spine
from headrace.features.table_shapes import Contracts, shape_for, shapes_of


def build_spine(
    spec: Spine, history: History, contracts: Contracts, mode: Mode = "declared"
) -> pa.Table:
    """Return one row for each version that its key shows at its own event_time + offset.

    Columns: the primary key, `spec.columns`, and `t` (int64 microseconds UTC); ordered by
    (t, primary key). Scaled columns stay stored integers; -0 is +0 and NaN null.
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
    """True for versions that are visible, each at its own moment `t`."""
    return (versions.k <= t) & (t < versions.x)
