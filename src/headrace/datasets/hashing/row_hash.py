"""A salted 64-bit number for each row, from the canonical values of some of its columns.

The number depends only on the row, not on other rows, the order of rows, the engine, chunks, or
whether an integer has 32 bits or 64. A split rule based on it therefore keeps each row in its
split when other rows are added or removed. It is specified in `docs/explanation/splits.md`.
"""

from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.hashing.cell_encoding import TAGS
from headrace.datasets.hashing.content_hash import canonical_type

Hashes = npt.NDArray[np.uint64]

# Rows hashed at a time, so that temporary memory stays below a hundred megabytes.
_BLOCK = 1 << 20


def seed_of(salt: str) -> int:
    """The first eight bytes of the sha256 of the salt, little endian."""
    return int.from_bytes(sha256(salt.encode()).digest()[:8], "little")


def row_hashes(table: pa.Table, columns: Sequence[str], salt: str = "") -> Hashes:
    """Hash of each row, uint64. Raises DeclarationError for a missing or unsupported column."""
    if missing := sorted(set(columns) - set(table.column_names)):
        raise DeclarationError(
            f"columns {missing} are missing", where="row hash", fix=f"has {table.column_names}"
        )
    all_hashes = np.empty(table.num_rows, np.uint64)
    for start in range(0, table.num_rows, _BLOCK):
        block = table.slice(start, _BLOCK)
        hashes = np.full(block.num_rows, seed_of(salt), np.uint64)
        for name in columns:
            tags, words = _cells(block.column(name), name)
            for part in (tags, words):
                _mix(hashes, part)
        all_hashes[start : start + _BLOCK] = hashes
    return all_hashes


def _mix(hashes: Hashes, words: Hashes) -> None:
    """Mix one word into each hash, in place, as splitmix64 does (Steele, Lea and Flood 2014)."""
    hashes ^= words
    hashes += np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)


def _cells(column: pa.ChunkedArray, name: str) -> tuple[Hashes, Hashes]:
    """Tag and eight value bytes of each cell, both uint64; zeros for null."""
    kind = canonical_type(column.type, name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    tags = np.where(array.is_valid().to_numpy(zero_copy_only=False), TAGS[kind], 0)
    words = _text(array, kind) if kind in {"string", "binary"} else _numbers(array, kind)
    return tags.astype(np.uint64), words


def _numbers(column: pa.Array, kind: str) -> Hashes:
    if kind == "float64":
        values = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
        values[np.isnan(values)] = np.nan
        return values.view(np.uint64)  # type: ignore[no-any-return]
    if kind == "date":
        column = column.cast(pa.date32()).cast(pa.int32())
    elif kind in {"timestamp", "local_timestamp"}:
        column = column.cast(pa.timestamp("us", column.type.tz))
    numbers: npt.NDArray[Any] = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return numbers.view(np.uint64)


def _text(column: pa.Array, kind: str) -> Hashes:
    """Eight bytes of blake2b for each text as uint64; each distinct value is hashed once."""
    wide = column.cast(pa.large_string() if kind == "string" else pa.large_binary())
    encoded = pc.dictionary_encode(wide)
    values = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    digests = b"".join(blake2b(value, digest_size=8).digest() for value in values) + bytes(8)
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    hashes: Hashes = np.frombuffer(digests, "<u8")[codes]
    return hashes
