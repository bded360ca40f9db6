"""Rows of a release that depend on a batch, computed for all rows at once.

A row depends on a version in the batch if its prediction time is in the version's interval, which
is computed as in the kernel. In a window with too many events, the versions that the filter
excludes count as well.
Rows removed by the batch (deletes, or corrections that moved a row) are not counted.
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
from headrace.lineage.row_trace.feature_trace import LABEL, SPINE, Parts


@dataclass
class Used:
    """Masks of the rows that depend on the batch: one per output column, for spine and for label.

    `any` is the mask of the rows that depend on the batch in any of these.
    """

    size: int
    columns: dict[str, Bools] = field(default_factory=dict)

    @property
    def any(self) -> Bools:
        none = np.zeros(self.size, dtype=np.bool_)
        combined: Bools = np.logical_or.reduce([none, *self.columns.values()])
        return combined

    def of_features(self) -> Bools:
        none = np.zeros(self.size, dtype=np.bool_)
        masks = [mask for name, mask in self.columns.items() if name not in {SPINE, LABEL}]
        combined: Bools = np.logical_or.reduce([none, *masks])
        return combined

    def of(self, column: str) -> Bools:
        return self.columns.get(column, np.zeros(self.size, dtype=np.bool_))


def used(
    parts: Parts, history: History, rows: pa.Table, cuts: Ints, batch: tuple[str, str]
) -> Used:
    """Return, for each column, the mask of the `rows` whose value depends on a batch.

    Args:
        parts: the declarations that make the rows.
        history: reads the snapshots from which the rows were made, with `_batch`.
        rows: spine columns and `t` (int64 microseconds UTC).
        cuts: for each row, the time at which its label was read.
        batch: table and batch id.
    """
    table = batch[0]
    trace = _BatchTrace(parts, history, rows, cuts, batch)
    usage = Used(rows.num_rows)
    if parts.spine.table == table:
        usage.columns[SPINE] = trace.spine()
    if parts.label.table == table:
        usage.columns[LABEL] = trace.label(parts.label)
    for view in parts.views:
        if not isinstance(view, RowTransform) and view.table == table:
            usage.columns |= dict(trace.view(view))
    for view in parts.views:  # a transform comes after the views it reads
        if isinstance(view, RowTransform):
            masks = [usage.columns[name] for name in view.inputs if name in usage.columns]
            if masks:
                usage.columns[view.name] = np.logical_or.reduce(masks)
    return usage


class _BatchTrace:
    """Versions of one table, including the batch's versions, and the rows that may read them."""

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
        self.from_batch: Bools = in_batch[self.versions.rows]
        self.batch = _subset(self.versions, np.flatnonzero(self.from_batch))

    def spine(self) -> Bools:
        places = self._places(self.shape.primary_key)
        joined = kernel.join(self.batch, places, self.shape.primary_key)
        lo, hi = places.at(joined.codes, joined.k), places.at(joined.codes, joined.x)
        return self._covered(places, lo, hi)

    def label(self, label: Label) -> Bools:
        reached = np.zeros(len(self.t), dtype=np.bool_)
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
            reached[picked[places.rows[covered]]] = True
        return reached

    def view(self, view: FeatureView | Lookup) -> Iterator[tuple[str, Bools]]:
        places = self._places(view.spine_entity)
        if isinstance(view, Lookup):
            mask = self._state(view, places)
            yield from ((name, mask) for name in view.outputs)
            return
        joined = kernel.join(self.batch, places, view.entity)
        all_joined = self._crowded(view, places)
        for feature in view.features:
            lo, hi = joined.window(feature.window)
            passing = joined.mask(feature.where)
            mask = self._covered(
                places, *((lo, hi) if passing is None else (lo[passing], hi[passing]))
            )
            over = (
                None
                if all_joined is None or passing is None
                else all_joined.overfull(feature.window)
            )
            if over is not None:  # rows that the filter excludes count too
                full = np.zeros(len(self.t), dtype=np.bool_)
                full[places.rows] = over
                mask |= full & self._covered(places, lo, hi)
            yield from ((f"{view.name}__{name}", mask) for name in feature.names)

    def _crowded(self, view: FeatureView, places: Places) -> kernel.Joined | None:
        """Join all versions; None if no filter applies or no window can have too many events."""
        limit = self.shape.max_events
        if limit is None or len(self.versions.e) <= limit or not len(self.batch.e):
            return None
        if not any(conditions(feature.where) for feature in view.features):
            return None
        return kernel.join(self.versions, places, view.entity)

    def _state(self, view: Lookup, places: Places) -> Bools:
        """Return the mask of the rows whose current state is a version in the batch."""
        winner = kernel.state(kernel.join(self.versions, places, view.entity), view.max_age)
        assert winner.index is not None
        reached = np.zeros(len(self.t), dtype=np.bool_)
        if len(self.from_batch):
            reached[places.rows] = winner.ok & self.from_batch[winner.index]
        return reached

    def _places(self, names: tuple[str, ...]) -> Places:
        return Places([self.rows[name] for name in names], self.t, self.by_time)

    def _covered(self, places: Places, lo: Ints, hi: Ints) -> Bools:
        reached = np.zeros(len(self.t), dtype=np.bool_)
        hi = np.maximum(lo, hi)
        reached[places.rows[covered_count(lo, hi, places.size) > 0]] = True
        return reached


def _subset(versions: Versions, rows: Ints) -> Versions:
    return Versions(
        versions.shape,
        versions.table,
        versions.rows[rows],
        versions.e[rows],
        versions.k[rows],
        versions.x[rows],
    )
