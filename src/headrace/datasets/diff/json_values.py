"""Cells as JSON values."""

import datetime as dt
from collections.abc import Sequence
from math import isfinite
from typing import Any

import pyarrow as pa

from headrace.core.clock import iso, to_us
from headrace.datasets.diff.model import Row


def shown(value: object) -> Any:  # noqa: ANN401 - a JSON value
    """A moment in RFC 3339, a date in ISO 8601, bytes in hex, what is not finite as text."""
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
    return shown(table.column(column)[place].as_py())


def row(table: pa.Table, place: int, key: Sequence[str]) -> Row:
    """A row of a table that has the key, `t` and `split`."""
    named = {name: cell(table, place, name) for name in key}
    return Row(named, cell(table, place, "t"), cell(table, place, "split"))
