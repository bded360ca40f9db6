"""Columns of a batch that a check is compiled for: names, type families, SQL constants."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from headrace.core.clock import iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.sql import literal
from headrace.gates.contract_units import format_stored

# int, float, str, bool or None, as the YAML parser returns it
Scalar = Any


class MissingColumnError(DeclarationError):
    """A check names a column that the batch does not have."""


def family_of(kind: pa.DataType) -> str:
    """Return "number", "string", "timestamp" or "boolean"; for other types the Arrow name."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return "boolean" if pa.types.is_boolean(kind) else str(kind)


def _fits(family: str, value: Scalar) -> bool:
    if family == "number":
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return numeric and not math.isnan(value)
    if family == "boolean":
        return isinstance(value, bool)
    return family in {"string", "timestamp"} and isinstance(value, str)


@dataclass(frozen=True)
class Columns:
    """Columns of a batch or contract: their Arrow schema, and decimal digits of scaled columns."""

    schema: pa.Schema
    scales: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def require(self, name: str, *families: str) -> str:
        """Return `name`; raise if the column does not exist or its family is not in `families`.

        Without `families`, every family is accepted.
        """
        if self.schema.get_field_index(name) < 0:
            raise MissingColumnError(
                f"there is no column {name!r}",
                where=f"columns: {', '.join(self.names)}",
                fix="correct the name in the suite, or add the field to the contract",
            )
        family = self.family(name)
        if families and family not in families:
            raise DeclarationError(
                f"column {name!r} is a {family}, this check needs {' or '.join(families)}",
                fix="use another expectation, or correct the type in the contract",
            )
        return name

    def family(self, name: str) -> str:
        return family_of(self.schema.field(name).type)

    def is_integer(self, name: str) -> bool:
        return bool(pa.types.is_integer(self.schema.field(name).type))

    def scale(self, name: str) -> int:
        """Return the number of decimal digits of a scaled column; 0 for every other column."""
        return self.scales.get(name, 0)

    def formatted(self, name: str, value: Scalar) -> str:
        """Return a stored value as text, in the contract's unit."""
        return format_stored(value, self.scale(name))

    def constant(self, name: str, value: Scalar) -> str:
        """Return `value` as a SQL literal; raise if comparing it with the column needs a cast."""
        family = self.family(name)
        if not _fits(family, value):
            raise DeclarationError(
                f"{value!r} cannot be compared with column {name!r}, which is a {family}",
                fix=f"write a {family}; a timestamp as '2013-01-31T06:00:00Z'",
            )
        if family == "timestamp":
            return f"TIMESTAMPTZ {literal(iso(parse_iso(value)))}"
        return literal(value)
