"""Columns with the event time: a single column, or date and time of day in several columns."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.timestamp_parsing import READABLE, Timed, TimeForm, time_form

YEAR, MONTH, DAY = {"year", "yr", "yyyy"}, {"month", "mon", "mnth", "mm"}, {"day", "dd", "mday"}
HOUR, MINUTE = {"hour", "hr", "hh"}, {"minute", "minutes"}
_PLANNED = {"sched", "scheduled", "planned", "plan", "expected", "due", "deadline"}
_LATER = re.compile(r"(?i)(updat|modif|chang|arriv|deliver|ship|return|clos|end|finish|complet)")
_EARLIER = re.compile(r"(?i)(order|creat|event|occur|start|begin|open|happen|^date|^time|^ts)")
_TIME_NAME = re.compile(r"(?i)(time|date|_at$|_on$|day$|stamp|_ts$|^ts$|when)")
_DIGITS = r"^\s*\d{1,4}(\.0)?\s*$"
_INTEGER = r"^(0|[1-9]\d{0,8}|NA)$"
_CLOCK = r"^\s*\d{1,2}:\d\d(:\d\d(\.\d+)?)?\s*$"
_AM_PM = r"(?i)^\s*\d{1,2}:\d\d(:\d\d)?\s*[AP]\.?M\.?\s*$"


@dataclass(frozen=True)
class _SingleColumn:
    """Single time column, in the form that `time_form` takes."""

    time: str
    time_format: str | None = None


def read_times(table: pa.Table, names: Sequence[str], ask: Timed) -> TimeForm:
    """Return the time format of the columns `names` of a table of strings.

    Raises:
        DeclarationError: if the columns do not form a time, or if two time formats fit them.
    """
    if len(names) == 1:
        return time_form(table[names[0]], ask)
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'").fetchall()
        db.register("given", table.select(list(names)))
        calendar = _calendar(db, table, names, ask)
        clock, rest = _clock(db, [name for name in names if name not in calendar.names])
        if rest:
            raise DeclarationError(
                f"not a part of a date or a clock: {', '.join(map(repr, rest))}",
                where=f"--time {','.join(names)}",
                fix="name year,month,day or one date column, then a clock (hhmm, HH:MM or hour)",
            )
        order = [*calendar.names, *clock.names]
        if len(order) < 2:
            raise _unreadable(names)
        sql = " + ".join([calendar.sql, *clock.sql])
        if _read_share(db, sql, order) < READABLE:
            raise _unreadable(names)
        native = calendar.native and (not clock.names or clock.hhmm)
        native = native and all(_matching(db, name, _INTEGER) for name in order)
    return TimeForm(
        "string",
        _template(sql, order),
        aware=False,
        dates=not clock.names,
        columns=tuple(order),
        native=native,
    )


@dataclass(frozen=True)
class _Part:
    """Columns with the date, and the SQL expression that combines them."""

    names: tuple[str, ...]
    sql: str
    native: bool = False


@dataclass(frozen=True)
class _Clock:
    names: tuple[str, ...]
    sql: tuple[str, ...]
    hhmm: bool = False


def _calendar(
    db: duckdb.DuckDBPyConnection, table: pa.Table, names: Sequence[str], ask: Timed
) -> _Part:
    parts = [_column_of_kind(names, kind) for kind in (YEAR, MONTH, DAY)]
    if all(parts):
        year, month, day = (part or "" for part in parts)
        joined = f"concat_ws('-', {', '.join(_as_integer(name) for name in (year, month, day))})"
        return _Part((year, month, day), f"TRY_CAST({joined} AS TIMESTAMP)", native=True)
    for name in names:
        if _matching(db, name, _DIGITS) and not _matching(db, name, r"^\d{8}$"):
            continue
        if _matching(db, name, _CLOCK) or _matching(db, name, _AM_PM):
            continue
        form = time_form(table[name], _SingleColumn(name, ask.time_format))
        sql = form.sql(name) if form.expression else f"CAST({ident(name)} AS TIMESTAMPTZ)"
        # a date such as 20130705 may be typed as a number
        sql = sql.replace(ident(name), f"CAST({ident(name)} AS VARCHAR)")
        if form.dates:
            return _Part((name,), f"CAST({sql} AS TIMESTAMP)")
    raise DeclarationError(
        f"no date in {', '.join(names)}",
        where="--time",
        fix="name the columns of year, month and day, or one column with the date",
    )


def _clock(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> tuple[_Clock, list[str]]:
    """Find the time of day among these columns; return it and the remaining columns."""
    hour, minute = _column_of_kind(names, HOUR), _column_of_kind(names, MINUTE)
    if hour is not None and _within(db, hour, 24):
        used = [hour] if minute is None else [hour, minute]
        steps = [f"to_hours({_as_integer(hour)})"]
        steps += [f"to_minutes({_as_integer(minute)})"] if minute else []
        return _Clock(tuple(used), tuple(steps)), [name for name in names if name not in used]
    for name in names:
        rest = [other for other in names if other != name]
        if _matching(db, name, _CLOCK):
            part = f"TRY_CAST(split_part({ident(name)}, ':', {{}}) AS BIGINT)"
            minutes = f"to_minutes({part.format(1)} * 60 + {part.format(2)})"
            second = f"TRY_CAST(split_part({ident(name)}, ':', 3) AS DOUBLE)"
            seconds = f"to_seconds(coalesce({second}, 0))"
            return _Clock((name,), (minutes, seconds)), rest
        if _matching(db, name, _AM_PM):
            read = f"try_strptime({ident(name)}, ['%I:%M %p', '%I:%M:%S %p', '%I:%M%p'])"
            return _Clock((name,), (f"({read} - TIMESTAMP '1900-01-01')",)), rest
        if hhmm(db, name):
            number = _as_integer(name)
            sql = f"to_minutes({number} // 100 * 60 + {number} % 100)"
            return _Clock((name,), (sql,), hhmm=True), rest
    return _Clock((), ()), list(names)


def hhmm(db: duckdb.DuckDBPyConnection, name: str, view: str = "given") -> bool:
    """Return True if all values are HHMM times such as 5, 517 or 2400, and some exceed 100."""
    number = _as_integer(name)
    query = (
        f"SELECT count({number}), coalesce(max({number}), 0),"  # noqa: S608
        f" count(*) FILTER (WHERE {number} % 100 > 59 OR {number} NOT BETWEEN 0 AND 2400)"
        f" FROM {view}"
    )
    values, greatest, wrong = db.execute(query).fetchall()[0]
    return bool(values and greatest > 100 and not wrong)


def _as_integer(name: str) -> str:
    return f"TRY_CAST({ident(name)} AS BIGINT)"


def _column_of_kind(names: Sequence[str], kind: set[str]) -> str | None:
    fitting = [name for name in names if words(name)[-1:] and words(name)[-1] in kind]
    exact = [name for name in fitting if name.casefold() in kind]
    return next(iter([*exact, *fitting]), None)


def _within(db: duckdb.DuckDBPyConnection, name: str, limit: int) -> bool:
    query = f"SELECT min({_as_integer(name)}), max({_as_integer(name)}) FROM given"  # noqa: S608
    low, high = db.execute(query).fetchall()[0]
    return low is not None and low >= 0 and high <= limit


def _matching(db: duckdb.DuckDBPyConnection, name: str, pattern: str) -> bool:
    c = ident(name)
    query = (
        f"SELECT count({c}), count(*) FILTER (WHERE regexp_matches({c}, {literal(pattern)}))"  # noqa: S608
        " FROM given"
    )
    values, matching = db.execute(query).fetchall()[0]
    return bool(values) and matching >= READABLE * values


def _read_share(db: duckdb.DuckDBPyConnection, sql: str, names: Sequence[str]) -> float:
    filled = " AND ".join(f"{ident(name)} IS NOT NULL AND {ident(name)} <> 'NA'" for name in names)
    query = f"SELECT count({sql}), count(*) FROM given WHERE {filled}"  # noqa: S608
    try:
        read, rows = db.execute(query).fetchall()[0]
    except duckdb.Error:
        return 0.0
    return read / rows if rows else 0.0


def _template(sql: str, names: Sequence[str]) -> str:
    """Replace column names with `{0}`, `{1}` …, because the contract may rename the columns."""
    for number, name in sorted(enumerate(names), key=lambda pair: -len(pair[1])):
        sql = sql.replace(ident(name), f"{{{number}}}")
    return sql


def _unreadable(names: Sequence[str]) -> DeclarationError:
    return DeclarationError(
        f"{', '.join(names)} together cannot be read as a time",
        where="--time",
        fix="name year,month,day and a clock: an hour, hhmm such as 517, or HH:MM",
    )


def likely_times(table: pa.Table) -> list[str]:
    """Detect the columns with the event time.

    In order of preference: one timestamp column; year, month, day and a time of day; a date and a
    time of day; a date alone.

    Raises:
        DeclarationError: if there is no such column.
    """
    singles = list(_singles(table))
    moments = [name for name, form in singles if form is not None and not form.dates]
    with duckdb.connect() as db:
        db.register("given", table)
        split = _split(db, table.column_names)
        complete = [name for name in table.column_names if _complete(table, name)]
        clock = _beside(db, complete)
    dates = [name for name, form in singles if form is None or form.dates]
    if moments:
        return [min(moments, key=_rank)]
    if len(split) > 3 or (split and not dates):
        return split
    if dates:
        date = min(dates, key=_rank)
        return [date, *(name for name in clock if name != date)]
    raise DeclarationError(
        "no column says when a row happened",
        where=f"columns: {', '.join(table.column_names)}",
        fix="--time COLUMN, or several columns that form a time: --time year,month,day,hour",
    )


def _singles(table: pa.Table) -> Iterator[tuple[str, TimeForm | None]]:
    """Yield (column, time format) for time columns with few nulls; None for an ambiguous format."""
    for name in table.column_names:
        if not _complete(table, name):
            continue
        first = next((text for text in table[name].to_pylist() if text), "")
        digits = first.strip().isdigit()
        if digits and not _TIME_NAME.search(name):
            continue
        if digits and len(first.strip()) not in {8, 10, 13}:
            continue
        if not re.search(r"\d", first) or re.fullmatch(r"[\d.,:\s-]{1,7}", first):
            continue
        try:
            yield name, time_form(table[name], _SingleColumn(name))
        except DeclarationError as error:
            if "both" in error.what:
                yield name, None


def _complete(table: pa.Table, name: str) -> bool:
    """Return True if at least `READABLE` of the rows have a value."""
    return bool(table[name].null_count <= (1 - READABLE) * table.num_rows)


def _rank(name: str) -> tuple[bool, bool, bool]:
    planned = bool(_PLANNED & set(words(name)))
    later = bool(_LATER.search(name)) or planned
    return (later, not _EARLIER.search(name), not _TIME_NAME.search(name))


def _beside(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[str]:
    """Return the columns with the time of day that belongs to a date column; [] if none."""
    for name in names:
        if _matching(db, name, _CLOCK) or _matching(db, name, _AM_PM):
            return [name]
    hour, minute = _column_of_kind(names, HOUR), _column_of_kind(names, MINUTE)
    if hour is not None and len(words(hour)) == 1 and _within(db, hour, 24):
        has_minute = minute is not None and _within(db, minute, 59)
        return [hour, minute] if has_minute and minute else [hour]
    return [name for name in names if "time" in words(name) and hhmm(db, name)][:1]


def _split(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[str]:
    """Return year, month and day columns, followed by a time of day if any; [] without a date.

    Among several HHMM columns, the one with the fewest nulls is used.
    """
    calendar = [_column_of_kind(names, kind) for kind in (YEAR, MONTH, DAY)]
    calendar_names = [name for name in calendar if name is not None]
    if (
        len(calendar_names) < 3
        or not _within(db, calendar_names[1], 12)
        or not _within(db, calendar_names[2], 31)
    ):
        return []
    hour, minute = _column_of_kind(names, HOUR), _column_of_kind(names, MINUTE)
    if hour is not None and hour not in calendar_names and _within(db, hour, 24):
        clock = [hour] if minute is None or not _within(db, minute, 59) else [hour, minute]
        return [*calendar_names, *clock]
    clocks = [
        name
        for name in names
        if name not in calendar_names and "time" in words(name) and hhmm(db, name)
    ]
    filled = {name: _filled(db, name) for name in clocks}
    best = max(clocks, key=lambda name: filled[name], default=None)
    return [*calendar_names, *([best] if best is not None and filled[best] >= READABLE else [])]


def _filled(db: duckdb.DuckDBPyConnection, name: str) -> float:
    query = f"SELECT count({_as_integer(name)}) / count(*) FROM given"  # noqa: S608
    return float(db.execute(query).fetchall()[0][0])
