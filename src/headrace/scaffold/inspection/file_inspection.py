"""Reading the file: its columns as a contract would type them, nothing yet about their meaning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import duckdb
import pyarrow as pa

from headrace.contracts.model import RESERVED, LogicalType
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.scaffold.answers import Ask, plain_name
from headrace.scaffold.inspection.column_words import NOTHING
from headrace.scaffold.inspection.keys import check_key
from headrace.scaffold.inspection.personal import is_personal
from headrace.scaffold.inspection.time_columns import likely_times, read_times
from headrace.scaffold.inspection.timestamp_parsing import TimeForm
from headrace.sources.parsing.csv_rows import csv_rows
from headrace.sources.rows import RawRows

MOST_DECIMALS = 6
# With so many rows in a window, sums of values up to this many units fit int64: see validate.
MAX_EVENTS = 1_000_000
_MOST_UNITS = 2**63 // MAX_EVENTS
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_INTEGER = "^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$"


@dataclass(frozen=True)
class Column:
    """A column of the file. `scale` and `max_abs` are as in the contract, in the column's unit."""

    header: str
    name: str
    type: LogicalType
    nulls: int
    scale: int | None = None
    max_abs: int | None = None
    null_tokens: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        return self.type in {"integer", "number"}

    @property
    def sums(self) -> bool:
        """Whether exact sums of it are possible."""
        return self.type == "integer" or self.scale is not None


@dataclass(frozen=True)
class Look:
    """Content of the file: its columns, the format of its times, the part of each column.

    `times` are the columns that say when, in the order in which `form` wants them; `found_time` is
    true if nobody named them. `personal` are the names of columns about persons.
    """

    ask: Ask
    payload: bytes
    columns: tuple[Column, ...]
    rows: int
    times: tuple[Column, ...]
    form: TimeForm
    key: tuple[Column, ...]
    entity: tuple[Column, ...]
    target: Column | None
    found_time: bool = False
    personal: frozenset[str] = frozenset()

    @property
    def time_name(self) -> str:
        """Prefix of the columns that are derived from the time."""
        return self.times[0].name if len(self.times) == 1 else self.free("happened")

    def free(self, name: str) -> str:
        """`name`, or the next one like it that the file does not use."""
        taken = {column.name.casefold() for column in self.columns}
        while name.casefold() in taken:
            name = f"{name}_new"
        return name

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def look(ask: Ask) -> Look:
    """Read the file of `ask`.

    Raises:
        DeclarationError: it is not a CSV file that Headrace reads, a named column is not there, its
            times cannot be read, or its key does not tell rows apart.
    """
    payload = ask.data.read_bytes()
    rows = _rows(ask, payload)
    found_time = not ask.time
    names = ask.time_columns(rows.columns) or tuple(likely_times(rows.table))
    for name in names:
        _header(rows, name, "--time")
    ask = replace(ask, time=",".join(names))
    form = read_times(rows.table, names, ask)
    columns = typed_columns(rows.table)
    if len(names) == 1:
        columns = tuple(
            replace(column, type=form.type, scale=None, max_abs=None, null_tokens=())
            if column.header == names[0]
            else column
            for column in columns
        )
    by_header = {column.header: column for column in columns}

    def chosen(names: Sequence[str], option: str) -> tuple[Column, ...]:
        return tuple(by_header[_header(rows, name, option)] for name in names)

    times = chosen(form.columns or names, "--time")
    key, entity = chosen(ask.key, "--key"), chosen(ask.entity, "--entity")
    check_key(rows.table, ask)
    target = chosen([ask.target], "--target")[0] if ask.target else None
    count = rows.table.num_rows
    personal = frozenset(
        column.name
        for column in columns
        if column not in times and is_personal(column.header, rows.table[column.header])
    )
    return Look(
        ask, payload, columns, count, times, form, key, entity, target, found_time, personal
    )


def typed_columns(table: pa.Table) -> tuple[Column, ...]:
    """The columns of a table of strings as a contract would type them, under names it accepts."""
    with duckdb.connect() as db:
        db.register("given", table)
        return _named([_column(db, header) for header in table.column_names])


def _rows(ask: Ask, payload: bytes) -> RawRows:
    rows = csv_rows(payload, ("",))
    if rows.malformed:
        first = rows.malformed[0]
        raise DeclarationError(
            f"{len(rows.malformed)} lines are not rows; line {first.line}: {first.why}",
            where=f"{ask.data}: {first.text}",
            fix="mend the file; a first project wants clean bytes, the gate takes it from there",
        )
    if len(rows.columns) < 2 or rows.table.num_rows == 0:
        raise DeclarationError(
            f"{len(rows.columns)} columns and {rows.table.num_rows} rows",
            where=str(ask.data),
            fix='give comma-separated values with a header; duckdb -c "COPY (FROM read_csv('
            "'in.csv')) TO 'out.csv'\" rewrites other separators",
        )
    return rows


def _header(rows: RawRows, name: str, option: str) -> str:
    if name not in rows.columns:
        raise DeclarationError(
            f"the file has no column {name!r}",
            where=option,
            fix=f"one of: {', '.join(rows.columns)}",
        )
    return name


def _column(db: duckdb.DuckDBPyConnection, header: str) -> Column:
    c = ident(header)
    present = [token for token in NOTHING if _count(db, f"{c} = ?", token)]
    given = f"{c} NOT IN ({', '.join(['?'] * len(present))})" if present else f"{c} IS NOT NULL"
    values = _count(db, given, *present)
    missing = _count(db, f"{c} IS NULL")
    found = _typed(db, header, given, present, values) if values else None
    if found is None:  # tokens may be words here: only what the file leaves out is null
        return Column(header, header, "string", missing)
    rows = _count(db, "TRUE")
    return replace(found, nulls=rows - values, null_tokens=tuple(present))


def _typed(
    db: duckdb.DuckDBPyConnection, header: str, given: str, tokens: list[str], values: int
) -> Column | None:
    """The column as something else than text, if all its values are."""

    def all_match(pattern: str) -> bool:
        matching = f"{given} AND regexp_matches({ident(header)}, '{pattern}')"
        return _count(db, matching, *tokens) == values

    kinds: tuple[tuple[Literal["boolean", "timestamp"], str], ...] = (
        ("boolean", "^(true|false)$"),
        ("timestamp", _MOMENT),
    )
    for kind, pattern in kinds:
        if all_match(pattern):
            return Column(header, header, kind, 0)
    if not all_match(_NUMBER):
        return None
    greatest = f"max(abs(TRY_CAST({ident(header)} AS DOUBLE)))"
    decimals = f"max(length(regexp_extract({ident(header)}, '[.]([0-9]*)', 1)))"
    exponents = f"count(*) FILTER (WHERE {ident(header)} ILIKE '%e%')"
    query = f"SELECT {greatest}, {decimals}, {exponents} FROM given WHERE {given}"  # noqa: S608
    largest, places, floats = db.execute(query, tokens).fetchall()[0]
    limit = limit_of(Decimal(largest))
    if all_match(_INTEGER):
        return Column(header, header, "integer", 0, max_abs=limit if limit < _MOST_UNITS else None)
    scaled = not floats and places <= MOST_DECIMALS and sums_fit(limit, places)
    return Column(
        header, header, "number", 0, places if scaled else None, limit if scaled else None
    )


def limit_of(largest: Decimal) -> int:
    """A power of ten, at least ten times what was seen."""
    return int(10 ** (max(largest, Decimal(1)).adjusted() + 2))


def sums_fit(limit: Decimal | int, places: int) -> bool:
    """Whether sums over a window of values up to `limit` fit, kept with so many decimal digits."""
    return bool(limit * 10**places < _MOST_UNITS)


def _count(db: duckdb.DuckDBPyConnection, where: str, *values: str) -> int:
    rows = db.execute(f"SELECT count(*) FROM given WHERE {where}", list(values))  # noqa: S608
    return int(rows.fetchall()[0][0])


def _named(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Names that a contract accepts; headers that are none become aliases."""
    taken = {name for name, _, _ in RESERVED} | {"t", "split", "label_reason"}
    found = []
    for column in columns:
        fits = _NAME.fullmatch(column.header) and column.header.casefold() not in taken
        name = column.header if fits else plain_name(column.header)
        while name.casefold() in taken:
            name = f"{name}_given"
        taken.add(name.casefold())
        found.append(replace(column, name=name))
    return tuple(found)
