"""Arrow types of a release, by their names in a manifest."""

from collections.abc import Iterable

import pyarrow as pa

from headrace.core.errors import StateError
from headrace.datasets.manifest import ManifestColumn

TYPES = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "string": pa.string(),
    "local_timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "binary": pa.binary(),
}


def schema_of(columns: Iterable[ManifestColumn]) -> pa.Schema:
    """Arrow schema of the columns. Raises StateError for a dtype unknown to this Headrace."""
    fields = []
    for column in columns:
        if column.type not in TYPES:
            raise StateError(
                f"column {column.name!r} has dtype {column.type!r}, unknown to this Headrace",
                fix="upgrade headrace",
            )
        fields.append(pa.field(column.name, TYPES[column.type]))
    return pa.schema(fields)
