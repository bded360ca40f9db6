"""Conversion of scaled columns to integers at the scale that the contract declares (rule 14)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import HeadraceError
from headrace.features.kernel.arrays import whole
from headrace.features.table_shapes import Column, TableShape

_DIGITS = 38  # maximum number of digits of a decimal128


def quantised(shape: TableShape, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Convert the scaled columns among `columns` to int64 at their declared scale.

    Integers are taken as already scaled; decimals are converted from their own scale.

    Raises:
        HeadraceError: a scaled column has floats, more digits than its scale, or a value whose
            absolute value exceeds the contract's limit.
    """
    for name in columns:
        column = shape.columns.get(name)
        if column is None or column.scale is None:
            continue
        where = f"table {shape.name}, column {name}"
        array = whole(table[name])
        if not pa.types.is_integer(array.type):
            array = _integers(array, column, where)
            table = table.set_column(table.column_names.index(name), name, array)
        _check_bounds(array, column, where)
    return table


def _integers(array: pa.Array, column: Column, where: str) -> pa.Array:
    scale = column.scale or 0
    if pa.types.is_null(array.type):
        return array.cast(pa.int64())
    if not pa.types.is_decimal(array.type):
        raise HeadraceError(
            f"the values are {array.type}, but the contract declares a decimal scale of {scale}",
            where=where,
            fix=f"give int64 (the value times 10^{scale}) or a decimal type; a float is not exact",
        )
    try:
        exact = array.cast(pa.decimal128(_DIGITS, scale))
    except pa.ArrowInvalid as error:
        raise HeadraceError(
            f"{array.type} does not fit a scale of {scale}: {error}",
            where=where,
            fix="round the values to the scale first, or declare a greater scale in the contract",
        ) from error
    words = np.frombuffer(exact.buffers()[1], np.int64).reshape(-1, 2)
    low, high = words[exact.offset : exact.offset + len(exact)].T
    missing = np.asarray(exact.is_null())
    if np.any((high != low >> 63) & ~missing):
        raise _too_great(f"a value does not fit int64 at a scale of {scale}", where)
    return pa.array(low, mask=missing)


def _check_bounds(array: pa.Array, column: Column, where: str) -> None:
    if column.max_abs is None:
        return
    ends = pc.min_max(array).as_py()
    greatest = max(abs(ends["min"] or 0), abs(ends["max"] or 0))
    if greatest > column.max_abs:
        limit = f"the contract allows {column.max_abs} at a scale of {column.scale}"
        raise _too_great(f"the stored integer {greatest} is too great: {limit}", where)


def _too_great(what: str, where: str) -> HeadraceError:
    return HeadraceError(
        what,
        where=where,
        fix="keep such rows in quarantine, or raise the column's maxAbs in the contract",
    )
