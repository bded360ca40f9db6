"""Exact conversion of typed columns to text, from which contracts parse them."""

import pyarrow as pa
import pyarrow.compute as pc


def as_texts(table: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """Convert columns to strings; return them and {column that cannot be converted: reason}.

    Timestamps with a time zone become UTC text ending in Z; those without keep their local time.
    Floats become the shortest text that parses to the same value.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    unreadable: dict[str, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns[name] = text_of(column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            unreadable[name] = f"{column.type}: {str(error).splitlines()[0][:120]}"
    return pa.table(columns), unreadable


def text_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert a column to strings.

    Raises:
        pa.ArrowInvalid, pa.ArrowNotImplementedError or pa.ArrowTypeError: if it has nested values
            or bytes that are not UTF-8.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return text_of(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return _moments(column)
    if pa.types.is_nested(kind):
        raise pa.ArrowNotImplementedError("nested values have no column of their own")
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    return column.cast(pa.string())


def _moments(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type.tz is None:
        return pc.strftime(column, format="%Y-%m-%d %H:%M:%S")
    utc = column.cast(pa.timestamp(column.type.unit, "UTC"))
    return pc.strftime(utc, format="%Y-%m-%dT%H:%M:%SZ")
