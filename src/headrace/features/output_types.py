"""Arrow types and default values of a feature's outputs."""

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.features.kernel.filters import stored_value
from headrace.features.kernel.rounding import power
from headrace.features.spec import Aggregate, Lookup, Scalar, Spine
from headrace.features.table_shapes import TableShape

_FIXED = {
    "rows": pa.int64(),
    "count": pa.int64(),
    "distinct": pa.int64(),
    "mean": pa.float64(),
    "std": pa.float64(),
}


def output_types(feature: Aggregate, shape: TableShape, where: str) -> tuple[pa.DataType, ...]:
    """Return the Arrow type of each output of `feature`, in the order of `feature.names`."""
    kinds = tuple(shape.column(name, where).output_type for name in feature.columns)
    return (_FIXED[feature.op],) if feature.op in _FIXED else kinds


def default_values(
    feature: Aggregate | Lookup, shape: TableShape, where: str = ""
) -> tuple[Scalar | None, ...]:
    """Return the declared default of each output in its unit; None for outputs without a default.

    Timestamps become int microseconds. A scaled number is converted like stored values,
    fl(q) / fl(10^d).

    Raises:
        DeclarationError: a default has another type, or more digits than the column's scale.
    """
    if all(default is None for default in feature.defaults):
        return feature.defaults
    place = f"{where}, its default" if where else f"feature {feature.name}, its default"
    op = "" if isinstance(feature, Lookup) else feature.op
    return tuple(
        None if default is None else _default(op, default, column, shape, place)
        for column, default in zip(feature.columns, feature.defaults, strict=True)
    )


def _default(op: str, default: Scalar, name: str, shape: TableShape, where: str) -> Scalar:
    if op in {"mean", "std"}:
        return stored_value(default, pa.float64(), None, where)
    column = shape.column(name, where)
    stored = stored_value(default, column.type, column.scale, where)
    return stored if column.scale is None else float(stored) / power(column.scale)


def request_defaults(spine: Spine, shape: TableShape) -> dict[str, Scalar | None]:
    """Return the spine's defaults as the table stores them: scaled integers, int microseconds.

    Raises:
        DeclarationError: a default has another type, has more digits than the column's scale,
            exceeds the column's `max_abs`, or is for a column of the primary key.
    """
    stored_defaults: dict[str, Scalar | None] = {}
    for name, default in spine.defaults.items():
        where = f"Spine({spine.table!r}), its default for {name}"
        column = shape.column(name, where)
        if name in shape.primary_key:
            raise DeclarationError(
                f"{name} is part of the primary key, which every request must give",
                where=where,
                fix="leave out this default",
            )
        stored = None
        if default is not None:
            stored = stored_value(default, column.type, column.scale, where)
        if column.max_abs is not None and isinstance(stored, int) and abs(stored) > column.max_abs:
            raise DeclarationError(
                f"{default!r} exceeds the maxAbs that the contract of {shape.name} allows",
                where=where,
                fix="give a value that the column could hold",
            )
        stored_defaults[name] = stored
    return stored_defaults
