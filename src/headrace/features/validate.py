"""Validation of feature declarations against their tables' contracts, when a pipeline loads."""

from collections.abc import Sequence

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.features.canonical import definition_hash
from headrace.features.kernel.filters import stored_value
from headrace.features.output_types import default_values, output_types, request_defaults
from headrace.features.spec import (
    SUMMED,
    Aggregate,
    Filter,
    Label,
    Lookup,
    RowTransform,
    Spine,
    View,
    conditions,
)
from headrace.features.table_shapes import (
    Column,
    Contracts,
    Shapes,
    TableShape,
    shape_for,
    shapes_of,
)
from headrace.features.transforms import output_type, prove_row_local

Types = dict[str, pa.DataType]
_INT64_END = 2**63
_LIMBS_END = 2**24
_EXACT = 2**53


def validate(
    views: Sequence[View],
    contracts: Contracts,
    spine: Spine,
    label: Label | None = None,
) -> dict[str, pa.DataType]:
    """Check all definitions together; return the Arrow types of the views' output columns in order.

    Raises:
        DeclarationError: a definition is invalid.
    """
    shapes = shapes_of(contracts)
    types = spine_types(spine, shapes)
    outputs: Types = {}
    _refuse_views(views)
    for view in views:
        view_types = _view_types(view, shapes, types, {**types, **outputs})
        _refuse_duplicates(view_types, {**types, **outputs}, f"view {view.name}")
        definition_hash(view, contracts)
        outputs.update(view_types)
    if label is not None:
        _check_label(label, shapes, types)
        existing = {**types, **outputs}
        _refuse_duplicates(dict.fromkeys(label.outputs, pa.null()), existing, f"label {label.name}")
    return outputs


def validate_unread(views: Sequence[View], contracts: Contracts) -> None:
    """Check views that no dataset reads: their tables, entities and columns, but no spine.

    Raises:
        DeclarationError: a definition is invalid.
    """
    shapes = shapes_of(contracts)
    _refuse_views(views)
    for view in views:
        if isinstance(view, RowTransform):
            continue
        where = f"{'lookup' if isinstance(view, Lookup) else 'view'} {view.name}"
        shape = _keyed(shapes, view.table, where)
        entity = {name: shape.column(name, where).type for name in view.entity}
        _view_types(
            view, shapes, dict(zip(view.spine_entity, entity.values(), strict=True)), entity
        )
        definition_hash(view, contracts)


def _refuse_views(views: Sequence[View]) -> None:
    """Raise DeclarationError for a value that is not a view, or two views with the same name."""
    if not isinstance(views, Sequence):
        raise DeclarationError(
            f"{views!r} is not a sequence of views", where="the views", fix="write a tuple of them"
        )
    names: set[str] = set()
    for number, view in enumerate(views):
        if not isinstance(view, View):
            raise DeclarationError(
                f"{view!r} is not a view",
                where=f"number {number} of the views",
                fix="declare a FeatureView, Lookup or RowTransform",
            )
        if view.name in names:
            raise DeclarationError(
                f"two views are called {view.name!r}",
                where=f"number {number} of the views",
                fix="choose another name, or merge the two views",
            )
        names.add(view.name)


def spine_types(spine: Spine, shapes: Shapes) -> Types:
    """Check a spine; return the Arrow types of the columns that `build_spine` returns."""
    shape = _keyed(shapes, spine.table, "spine")
    if spine.offset < 0 and shape.kind != "planned":
        raise DeclarationError(
            f"at_offset is {spine.at_offset}, but only planned rows are known before their event",
            where=f"Spine({spine.table!r}), a table of kind {shape.kind}",
            fix='use a table of kind planned, or an offset of at least "0s"',
        )
    request_defaults(spine, shape)
    names = (*shape.primary_key, *spine.columns)
    if "t" in names:
        raise DeclarationError(
            "a spine already has a column 't', the prediction time",
            where=f"Spine({spine.table!r})",
            fix="rename that column in the table's contract",
        )
    return {name: shape.column(name, "spine").type for name in names} | {"t": pa.int64()}


def _keyed(shapes: Shapes, table: str, where: str) -> TableShape:
    shape = shape_for(shapes, table, where)
    if not shape.primary_key:
        raise DeclarationError(
            f"table {table} has no primary key, so versions of a row cannot be recognised",
            where=where,
            fix="declare one in its contract: primaryKey and primaryKeyPosition of its columns",
        )
    return shape


def _refuse_duplicates(added: Types, existing: Types, where: str) -> None:
    duplicates = [name for name in added if name in existing]
    if duplicates:
        raise DeclarationError(
            f"the frame already has a column {duplicates[0]!r}",
            where=where,
            fix="choose another name",
        )


def _view_types(view: View, shapes: Shapes, spine: Types, available: Types) -> Types:
    if isinstance(view, RowTransform):
        return {view.name: _check_transform(view, available)}
    where = f"{'lookup' if isinstance(view, Lookup) else 'view'} {view.name}"
    shape = _keyed(shapes, view.table, where)
    _check_entity(view.entity, view.spine_entity, shape, spine, where)
    if isinstance(view, Lookup):
        kinds = [shape.column(name, where).output_type for name in view.columns]
        default_values(view, shape, where)
    else:
        kinds = [
            kind
            for feature in view.features
            for kind in _check_feature(feature, shape, f"{where}, feature {feature.name}")
        ]
    return dict(zip(view.outputs, kinds, strict=True))


def _check_entity(
    entity: Sequence[str], spine_entity: Sequence[str], shape: TableShape, spine: Types, where: str
) -> None:
    for name, spine_name in zip(entity, spine_entity, strict=True):
        kind = shape.column(name, where).type
        if spine_name not in spine:
            raise DeclarationError(
                f"the spine has no column {spine_name!r}",
                where=where,
                fix=f"add it to the spine's columns, or map {name!r} to one of: {', '.join(spine)}",
            )
        if kind != spine[spine_name] or pa.types.is_float64(kind):
            raise DeclarationError(
                f"{shape.name}.{name} is {kind}, the spine's {spine_name} is {spine[spine_name]}",
                where=where,
                fix="give the entity the same type on both sides, which must not be a float",
            )


def _check_feature(feature: Aggregate, shape: TableShape, where: str) -> tuple[pa.DataType, ...]:
    if feature.window.b > 0 and shape.kind != "planned":
        raise DeclarationError(
            f"the window ends {feature.window.end} after t; {shape.name} is not a planned table",
            where=where,
            fix='end it at "0s", or use a table of kind planned',
        )
    _check_filter(feature.where, shape, where)
    columns = [shape.column(name, where) for name in feature.columns]
    if feature.op in SUMMED:
        _prove_exact(feature, columns[0], shape, where)
    if feature.op in {"min", "max"} and not columns[0].is_ordered:
        raise DeclarationError(
            f"{feature.op} of {columns[0].type} is not defined",
            where=where,
            fix="use a number or a timestamp; first and last take any type",
        )
    default_values(feature, shape, where)
    return output_types(feature, shape, where)


def _check_filter(where: Filter, shape: TableShape, place: str) -> None:
    for condition in conditions(where):
        column_name = condition.column
        column = shape.column(column_name, f"{place}, its filter")
        many = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        for value in many:
            stored_value(value, column.type, column.scale, f"{place}, its filter on {column_name}")
        if condition.op in {"<", "<=", ">", ">="} and not column.is_ordered:
            raise DeclarationError(
                f"{condition.op} cannot compare {column.type} values",
                where=f"{place}, its filter on {condition.column}",
                fix="compare numbers or timestamps; for texts use == or in",
            )


def _prove_exact(feature: Aggregate, column: Column, shape: TableShape, where: str) -> None:
    """Raise DeclarationError if a sum is not of integers or could overflow int64 (rules 14, 16)."""
    if not column.is_integer:
        is_float = pa.types.is_float64(column.type)
        why = ": float sums depend on the order of rows" if is_float else ", not a number"
        raise DeclarationError(
            f"{feature.op} of {shape.name}.{feature.column}, which is {column.type}{why}",
            where=where,
            fix=f"declare a decimal scale for {feature.column} in the contract"
            if is_float
            else "count, first, last and distinct take any type",
        )
    if column.max_abs is None or shape.max_events is None:
        missing = "max_abs of the column" if column.max_abs is None else "max_events of the table"
        raise DeclarationError(
            f"the contract does not ensure that {feature.op} of {feature.column} fits int64",
            where=where,
            fix=f"declare {missing} in the contract of {shape.name}",
        )
    n, largest, d = shape.max_events, column.max_abs, column.scale or 0
    too_large = _too_large(feature, n, largest, d)
    if too_large:
        # With one digit less, the limit of the stored integers is a tenth as large, rounded up.
        smaller = (
            fewer
            for fewer in range(d - 1, -1, -1)
            if not _too_large(feature, n, -(-largest // 10 ** (d - fewer)), fewer)
        )
        fitting = next(smaller, None)
        raise DeclarationError(
            f"{too_large} can exceed int64: max_abs {largest}, max_events {n}, scale {d}",
            where=where,
            fix=f"declare scale {fitting} for {feature.column}, the greatest that fits, or lower"
            f" maxAbs or maxEvents, in the contract of {shape.name}"
            if fitting is not None
            else f"lower maxAbs or maxEvents in the contract of {shape.name}: no scale fits",
        )


def _too_large(feature: Aggregate, n: int, largest: int, d: int) -> str:
    """Return the name of the first quantity that can overflow int64; empty if none can."""
    limits = {"|S1|": n * largest, "n 10^d": n * 10**d, "|q|": largest * (_INT64_END // _EXACT)}
    if feature.op == "std" and n * largest * largest >= _INT64_END:
        limits["n, for squares"] = n * (_INT64_END // _LIMBS_END)
    return next((what for what, greatest in limits.items() if greatest >= _INT64_END), "")


def _check_transform(transform: RowTransform, available: Types) -> pa.DataType:
    unknown = [name for name in transform.inputs if name not in available]
    if unknown:
        raise DeclarationError(
            f"there is no column {unknown[0]!r} to read",
            where=f"row transform {transform.name}",
            fix=f"use a spine column or a feature declared before it: {', '.join(available)}",
        )
    kind = output_type(transform)
    prove_row_local(transform, [available[name] for name in transform.inputs])
    return kind


def _check_label(label: Label, shapes: Shapes, spine: Types) -> None:
    where = f"label {label.name}"
    shape = _keyed(shapes, label.table, where)
    _check_entity(label.key, label.spine_key, shape, spine, where)
    for name in label.columns:
        shape.column(name, where)
    if label.status is not None and shape.column(label.status, where).type != pa.string():
        raise DeclarationError(
            f"status {label.status!r} is {shape.columns[label.status].type}",
            where=where,
            fix="the status is a text column",
        )
