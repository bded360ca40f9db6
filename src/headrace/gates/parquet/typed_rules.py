"""Rules of a contract for files that are delivered in its published types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract, Field, Violation
from headrace.contracts.model import RESERVED
from headrace.core.sql import ident
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, Outcome, count_where
from headrace.gates.checks.column_context import Columns
from headrace.gates.plan import PlannedRule

_RESERVED = {name for name, _, _ in RESERVED}
_FITS: dict[str, Callable[[pa.DataType], bool]] = {
    "int64": pa.types.is_signed_integer,
    "double": pa.types.is_floating,
    "string": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "bool": pa.types.is_boolean,
    "timestamp[us, tz=UTC]": lambda kind: (
        pa.types.is_timestamp(kind) and kind.tz is not None and kind.unit in {"s", "ms", "us"}
    ),
}


def schema_violations(contract: Contract, schema: pa.Schema) -> tuple[Violation, ...]:
    """Return one violation for each missing or undeclared column and each wrong type."""
    violations = []
    for field in contract.fields:
        place = schema.get_field_index(field.name)
        if place < 0:
            if not field.may_be_absent:
                violations.append(_violation(field, "no such column"))
        elif not _FITS[str(field.arrow_type)](schema.field(place).type):
            violations.append(_violation(field, f"a column of {schema.field(place).type}"))
    declared = {field.name for field in contract.fields} | _RESERVED
    columns = ", ".join(field.name for field in contract.fields)
    violations += [
        Violation(name, None, f"one of the columns {columns}", f"undeclared column {name!r}")
        for name in schema.names
        if name not in declared
    ]
    return tuple(violations)


def _violation(field: Field, actual: str) -> Violation:
    expected = f"column {field.name!r} as {field.arrow_type} ({field.form_text})"
    return Violation(field.name, None, expected, actual, "ask the producer to deliver it again")


def published_rules(contract: Contract, schema: pa.Schema) -> list[PlannedRule]:
    """Return the contract's row-level rules for the columns that exist in `schema`."""
    fields = [field for field in contract.fields if field.name in schema.names]
    key = [field.name for field in fields if field.primary_key_position is not None]
    required = [field.name for field in fields if field.required and field.name not in key]
    times = [name for name in ("event_time", "known_at") if name in schema.names]
    groups = [("primary_key", key), ("required", required), *((name, [name]) for name in times)]
    rules = [
        _row_rule(name, _null(columns), dict.fromkeys(columns))
        for name, columns in groups
        if columns
    ]
    great = {f.name: Bounds(-f.max_abs, f.max_abs) for f in fields if f.max_abs is not None}
    if great:
        columns = Columns(schema)
        outside = (f"NOT {bounds.predicate(name, columns)}" for name, bounds in great.items())
        rules.append(_row_rule("max_abs", " OR ".join(outside), great))
    return rules


def _null(columns: Sequence[str]) -> str:
    return " OR ".join(f"{ident(name)} IS NULL" for name in columns)


def _row_rule(name: str, failing: str, safe: Mapping[str, Bounds | None]) -> PlannedRule:
    words = {"max_abs": "too great a value"}.get(name, "no value")
    problem = f"{words} of {' or '.join(safe)}"
    expected = f"no row has {problem}"

    def read(values: Sequence[Any]) -> Outcome:
        elements, unexpected = values
        reason = f"{unexpected} of {elements} rows have {problem}"
        return Outcome(unexpected == 0, elements=elements, unexpected=unexpected, reason=reason)

    return PlannedRule(
        id=f"contract:{name}",
        kind="contract",
        type="contract_row",
        columns=tuple(safe),
        severity="critical",
        action="quarantine",
        note="",
        check=Check(
            tuple(safe), expected, ("count(*)", count_where(failing)), read, failing, safe=safe
        ),
    )
