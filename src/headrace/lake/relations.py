"""The files of a snapshot as a SELECT for DuckDB, which reads them out of core."""

from collections.abc import Sequence

from headrace.errors import StateError
from headrace.lake.plans import Column, Plan
from headrace.sql import ident, literal


def select_files(plan: Plan, columns: Sequence[str] | None, files: Sequence[str] | None) -> str:
    """A parenthesised SELECT of `columns` (all if None) over `files` (the plan's if None).

    Raises:
        StateError: a column is unknown.
    """
    chosen = _choose(plan, columns)
    read = [file.path for file in plan.files] if files is None else files
    if not read:
        empty = ", ".join(f"NULL::{c.type} AS {ident(c.name)}" for c in chosen)
        return f"(SELECT {empty} WHERE false)"
    names = ", ".join(ident(column.name) for column in chosen)
    paths = ", ".join(map(literal, read))
    fields = ", ".join(
        f"{c.field_id}: {{'name': {literal(c.name)}, 'type': {literal(c.type)},"
        " 'default_value': NULL}"
        for c in plan.columns
    )
    return f"(SELECT {names} FROM read_parquet([{paths}], schema = MAP {{{fields}}}))"  # noqa: S608


def _choose(plan: Plan, columns: Sequence[str] | None) -> list[Column]:
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
