"""Comparison of sampled rows of a training frame with the oracle, on data of any size.

The oracle is slow, so for each row it gets only the versions that can affect the result: all
versions of every key that has a version of the row's entity within the view's time range.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration
from headrace.features import oracle, transforms
from headrace.features.frames.training_frame import used_columns
from headrace.features.kernel.arrays import Ints, Numbering, key_ranks, times, whole
from headrace.features.kernel.visibility import History
from headrace.features.spec import FeatureView, Label, Lookup, Mode, RowTransform, View
from headrace.features.table_shapes import Contracts, TableShape, shape_for, shapes_of

_ALWAYS = -(2**62)


@dataclass(frozen=True)
class CellDifference:
    """Cell of the frame that differs from the oracle; `expected` is the oracle's value."""

    row: int
    column: str
    expected: Any
    actual: Any


def audit(
    frame: pa.Table,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    rows: Sequence[int],
    *,
    mode: Mode = "declared",
) -> list[CellDifference]:
    """Compare the views' values in some rows of a frame with the oracle, bit for bit.

    `rows` are row numbers. A row transform is compared with its own result for each row alone.
    """
    part = frame.take(pa.array(rows, type=pa.int64()))
    shapes = shapes_of(contracts)
    differences: list[CellDifference] = []
    for view in views:
        expected = _row_by_row(part, view) if isinstance(view, RowTransform) else None
        if not isinstance(view, RowTransform):
            shape = shape_for(shapes, view.table, f"view {view.name}")
            near = Near(history, shape, view.entity, used_columns(view))
            expected = [_by_oracle(view, near, spine, mode) for spine in near.spines(part, view)]
        assert expected is not None
        for name in view.outputs:
            actual = plain_values(part[name])
            oracle_values = [oracle_row[name] for oracle_row in expected]
            differences += _differences(name, rows, oracle_values, actual)
    return differences


def audit_label(
    frame: pa.Table,
    label: Label,
    history: History,
    contracts: Contracts,
    rows: Sequence[int],
    *,
    cuts: Sequence[int],
    mode: Mode = "declared",
) -> list[CellDifference]:
    """Compare a label in some rows with the oracle.

    `cuts` has, for each row, the time in microseconds at which its label was read.
    """
    part = frame.take(pa.array(rows, type=pa.int64()))
    shape = shape_for(shapes_of(contracts), label.table, f"label {label.name}")
    columns = [*label.columns, *([label.status] if label.status else [])]
    near = Near(history, shape, label.key, columns)
    spines = spine_rows(part, label.spine_key)
    expected = [
        oracle.label_row(label, near.rows(key, _ALWAYS, -_ALWAYS), shape, spine, cut, mode=mode)
        for spine, key, cut in zip(spines, near.keys(part, label.spine_key), cuts, strict=True)
    ]
    differences: list[CellDifference] = []
    for name in label.outputs:
        oracle_values = [oracle_row[name] for oracle_row in expected]
        differences += _differences(name, rows, oracle_values, plain_values(part[name]))
    return differences


class Near:
    """Index of a table's rows by entity and event time, which returns rows as dicts."""

    def __init__(
        self, history: History, shape: TableShape, entity: Sequence[str], columns: Sequence[str]
    ) -> None:
        self.shape = shape
        # In one chunk, because taking rows from hundreds of chunks takes longer than the oracle.
        self.table = _with_all_columns(history, shape, [*entity, *columns]).combine_chunks()
        self.e = times(self.table, "event_time", f"table {shape.name}")
        self.numbering = Numbering([self.table[name] for name in entity])
        self.order = np.lexsort((self.e, self.numbering.codes))
        self.codes = self.numbering.codes[self.order]
        self.pk = key_ranks([self.table[name] for name in shape.primary_key])
        self.by_key = np.argsort(self.pk, kind="stable")
        self.sorted_pk = self.pk[self.by_key]
        self.is_single = bool((np.diff(self.sorted_pk) > 0).all())

    @property
    def size(self) -> int:
        return int(self.table.num_rows)

    def all(self) -> list[dict[str, Any]]:
        """Return every row, in the order of the table."""
        return _dicts(self.table, np.arange(self.size))

    def keys(self, part: pa.Table, names: Sequence[str]) -> list[int]:
        return [int(code) for code in self.numbering.of([part[name] for name in names])]

    def spines(
        self, part: pa.Table, view: FeatureView | Lookup
    ) -> list[tuple[dict[str, Any], int]]:
        names = view.spine_entity
        return list(zip(spine_rows(part, names), self.keys(part, names), strict=True))

    def rows(self, code: int, first: int, end: int) -> list[dict[str, Any]]:
        """Return the rows that can affect an entity between two event times.

        These are all versions of each key that has a version of the entity with
        first <= event_time < end.
        """
        return _dicts(self.table, self.row_numbers(code, first, end)) if code >= 0 else []

    def row_numbers(self, code: int, first: int, end: int) -> Ints:
        """Return the numbers of the rows in `table` that `rows` returns."""
        if code < 0:
            return np.zeros(0, dtype=np.int64)
        lo, hi = np.searchsorted(self.codes, [code, code + 1])
        entity_rows = self.order[lo:hi]
        start, stop = np.searchsorted(self.e[entity_rows], [first, end])
        if self.is_single:
            return entity_rows[start:stop]
        keys = np.unique(self.pk[entity_rows[start:stop]])
        starts = np.searchsorted(self.sorted_pk, keys)
        ends = np.searchsorted(self.sorted_pk, keys, side="right")
        spans = [self.by_key[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)


def _with_all_columns(history: History, shape: TableShape, columns: Sequence[str]) -> pa.Table:
    """Read the needed columns of a table. The other columns, which only break ties, are null.

    If rows have the same key, known-at and sequence, all columns are read.
    """
    sequence = [shape.sequence] if shape.sequence else []
    table = history(shape.name, list(dict.fromkeys([*shape.primary_key, *sequence, *columns])))
    tied = [table[name] for name in (*shape.primary_key, *sequence, "known_at")]
    if len(np.unique(key_ranks(tied))) < table.num_rows:
        return history(shape.name, list(shape.columns))
    for name, column in shape.columns.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, column.type))
    return table


def _by_oracle(
    view: FeatureView | Lookup, near: Near, request: tuple[dict[str, Any], int], mode: Mode
) -> dict[str, Any]:
    spine, code = request
    first, end = reach(view, spine["t"])
    rows = near.rows(code, first, end)
    if isinstance(view, Lookup):
        results = oracle.lookup_row(view, rows, near.shape, spine, mode)
    else:
        results = oracle.view_row(view, rows, near.shape, spine, mode)
    return {name: value for name, (value, _) in results.items()}


def reach(view: FeatureView | Lookup, t: int) -> tuple[int, int]:
    """Return the range [first, end) of event times that can affect a view at t."""
    if isinstance(view, Lookup):
        first = _ALWAYS if view.max_age is None else t - duration(view.max_age)
        return first, t + 1
    windows = [feature.window for feature in view.features]
    return t + min(window.a for window in windows), t + max(window.b for window in windows)


def _row_by_row(part: pa.Table, view: RowTransform) -> list[dict[str, Any]]:
    inputs = [whole(part[name]) for name in view.inputs]
    values = [
        plain_values(transforms.apply(view, [column.slice(i, 1) for column in inputs]))[0]
        for i in range(part.num_rows)
    ]
    return [{view.name: value} for value in values]


def spine_rows(part: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    columns = {name: plain_values(part[name]) for name in (*names, "t")}
    return [{name: column[i] for name, column in columns.items()} for i in range(part.num_rows)]


def _dicts(table: pa.Table, rows: Ints) -> list[dict[str, Any]]:
    picked = table.take(pa.array(rows))
    columns = {name: plain_values(picked[name]) for name in picked.column_names}
    names = list(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def plain_values(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Return a column as Python values; timestamps become int microseconds."""
    array = whole(column)
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    values: list[Any] = array.to_pylist()
    return values


def _differences(
    name: str, rows: Sequence[int], expected: list[Any], actual: list[Any]
) -> list[CellDifference]:
    triples = zip(rows, expected, actual, strict=True)
    return [CellDifference(row, name, e, g) for row, e, g in triples if repr(e) != repr(g)]
