"""Lower and upper limits of a value, as a SQL predicate, as a Python test, and in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.contract_units import format_stored


@dataclass(frozen=True)
class Bounds:
    """Limits in the unit in which the table stores values.

    `scale` is the column's number of decimal digits; texts show the limits in the contract's unit.
    """

    low: Scalar = None
    high: Scalar = None
    strict_low: bool = False
    strict_high: bool = False
    scale: int = 0

    @classmethod
    def of(cls, kwargs: Mapping[str, Any], scale: int = 0) -> "Bounds":
        """Build bounds from the kwargs `min_value`, `max_value`, `strict_min`, `strict_max`."""
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        if low is None and high is None:
            raise DeclarationError(
                "neither min_value nor max_value is given", fix="give one of them"
            )
        if low is not None and high is not None and low > high:
            raise DeclarationError(
                f"min_value {format_stored(low, scale)} is greater than max_value"
                f" {format_stored(high, scale)}",
                fix="exchange them",
            )
        strict = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
        return cls(low, high, *strict, scale)

    def check_numbers(self) -> "Bounds":
        for value in (self.low, self.high):
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise DeclarationError(f"the limit {value!r} is not a number", fix="write a number")
        return self

    def predicate(self, name: str, columns: Columns) -> str:
        """Return a SQL predicate over a column; it is null for rows in which the column is null."""
        parts = []
        if self.low is not None:
            sign = ">" if self.strict_low else ">="
            parts.append(f"{ident(name)} {sign} {columns.constant(name, self.low)}")
        if self.high is not None:
            sign = "<" if self.strict_high else "<="
            parts.append(f"{ident(name)} {sign} {columns.constant(name, self.high)}")
        return "(" + " AND ".join(parts) + ")"

    def formatted(self, value: Scalar) -> str:
        return format_stored(value, self.scale)

    def too_low(self, value: Scalar) -> bool:
        return self.low is not None and (
            value < self.low or (self.strict_low and value == self.low)
        )

    def too_high(self, value: Scalar) -> bool:
        return self.high is not None and (
            value > self.high or (self.strict_high and value == self.high)
        )

    def hold(self, value: Scalar) -> bool:
        """Return True if the value is within the limits.

        As in Great Expectations, null and NaN are never within them.
        """
        present = value is not None and value == value  # noqa: PLR0124 - NaN is not itself
        return present and not self.too_low(value) and not self.too_high(value)

    def miss(self, value: Scalar) -> str:
        """Describe how `value` breaks the limits: 'is below 600'."""
        if value is None:
            return "does not exist: there are no values"
        if value != value:  # noqa: PLR0124
            return "is not a number: there are infinite values"
        if self.too_low(value):
            return f"is {'not above' if self.strict_low else 'below'} {self.formatted(self.low)}"
        return f"is {'not below' if self.strict_high else 'above'} {self.formatted(self.high)}"

    def text(self) -> str:
        """Describe the limits: 'between 600 and 1100', 'above 0 and at most 5'."""
        inclusive = not (self.strict_low or self.strict_high)
        if self.low is not None and self.low == self.high and inclusive:
            return self.formatted(self.low)
        if self.low is not None and self.high is not None and inclusive:
            return f"between {self.formatted(self.low)} and {self.formatted(self.high)}"
        words = []
        if self.low is not None:
            words.append(f"{'above' if self.strict_low else 'at least'} {self.formatted(self.low)}")
        if self.high is not None:
            words.append(
                f"{'below' if self.strict_high else 'at most'} {self.formatted(self.high)}"
            )
        return " and ".join(words)
