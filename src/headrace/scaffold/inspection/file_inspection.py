"""Inspection of a data file: its columns, with types as in a contract, and its time format."""

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
from headrace.scaffold.inspection.column_words import NULL_TEXTS
from headrace.scaffold.inspection.keys import check_key
from headrace.scaffold.inspection.personal import is_personal
from headrace.scaffold.inspection.time_columns import likely_times, read_times
from headrace.scaffold.inspection.timestamp_parsing import TimeForm
from headrace.sources.parsing.csv_rows import csv_rows
from headrace.sources.rows import RawRows

MOST_DECIMALS = 6
# Drafted `maxEvents`. With at most this many rows in a window, sums of values below `_MOST_UNITS`
# stored units fit int64.
MAX_EVENTS = 1_000_000
_MOST_UNITS = 2**63 // MAX_EVENTS
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_INTEGER = "^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$"


@dataclass(frozen=True)
class InspectedColumn:
    """Column of the file, with `scale` and `max_abs` (in the column's unit) for a contract."""

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
        """True if the column is stored as integers, so that its sums are exact."""
        return self.type == "integer" or self.scale is not None


@dataclass(frozen=True)
class Look:
    """Inspected file: its bytes, its columns and their roles, and its time format.

    `times` are the columns with the event time, in the order of `form`; `found_time` is True if
    they were detected, not named by the user. `personal` are the names of columns with personal
    data.
    """

    ask: Ask
    payload: bytes
    columns: tuple[InspectedColumn, ...]
    rows: int
    times: tuple[InspectedColumn, ...]
    form: TimeForm
    key: tuple[InspectedColumn, ...]
    entity: tuple[InspectedColumn, ...]
    target: InspectedColumn | None
    found_time: bool = False
    personal: frozenset[str] = frozenset()

    @property
    def time_name(self) -> str:
        """Prefix for names of derived columns: the time column, or a new name if it has parts."""
        return self.times[0].name if len(self.times) == 1 else self.free("happened")

    def free(self, name: str) -> str:
        """Return `name`, with a suffix if the file already has such a column."""
        used = {column.name.casefold() for column in self.columns}
        while name.casefold() in used:
            name = f"{name}_new"
        return name

    def column(self, name: str) -> InspectedColumn:
        return next(column for column in self.columns if column.name == name)


def look(ask: Ask) -> Look:
    """Read and inspect the file of `ask`.

    Raises:
        DeclarationError: if the file is not a readable CSV file, lacks a named column, has times
            that cannot be parsed, or has a key that is not unique.
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

    def selected(names: Sequence[str], option: str) -> tuple[InspectedColumn, ...]:
        return tuple(by_header[_header(rows, name, option)] for name in names)

    times = selected(form.columns or names, "--time")
    key, entity = selected(ask.key, "--key"), selected(ask.entity, "--entity")
    check_key(rows.table, ask)
    target = selected([ask.target], "--target")[0] if ask.target else None
    count = rows.table.num_rows
    personal = frozenset(
        column.name
        for column in columns
        if column not in times and is_personal(column.header, rows.table[column.header])
    )
    return Look(
        ask, payload, columns, count, times, form, key, entity, target, found_time, personal
    )


def typed_columns(table: pa.Table) -> tuple[InspectedColumn, ...]:
    """Return the columns of a table of strings, with types and names for a contract."""
    with duckdb.connect() as db:
        db.register("given", table)
        return _with_valid_names([_column(db, header) for header in table.column_names])


def _rows(ask: Ask, payload: bytes) -> RawRows:
    rows = csv_rows(payload, ("",))
    if rows.malformed:
        first = rows.malformed[0]
        raise DeclarationError(
            f"lines that are not valid rows: {len(rows.malformed)}; line {first.line}: {first.why}",
            where=f"{ask.data}: {first.text}",
            fix="fix or remove these lines; a draft needs a clean file",
        )
    if len(rows.columns) < 2 or rows.table.num_rows == 0:
        raise DeclarationError(
            "the file needs at least two columns and one row; it has columns:"
            f" {len(rows.columns)}, rows: {rows.table.num_rows}",
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


def _column(db: duckdb.DuckDBPyConnection, header: str) -> InspectedColumn:
    c = ident(header)
    present = [token for token in NULL_TEXTS if _count(db, f"{c} = ?", token)]
    condition = f"{c} NOT IN ({', '.join(['?'] * len(present))})" if present else f"{c} IS NOT NULL"
    values = _count(db, condition, *present)
    missing = _count(db, f"{c} IS NULL")
    typed = _typed(db, header, condition, present, values) if values else None
    if typed is None:  # text, in which tokens such as NA may be words: only empty cells are null
        return InspectedColumn(header, header, "string", missing)
    rows = _count(db, "TRUE")
    return replace(typed, nulls=rows - values, null_tokens=tuple(present))


def _typed(
    db: duckdb.DuckDBPyConnection, header: str, condition: str, tokens: list[str], values: int
) -> InspectedColumn | None:
    """Return the column as boolean, timestamp or number if all values fit; None for text."""

    def all_match(pattern: str) -> bool:
        matching = f"{condition} AND regexp_matches({ident(header)}, '{pattern}')"
        return _count(db, matching, *tokens) == values

    kinds: tuple[tuple[Literal["boolean", "timestamp"], str], ...] = (
        ("boolean", "^(true|false)$"),
        ("timestamp", _MOMENT),
    )
    for kind, pattern in kinds:
        if all_match(pattern):
            return InspectedColumn(header, header, kind, 0)
    if not all_match(_NUMBER):
        return None
    greatest = f"max(abs(TRY_CAST({ident(header)} AS DOUBLE)))"
    decimals = f"max(length(regexp_extract({ident(header)}, '[.]([0-9]*)', 1)))"
    exponents = f"count(*) FILTER (WHERE {ident(header)} ILIKE '%e%')"
    query = f"SELECT {greatest}, {decimals}, {exponents} FROM given WHERE {condition}"  # noqa: S608
    largest, places, floats = db.execute(query, tokens).fetchall()[0]
    limit = limit_of(Decimal(largest))
    if all_match(_INTEGER):
        return InspectedColumn(
            header, header, "integer", 0, max_abs=limit if limit < _MOST_UNITS else None
        )
    scaled = not floats and places <= MOST_DECIMALS and sums_fit(limit, places)
    return InspectedColumn(
        header, header, "number", 0, places if scaled else None, limit if scaled else None
    )


def limit_of(largest: Decimal) -> int:
    """Return the least power of ten above ten times the largest value, and at least 100."""
    return int(10 ** (max(largest, Decimal(1)).adjusted() + 2))


def sums_fit(limit: Decimal | int, places: int) -> bool:
    """Return True if window sums of values up to `limit` with `places` decimals fit int64."""
    return bool(limit * 10**places < _MOST_UNITS)


def _count(db: duckdb.DuckDBPyConnection, where: str, *values: str) -> int:
    rows = db.execute(f"SELECT count(*) FROM given WHERE {where}", list(values))  # noqa: S608
    return int(rows.fetchall()[0][0])


def _with_valid_names(columns: Sequence[InspectedColumn]) -> tuple[InspectedColumn, ...]:
    """Give columns unique names that a contract accepts; `header` stays the delivered name."""
    used_names = {name for name, _, _ in RESERVED} | {"t", "split", "label_reason"}
    renamed = []
    for column in columns:
        fits = _NAME.fullmatch(column.header) and column.header.casefold() not in used_names
        name = column.header if fits else plain_name(column.header)
        while name.casefold() in used_names:
            name = f"{name}_given"
        used_names.add(name.casefold())
        renamed.append(replace(column, name=name))
    return tuple(renamed)
