"""Time format of a text column: detected by trial, rejected if two formats are possible."""

from dataclasses import dataclass
from typing import Protocol

import duckdb
import pyarrow as pa

from headrace.contracts.model import LogicalType
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal

# Least share of values that a format must parse. The gate quarantines the other rows.
READABLE = 0.99
_MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"
_OFFSET = r":\d\d(\.\d+)? ?(Z|UTC|[+-]\d\d(:?\d\d)?)$"
_FORMATS = (
    "%Y%m%d", "%Y-%m", "%Y/%m", "%Y-%m-%d %I:%M %p", "%Y/%m/%d", "%Y.%m.%d",
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y",
    "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


class Timed(Protocol):
    """Protocol of a time column: its name, and its strptime format if the user gave one."""

    @property
    def time(self) -> str: ...

    @property
    def time_format(self) -> str | None: ...


@dataclass(frozen=True)
class TimeForm:
    """Format of a time column, and the SQL expression that converts it to a timestamp.

    `expression` is SQL over the column `{}`. It returns a local TIMESTAMP, or a TIMESTAMPTZ if
    `aware`; it is None if the column is already a UTC timestamp. `dates` is True if no value has a
    time of day. If the time has several columns, `columns` are their headers, and the expression
    refers to them as `{0}`, `{1}` …; they are `native` if they are year, month, day and optionally
    HHMM, which a contract's `local_time` takes directly.
    """

    type: LogicalType
    expression: str | None
    aware: bool
    dates: bool
    columns: tuple[str, ...] = ()
    native: bool = False

    def sql(self, *columns: str) -> str:
        """Return the expression with these column names inserted."""
        if not self.columns:
            return _over(self.expression or "{}", ident(columns[0]))
        text = self.expression or ""
        for number, column in enumerate(columns):
            text = text.replace(f"{{{number}}}", ident(column))
        return text


def time_form(texts: pa.ChunkedArray, ask: Timed) -> TimeForm:
    """Return the time format of `texts` (strings).

    Raises:
        DeclarationError: if no format fits, or two formats fit and give different times.
    """
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'").fetchall()
        db.register("given", pa.table({"x": texts}))
        if ask.time_format is not None:
            return _stated(db, ask, ask.time_format)
        for form in (_plain(db), _epoch(db)):
            if form is not None:
                return form
        return _by_format(db, ask)


def _stated(db: duckdb.DuckDBPyConnection, ask: Timed, time_format: str) -> TimeForm:
    expression = f"try_strptime({{}}, {literal(time_format)})"
    if not _reads(db, expression):
        raise _unreadable(db, ask, f"the format {time_format!r} does not fit")
    return TimeForm("string", expression, aware=False, dates=_midnights(db, expression))


def _plain(db: duckdb.DuckDBPyConnection) -> TimeForm | None:
    if _matches(db, _MOMENT) == 1.0:
        return TimeForm(
            "timestamp", None, aware=True, dates=_midnights(db, "CAST({} AS TIMESTAMP)")
        )
    moment, local = "TRY_CAST({} AS TIMESTAMPTZ)", "TRY_CAST({} AS TIMESTAMP)"
    if _matches(db, _OFFSET) >= READABLE and _reads(db, moment):
        return TimeForm("string", moment, aware=True, dates=False)
    if _reads(db, local):
        return TimeForm("string", local, aware=False, dates=_midnights(db, local))
    return None


def _epoch(db: duckdb.DuckDBPyConnection) -> TimeForm | None:
    """Return the format if all values are Unix seconds or milliseconds from 1980 to 2099."""
    low, high = _row(db, "SELECT min(TRY_CAST(x AS BIGINT)), max(TRY_CAST(x AS BIGINT)) FROM given")
    if low is None or _matches(db, r"^\d+$") < 1.0:
        return None
    for first, last, expression in (
        (315_532_800, 4_102_444_800, "epoch_ms({} * 1000)"),
        (315_532_800_000, 4_102_444_800_000, "epoch_ms({})"),
    ):
        if first <= low and high < last:
            moment = f"CAST({expression} AS TIMESTAMPTZ)"
            return TimeForm("integer", moment, aware=True, dates=False)
    return None


def _by_format(db: duckdb.DuckDBPyConnection, ask: Timed) -> TimeForm:
    formats = [form + clock for form in _FORMATS for clock in _CLOCKS]
    expressions = {form: f"try_strptime({{}}, {literal(form)})" for form in formats}
    fitting = {form: sql for form, sql in expressions.items() if _reads(db, sql)}
    if not fitting:
        raise _unreadable(db, ask, "no known format fits")
    (form, expression), *alternatives = fitting.items()
    for other, sql in alternatives:
        where = f"{_over(expression)} IS DISTINCT FROM {_over(sql)}"
        (differing,) = _row(db, f"SELECT count(*) FROM given WHERE {where}")  # noqa: S608
        if differing:
            raise _unreadable(db, ask, f"both {form!r} and {other!r} fit, and give different times")
    return TimeForm("string", expression, aware=False, dates=_midnights(db, expression))


def _unreadable(db: duckdb.DuckDBPyConnection, ask: Timed, why: str) -> DeclarationError:
    samples = [str(text) for (text,) in db.execute("SELECT x FROM given LIMIT 3").fetchall()]
    return DeclarationError(
        f"cannot read the times of {ask.time!r}: {why}",
        where=f"values such as {', '.join(map(repr, samples))}",
        fix="give the format: --time-format '%d/%m/%Y %H:%M' (strptime)",
    )


def _over(expression: str, column: str = "x") -> str:
    return expression.replace("{}", column)


def _reads(db: duckdb.DuckDBPyConnection, expression: str) -> bool:
    try:
        read, filled = _row(
            db,
            f"SELECT count({_over(expression)}), count(x) FROM given",  # noqa: S608
        )
    except duckdb.Error:
        return False
    return bool(filled) and read >= READABLE * filled


def _matches(db: duckdb.DuckDBPyConnection, pattern: str) -> float:
    matching = f"count(*) FILTER (WHERE regexp_matches(x, {literal(pattern)}))"
    matched, filled = _row(db, f"SELECT {matching}, count(x) FROM given")  # noqa: S608
    return float(matched / filled) if filled else 0.0


def _midnights(db: duckdb.DuckDBPyConnection, expression: str) -> bool:
    sql = _over(expression)
    where = f"{sql} <> date_trunc('day', {sql})"
    (off_midnight,) = _row(db, f"SELECT count(*) FROM given WHERE {where}")  # noqa: S608
    return bool(off_midnight == 0)


def _row(db: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row: tuple[int, ...] = db.execute(query).fetchall()[0]
    return row
