"""One request value as its table stores it, without building columns for it.

A value of the usual form is converted here. Anything else is `OTHER` and goes through the parser of
deliveries (`headrace.contracts.typed_cells`), which decides; on what both take they agree to the
bit.
"""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, TypeAlias

from headrace.contracts.model import Field
from headrace.core.clock import to_us
from headrace.features.kernel.row_content import Cell

OTHER: Final = object()
Convert: TypeAlias = Callable[[object], object]

_LONG = 2**63  # int64 ends before it
_EXACT = 2.0**53  # the greatest quantum that may come from a float
_DIGITS = 19  # of a number that int64 may hold
_EXPONENT = -38  # the finest text that the columnar parser reads in one go


def converter(field: Field, *, nullable: bool) -> Convert:
    """A function from a value to what the table stores of it, or `OTHER`.

    Stored is an int (scaled numbers too; timestamps in microseconds UTC), float, str, bool or None.
    """
    plain = _PLAIN[field.type](field)
    tokens, sentinels = frozenset(field.null_tokens), frozenset(field.sentinels)
    limit, nothing = field.max_abs, None if nullable else OTHER

    def convert(value: object) -> object:
        if value is None:
            return nothing
        if tokens and (isinstance(value, bool) or str(value) in tokens):
            return OTHER
        found = plain(value)
        if found is OTHER or found in sentinels:
            return OTHER
        if limit is not None and not -limit <= found <= limit:  # type: ignore[operator]
            return OTHER
        return found

    return convert


def stored(value: object) -> Cell:
    """What the parser of deliveries made of a value, in the same form."""
    return to_us(value) if isinstance(value, datetime) else value  # type: ignore[return-value]


def _integer(_: Field) -> Convert:
    def convert(value: object) -> object:
        return value if type(value) is int and -_LONG <= value < _LONG else OTHER

    return convert


def _string(_: Field) -> Convert:
    def convert(value: object) -> object:
        return value if type(value) is str and value.isascii() else OTHER

    return convert


def _boolean(_: Field) -> Convert:
    return lambda value: value if type(value) is bool else OTHER


def _timestamp(_: Field) -> Convert:
    def convert(value: object) -> object:
        if type(value) is not str or len(value) != 20:
            return OTHER
        if not (value[4] == value[7] == "-" and value[13] == value[16] == ":"):
            return OTHER
        if value[10] != "T" or value[19] != "Z":
            return OTHER
        try:
            return to_us(datetime.fromisoformat(value))
        except ValueError:
            return OTHER

    return convert


def _number(field: Field) -> Convert:
    if field.scale is None:
        return _float
    return (_from_float if field.form == "float" else _from_text)(field.scale)


def _float(value: object) -> object:
    if type(value) not in {int, float, Decimal}:
        return OTHER
    try:
        found = float(value) + 0.0  # type: ignore[arg-type]  # -0 becomes +0
    except OverflowError:
        return OTHER
    return found if math.isfinite(found) else OTHER


def _from_float(scale: int) -> Convert:
    power = 10.0**scale

    def convert(value: object) -> object:
        found = _float(value)
        if not isinstance(found, float):
            return OTHER
        scaled = found * power
        return round(scaled) if abs(scaled) < _EXACT - 1 else OTHER

    return convert


def _from_text(scale: int) -> Convert:
    power, quantum = 10**scale, Decimal(1).scaleb(-scale)
    exact = Context(prec=60 + scale, rounding=ROUND_HALF_EVEN)

    def convert(value: object) -> object:
        if type(value) is int:
            whole = value * power
            return whole if -_LONG <= whole < _LONG else OTHER
        if type(value) not in {float, Decimal}:
            return OTHER
        number = Decimal(repr(value)) if isinstance(value, float) else value
        assert isinstance(number, Decimal)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < _EXPONENT:  # not finite, or too fine
            return OTHER
        if number.adjusted() + scale >= _DIGITS - 1:
            return OTHER
        return int(number.quantize(quantum, context=exact).scaleb(scale, context=exact))

    return convert


_PLAIN: dict[str, Callable[[Field], Convert]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "timestamp": _timestamp,
    "boolean": _boolean,
}
