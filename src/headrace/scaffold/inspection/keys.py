"""Whether the named key tells the rows apart, and which one would."""

from collections.abc import Sequence

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.scaffold.answers import Ask


def check_key(table: pa.Table, ask: Ask) -> None:
    """Refuse a key that two different rows share; rows that repeat whole are dropped anyway.

    Raises:
        DeclarationError: with a key that would do, if one or two more columns make one.
    """
    rows = table.group_by(table.column_names).aggregate([])
    doubled = rows.num_rows - _distinct(rows, ask.key)
    if not doubled:
        return
    better = _better(rows, ask)
    raise DeclarationError(
        f"{doubled} rows have the key of another",
        where=" ".join(f"--key {name}" for name in ask.key),
        fix="these tell all rows apart: " + " ".join(f"--key {name!r}" for name in better)
        if better
        else "name the columns that identify a row; if there are none, number the rows of the file",
    )


def _better(rows: pa.Table, ask: Ask) -> list[str] | None:
    """The key with one or two more columns that makes it one; time and entity are tried first."""
    likely = [*ask.time_columns(rows.column_names), *ask.entity]
    others = [name for name in rows.column_names if name not in ask.key]
    others.sort(key=lambda name: name not in likely)
    pairs = [[other, two] for other in others[:4] for two in others[:8] if other != two]
    for more in [*([name] for name in others), *pairs]:
        if _distinct(rows, [*ask.key, *more]) == rows.num_rows:
            return [*ask.key, *more]
    return None


def _distinct(rows: pa.Table, names: Sequence[str]) -> int:
    return int(rows.group_by(list(names)).aggregate([]).num_rows)
