"""Check that the user's key is unique, and search for a unique one if it is not."""

from collections.abc import Sequence

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.scaffold.answers import Ask


def check_key(table: pa.Table, ask: Ask) -> None:
    """Check that no two different rows share a key; exact duplicates are dropped anyway.

    Raises:
        DeclarationError: if there is no key, or it is not unique. It suggests a unique key if one
            or two more columns suffice.
    """
    rows = table.group_by(table.column_names).aggregate([])
    if not ask.key:
        names = _unique_extension(rows, ask) or rows.column_names[:1]
        example = " ".join(f"--key {name!r}" for name in names)
        raise DeclarationError(
            "no primary key: name the columns that together identify a row",
            where=f"{ask.data}, columns {', '.join(rows.column_names)}",
            fix=f"add --key once for each of these columns, such as {example}",
        )
    duplicates = rows.num_rows - _distinct(rows, ask.key)
    if not duplicates:
        return
    better = _unique_extension(rows, ask)
    raise DeclarationError(
        f"the key is not unique; rows that repeat another row's key: {duplicates}",
        where=" ".join(f"--key {name}" for name in ask.key),
        fix="these columns identify every row: " + " ".join(f"--key {name!r}" for name in better)
        if better
        else "name the columns that identify a row; if there are none, number the rows of the file",
    )


def _unique_extension(rows: pa.Table, ask: Ask) -> list[str] | None:
    """Add one or two columns to the key, so that it is unique.

    Time and entity come first, or last if there is no key yet. Return None if no such columns
    exist.
    """
    likely = [*ask.time_columns(rows.column_names), *ask.entity]
    candidates = [name for name in rows.column_names if name not in ask.key]
    candidates.sort(key=lambda name: (name in likely) is not bool(ask.key))
    pairs = [[other, two] for other in candidates[:4] for two in candidates[:8] if other != two]
    for extra in [*([name] for name in candidates), *pairs]:
        if _distinct(rows, [*ask.key, *extra]) == rows.num_rows:
            return [*ask.key, *extra]
    return None


def _distinct(rows: pa.Table, names: Sequence[str]) -> int:
    return int(rows.group_by(list(names)).aggregate([]).num_rows)
