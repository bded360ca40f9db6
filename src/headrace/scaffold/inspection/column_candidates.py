"""Inspection of a sample: types, nulls, ranges, and candidate columns for key, time and cursor."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import duckdb
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.scaffold.inspection.file_inspection import InspectedColumn, typed_columns
from headrace.scaffold.inspection.timestamp_parsing import TimeForm, time_form
from headrace.sources.sampling.sample import Sample

MOST_KEYS, _MOST_PAIRED, _MOST_WIDTH = 4, 10, 3
_EXAMPLES, _MOST_CHARS = 3, 60
_KEY_NAME = re.compile(r"(?i)(^|_)(id|key|code|nr|no|number|uuid|sku|name)$")
_CURSOR_NAME = re.compile(
    r"(?i)(updated|modified|changed|last_?(mod|upd|chang)|mtime|dwh_?ts|_upd|rowversion)"
)
_TIME_NAME = re.compile(r"(?i)(time|date|_at$|_on$|day$|stamp|_ts$|^ts$|when)")
_LIKE_A_TIME = r"^\s*[A-Za-z0-9][A-Za-z0-9 ,.:/+\-]{5,40}\s*$"


@dataclass(frozen=True)
class SampledColumn:
    """Column of a sample, with statistics.

    Attributes:
        column: name and type for a contract.
        declared: the type that the source declares; "" if none.
        nulls: number of rows without a value, including null texts such as NA.
        distinct: number of distinct values.
        minimum, maximum: smallest and greatest value; numbers are compared by size, others as
            text. None if all are null.
        examples: some values.
        time: description of its time format; "" if it is not a time.
    """

    column: InspectedColumn
    declared: str
    nulls: int
    distinct: int
    minimum: str | None
    maximum: str | None
    examples: tuple[str, ...]
    time: str = ""


@dataclass(frozen=True)
class InspectedSample:
    """Sample with the results of its inspection; columns are named as delivered.

    Attributes:
        keys: candidate keys, unique in the sample, likeliest first.
        times: columns that can be parsed as times, likeliest event time first.
        cursors: time columns that probably change with every update of the row.
        repeated: number of exact duplicate rows.
    """

    sample: Sample
    columns: tuple[SampledColumn, ...]
    keys: tuple[tuple[str, ...], ...]
    times: tuple[str, ...]
    cursors: tuple[str, ...]
    repeated: int

    @property
    def rows(self) -> int:
        return int(self.sample.table.num_rows)

    def column(self, header: str) -> SampledColumn:
        return next(column for column in self.columns if column.column.header == header)

    def to_json(self) -> dict[str, Any]:
        sample = self.sample
        return {
            "address": sample.address,
            "kind": sample.kind,
            "format": sample.format,
            "rows_read": self.rows,
            "whole": sample.complete,
            "rows_in_all": sample.total,
            "about": dict(sample.details),
            "columns": [_column_json(column, self.rows) for column in self.columns],
            "keys": [list(key) for key in self.keys],
            "times": list(self.times),
            "cursors": list(self.cursors),
            "repeated": self.repeated,
            "notes": list(sample.notes),
        }


def _column_json(column: SampledColumn, rows: int) -> dict[str, Any]:
    return {
        "name": column.column.header,
        "contract_name": column.column.name,
        "type": column.column.type,
        "declared": column.declared,
        "nulls": column.nulls,
        "null_share": column.nulls / rows if rows else 0.0,
        "null_tokens": list(column.column.null_tokens),
        "scale": column.column.scale,
        "distinct": column.distinct,
        "min": column.minimum,
        "max": column.maximum,
        "examples": list(column.examples),
        "time": column.time,
    }


@dataclass(frozen=True)
class _Timed:
    time: str
    time_format: str | None = None


def inspect_sample(sample: Sample) -> InspectedSample:
    """Inspect a sample, without reading more from the source."""
    table = sample.table
    with duckdb.connect() as db:
        db.register("given", table)
        columns = tuple(_sampled_column(db, sample, column) for column in typed_columns(table))
        unique = db.execute("SELECT count(*) FROM (SELECT DISTINCT * FROM given)").fetchall()[0][0]
        keys = tuple(_keys(db, sample, columns, int(unique))) if table.num_rows else ()
    times = sorted((column for column in columns if column.time), key=_time_rank)
    names = tuple(time.column.header for time in times)
    cursors = tuple(name for name in names if _CURSOR_NAME.search(name))
    return InspectedSample(sample, columns, keys, names, cursors, table.num_rows - int(unique))


def _sampled_column(
    db: duckdb.DuckDBPyConnection, sample: Sample, column: InspectedColumn
) -> SampledColumn:
    c = ident(column.header)
    where = f"{c} IS NOT NULL"
    if column.null_tokens:
        where += f" AND {c} NOT IN ({', '.join(['?'] * len(column.null_tokens))})"
    value = f"TRY_CAST({c} AS DOUBLE)" if column.is_number else c
    query = (
        f"SELECT count(DISTINCT {c}), arg_min({c}, {value}), arg_max({c}, {value})"  # noqa: S608
        f" FROM given WHERE {where}"
    )
    distinct, minimum, maximum = db.execute(query, list(column.null_tokens)).fetchall()[0]
    examples = db.execute(
        f"SELECT DISTINCT {c} FROM given WHERE {where} ORDER BY 1 LIMIT {_EXAMPLES}",  # noqa: S608
        list(column.null_tokens),
    ).fetchall()
    return SampledColumn(
        column,
        sample.declared.get(column.header, ""),
        column.nulls,
        int(distinct),
        _short(minimum),
        _short(maximum),
        tuple(_short(text) or "" for (text,) in examples),
        _as_time(db, sample.table, column),
    )


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + "…"


def _as_time(db: duckdb.DuckDBPyConnection, table: pa.Table, column: InspectedColumn) -> str:
    """Describe a column's time format in words; "" if it is not a time.

    An integer column can be a time only if its name suggests it.
    """
    if column.type not in {"string", "integer", "timestamp"}:
        return ""
    if column.type == "integer" and not _TIME_NAME.search(column.header):
        return ""
    c = ident(column.header)
    query = f"SELECT count({c}), count(*) FILTER (WHERE regexp_matches({c}, ?)) FROM given"  # noqa: S608
    filled, like = db.execute(query, [_LIKE_A_TIME]).fetchall()[0]
    if not filled or like < 0.99 * filled:
        return ""
    try:
        return _words(time_form(table[column.header], _Timed(column.header)))
    except DeclarationError as error:
        return "a date, but day first or month first is unclear" if "both" in error.what else ""


def _words(form: TimeForm) -> str:
    what = "a date" if form.dates else "a moment"
    return what + (" in UTC or with an offset" if form.aware else " without a zone: give --zone")


def _time_rank(column: SampledColumn) -> tuple[bool, bool, bool]:
    """Return the sort key of a time column: without nulls first, last-modified times later."""
    name = column.column.header
    return (column.nulls > 0, bool(_CURSOR_NAME.search(name)), not _TIME_NAME.search(name))


def _keys(
    db: duckdb.DuckDBPyConnection, sample: Sample, columns: Sequence[SampledColumn], rows: int
) -> Iterator[tuple[str, ...]]:
    """Yield the keys that the source declares, then the smallest unique sets of columns."""
    keys: list[tuple[str, ...]] = []

    def new(key: tuple[str, ...]) -> bool:
        return len(keys) < MOST_KEYS and not any(set(other) <= set(key) for other in keys)

    keys += [key for key in sample.keys if key][:MOST_KEYS]
    times = {column.column.header for column in columns if column.time}
    full = [column for column in columns if not column.nulls and _can_be_key(column)]
    full.sort(key=lambda column: (not _KEY_NAME.search(column.column.header), -column.distinct))
    names = [column.column.header for column in full[:_MOST_PAIRED]]
    for width in range(1, _MOST_WIDTH + 1):
        for key in combinations(names, width):
            lone_time = width == 1 and bool(times & set(key))  # timestamps are unique by accident
            if (
                new(key)
                and not lone_time
                and _product(full, key) >= rows
                and _distinct(db, key) == rows
            ):
                keys.append(key)
        if keys:
            break
    yield from keys


def _can_be_key(column: SampledColumn) -> bool:
    """Return False for amounts such as prices, which may be unique by accident."""
    return column.column.type in {"string", "integer", "timestamp"}


def _product(columns: Sequence[SampledColumn], key: Sequence[str]) -> int:
    result = 1
    for column in columns:
        result *= column.distinct if column.column.header in key else 1
    return result


def _distinct(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> int:
    columns = ", ".join(map(ident, names))
    query = f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM given)"  # noqa: S608
    return int(db.execute(query).fetchall()[0][0])
