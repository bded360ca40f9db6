"""Scaled columns in files: DECIMAL for other engines, int64 for Headrace.

A column of scale 2 is DECIMAL(18, 2) in staged, quarantined and published files, so that Spark,
Trino and DuckDB read 23.62. Parquet stores it as the int64 2362, with which Headrace computes.
Tables of Headrace 0.1.0 have BIGINT columns instead; each file's schema shows the type.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.core.files import move_into_place, temporary_beside
from headrace.core.sql import ident, literal

DECIMAL = "-decimal"  # suffix of the rewritten copy of a BIGINT file
DIGITS = 19  # fits any int64: quarantined values may exceed the contract's maximum


def to_decimals(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows with int64 columns as DECIMAL if they are DECIMAL in `schema`."""
    for place, column in enumerate(rows.schema):
        at = schema.get_field_index(column.name)
        kind = schema.field(at).type if at >= 0 else column.type
        if pa.types.is_decimal(kind) and pa.types.is_int64(column.type):
            chunks = [_decimals(chunk, kind) for chunk in rows.column(place).chunks]
            rows = rows.set_column(place, column.with_type(kind), pa.chunked_array(chunks, kind))
    return rows


def to_integers(rows: pa.Table) -> pa.Table:
    """Return the rows with DECIMAL columns as unscaled int64."""
    for place, column in enumerate(rows.schema):
        if pa.types.is_decimal(column.type):
            values = integers(rows.column(place))
            rows = rows.set_column(place, column.with_type(pa.int64()), values)
    return rows


def integer_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with int64 instead of DECIMAL."""
    return pa.schema(
        [f.with_type(pa.int64()) if pa.types.is_decimal(f.type) else f for f in schema]
    )


def integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a DECIMAL column as unscaled int64; any other column unchanged."""
    if not pa.types.is_decimal(column.type):
        return column
    return pa.chunked_array([_integers(chunk) for chunk in column.chunks], pa.int64())


def read_rows(path: Path | str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a staged, quarantined or published file, scaled numbers as int64."""
    return to_integers(pq.read_table(path, columns=columns))


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write rows to a file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    with writer(temporary, rows.schema) as file:
        file.write_table(rows)
    move_into_place(temporary, path)


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a Parquet writer with the settings of row files."""
    # Dictionaries help text only; numbers are smaller and written faster without them.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=texts,
        store_schema=False,
        store_decimal_as_integer=True,
    )


def fitted(path: Path, schema: pa.Schema) -> Path:
    """Return a file with the same rows, and with scaled columns in the types of `schema`.

    The file is `path` itself, or a copy if the types differ. A BIGINT file is kept beside its
    DECIMAL copy, because it may be part of an earlier snapshot.
    """
    decimal = any(pa.types.is_decimal(kind) for kind in schema.types)
    to = path.with_name(f"{path.stem}{DECIMAL}{path.suffix}") if decimal else path
    return to if rewritten_to(path, schema, to) else path


def before_rewrite(path: str) -> str:
    """Return the path that a file had before its scaled columns were rewritten as DECIMAL."""
    ending = f"{DECIMAL}.parquet"
    return f"{path.removesuffix(ending)}.parquet" if path.endswith(ending) else path


def rewritten(path: Path, schema: pa.Schema) -> bool:
    """Convert a file in place to the types of `schema`; return False if it has them already."""
    return rewritten_to(path, schema, path)


def rewritten_to(path: Path, schema: pa.Schema, to: Path) -> bool:
    """Copy a file to `to` with the types of `schema`; return False if it has them already."""
    with pq.ParquetFile(path) as file:
        current = file.schema_arrow
        target = pa.schema([_typed(field, schema) for field in current])
        if target.types == current.types:
            return False
        temporary = temporary_beside(to)
        with writer(temporary, target) as copy:
            for group in range(file.num_row_groups):
                copy.write_table(_as(file.read_row_group(group), target))
    move_into_place(temporary, to)
    return True


def integer_sql(name: str, kind: str) -> str:
    """Return SQL for a column, with scaled numbers as int64; `kind` is its DuckDB type."""
    if not kind.startswith("DECIMAL"):
        return ident(name)
    scale = int(kind.rstrip(")").rpartition(",")[2])
    wide = f"CAST({ident(name)} AS DECIMAL({DIGITS}, {scale}))"  # 18 digits would overflow
    power = f"CAST({10**scale} AS DECIMAL({scale + 1}, 0))"
    return f"CAST({wide} * {power} AS BIGINT) AS {ident(name)}"


def file_sql(path: Path | str, names: Sequence[str]) -> str:
    """Return a DuckDB SELECT of columns of a file, scaled numbers as int64."""
    types = {field.name: field.type for field in pq.read_schema(path)}
    columns = ", ".join(integer_sql(name, duckdb_type(types.get(name))) for name in names)
    return f"SELECT {columns} FROM read_parquet({literal(str(path))})"  # noqa: S608


def duckdb_type(kind: pa.DataType | None) -> str:
    """Return DuckDB's name of a DECIMAL type; "" for other types."""
    decimal = kind is not None and pa.types.is_decimal(kind)
    return f"DECIMAL({kind.precision},{kind.scale})" if kind is not None and decimal else ""


def _typed(field: pa.Field, schema: pa.Schema) -> pa.Field:
    """Return the field with its type in `schema`, if both types are DECIMAL or int64."""
    at = schema.get_field_index(field.name)
    target = schema.field(at).type if at >= 0 else field.type
    both = {pa.types.is_decimal(kind) or pa.types.is_int64(kind) for kind in (field.type, target)}
    return field.with_type(target) if both == {True} else field


def _as(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    return to_decimals(to_integers(rows), schema).cast(schema)


def _decimals(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return int64 values as DECIMAL: 128 bits each; the upper 64 bits are the sign."""
    numbers = np.asarray(array.fill_null(0))
    words = np.empty((len(numbers), 2), "<i8")
    words[:, 0], words[:, 1] = numbers, numbers >> 63
    valid = pc.is_valid(array).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(kind, len(numbers), [valid, pa.py_buffer(words)])


def _integers(array: pa.Array) -> pa.Array:
    words: Any = np.frombuffer(array.buffers()[1], "<i8").reshape(-1, 2)
    low = words[array.offset : array.offset + len(array), 0]
    mask = np.asarray(pc.is_null(array)) if array.null_count else None
    return pa.array(low, pa.int64(), mask=mask)
