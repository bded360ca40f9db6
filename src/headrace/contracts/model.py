"""Data model of a contract. `load` reads a contract from YAML, `conform` applies it to a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

LogicalType = Literal["integer", "number", "string", "timestamp", "boolean"]
Kind = Literal["event", "planned", "state"]
Form = Literal["text", "float"]
# Action of the gate on a row whose values differ from an earlier delivery's row with the same key
# and known-at.
OnConflict = Literal["quarantine", "block"]

TIMESTAMP = pa.timestamp("us", "UTC")
FIRST_FIELD_ID = 10
MOST_SCALE = 18  # 10**18 is the greatest power of ten that fits int64
# Columns at the end of every published table, with their field ids and types.
RESERVED: tuple[tuple[str, int, pa.DataType], ...] = (
    ("event_time", 3, TIMESTAMP),
    ("known_at", 4, TIMESTAMP),
    ("_batch", 1, pa.string()),
    ("_line", 2, pa.int64()),
)
# Additional column of tables whose contract has a `deleted` rule; true in tombstones.
DELETED: tuple[str, int, pa.DataType] = ("_deleted", 5, pa.bool_())
_ARROW: dict[LogicalType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
    "timestamp": TIMESTAMP,
    "boolean": pa.bool_(),
}


@dataclass(frozen=True)
class ReferenceTable:
    """Pinned lookup table of a derivation, {key: value}; its content is part of the hash."""

    name: str
    values: Mapping[str, str]
    sha: str


@dataclass(frozen=True)
class ZoneRule:
    """Time zone of all rows (`name`), or of each row: `reference` maps column `by` to zones."""

    name: str | None = None
    by: str | None = None
    reference: ReferenceTable | None = None

    @property
    def zones(self) -> frozenset[str]:
        if self.reference is not None:
            return frozenset(self.reference.values.values())
        return frozenset({self.name} if self.name else ())


@dataclass(frozen=True)
class LocalTime:
    """Derivation: the instant at which a wall clock shows a date and an HHMM time.

    `year`, `month` and `day` are columns; `clock` is a column or a constant, and 2400 is the next
    midnight. `days` is added to the date.
    """

    year: str
    month: str
    day: str
    clock: str | int
    zone: ZoneRule
    ambiguous: Literal["first", "last"]
    missing: Literal["forward"]
    days: int = 0


@dataclass(frozen=True)
class NextClock:
    """Derivation: the first instant at or after `after` at which a wall clock shows `clock`.

    The search starts on the local day of `after`. If a clock change skips the time, the time is
    moved forward by the gap; if the clock shows the time twice, both instants are candidates.
    """

    after: str
    clock: str
    zone: ZoneRule


@dataclass(frozen=True)
class WallClock:
    """Derivation: the local time at timestamp column `of`, as the integer YYYYMMDDHHMM."""

    of: str
    zone: ZoneRule


@dataclass(frozen=True)
class Sql:
    """DuckDB expression over one row; `inputs` are the columns it uses, all declared earlier."""

    expression: str
    inputs: frozenset[str] = frozenset()


Derivation = LocalTime | NextClock | WallClock | Sql


@dataclass(frozen=True)
class Field:
    """Column of a contract.

    `max_abs` and `sentinels` are in stored units: scaled integers if the column has a `scale`.
    `levels` is {code as text: meaning}. `explained_by` lists sets of columns. Each set nearly
    determines this column; drift detection uses these sets. A hidden column has no field id and
    exists only while `conform` runs.
    """

    name: str
    type: LogicalType
    id: int | None
    description: str
    privacy: str
    unit: str | None = None
    zone: str | None = None
    required: bool = False
    primary_key_position: int | None = None
    scale: int | None = None
    form: Form = "text"
    max_abs: float | None = None
    sentinels: tuple[int | float | str, ...] = ()
    null_tokens: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    levels: Mapping[str, str] = attribute(default_factory=dict, hash=False)
    explained_by: tuple[tuple[str, ...], ...] = ()
    may_be_absent: bool = False
    round_up: bool = False
    derivation: Derivation | None = None

    @property
    def hidden(self) -> bool:
        return self.id is None

    @property
    def arrow_type(self) -> pa.DataType:
        """Return the computed type: int64 (also for scaled numbers), float64, string, bool or
        timestamp[us, UTC].
        """
        return pa.int64() if self.scale is not None else _ARROW[self.type]

    @property
    def table_type(self) -> pa.DataType:
        """Return the type in files and tables: DECIMAL for a scaled number, else `arrow_type`.

        With up to 18 digits, Parquet stores the DECIMAL as the same int64.
        """
        if not self.scale:
            return self.arrow_type
        return pa.decimal128(max(18, len(str(int(self.max_abs or 0)))), self.scale)

    def in_unit(self, stored: object) -> object:
        """Convert a stored value to the contract's unit: 2362 at scale 2 is 23.62."""
        if not self.scale or not isinstance(stored, int):
            return stored
        exact = Decimal(stored).scaleb(-self.scale)
        return int(exact) if exact == exact.to_integral_value() else float(exact)

    @property
    def form_text(self) -> str:
        """Describe the column in messages: `number, inch, scale 2`."""
        scale = None if self.scale is None else f"scale {self.scale}"
        return ", ".join(part for part in (self.type, self.unit, scale) if part)


@dataclass(frozen=True)
class TimeRule:
    """SQL rule for `event_time`, `known_at` or `_deleted`, with a description in words."""

    expression: Sql
    description: str


@dataclass(frozen=True)
class Invariant:
    """SQL boolean over the published row; a row for which it is false is quarantined."""

    name: str
    expression: str
    description: str


@dataclass(frozen=True)
class RowRelation:
    """SQL boolean over delivered columns that is true for nearly all rows.

    A row that breaks it still passes; many such rows in a batch are evidence of a semantic change.
    """

    name: str
    expression: Sql
    description: str


@dataclass(frozen=True)
class Contract:
    """One version of a table's contract.

    `columns` holds all columns in order, including hidden ones.
    `coverage` is the first and last expected partition; both are `snapshot` for a snapshot table.
    `slot_zone` is the time zone whose days are the partitions; None means UTC.
    `max_events` is the greatest number of rows that a window of a feature can hold.
    `deleted` is the rule for tombstones, rows that delete their key; None if there are none.
    `conflicts` is the action on a row that has the key, known-at and sequence of an earlier
    delivery's row but other values.
    `hash` covers the whole file. `meaning_hash` covers only what affects which rows pass and what
    their values mean: not prose, people, terms or coverage.
    `retired_ids` are the field ids of removed columns. `document` is the parsed file.
    """

    table: str
    version: str
    kind: Kind
    status: str
    description: str
    grain: str
    owner: str
    consumers: tuple[str, ...]
    licence: str
    purposes: tuple[str, ...]
    privacy: str
    columns: tuple[Field, ...]
    sequence: str | None
    event_time: TimeRule
    known_at: TimeRule
    invariants: tuple[Invariant, ...]
    coverage: tuple[str, str] | None
    max_events: int | None
    null_tokens: tuple[str, ...]
    hash: str
    meaning_hash: str
    path: Path
    retired_ids: tuple[int, ...] = ()
    deleted: TimeRule | None = None
    document: Mapping[str, Any] = attribute(default_factory=dict, compare=False, repr=False)
    relations: tuple[RowRelation, ...] = ()
    slot_zone: str | None = None
    conflicts: OnConflict = "quarantine"

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        keys = [(field.primary_key_position, field.name) for field in self.columns]
        return tuple(name for position, name in sorted(k for k in keys if k[0] is not None))

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """Return the columns that identify a row version: primary key, known-at and sequence.

        Empty without a primary key.
        """
        sequence = (self.sequence,) if self.sequence else ()
        return (*self.primary_key, "known_at", *sequence) if self.primary_key else ()

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Return the published columns: delivered ones, then derived ones that are not hidden."""
        return tuple(field for field in self.columns if not field.hidden)

    @cached_property
    def delivered(self) -> tuple[Field, ...]:
        """Return the columns that deliveries contain, i.e. all that are not derived."""
        return tuple(field for field in self.columns if field.derivation is None)

    @cached_property
    def derivations(self) -> tuple[tuple[str, Derivation], ...]:
        """Return (column, rule) of the derived columns, in the order of computation."""
        return tuple((f.name, f.derivation) for f in self.columns if f.derivation is not None)

    def field(self, name: str) -> Field:
        """Return the column `name`, which may be hidden; raise KeyError if it does not exist."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.columns}

    def arrow_schema(self) -> pa.Schema:
        """Return the published schema: contract columns, then reserved columns, with field ids."""
        return self._schema

    def table_schema(self) -> pa.Schema:
        """Return the schema in files and tables: `arrow_schema` with scaled numbers as DECIMAL."""
        return self._table_schema

    @cached_property
    def _schema(self) -> pa.Schema:
        return self._with_types([field.arrow_type for field in self.fields])

    @cached_property
    def _table_schema(self) -> pa.Schema:
        return self._with_types([field.table_type for field in self.fields])

    def _with_types(self, types: Sequence[pa.DataType]) -> pa.Schema:
        columns = [(f.name, f.id, kind) for f, kind in zip(self.fields, types, strict=True)]
        return pa.schema(
            pa.field(name, kind, metadata={b"PARQUET:field_id": str(number).encode()})
            for name, number, kind in (*columns, *RESERVED, *([DELETED] if self.deleted else []))
        )
