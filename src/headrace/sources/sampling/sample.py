"""Sample of a source: its first rows as text, and metadata that the source provides."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

MOST_ROWS = 10_000
MOST_BYTES = 8 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of a sample: the most rows, and the most bytes to read."""

    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Sample:
    """Sample of a source, read within the limits and without changing the source.

    Attributes:
        address: address of the source, without passwords.
        kind: file, sql, http or topic.
        format: csv, ndjson, json, parquet, table, pages or events.
        name: suggested table name.
        table: string columns, as the source would deliver them.
        complete: True if these are all rows of the source.
        total: number of rows of the source, if known; an estimate if `details` say so.
        details: other properties, such as delimiter, encoding, files, bytes, row groups, engine.
        declared: {column: type that the source declares}.
        keys: keys that the source declares, as column names.
        notes: problems and how to fix them.
    """

    address: str
    kind: str
    format: str
    name: str
    table: pa.Table
    complete: bool
    total: int | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
