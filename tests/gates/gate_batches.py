"""A small contract, suites over it, and conformed batches to judge."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.contracts import Conformed, Contract, Invariant, RowProblem, Violation
from headrace.contracts.model import TIMESTAMP, Field, Sql, TimeRule
from headrace.gates import Suite, parse_suite

TIME = TimeRule(Sql("at"), "as delivered")


def _field(name: str, kind: str, number: int, key: int | None = None) -> Field:
    return Field(name, kind, number, "a field", "public", primary_key_position=key)


def contract(*invariants: Invariant) -> Contract:
    """trips(id, town, miles, at), keyed by id."""
    return Contract(
        table="trips",
        version="1.0.0",
        kind="event",
        status="active",
        description="trips",
        grain="a row a trip",
        owner="depot",
        consumers=(),
        licence="CC0-1.0",
        purposes=("tests",),
        privacy="public",
        columns=(
            _field("id", "integer", 10, 1),
            _field("town", "string", 11),
            _field("miles", "number", 12),
            _field("at", "timestamp", 13),
        ),
        sequence=None,
        event_time=TIME,
        known_at=TIME,
        invariants=invariants,
        coverage=None,
        max_events=None,
        null_tokens=("",),
        hash=f"contract {invariants}",
        meaning_hash=f"contract {invariants}",
        path=Path("trips.yaml"),
    )


def suite(*expectations: dict[str, Any], **meta: Any) -> Suite:
    return parse_suite(
        {
            "name": "yard.trips",
            "meta": {"table": "trips", **meta},
            "expectations": list(expectations),
        }
    )


def expect(
    kind: str, /, severity: str = "critical", meta: Any = None, **kwargs: Any
) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity, "meta": meta or {}}


def rows(*trips: tuple[Any, Any, Any]) -> pa.Table:
    """(id, town, miles) each, from line 2 on, a minute apart."""
    moments = [60_000_000 * number for number in range(len(trips))]
    columns = {
        "id": [trip[0] for trip in trips],
        "town": [trip[1] for trip in trips],
        "miles": [trip[2] for trip in trips],
        "at": pa.array(moments, TIMESTAMP),
        "event_time": pa.array(moments, TIMESTAMP),
        "known_at": pa.array(moments, TIMESTAMP),
        "_batch": ["batch"] * len(trips),
        "_line": range(2, 2 + len(trips)),
    }
    return pa.table(columns, schema=contract().arrow_schema())


def conformed(
    table: pa.Table | None,
    *,
    violations: tuple[Violation, ...] = (),
    bad_rows: tuple[RowProblem, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Conformed:
    count = 0 if table is None else table.num_rows
    return Conformed(table, violations, len(violations), bad_rows, warnings, 0, count)
