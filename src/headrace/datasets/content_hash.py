"""One text for the content of a table, independent of order, layout and engine.

The specification, with test vectors, is `docs/content-hash.md`.
"""

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import DeclarationError
from headrace.files import canonical_json, sha256

DOMAIN = b"headrace-content-1\n"
MODULUS = 1 << 256
TAGS = {
    "int64": 1,
    "float64": 2,
    "bool": 3,
    "timestamp": 4,
    "string": 5,
    "local_timestamp": 6,
    "date": 7,
    "binary": 8,
}
# Rows assembled at a time: the matrix of one block stays in the processor's cache.
_BLOCK = 8192
_DIGESTED = ("string", "binary")
_CELL = {kind: "V16" if kind in _DIGESTED else "<i8" for kind in TAGS}

Schema = tuple[tuple[str, str], ...]
Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ContentSum:
    """Schema, row count and sum of row digests; adds and subtracts as tables do."""

    schema: Schema
    rows: int
    total: int

    @property
    def hash(self) -> str:
        body = canonical_json([list(column) for column in self.schema]) + b"\n"
        count = struct.pack("<Q", self.rows)
        return sha256(DOMAIN + body + count + self.total.to_bytes(32, "little"))

    def __add__(self, other: "ContentSum") -> "ContentSum":
        self._same_schema(other)
        total = (self.total + other.total) % MODULUS
        return ContentSum(self.schema, self.rows + other.rows, total)

    def __sub__(self, other: "ContentSum") -> "ContentSum":
        self._same_schema(other)
        total = (self.total - other.total) % MODULUS
        return ContentSum(self.schema, self.rows - other.rows, total)

    def _same_schema(self, other: "ContentSum") -> None:
        if self.schema != other.schema:
            differing = sorted({name for name, _ in set(self.schema) ^ set(other.schema)})
            raise DeclarationError(
                f"content sums of different schemas do not combine; they differ in {differing}",
                fix="select and cast both tables to the same columns first",
            )


def content_hash(table: pa.Table) -> str:
    """64 hex digits for the content of `table`."""
    return content_sum(table).hash


def row_sum(table: pa.Table) -> int:
    """The sum of the row digests modulo 2^256; additive over rows."""
    return content_sum(table).total


def content_sum(table: pa.Table) -> ContentSum:
    """Schema, rows and sum of `table`. Raises DeclarationError for a type without a form."""
    schema = canonical_schema(table.schema)
    layout: np.dtype[np.void] = np.dtype(
        [
            field
            for n, (_, kind) in enumerate(schema)
            for field in ((f"tag{n}", "u1"), (f"cell{n}", _CELL[kind]))
        ]
    )
    total = sum(
        _block_sum(table.slice(start, _BLOCK), schema, layout)
        for start in range(0, table.num_rows, _BLOCK)
    )
    return ContentSum(schema, table.num_rows, total % MODULUS)


def canonical_schema(schema: pa.Schema) -> Schema:
    """(name, canonical type) sorted by name."""
    if len(set(schema.names)) < len(schema.names):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise DeclarationError(f"columns {twice} occur twice", fix="rename or drop one of each")
    return tuple(sorted((field.name, canonical_type(field.type, field.name)) for field in schema))


def canonical_type(kind: pa.DataType, column: str = "") -> str:
    """The canonical type of an Arrow type."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "local_timestamp"
    for name, matches in _MATCHES:
        if matches(kind):
            return name
    raise DeclarationError(
        f"a column of type {kind} has no canonical form",
        where=f"column {column!r}",
        fix="cast it to an integer, float, boolean, timestamp, date, string or binary",
    )


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


_MATCHES = (
    ("int64", pa.types.is_integer),
    ("float64", pa.types.is_floating),
    ("bool", pa.types.is_boolean),
    ("string", _is_text),
    ("date", pa.types.is_date),
    ("binary", _is_bytes),
)


def _block_sum(block: pa.Table, schema: Schema, layout: np.dtype[np.void]) -> int:
    rows = np.zeros(block.num_rows, dtype=layout)
    for n, (name, kind) in enumerate(schema):
        column = _contiguous(block.column(name))
        tag = TAGS[kind]
        rows[f"tag{n}"] = column.is_valid().to_numpy(zero_copy_only=False) * np.uint8(tag)
        rows[f"cell{n}"] = (
            _digests(column, kind) if kind in _DIGESTED else _words(column, kind, name)
        )
    return _sum_of_digests(rows)


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _words(column: pa.Array, kind: str, name: str) -> Words:
    """The eight value bytes of each cell as int64, nulls as zero."""
    try:
        values = _numbers(column, kind)
    except pa.ArrowInvalid as error:
        raise DeclarationError(
            f"a value does not fit its canonical type {kind}: {error}", where=f"column {name!r}"
        ) from error
    return _float_words(values) if kind == "float64" else values


def _float_words(values: npt.NDArray[np.float64]) -> Words:
    with np.errstate(invalid="ignore"):  # signalling NaNs are NaNs like any other
        values = values + 0.0  # -0.0 + 0.0 is +0.0
        values[np.isnan(values)] = np.nan  # one bit pattern for all of them
    words: Words = values.view("<i8")
    return words


def _numbers(column: pa.Array, kind: str) -> npt.NDArray[Any]:
    if kind == "float64":
        column = column.cast(pa.float64()).fill_null(0.0)
    elif kind == "date":
        column = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()).fill_null(0)
    else:
        if kind in ("timestamp", "local_timestamp"):
            column = column.cast(pa.timestamp("us", column.type.tz))
        column = column.cast(pa.int64()).fill_null(0)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _digests(column: pa.Array, kind: str) -> npt.NDArray[np.void]:
    """The sixteen value bytes of each cell; one digest per distinct value, nulls as zeros."""
    encoded = column.cast(pa.large_string() if kind == "string" else pa.large_binary())
    encoded = pc.dictionary_encode(encoded)
    distinct = encoded.dictionary.cast(pa.large_binary()).to_pylist()
    table = b"".join([blake2b(value, digest_size=16).digest() for value in distinct]) + bytes(16)
    codes = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    cells: npt.NDArray[np.void] = np.frombuffer(table, dtype="V16")[codes]
    return cells


def _sum_of_digests(rows: npt.NDArray[np.void]) -> int:
    width = rows.dtype.itemsize
    data = memoryview(rows.tobytes())
    digests = b"".join(
        [
            blake2b(data[start : start + width], digest_size=32).digest()
            for start in range(0, len(rows) * width, width)
        ]
        if width
        else [blake2b(b"", digest_size=32).digest()] * len(rows)
    )
    # Eight 32-bit limbs a digest: their sums stay far below 2^64.
    limbs = np.frombuffer(digests, dtype="<u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
    return sum(int(limb) << (32 * n) for n, limb in enumerate(limbs))
