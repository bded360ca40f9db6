"""Values of a database as JSON can hold them exactly."""

import math
import uuid
from datetime import date, datetime, time
from decimal import Decimal

from headrace.core.clock import iso, to_us
from headrace.core.files import canonical_json

Value = str | int | float | bool | None
Row = dict[str, Value]


class NotPlainError(TypeError):
    """A value of a type that has no exact text; the message is the type's name."""


def plain(value: object) -> Value:
    """Moments in UTC, decimals and ids as their text, JSON documents as JSON text.

    Raises:
        NotPlainError: the value is not text, a number, a boolean or a time.
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
    """Order within a type and between types, the same on every database and collation."""
    return ("", 0) if value is None else (type(value).__name__, value)


def ndjson(rows: "list[Row]") -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)
