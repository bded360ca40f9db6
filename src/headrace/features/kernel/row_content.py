"""Canonical bytes of a row's content, which break the last ties between versions (rule 6)."""

import math
from collections.abc import Mapping

from headrace.core.files import canonical_json

Cell = str | int | float | bool | None


def plain(value: Cell) -> Cell:
    """Normalise a value as all features do: -0 becomes +0, NaN becomes null."""
    if isinstance(value, float):
        return None if math.isnan(value) else value + 0.0
    return value


def content_bytes(row: Mapping[str, Cell]) -> bytes:
    """Return the canonical JSON bytes of a row.

    `row` has all contract columns, `event_time` and `_deleted`; timestamps are int microseconds.
    """
    return canonical_json({name: _json(plain(value)) for name, value in row.items()})


def _json(value: Cell) -> Cell:
    return repr(value) if isinstance(value, float) and math.isinf(value) else value
