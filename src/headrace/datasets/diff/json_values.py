"""Conversion of cells and rows to JSON values."""

import datetime as dt
from collections.abc import Sequence
from math import isfinite
from typing import Any

import pyarrow as pa

from headrace.core.clock import iso, to_us
from headrace.datasets.diff.model import Row


def json_value(value: object) -> Any:  # noqa: ANN401 - a JSON value
    """A cell as JSON: moments in RFC 3339, dates in ISO 8601, bytes in hex, NaN as text."""
    if isinstance(value, dt.datetime):
        return iso(to_us(value)) if value.tzinfo else value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def cell(table: pa.Table, place: int, column: str) -> Any:  # noqa: ANN401 - a JSON value
    return json_value(table.column(column)[place].as_py())


def row(table: pa.Table, place: int, key: Sequence[str]) -> Row:
    """A row of a table that has the key, `t` and `split`."""
    key_cells = {name: cell(table, place, name) for name in key}
    return Row(key_cells, cell(table, place, "t"), cell(table, place, "split"))
