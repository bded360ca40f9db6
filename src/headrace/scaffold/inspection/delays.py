"""Delays of known-at, derived from later time columns and from clocks without a date."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.core.time_zones import to_utc
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.declarations import NO_DELAYS, Delays, Later
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.inspection.file_inspection import InspectedColumn
from headrace.scaffold.inspection.timestamp_parsing import READABLE, TimeForm, time_form

Ints = npt.NDArray[np.int64]
# Words in names of columns with planned times, which may lie after the row's known-at.
_AHEAD = frozenset(
    words(
        "sched scheduled planned plan expected due deadline expires expiry expiration until "
        "valid target promised estimated eta birth"
    )
)
_MOST_LATE = 0.995


@dataclass(frozen=True)
class _TextColumn:
    time: str
    time_format: str | None = None


def delays(facts: Facts) -> Delays:
    """Derive the delays from other time columns; return none if there is a known-at column."""
    if facts.look.ask.known_at or facts.look.ask.kind == "planned":
        return NO_DELAYS
    late = list(_later(facts))
    if not late:
        return Delays(clocks=tuple(_clocks(facts)))
    greatest = np.maximum.reduce([after for _, after in late])
    usual = int(np.quantile(greatest, _MOST_LATE))
    span = int(facts.event_us.max() - facts.event_us.min())
    return Delays(
        tuple(delay for delay, _ in late), tuple(_clocks(facts)), min(max(usual, 0), span // 8)
    )


def _later(facts: Facts) -> Iterator[tuple[Later, Ints]]:
    """Yield time columns that are (almost) never before the event, with delays in microseconds."""
    for column in facts.look.columns:
        form = _form(facts, column)
        if form is None:
            continue
        moments, filled = _moments(facts, column, form)
        after = np.where(filled, moments - facts.event_us, 0)
        floor = -DAY if form.dates and not facts.look.form.dates else 0
        if (after[filled] > floor).mean() < READABLE and (after[filled] >= 0).mean() < READABLE:
            continue
        if filled.any() and after.max() > 0:
            yield Later(column, form), after


def _form(facts: Facts, column: InspectedColumn) -> TimeForm | None:
    look = facts.look
    skipped = column in look.times or column.name in look.personal
    if skipped or _AHEAD & set(words(column.header)):
        return None
    if column.type == "timestamp":
        return TimeForm("timestamp", None, aware=True, dates=False)
    if column.type != "string":
        return None
    texts = facts.table[column.name]
    first = next((text for text in texts.to_pylist() if text), "")
    if not re.search(r"\d.*\d", first) or not re.search(r"[-/.: ]", first):
        return None
    try:
        return time_form(texts, _TextColumn(column.header))
    except DeclarationError:
        return None


def _moments(
    facts: Facts, column: InspectedColumn, form: TimeForm
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return the column in microseconds UTC, and a mask of the rows with a value."""
    values = facts.table[column.name]
    if form.expression is not None:
        with duckdb.connect() as db:
            db.execute("SET TimeZone = 'UTC'").fetchall()
            db.register("given", pa.table({"x": values}))
            query = f"SELECT epoch_us({form.sql('x')}) AS us FROM given"  # noqa: S608
            us = db.sql(query).to_arrow_table()["us"]
    else:
        us = values.cast(pa.int64())
    filled = us.is_valid().to_numpy()
    moments = us.fill_null(0).to_numpy().astype(np.int64)
    if not form.aware:
        moments = to_utc(moments, facts.look.ask.zone)
    return moments, filled


def _clocks(facts: Facts) -> Iterator[str]:
    """Yield columns with a time of day but no date, such as an arrival at 517 (5:17)."""
    for column in facts.look.columns:
        ahead = _AHEAD & set(words(column.header))
        if column not in facts.look.times and not ahead and facts.is_clock(column):
            yield column.name
