"""Content hash of a table, independent of row order, layout and engine.

The specification, with test vectors, is `docs/reference/content-hash.md`.
"""

import struct
from dataclasses import dataclass

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.files import canonical_json, sha256
from headrace.datasets.hashing.cell_encoding import Schema
from headrace.datasets.hashing.row_digests import sum_of_digests

DOMAIN = b"headrace-content-1\n"
MODULUS = 1 << 256


@dataclass(frozen=True)
class ContentSum:
    """Schema, row count and sum of row digests; adding rows adds their sums."""

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
                f"content sums of different schemas cannot be combined; they differ in {differing}",
                fix="select and cast both tables to the same columns first",
            )


def content_hash(table: pa.Table) -> str:
    """The content hash of `table`: 64 hex digits."""
    return content_sum(table).hash


def row_sum(table: pa.Table) -> int:
    """The sum of the row digests modulo 2^256; additive over rows."""
    return content_sum(table).total


def content_sum(table: pa.Table) -> ContentSum:
    """Schema, rows and sum of `table`. Raises DeclarationError for an unsupported type."""
    schema = canonical_schema(table.schema)
    return ContentSum(schema, table.num_rows, sum_of_digests(table, schema) % MODULUS)


def canonical_schema(schema: pa.Schema) -> Schema:
    """(name, canonical type) of each column, sorted by name."""
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
