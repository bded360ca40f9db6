"""Samples of failing rows as JSON values, limited to `SAMPLE` rows per check."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import pyarrow as pa

from headrace.contracts import Violation
from headrace.core.arrow_numpy import to_column
from headrace.core.clock import iso, to_us
from headrace.gates.checks.column_context import Scalar
from headrace.gates.contract_units import in_units
from headrace.gates.plan import Rows

SAMPLE = 20


def plain(value: object) -> Scalar:
    """Convert `value` to JSON: timestamps to RFC 3339 text in UTC, non-finite numbers to text."""
    if isinstance(value, datetime):
        return iso(to_us(value))
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool | list):
        return value
    return str(value)


def plain_values(
    row: Mapping[str, Any], names: Sequence[str], scales: Mapping[str, int]
) -> dict[str, Scalar]:
    """Convert stored values of a row to JSON values in the contract's units."""
    return {name: plain(in_units(row[name], scales.get(name, 0))) for name in names}


def sample_rows(
    table: pa.Table,
    rows: Rows,
    keys: Sequence[str],
    columns: Sequence[str],
    scales: Mapping[str, int],
) -> tuple[Mapping[str, Any], ...]:
    """Return the first failing rows: {"line", "key": {..}, "values": {other columns}}.

    Values are in the contract's units; `scales` are the decimal digits of scaled columns.
    """
    if not len(rows):
        return ()
    available = set(table.schema.names)
    keys = [name for name in keys if name in available]
    value_names = [name for name in columns if name in available and name not in keys]
    selected = dict.fromkeys(["_line", *keys, *value_names])
    picked = table.select([n for n in selected if n in available]).take(to_column(rows[:SAMPLE]))
    return tuple(
        {
            "line": row.get("_line"),
            "key": plain_values(row, keys, scales),
            "values": plain_values(row, value_names, scales),
        }
        for row in picked.to_pylist()
    )


def violation_samples(violations: Sequence[Violation]) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {"line": v.line, "field": v.field, "expected": v.expected, "got": v.got}
        for v in violations[:SAMPLE]
    )
