"""Arrow columns as numpy arrays: numbers, category codes, and masks of non-null rows."""

import hashlib
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError

Kind = Literal["integer", "real", "level"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
Halves = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]  # int64 or float64
Mask = npt.NDArray[np.bool_]


def kind_of(field: pa.Field) -> Kind:
    """Return how a column is counted: booleans and timestamps as integers, strings as levels."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "real"
    if is_text(kind):
        return "level"
    raise DeclarationError(
        f"a column of type {kind} cannot be profiled",
        where=f"column {field.name}",
        fix="leave it out of the monitor's columns, or derive a number or a string from it",
    )


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def numbers(column: pa.Array) -> tuple[Numbers, Mask]:
    """Return the values (int64 or float64; arbitrary for nulls) and the mask of non-null rows.

    NaN counts as null; -0.0 becomes +0.0.
    """
    if not pa.types.is_floating(column.type):
        integers = column.cast(pa.int64()) if column.type != pa.int64() else column
        return integers.fill_null(0).to_numpy(zero_copy_only=False), valid(column)
    real = column.cast(pa.float64()) if column.type != pa.float64() else column
    values = real.fill_null(np.nan).to_numpy(zero_copy_only=False) + 0.0
    return values, ~np.isnan(values)


def raw_numbers(column: pa.Array) -> tuple[Numbers, Bits, int]:
    """Return the values (int64 or float64) without a copy, Arrow's validity bitmap, and an offset.

    The offset is the position of the first value's bit. The bitmap is empty if there are no nulls;
    the caller has to skip NaN.
    """
    kind = pa.float64() if pa.types.is_floating(column.type) else pa.int64()
    plain = column if column.type == kind else column.cast(kind)
    bitmap, data = plain.buffers()
    values = np.frombuffer(data or b"", kind.to_pandas_dtype())
    valid_bits = np.frombuffer(bitmap if bitmap and plain.null_count else b"", np.uint8)
    return values[plain.offset : plain.offset + len(plain)], valid_bits, plain.offset


def valid(column: pa.Array) -> Mask:
    if column.null_count == 0:
        return np.ones(len(column), dtype=np.bool_)
    mask: Mask = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return mask


def levels(column: pa.Array) -> tuple[list[str], Ints]:
    """Return the distinct strings of a column, and the index of each row's string; -1 is null."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    codes = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    if None in texts:  # the dictionary may contain null
        codes = np.where(codes == texts.index(None), -1, codes)
        texts = ["" if text is None else text for text in texts]
    return texts, codes


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the column as one array; dictionaries of numbers become plain values."""
    array = column
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # combine_chunks may return either
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type) and not is_text(array.type.value_type):
        return array.dictionary_decode()
    return array


@lru_cache(maxsize=200_000)
def token(text: str) -> int:
    """Return the token of a string: 64 bits of its BLAKE2b hash, as int64."""
    return int.from_bytes(
        hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True
    )


def tokens(texts: pa.Array) -> Ints:
    """Return the token of each string of an array without nulls, as `token` does, but faster."""
    values = texts.cast(pa.large_binary()).to_pylist()
    digests = b"".join([hashlib.blake2b(value, digest_size=8).digest() for value in values])
    return np.frombuffer(digests, ">i8").astype(np.int64)
