"""DuckDB SELECT over the files of a snapshot, which need not fit in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.core.errors import StateError
from headrace.core.sql import ident, literal
from headrace.lake.tables.decimals import duckdb_type, integer_sql
from headrace.lake.tables.snapshot_files import SnapshotColumn, SnapshotPlan

if TYPE_CHECKING:
    import pyarrow as pa


def select_files(
    plan: SnapshotPlan, columns: Sequence[str] | None, files: Sequence[str] | None
) -> str:
    """Return a parenthesised SELECT of `columns` (default: all) over `files` (default: the plan's).

    Raises:
        StateError: a column is unknown.
    """
    selected = _choose(plan, columns)
    read = [file.path for file in plan.files] if files is None else files
    if not read:
        types = ((c, "BIGINT" if c.type.startswith("DECIMAL") else c.type) for c in selected)
        empty = ", ".join(f"NULL::{kind} AS {ident(c.name)}" for c, kind in types)
        return f"(SELECT {empty} WHERE false)"
    return "(" + " UNION ALL ".join(_read(selected, part) for part in _by_types(plan, read)) + ")"


def _read(
    selected: Sequence[SnapshotColumn], part: tuple[tuple[SnapshotColumn, ...], list[str]]
) -> str:
    """Return a SELECT over files whose columns have the same types."""
    columns, files = part
    types = {column.name: column.type for column in columns}
    names = ", ".join(integer_sql(column.name, types[column.name]) for column in selected)
    paths = ", ".join(map(literal, files))
    fields = ", ".join(
        f"{c.field_id}: {{'name': {literal(c.name)}, 'type': {literal(c.type)},"
        " 'default_value': NULL}"
        for c in columns
    )
    return f"SELECT {names} FROM read_parquet([{paths}], schema = MAP {{{fields}}})"  # noqa: S608


def _by_types(
    plan: SnapshotPlan, files: Sequence[str]
) -> Iterator[tuple[tuple[SnapshotColumn, ...], list[str]]]:
    """Group files by the types of their columns, which may differ in files of other snapshots."""
    plan_files = {file.path for file in plan.files}
    groups: dict[tuple[SnapshotColumn, ...], list[str]] = {}
    for path in files:
        columns = plan.columns if path in plan_files else _columns_of(plan, path)
        groups.setdefault(columns, []).append(path)
    yield from groups.items()


def _columns_of(plan: SnapshotPlan, path: str) -> tuple[SnapshotColumn, ...]:
    """Return the plan's columns with their types in a file of another snapshot."""
    import pyarrow.parquet as pq

    kinds = {
        int(field.metadata[b"PARQUET:field_id"]): field.type
        for field in pq.read_schema(path)
        if field.metadata
    }
    return tuple(_as_in(column, kinds.get(column.field_id)) for column in plan.columns)


def _as_in(column: SnapshotColumn, kind: "pa.DataType | None") -> SnapshotColumn:
    """Return the column; with the type in the file, `kind`, if only one of both is DECIMAL."""
    decimal = duckdb_type(kind)
    if kind is None or bool(decimal) == column.type.startswith("DECIMAL"):
        return column
    return replace(column, type=decimal or "BIGINT")


def _choose(plan: SnapshotPlan, columns: Sequence[str] | None) -> list[SnapshotColumn]:
    if columns is None:
        return list(plan.columns)
    by_name = {column.name: column for column in plan.columns}
    unknown = [name for name in columns if name not in by_name]
    if unknown:
        raise StateError(
            f"table {plan.table} has no column {', '.join(unknown)}",
            where=f"snapshot {plan.snapshot_id}",
            fix=f"it has: {', '.join(by_name)}",
        )
    return [by_name[name] for name in columns]
