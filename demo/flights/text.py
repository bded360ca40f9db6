"""Rows as lines of text, made column by column; numbers keep the text of the source."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

QUOTED = frozenset({"carrier", "origin", "dest", "tailnum", "time_hour"})  # text in JSON


def json_lines(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return each row as a JSON object and a line end."""
    parts: list[object] = []
    for column in columns:
        parts += [f'{"," if parts else "{"}"{column}":', _json(table, column)]
    return _joined([*parts, "}\n"])


def csv_lines(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return each row as comma-separated values and a line end, with NA for null."""
    parts: list[object] = []
    for column in columns:
        parts += [",", pc.fill_null(_plain(table, column), "NA")]
    return _joined([*parts[1:], "\n"])


def text_of(lines: pa.Array, start: int, stop: int) -> bytes:
    """Return the bytes of the lines [start, stop)."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return bytes(lines.buffers()[2][offsets[start] : offsets[stop]])


def _joined(parts: Iterable[object]) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _json(table: pa.Table, column: str) -> pa.Array:
    values = _plain(table, column)
    if column in QUOTED:
        values = _joined(['"', values, '"'])
    return pc.fill_null(values, "null")


def _plain(table: pa.Table, column: str) -> pa.Array:
    """Return a column; raise ValueError if a value would need quoting or escaping."""
    values = table[column].combine_chunks()
    if pc.any(pc.match_substring_regex(values, r'[",\\\s[:cntrl:]]')).as_py():
        raise ValueError(f"column {column} holds text that would need quoting; add it")
    return values
