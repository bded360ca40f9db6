"""Shards of keys and entities by hash; the same on every machine."""

import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.features.kernel.arrays import Ints, bools, whole

Hashes = NDArray[np.uint64]


def shards_of(columns: list[pa.ChunkedArray], count: int) -> Ints:
    """Return the shard of each row, int64 from 0 to count - 1; -1 if one of the columns is null.

    Equal values of the same type are in the same shard.
    """
    arrays = [whole(column) for column in columns]
    mixed = np.zeros(len(arrays[0]), dtype=np.uint64)
    valid = np.ones(len(mixed), dtype=np.bool_)
    for array in arrays:
        mixed = _scramble(mixed ^ _hashes(array))
        valid &= bools(array.is_valid())
    return np.where(valid, (mixed % np.uint64(count)).astype(np.int64), -1)


def _hashes(array: pa.Array) -> Hashes:
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.view(pa.int64())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        array = array.cast(pa.int64(), safe=False)
    elif pa.types.is_floating(kind):  # -0 and +0 are the same entity
        return (np.asarray(array.cast(pa.float64()).fill_null(0.0)) + 0.0).view(np.uint64)
    else:
        return _of_distinct(array)
    return np.asarray(array.fill_null(0)).view(np.uint64)


def _of_distinct(array: pa.Array) -> Hashes:
    """Hash the UTF-8 bytes of each distinct value; values of other types are cast to text."""
    if not (pa.types.is_string(array.type) or pa.types.is_binary(array.type)):
        array = array.cast(pa.string())
    encoded = array.cast(pa.binary()).dictionary_encode()
    sums = [zlib.crc32(value.as_buffer()) for value in encoded.dictionary]
    codes = np.asarray(encoded.indices.fill_null(len(sums)), dtype=np.int64)
    return np.asarray([*sums, 0], dtype=np.uint64)[codes]


def _scramble(x: Hashes) -> Hashes:
    """Mix the bits by splitmix64, so that each output bit depends on every input bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
