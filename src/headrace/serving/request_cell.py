"""Fast conversion of a single request value to its stored form, without building columns.

Values of the usual form are converted here. For all other values the functions return `OTHER`, and
the caller uses the parser of delivered files (`headrace.contracts.typed_cells`). This module and
that parser convert a value to the same bits.
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

_LONG = 2**63  # int64 values are less than this
_EXACT = 2.0**53  # limit below which floats hold integers exactly
_DIGITS = 19  # decimal digits of the largest int64
_EXPONENT = -38  # smallest decimal exponent that is converted here


def converter(field: Field, *, nullable: bool) -> Convert:
    """Return a function that converts a value to its stored form, or returns `OTHER`.

    The stored form is an int (also for scaled numbers, and timestamps in microseconds UTC), float,
    str, bool or None.
    """
    plain = _PLAIN[field.type](field)
    tokens, sentinels = frozenset(field.null_tokens), frozenset(field.sentinels)
    limit, null = field.max_abs, None if nullable else OTHER

    def convert(value: object) -> object:
        if value is None:
            return null
        if tokens and (isinstance(value, bool) or str(value) in tokens):
            return OTHER
        converted = plain(value)
        if converted is OTHER or converted in sentinels:
            return OTHER
        if limit is not None and not -limit <= converted <= limit:  # type: ignore[operator]
            return OTHER
        return converted

    return convert


def stored(value: object) -> Cell:
    """Convert a value that the parser of delivered files returned to the stored form."""
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
        number = float(value) + 0.0  # type: ignore[arg-type]  # -0 becomes +0
    except OverflowError:
        return OTHER
    return number if math.isfinite(number) else OTHER


def _from_float(scale: int) -> Convert:
    power = 10.0**scale

    def convert(value: object) -> object:
        number = _float(value)
        if not isinstance(number, float):
            return OTHER
        scaled = number * power
        return round(scaled) if abs(scaled) < _EXACT - 1 else OTHER

    return convert


def _from_text(scale: int) -> Convert:
    power, quantum = 10**scale, Decimal(1).scaleb(-scale)
    exact = Context(prec=60 + scale, rounding=ROUND_HALF_EVEN)

    def convert(value: object) -> object:
        if type(value) is int:
            scaled = value * power
            return scaled if -_LONG <= scaled < _LONG else OTHER
        if type(value) not in {float, Decimal}:
            return OTHER
        number = Decimal(repr(value)) if isinstance(value, float) else value
        assert isinstance(number, Decimal)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < _EXPONENT:  # not finite, or too small
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
