"""Filters of features: conversion of filter values to stored values, and evaluation on rows.

Both follow rules 12 and 14 of the feature semantics.
"""

import math
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError
from headrace.features.kernel.arrays import Bools, bools
from headrace.features.kernel.visibility import Versions
from headrace.features.spec import Scalar, Where

_INT64_END = 2**63


def stored_value(value: Scalar, kind: pa.DataType, scale: int | None, where: str = "") -> Scalar:
    """Convert a filter's value to the form in which its column stores it.

    For a scaled column, a number becomes a scaled integer. For a timestamp column, an RFC 3339 text
    becomes microseconds.

    Raises:
        DeclarationError: the value has another type, has more digits than the column's scale, or
            does not fit int64.
    """
    if scale is not None:
        return _quantised(value, scale, where)
    if pa.types.is_timestamp(kind) and isinstance(value, str):
        return _moment(value, where)
    fits = {
        "int64": isinstance(value, int)
        and not isinstance(value, bool)
        and -_INT64_END <= value < _INT64_END,
        "double": isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value),
        "string": isinstance(value, str),
        "bool": isinstance(value, bool),
    }
    if not fits.get(str(kind), False):
        raise DeclarationError(
            f"{value!r} is not a value of type {kind}",
            where=where,
            fix="write it as the column's type",
        )
    return float(value) + 0.0 if str(kind) == "double" else value


def _moment(text: str, where: str) -> int:
    try:
        return parse_iso(text)
    except ValueError as error:
        raise DeclarationError(
            f"{text!r} is not a timestamp", where=where, fix="write RFC 3339: 2013-01-31T12:00:00Z"
        ) from error


def _quantised(value: Scalar, scale: int, where: str) -> int:
    try:
        number = Decimal(str(value)).scaleb(scale)
    except InvalidOperation:
        number = Decimal("0.5")
    if (
        isinstance(value, bool | str)
        or not number.is_finite()
        or number != number.to_integral_value()
        or abs(number) >= _INT64_END
    ):
        raise DeclarationError(
            f"{value!r} is not a number with at most {scale} decimals",
            where=where,
            fix="the column has a declared scale: give a value of that scale",
        )
    return int(number)


def passes(condition: Where, versions: Versions) -> Bools:
    """Return True for each row version that satisfies the condition; null never does (rule 12)."""
    array = versions.array(condition.column)
    scale = versions.shape.columns[condition.column].scale
    operands = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    stored = [stored_value(value, array.type, scale) for value in operands]
    return bools(_COMPARE[condition.op](array, pa.array(stored, type=array.type)))


def _not_in(array: pa.Array, values: pa.Array) -> pa.Array:
    return pc.and_(pc.is_valid(array), pc.invert(pc.is_in(array, value_set=values)))


_COMPARE = {
    "==": lambda array, values: pc.equal(array, values[0]),
    "!=": lambda array, values: pc.not_equal(array, values[0]),
    "<": lambda array, values: pc.less(array, values[0]),
    "<=": lambda array, values: pc.less_equal(array, values[0]),
    ">": lambda array, values: pc.greater(array, values[0]),
    ">=": lambda array, values: pc.greater_equal(array, values[0]),
    "in": lambda array, values: pc.is_in(array, value_set=values, skip_nulls=True),
    "not in": _not_in,
}
