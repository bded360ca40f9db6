"""Versions of one primary key: merge new rows, sort them, and find when each is superseded."""

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import NEVER, Ints
from headrace.features.kernel.row_content import Cell, content_bytes
from headrace.serving.online.layout import (
    COMMIT,
    DEAD,
    KNOWN_AT,
    ROW_E,
    ROW_FLAGS,
    ROW_SEQ,
    TableLayout,
)
from headrace.serving.online.stores.port import Reader
from headrace.serving.online.text_hash import text_key


def seen_until(versions: Ints) -> Ints:
    """Return for each sorted version the time at which a later version becomes visible.

    NEVER for the last version.
    """
    until = np.full(len(versions), NEVER, dtype=np.int64)
    until[:-1] = np.minimum.accumulate(versions[:0:-1, COMMIT])[::-1]
    return until


def merged(
    reader: Reader, form: TableLayout, blob: bytes | None, fresh: Ints
) -> tuple[Ints, Ints | None]:
    """Merge `fresh` rows into a key's stored versions (`blob`).

    If a row arrives twice, the time at which it was first usable is kept.

    Returns:
        The stored versions, and the merged versions (None if the merge changes nothing).
    """
    old = np.frombuffer(blob or b"", np.int64).reshape(-1, form.width)
    earliest: dict[bytes, Ints] = {}
    for row in (*old, *fresh):
        normalised = row.copy()
        normalised[COMMIT] = 0
        name = normalised.tobytes()
        if name not in earliest or earliest[name][COMMIT] > row[COMMIT]:
            earliest[name] = row
    versions = _ordered(reader, form, list(earliest.values()))
    return old, None if versions.tobytes() == blob else versions


def _ordered(reader: Reader, form: TableLayout, rows: list[Ints]) -> Ints:
    """Sort by (known_at, sequence, content): rule 5."""
    marks = [(int(row[KNOWN_AT]), int(row[ROW_SEQ])) for row in rows]
    if len(set(marks)) == len(marks):
        order = sorted(range(len(rows)), key=marks.__getitem__)
    else:
        contents = [content_of(reader, form, row) for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (marks[i], contents[i]))
    return np.array([rows[i] for i in order], dtype=np.int64)


def content_of(reader: Reader, form: TableLayout, row: Ints) -> bytes:
    """Return the row's content as bytes, which break ties between versions (rule 6)."""
    cells = {name: cell(reader, form, row, name) for name in form.columns}
    return content_bytes({**cells, "event_time": int(row[ROW_E]), "_deleted": bool(row[DEAD])})


def cell(reader: Reader, form: TableLayout, row: Ints, column: str) -> Cell:
    """Return a stored value; times as int microseconds, scaled numbers as integers."""
    word, mask = form.flag(column)
    if not int(row[ROW_FLAGS + word]) & mask:
        return None
    value, kind = row[form.word(column)], form.shape.columns[column].type
    if pa.types.is_string(kind):
        return (reader.get(text_key(int(value))) or b"").decode()
    if pa.types.is_boolean(kind):
        return bool(value)
    return float(value.view(np.float64)) if pa.types.is_float64(kind) else int(value)
