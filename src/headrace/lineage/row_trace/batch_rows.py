"""Which rows of a release a batch went into: the trace of all rows at once, for one batch.

A version of the batch counts for the rows whose prediction time lies in its interval, by the same
arithmetic as the kernel's: rows are found by where the batch counts, not traced one after another.
In a window that holds too many events every version counts, whatever the filter leaves out.
What a batch took away, by a tombstone or a correction, is in no row and so not counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration
from headrace.features.frames.training_frame import columns_by_table
from headrace.features.kernel import kernel
from headrace.features.kernel.arrays import Bools, Ints
from headrace.features.kernel.spine_intervals import Places, covered_count
from headrace.features.kernel.visibility import History, Versions, load_versions
from headrace.features.labels import label_end, label_start, versions_at
from headrace.features.spec import FeatureView, Label, Lookup, RowTransform, conditions
from headrace.features.table_shapes import shapes_of
from headrace.lineage.row_trace.row_trace import LABEL, SPINE, Parts


@dataclass
class Used:
    """Masks over the rows asked about: by what they took of the batch.

    `features` are by output column; `any` is whether a row took anything at all.
    """

    size: int
    columns: dict[str, Bools] = field(default_factory=dict)

    @property
    def any(self) -> Bools:
        none = np.zeros(self.size, dtype=np.bool_)
        found: Bools = np.logical_or.reduce([none, *self.columns.values()])
        return found

    def of_features(self) -> Bools:
        none = np.zeros(self.size, dtype=np.bool_)
        own = [mask for name, mask in self.columns.items() if name not in {SPINE, LABEL}]
        found: Bools = np.logical_or.reduce([none, *own])
        return found

    def of(self, column: str) -> Bools:
        return self.columns.get(column, np.zeros(self.size, dtype=np.bool_))


def used(
    parts: Parts, history: History, rows: pa.Table, cuts: Ints, batch: tuple[str, str]
) -> Used:
    """Which of `rows` a batch of a table contributes to, column by column.

    Args:
        parts: what the rows were made by.
        history: of the snapshots that they were made of, with `_batch`.
        rows: spine columns and `t` (int64 microseconds UTC).
        cuts: as of when the label of each was read.
        batch: table and batch id, whose rows.
    """
    table = batch[0]
    asked = _Asked(parts, history, rows, cuts, batch)
    found = Used(rows.num_rows)
    if parts.spine.table == table:
        found.columns[SPINE] = asked.spine()
    if parts.label.table == table:
        found.columns[LABEL] = asked.label(parts.label)
    for view in parts.views:
        if not isinstance(view, RowTransform) and view.table == table:
            found.columns |= dict(asked.view(view))
    for view in parts.views:  # a transform stands after what it reads
        if isinstance(view, RowTransform):
            masks = [found.columns[name] for name in view.inputs if name in found.columns]
            if masks:
                found.columns[view.name] = np.logical_or.reduce(masks)
    return found


class _Asked:
    """One table's versions, those of the batch among them, and the rows that look at them."""

    def __init__(
        self, parts: Parts, history: History, rows: pa.Table, cuts: Ints, batch: tuple[str, str]
    ) -> None:
        table, batch_id = batch
        self.rows, self.cuts = rows, cuts
        self.t: Ints = np.asarray(rows["t"]).astype(np.int64)
        self.by_time = np.argsort(self.t, kind="stable")
        self.shape = shapes_of(parts.contracts)[table]
        columns = [*columns_by_table(parts.views).get(table, ()), *self.shape.primary_key]
        if parts.label.table == table:
            columns += [*parts.label.key]
        self.versions = load_versions(self.shape, [*dict.fromkeys(columns)], history, parts.mode)
        in_batch = np.asarray(self.versions.table["_batch"].to_numpy()) == batch_id
        self.own: Bools = in_batch[self.versions.rows]
        self.batch = _some(self.versions, np.flatnonzero(self.own))

    def spine(self) -> Bools:
        places = self._places(self.shape.primary_key)
        joined = kernel.join(self.batch, places, self.shape.primary_key)
        lo, hi = places.at(joined.codes, joined.k), places.at(joined.codes, joined.x)
        return self._covered(places, lo, hi)

    def label(self, label: Label) -> Bools:
        found = np.zeros(len(self.t), dtype=np.bool_)
        for cut in np.unique(self.cuts).tolist():
            picked = np.flatnonzero(self.cuts == cut)
            t = self.t[picked]
            rows = self.rows.select([*label.spine_key]).take(pa.array(picked))
            order = np.argsort(t, kind="stable")
            places = Places([rows[name] for name in label.spine_key], t, order)
            joined = kernel.join(versions_at(self.batch, cut), places, label.key)
            lo = places.at(joined.codes, label_start(joined.e, duration(label.horizon)))
            hi = places.at(joined.codes, label_end(joined.e))
            covered = covered_count(lo, hi, places.size) > 0
            found[picked[places.rows[covered]]] = True
        return found

    def view(self, view: FeatureView | Lookup) -> Iterator[tuple[str, Bools]]:
        places = self._places(view.spine_entity)
        if isinstance(view, Lookup):
            mask = self._state(view, places)
            yield from ((name, mask) for name in view.outputs)
            return
        joined = kernel.join(self.batch, places, view.entity)
        whole = self._crowded(view, places)
        for feature in view.features:
            lo, hi = joined.window(feature.window)
            kept = joined.mask(feature.where)
            mask = self._covered(places, *((lo, hi) if kept is None else (lo[kept], hi[kept])))
            over = None if whole is None or kept is None else whole.overfull(feature.window)
            if over is not None:  # the number of rows decides, those that the filter leaves out too
                full = np.zeros(len(self.t), dtype=np.bool_)
                full[places.rows] = over
                mask |= full & self._covered(places, lo, hi)
            yield from ((f"{view.name}__{name}", mask) for name in feature.names)

    def _crowded(self, view: FeatureView, places: Places) -> kernel.Joined | None:
        """All versions, joined; None if no filter applies or no window can hold too many events."""
        limit = self.shape.max_events
        if limit is None or len(self.versions.e) <= limit or not len(self.batch.e):
            return None
        if not any(conditions(feature.where) for feature in view.features):
            return None
        return kernel.join(self.versions, places, view.entity)

    def _state(self, view: Lookup, places: Places) -> Bools:
        """Of all versions the one that holds: whether it is the batch's."""
        winner = kernel.state(kernel.join(self.versions, places, view.entity), view.max_age)
        assert winner.index is not None
        found = np.zeros(len(self.t), dtype=np.bool_)
        if len(self.own):
            found[places.rows] = winner.ok & self.own[winner.index]
        return found

    def _places(self, names: tuple[str, ...]) -> Places:
        return Places([self.rows[name] for name in names], self.t, self.by_time)

    def _covered(self, places: Places, lo: Ints, hi: Ints) -> Bools:
        found = np.zeros(len(self.t), dtype=np.bool_)
        hi = np.maximum(lo, hi)
        found[places.rows[covered_count(lo, hi, places.size) > 0]] = True
        return found


def _some(versions: Versions, rows: Ints) -> Versions:
    return Versions(
        versions.shape,
        versions.table,
        versions.rows[rows],
        versions.e[rows],
        versions.k[rows],
        versions.x[rows],
    )
