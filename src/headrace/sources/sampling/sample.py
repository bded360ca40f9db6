"""A bounded look at a source: the first rows as text, and what the source says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

MOST_ROWS = 10_000
MOST_BYTES = 8 << 20


@dataclass(frozen=True)
class Limits:
    """Limits on a sample: at most `rows`, from at most `bytes`."""

    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Sample:
    """Sample of a source. Nothing is changed at the source, and no more than the limits is read.

    Attributes:
        address: address of the source, without passwords.
        kind: file | sql | http | topic.
        format: csv, ndjson, json, parquet, table, pages or events.
        name: suggested name of a table.
        table: string columns, as the source's reader delivers them.
        complete: True if these are all rows.
        total: number of rows, if the source has it; an estimate if `details` say so.
        details: other properties: delimiter, encoding, files, bytes, row groups, engine.
        declared: {column: type in the source}.
        keys: keys that the source declares.
        notes: problems, and what to do about them.
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
