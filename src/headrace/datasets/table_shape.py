"""Layout of a released table: roles, order and dtypes of columns, row order, statistics."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.dtypes import TYPES
from headrace.datasets.hashing.content_hash import canonical_type
from headrace.datasets.manifest import ManifestColumn
from headrace.datasets.spec import DatasetSpec

_ORDER = ("key", "time", "spine", "feature", "label", "split")
_NUMERIC = ("int64", "float64", "bool")


def columns_of(
    spec: DatasetSpec, schema: pa.Schema, views: Collection[str]
) -> tuple[ManifestColumn, ...]:
    """Columns of a release in their fixed order: key, t, spine, features, label, split.

    Spine, feature and label columns are each sorted by name, whatever their order in the frame.
    """
    needed = {*spec.key, "t", *spec.label.columns, "label_reason"}
    if missing := sorted(needed - set(schema.names)):
        raise DeclarationError(
            f"the frame lacks the columns {missing}",
            where=f"dataset {spec.name}",
            fix=f"it has {', '.join(schema.names)}",
        )
    features = _feature_names(schema.names, views)
    columns = [
        ManifestColumn(
            field.name, canonical_type(field.type, field.name), _role(spec, field.name, features)
        )
        for field in schema
        if field.name not in {"label_reason", "split", "t"}
    ]
    columns += [
        ManifestColumn("t", "timestamp", "time"),
        ManifestColumn("split", "string", "split"),
    ]
    return tuple(sorted(columns, key=lambda column: _position(spec, column)))


def _position(spec: DatasetSpec, column: ManifestColumn) -> tuple[int, int, str]:
    place = spec.key.index(column.name) if column.role == "key" else 0
    return _ORDER.index(column.role), place, column.name


def _role(spec: DatasetSpec, name: str, features: Collection[str]) -> str:
    if name in spec.key:
        return "key"
    if name in spec.label.columns:
        return "label"
    return "feature" if name in features else "spine"


def _feature_names(names: Sequence[str], views: Collection[str]) -> set[str]:
    """Names of feature columns: `<view>__<name>`, or `<view>` for a row transform.

    A view may have the same name as a spine column. So if there is a column `dest__late`, then
    `dest` is a spine column and not a feature.
    """
    viewed = {name for name in names if "__" in name and name.split("__", maxsplit=1)[0] in views}
    windowed = {name.split("__", maxsplit=1)[0] for name in viewed}
    return viewed | {name for name in names if name in views and name not in windowed}


def shaped(
    table: pa.Table,
    columns: tuple[ManifestColumn, ...],
    order: list[str],
    places: npt.NDArray[np.int64] | None = None,
) -> pa.Table:
    """Return `table` with exactly these columns and dtypes, rows sorted by `order`, in one chunk.

    With `places` (row numbers), take only these rows. Each row is copied only once.
    """
    cast = {column.name: table.column(column.name).cast(TYPES[column.type]) for column in columns}
    fixed = pa.table(cast)
    if places is None:
        places = np.arange(fixed.num_rows)
    keys = fixed.select(order).take(pa.array(places))
    sorted_ = pc.sort_indices(keys, [(name, "ascending") for name in order])
    ordered = fixed.take(pa.array(places).take(sorted_))
    return ordered.combine_chunks().replace_schema_metadata(None)


def statistics(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Rows, nulls, min, max and mean of each column; statistics that do not apply are null."""
    return {name: _column_statistics(table.column(name)) for name in table.column_names}


def _column_statistics(column: pa.ChunkedArray) -> dict[str, Any]:
    numeric = canonical_type(column.type) in _NUMERIC
    bounds = {"min": None, "max": None} if column.type == pa.binary() else _bounds(column)
    mean = pc.mean(column).as_py() if numeric else None
    numbers = {**bounds, "mean": None if mean is None else float(f"{mean:.12g}")}
    return {
        "rows": len(column),
        "nulls": column.null_count,
        **{name: _plain(value) for name, value in numbers.items()},
    }


def _bounds(column: pa.ChunkedArray) -> dict[str, Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    bounds: dict[str, Any] = pc.min_max(column).as_py()
    return bounds


def _plain(value: object) -> object:
    """A value as JSON; NaN and infinity, which JSON lacks, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
