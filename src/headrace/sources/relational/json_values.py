"""Exact conversion of database values to JSON values."""

import math
import uuid
from datetime import date, datetime, time
from decimal import Decimal

from headrace.core.clock import iso, to_us
from headrace.core.files import canonical_json

Value = str | int | float | bool | None
Row = dict[str, Value]


class NotPlainError(TypeError):
    """Error for a value whose type has no exact JSON form; the message is the type's name."""


def plain(value: object) -> Value:
    """Convert a database value to a JSON value.

    Timestamps with a time zone become ISO text in UTC, other dates and times ISO text, decimals
    and UUIDs their text, JSON documents JSON text.

    Raises:
        NotPlainError: if the value has another type, such as bytes.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime) and value.tzinfo:
        return iso(to_us(value))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, dict | list):
        return canonical_json(value).decode()
    raise NotPlainError(type(value).__name__)


def rank(value: Value) -> tuple[str, Value]:
    """Return a sort key for values of any type, independent of database and collation."""
    return ("", 0) if value is None else (type(value).__name__, value)


def ndjson(rows: "list[Row]") -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)
