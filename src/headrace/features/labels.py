"""Labels of spine rows, as they were known at a given time, the cut (rule 21).

A label is mature a fixed time after `t`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import duration
from headrace.features.frames.training_frame import to_arrow
from headrace.features.kernel import kernel
from headrace.features.kernel.arrays import Bools, Ints, bools, times
from headrace.features.kernel.kernel import Joined, Output
from headrace.features.kernel.spine_intervals import Places, covered_best, covered_count
from headrace.features.kernel.visibility import History, Versions, load_versions
from headrace.features.spec import Label, Mode
from headrace.features.table_shapes import Contracts, shape_for, shapes_of


def attach_label(  # noqa: PLR0917
    frame: pa.Table,
    label: Label,
    history: History,
    contracts: Contracts,
    cut: int | Ints,
    mode: Mode = "declared",
) -> pa.Table:
    """Add the label's columns and `label_reason` to a frame.

    `label_reason` (string) is null for rows with a label. Otherwise it is `immature`,
    `null entity`, `no outcome`, an excluded status, or `all null` if a label column is null.

    Args:
        frame: table with `t` (int64 microseconds UTC) and the label's key.
        label: label to read.
        history: as for `training_frame`.
        contracts: contracts by table name; must include the label's table.
        cut: time in microseconds UTC at which the labels are read, one for all rows or one for each
            row. For training rows it is the end of the training split, for test rows the cutoff
            of the release.
        mode: `declared` or `recorded`.
    """
    shape = shape_for(shapes_of(contracts), label.table, f"label {label.name}")
    columns = [*label.key, *label.columns, *([label.status] if label.status else [])]
    versions = load_versions(shape, columns, history, mode)
    cuts = np.broadcast_to(np.asarray(cut, dtype=np.int64), (frame.num_rows,))
    parts, rows = [], []
    for moment in np.unique(cuts).tolist() or [0]:
        rows.append(np.flatnonzero(cuts == moment))
        part = frame.select([*dict.fromkeys((*label.spine_key, "t"))]).take(pa.array(rows[-1]))
        parts.append(_read(part, label, versions_at(versions, moment), moment))
    back = np.argsort(np.concatenate(rows), kind="stable")
    outcomes = pa.concat_tables(parts).take(pa.array(back)).combine_chunks()
    for name in label.outputs:
        frame = frame.append_column(name, outcomes[name])
    return frame


def versions_at(versions: Versions, cut: int) -> Versions:
    """Return the versions that are visible at the cut; their k and x are no longer meaningful."""
    rows = np.flatnonzero((versions.k <= cut) & (cut < versions.x))
    return Versions(
        versions.shape,
        versions.table,
        versions.rows[rows],
        versions.e[rows],
        versions.k[rows],
        versions.x[rows],
    )


def is_mature(t: Ints, matures_after: int, cut: int) -> Bools:
    """Return True for rows whose label is mature at the cut, even if there is no outcome."""
    return t + matures_after <= cut


def label_start(e: Ints, horizon: int) -> Ints:
    """Return the first t for which e is in [t, t + horizon)."""
    return e - horizon + 1


def label_end(e: Ints) -> Ints:
    """Return the first t after e."""
    return e + 1


def _read(frame: pa.Table, label: Label, versions: Versions, cut: int) -> pa.Table:
    t = times(frame, "t", f"label {label.name}")
    places = Places([frame[name] for name in label.spine_key], t, np.argsort(t, kind="stable"))
    joined = kernel.join(versions, places, label.key)
    outcome = _outcome(joined, duration(label.horizon))

    def column(name: str) -> pa.Array:
        return to_arrow(joined, outcome, name, len(t))

    cells = [column(name) for name in label.columns]
    reason = np.full(len(t), None, dtype=object)
    reason[np.logical_or.reduce([bools(cell.is_null()) for cell in cells])] = "all null"
    hidden = np.zeros(len(t), dtype=np.bool_)

    def hide(rows: Bools | Ints, why: object) -> None:
        hidden[rows], reason[rows] = True, why

    if label.status is not None:
        status = column(label.status).cast(pa.string())
        excluded = bools(pc.is_in(status, value_set=pa.array(label.excluded, pa.string())))
        hide(excluded, np.asarray(status.filter(pa.array(excluded)), dtype=object))
    hide(places.rows[~outcome.ok], "no outcome")
    hide(_without_place(places, len(t)), "null entity")
    hide(~is_mature(t, label.matures_after, cut), "immature")
    out = pa.array(hidden)
    cells = [pc.if_else(out, pa.scalar(None, cell.type), cell) for cell in cells]
    return pa.table([*cells, pa.array(reason, pa.string())], names=list(label.outputs))


def _outcome(joined: Joined, horizon: int) -> Output:
    """Find the last event in [t, t + horizon) for each spine row (rule 11)."""
    lo = joined.places.at(joined.codes, label_start(joined.e, horizon))
    hi = joined.places.at(joined.codes, label_end(joined.e))
    ok = covered_count(lo, hi, joined.places.size) > 0
    best = covered_best(lo, hi, np.arange(len(lo)), joined.places.size, minimum=False)
    return Output(ok, index=kernel.versions_at_places(joined, best, ok))


def _without_place(places: Places, rows: int) -> Bools:
    mask = np.ones(rows, dtype=np.bool_)
    mask[places.rows] = False
    return mask
