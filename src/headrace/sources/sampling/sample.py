"""A bounded look at a source: the first rows as text, and what the source says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

MOST_ROWS = 10_000
MOST_BYTES = 8 << 20


@dataclass(frozen=True)
class Limits:
    """How much may be read: `rows` at most, of at most `bytes`."""

    rows: int = MOST_ROWS
    bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Sample:
    """What was read. Nothing was changed at the source, and no more than the limits was asked for.

    Attributes:
        address: where, without passwords.
        kind: file | sql | http | topic.
        format: csv, ndjson, json, parquet, table, pages or events.
        name: what a table of it could be called.
        table: string columns, as the source's reader delivers them.
        whole: whether these are all the rows there are.
        total: how many rows there are, where the source knows; an estimate where `about` says so.
        about: what else is known: delimiter, encoding, files, bytes, row groups, engine.
        declared: {column: the type that the source itself gives it}.
        keys: keys that the source itself declares.
        notes: what is odd, and what to do about it.
    """

    address: str
    kind: str
    format: str
    name: str
    table: pa.Table
    whole: bool
    total: int | None = None
    about: Mapping[str, object] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
