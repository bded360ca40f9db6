"""Training frames: the spine, in its order, with one column added for each feature (rule 19).

The rules are those of docs/reference/feature-semantics.md.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core import compute
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.features import transforms
from headrace.features.kernel import kernel
from headrace.features.kernel.arrays import Ints, expect_one_unit, expect_table, times, whole
from headrace.features.kernel.kernel import Joined, Output
from headrace.features.kernel.rounding import quantity
from headrace.features.kernel.spine_intervals import Places
from headrace.features.kernel.visibility import History, Streamed, Versions, load_versions
from headrace.features.output_types import default_values
from headrace.features.spec import (
    COUNTS,
    FeatureView,
    Lookup,
    Mode,
    RowTransform,
    Scalar,
    View,
    conditions,
)
from headrace.features.table_shapes import TIMESTAMP, Contracts, Shapes, shape_for, shapes_of

NamedColumns = list[tuple[str, pa.Array]]
# (current step, amount done, total amount or 0 if unknown)
Progress: TypeAlias = Callable[[str, int, int], None]


def training_frame(
    spine: pa.Table,
    views: Sequence[View],
    history: Streamed,
    contracts: Contracts,
    mode: Mode = "declared",
    *,
    reasons: bool = False,
    memory: int | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> pa.Table:
    """Join features to the spine point-in-time: each row gets the values as of its own `t`.

    Args:
        spine: table with `t` (int64 microseconds UTC) and the columns that views use; rows may be
            in any order.
        views: feature views, lookups and row transforms; a transform may use the outputs of
            earlier views.
        history: function `(table, columns) -> rows`; see
            `headrace.features.kernel.visibility.History`.
        contracts: contracts of all tables used, by name.
        mode: `declared` (rows are visible from known_at on) or `recorded` (rows are visible from
            known_at or from their commit on, whichever is later).
        reasons: for each feature of a view or lookup, add the column `<feature>__reason`, the
            reason why a value is null.
        memory: memory limit in bytes; the frame is then computed in parts on disk. The result is
            still in memory; `headrace.features.frames.out_of_core.training_batches` avoids that.
        progress: called as `(step, done, total)` to report progress.
        threads: number of threads; by default all that the process may use.

    Raises:
        HeadraceError: a time is null or out of range, or a primary key is null.
    """
    if memory is not None:
        from headrace.features.frames.out_of_core import training_batches

        with training_batches(
            spine, views, history, contracts, mode,
            memory=memory, reasons=reasons, progress=progress, threads=threads,
        ) as reader:  # fmt: skip
            return reader.read_all().combine_chunks()
    with compute.limited_to(threads):
        return _in_memory(spine, views, in_full(history), contracts, mode, reasons=reasons)


def in_full(history: Streamed) -> History:
    """Wrap a history so that it returns tables instead of readers."""

    def read(table: str, columns: list[str]) -> pa.Table:
        rows = history(table, columns)
        return rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows

    return read


def _in_memory(
    spine: pa.Table,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    mode: Mode,
    *,
    reasons: bool,
) -> pa.Table:
    expect_table(spine, "the spine")
    refuse_doubled(spine, views, reasons=reasons)
    host = Host.over(spine, views, history, contracts, mode)
    columns: NamedColumns = list(zip(spine.column_names, spine.columns, strict=True))
    for view in views:
        if isinstance(view, RowTransform):
            columns.append((view.name, transformed(columns, view)))
        else:
            columns += host.columns(view, reasons=reasons)
    names, arrays = zip(*columns, strict=True)
    return pa.table(list(arrays), names=list(names))


def refuse_doubled(spine: pa.Table, views: Sequence[View], *, reasons: bool) -> None:
    """Raise DeclarationError if two columns of the frame would have the same name."""
    added = [name for view in views for name in view.outputs]
    names = [*spine.column_names, *added, *(f"{name}__reason" for name in added if reasons)]
    if len(set(names)) < len(names):
        duplicates = sorted({name for name in names if names.count(name) > 1})
        raise DeclarationError(
            f"more than one column of the frame is named {', '.join(duplicates)}",
            where="a training frame",
            fix="give one of the views, or the spine's column, another name",
        )


def vector(
    views: Sequence[View],
    entity_row: Mapping[str, Scalar | None],
    t: int,
    history: History,
    contracts: Contracts,
    *,
    mode: Mode = "declared",
    types: Mapping[str, pa.DataType] | None = None,
) -> dict[str, Scalar | None]:
    """Return the features of one entity at `t`, computed as a training frame of one row.

    `types` are the Arrow types of spine columns; they are needed for nulls and timestamps in
    `entity_row`.
    """
    arrow_types = types or {}
    cells = {name: pa.array([value], arrow_types.get(name)) for name, value in entity_row.items()}
    spine = pa.table({**cells, "t": pa.array([t], pa.int64())})
    frame = training_frame(spine, views, history, contracts, mode)
    names = [name for view in views for name in view.outputs]
    row: dict[str, Scalar | None] = frame.select(names).to_pylist()[0]
    return row


def apply_transforms(frame: pa.Table, views: Sequence[View]) -> pa.Table:
    """Add the columns of the row transforms among `views` to a frame, in the order of `views`."""
    columns: NamedColumns = list(zip(frame.column_names, frame.columns, strict=True))
    for view in views:
        if isinstance(view, RowTransform):
            columns.append((view.name, transformed(columns, view)))
    names, arrays = zip(*columns, strict=True)
    return pa.table(list(arrays), names=list(names))


def transformed(columns: NamedColumns, view: RowTransform) -> pa.Array:
    return transforms.apply(view, [_input(columns, name, view) for name in view.inputs])


def _input(columns: NamedColumns, name: str, transform: RowTransform) -> pa.Array:
    for column_name, column in columns:
        if column_name == name:
            return whole(column)
    raise DeclarationError(
        f"there is no column {name!r} to read",
        where=f"row transform {transform.name}",
        fix="use a column declared before it:"
        f" {', '.join(column_name for column_name, _ in columns)}",
    )


def columns_by_table(views: Sequence[View]) -> dict[str, list[str]]:
    """Return the columns that all views together read from each table."""
    needed: dict[str, list[str]] = {}
    for view in views:
        if not isinstance(view, RowTransform):
            needed.setdefault(view.table, []).extend([*view.entity, *used_columns(view)])
    return {table: list(dict.fromkeys(columns)) for table, columns in needed.items()}


def used_columns(view: FeatureView | Lookup) -> list[str]:
    if isinstance(view, Lookup):
        return list(view.columns)
    columns = [column for feature in view.features for column in feature.columns]
    return columns + [c.column for feature in view.features for c in conditions(feature.where)]


Use: TypeAlias = str | tuple[str, ...] | tuple[str, tuple[str, ...], tuple[str, ...]]


def _uses(view: FeatureView | Lookup) -> tuple[Use, Use, Use]:
    """Return the keys of what a view shares with others: versions, spine places, and their join."""
    return view.table, view.spine_entity, (view.table, view.entity, view.spine_entity)


@dataclass
class Host:
    """State of the computation of a training frame: intermediate results that views share.

    Results are freed after the last view that uses them.
    """

    spine: pa.Table
    history: History
    shapes: Shapes
    mode: Mode
    needed: Mapping[str, list[str]]
    uses: Counter[Use]
    _versions: dict[str, Versions] = field(default_factory=dict)
    _places: dict[tuple[str, ...], Places] = field(default_factory=dict)
    _joined: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Joined] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.t: Ints = times(self.spine, "t", "the spine")
        self.by_time: Ints = np.argsort(self.t, kind="stable")

    @classmethod
    def over(
        cls,
        spine: pa.Table,
        views: Sequence[View],
        history: History,
        contracts: Contracts,
        mode: Mode,
    ) -> "Host":
        """Build a host that can compute the columns of `views`."""
        stored = [view for view in views if not isinstance(view, RowTransform)]
        uses = Counter(use for view in stored for use in _uses(view))
        shapes = shapes_of(contracts)
        return cls(spine, history, shapes, mode, columns_by_table(views), uses)

    def columns(self, view: FeatureView | Lookup, *, reasons: bool = False) -> NamedColumns:
        """Compute the view's output columns for every row of the spine."""
        if isinstance(view, Lookup):
            columns = self.lookup(view, reasons=reasons)
        else:
            columns = self.view(view, reasons=reasons)
        self._release(view)
        return columns

    def _release(self, view: FeatureView | Lookup) -> None:
        """Free the results that no later view uses."""
        table, entity, join = _uses(view)
        self.uses.subtract([table, entity, join])
        if self.uses[table] <= 0:
            self._versions.pop(view.table, None)
        if self.uses[entity] <= 0:
            self._places.pop(view.spine_entity, None)
        if self.uses[join] <= 0:
            joined = self._joined.pop((view.table, view.entity, view.spine_entity), None)
            if joined is not None:
                joined.forget()

    def give(self, table: str, versions: Versions) -> None:
        """Set a table's resolved versions, so that its history is not read."""
        self._versions[table] = versions

    def versions(self, table: str) -> Versions:
        if table not in self._versions:
            shape = shape_for(self.shapes, table, "a training frame")
            versions = load_versions(shape, self.needed[table], self.history, self.mode)
            expect_one_unit(self.t, versions.e, f"table {table}")
            self._versions[table] = versions
        return self._versions[table]

    def places(self, entity: tuple[str, ...]) -> Places:
        if entity not in self._places:
            missing = [name for name in entity if name not in self.spine.column_names]
            if missing:
                raise HeadraceError(
                    f"the spine has no column {missing[0]!r}",
                    where="a training frame",
                    fix="add it to the spine, or map the entity to another spine column",
                )
            columns = [self.spine[name] for name in entity]
            self._places[entity] = Places(columns, self.t, self.by_time)
        return self._places[entity]

    def joined(self, view: FeatureView | Lookup) -> Joined:
        key = (view.table, view.entity, view.spine_entity)
        if key not in self._joined:
            places = self.places(view.spine_entity)
            self._joined[key] = kernel.join(self.versions(view.table), places, view.entity)
        return self._joined[key]

    def view(self, view: FeatureView, *, reasons: bool) -> NamedColumns:
        joined = self.joined(view)
        columns: NamedColumns = []
        for feature in view.features:
            output = kernel.aggregate(joined, feature)
            # A count has the same type for every column.
            of = (None,) if feature.op in COUNTS else feature.columns
            defaults = default_values(feature, joined.versions.shape)
            for name, column, default in zip(feature.names, of, defaults, strict=True):
                array = to_arrow(joined, output, column, self.spine.num_rows)
                array = with_default(joined, output, array, default)
                name = f"{view.name}__{name}"  # noqa: PLW2901
                columns += _with_reason(name, joined, output, array, reasons=reasons)
        return columns

    def lookup(self, lookup: Lookup, *, reasons: bool) -> NamedColumns:
        joined = self.joined(lookup)
        winner = kernel.state(joined, lookup.max_age)
        columns: NamedColumns = []
        defaults = default_values(lookup, joined.versions.shape)
        for name, column, default in zip(lookup.outputs, lookup.columns, defaults, strict=True):
            array = to_arrow(joined, winner, column, self.spine.num_rows)
            array = with_default(joined, winner, array, default)
            columns += _with_reason(name, joined, winner, array, reasons=reasons)
        return columns


def _with_reason(
    name: str, joined: Joined, output: Output, array: pa.Array, *, reasons: bool
) -> NamedColumns:
    columns: NamedColumns = [(name, array)]
    if reasons:
        columns.append((f"{name}__reason", why_null(joined, output, array)))
    return columns


def with_default(joined: Joined, output: Output, array: pa.Array, default: object) -> pa.Array:
    """Replace missing results by the declared default, from `default_values` (rule 13).

    A window with too many events stays null, because a default would hide that the window was not
    evaluated.
    """
    if default is None:
        return array
    missing = np.zeros(len(array), dtype=np.bool_)
    without = ~output.ok if output.overfull is None else ~(output.ok | output.overfull)
    missing[joined.places.rows] = without
    return pc.if_else(pa.array(missing), pa.scalar(default, array.type), array)


def to_arrow(joined: Joined, output: Output, column: str | None, rows: int) -> pa.Array:
    """Convert an output, one value per place, to a column in the order of the spine.

    Rows with a null entity are null.
    """
    ok = np.zeros(rows, dtype=np.bool_)
    ok[joined.places.rows] = output.ok
    if output.index is not None:
        return _version_values(joined, output.index, ok, column or "")
    data = output.data
    assert data is not None
    out = np.zeros(rows, dtype=data.dtype)
    out[joined.places.rows] = data
    array = pa.array(out, mask=~ok)
    is_time = column is not None and pa.types.is_timestamp(
        joined.versions.shape.columns[column].type
    )
    return array.view(TIMESTAMP) if is_time and array.type == pa.int64() else array


def _version_values(joined: Joined, index: Ints, ok: np.ndarray, column: str) -> pa.Array:
    """Return the values of the chosen versions: numbers in their unit, other types as stored."""
    versions, declared = joined.versions, joined.versions.shape.columns[column]
    rows = np.zeros(len(ok), dtype=np.int64)
    rows[joined.places.rows] = index
    if not len(versions.rows):
        return pa.nulls(len(ok), declared.output_type)
    if not declared.is_ordered:
        return versions.array(column).take(pa.array(rows, mask=~ok))
    values = versions.values(column)
    valid = ok if values.valid is None else ok & values.valid[rows]
    data = values.data[rows]
    if declared.scale is not None:
        data = quantity(data.astype(np.int64, copy=False), declared.scale)
    array = pa.array(np.where(valid, data, data.dtype.type(0)), mask=~valid)
    return array.view(TIMESTAMP) if pa.types.is_timestamp(declared.type) else array


def why_null(joined: Joined, output: Output, array: pa.Array) -> pa.Array:
    """Return the reason of each null value as a string; null for other rows (rule 13)."""
    reasons = np.full(len(array), "null entity", dtype=object)
    reason = np.full(joined.places.size, "all null", dtype=object)
    for name, mask in reversed(output.why()):
        reason[mask] = name
    reasons[joined.places.rows] = reason
    return pa.array(reasons, type=pa.string(), mask=np.asarray(array.is_valid()))
