"""A filter's value as its column stores it, exactly (rules 12 and 14)."""

import math
from decimal import Decimal, InvalidOperation

import pyarrow as pa

from headrace.clock import parse_iso
from headrace.errors import DeclarationError
from headrace.features.spec import Scalar


def stored_value(value: Scalar, kind: pa.DataType, scale: int | None) -> Scalar:
    """The stored integer of a value in the column's unit, microseconds of an RFC 3339 text.

    Raises:
        DeclarationError: the value is of another type, or finer than the column's scale.
    """
    if scale is not None:
        return _quantised(value, scale)
    if pa.types.is_timestamp(kind) and isinstance(value, str):
        return parse_iso(value)
    fits = {
        "int64": isinstance(value, int) and not isinstance(value, bool),
        "double": isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value),
        "string": isinstance(value, str),
        "bool": isinstance(value, bool),
    }
    if not fits.get(str(kind), False):
        raise DeclarationError(
            f"{value!r} cannot be compared with a column of type {kind}",
            fix="write the value as the column's type",
        )
    return float(value) + 0.0 if str(kind) == "double" else value


def _quantised(value: Scalar, scale: int) -> int:
    try:
        number = Decimal(str(value)).scaleb(scale)
    except InvalidOperation:
        number = Decimal("0.5")
    if isinstance(value, bool) or number != number.to_integral_value():
        raise DeclarationError(
            f"{value!r} is not a number with at most {scale} decimals",
            fix="a column of declared scale is compared with values of that scale",
        )
    return int(number)
