"""Relations between a date and numbers or texts derived from it: parts, counts of days, names."""

from collections.abc import Iterator

import numpy as np

from headrace.core.sql import ident
from headrace.scaffold.hints.candidate import RelationCandidate
from headrace.scaffold.hints.sample import HintColumn, HintSample

_DAY_US = 86_400_000_000
# Parts of a date or time as DuckDB functions.
_PARTS = ("year", "month", "day", "hour", "minute", "dayofyear", "dayofweek", "isodow", "week")
_FEWEST_DAYS = 5  # different dates; a relation to fewer says little
_NAMES = ("dayname", "monthname")  # DuckDB functions


def calendar_relations(sample: HintSample) -> Iterator[RelationCandidate]:
    """Yield relations to the date in each text or timestamp column that has ISO dates."""
    for date in sample.columns.values():
        moment = _moment(date)
        if moment is None:
            continue
        us = sample.integers(f"epoch_us({moment})", [date.name])
        if np.isnan(us).mean() > 0.1 or len(np.unique(us[~np.isnan(us)] // _DAY_US)) < _FEWEST_DAYS:
            continue
        yield from _parts(sample, date, moment)
        yield from _counts(sample, date, moment, us)
        yield from _names(sample, date, moment)


def _moment(column: HintColumn) -> str | None:
    """Return SQL of the column as a timestamp without a zone."""
    if column.field.type == "string":
        return f"TRY_CAST({ident(column.name)} AS TIMESTAMP)"
    if column.field.type == "timestamp":
        return f"make_timestamp(epoch_us({ident(column.name)}))"
    return None


def _parts(sample: HintSample, date: HintColumn, moment: str) -> Iterator[RelationCandidate]:
    fields: list[HintColumn | None] = [
        next((c for c in sample.numbers if _is_part(sample, c, date, f"{part}({moment})")), None)
        for part in ("year", "month", "day")
    ]
    if all(field is not None for field in fields):
        names = [column.name for column in fields if column is not None]
        yield RelationCandidate(
            f"{date.name}_is_{'_'.join(names)}",
            f"make_date({', '.join(map(ident, names))}) = CAST({moment} AS DATE)",
            (date.name, *names),
            f"The date of {date.name} is in {', '.join(names)}.",
        )
    for part in _PARTS:
        sql = f"{part}({moment})"
        numbers = sample.integers(sql, [date.name])
        if len(np.unique(numbers[~np.isnan(numbers)])) < 2 and part != "year":
            continue
        for column in sample.numbers:
            is_whole = column.step >= 1 and not column.field.scale
            if is_whole and column.distinct > 1 and _agree(column.values, numbers):
                yield RelationCandidate(
                    f"{column.name}_is_{part}_of_{date.name}",
                    f"{ident(column.name)} = {sql}",
                    (column.name, date.name),
                    f"{column.name} is the {part} of {date.name}.",
                    shuffled=date.name,
                )


def _counts(
    sample: HintSample, date: HintColumn, moment: str, us: np.ndarray
) -> Iterator[RelationCandidate]:
    """Yield whole numbers that count days, and decimal years."""
    days = np.floor(us / _DAY_US)
    for column in sample.numbers:
        if column.distinct < _FEWEST_DAYS:
            continue
        start = days - column.values
        if column.step >= 1 and _constant(start):
            first = np.datetime64(int(np.nanmedian(start)), "D")
            yield RelationCandidate(
                f"{column.name}_counts_days_of_{date.name}",
                f"{ident(column.name)} = date_diff('day', DATE '{first}', CAST({moment} AS DATE))",
                (column.name, date.name),
                f"{column.name} is the number of days from {first} to {date.name}.",
            )
        if not 1800 < float(np.nanmedian(column.values)) < 2200 or column.step >= 1:
            continue
        yield RelationCandidate(
            f"{column.name}_is_decimal_year_of_{date.name}",
            f"abs({column.sql} - year({moment}) - dayofyear({moment}) / 366.0) < 0.01",
            (column.name, date.name),
            f"{column.name} is {date.name} as a decimal year.",
        )


def _names(sample: HintSample, date: HintColumn, moment: str) -> Iterator[RelationCandidate]:
    """Yield texts that are names of the day or month in English."""
    for column in sample.columns.values():
        if column.field.type != "string" or not 2 <= column.distinct <= 12:
            continue
        for function in _NAMES:
            name = f"lower({function}({moment}))"
            sql = f"starts_with({name}, lower({ident(column.name)}))"
            truth = sample.truth(sql, [column.name, date.name])
            if truth[sample.first].mean() >= 0.99:
                yield RelationCandidate(
                    f"{column.name}_is_name_of_{date.name}",
                    sql,
                    (column.name, date.name),
                    f"{column.name} is the name of the day or month of {date.name}.",
                )


def _is_part(sample: HintSample, column: HintColumn, date: HintColumn, sql: str) -> bool:
    is_whole = column.step >= 1 and not column.field.scale
    return is_whole and _agree(column.values, sample.integers(sql, [date.name]))


def _agree(values: np.ndarray, numbers: np.ndarray) -> bool:
    both = ~(np.isnan(values) | np.isnan(numbers))
    return bool(both.sum() > 0.5 * len(values) and (values[both] == numbers[both]).mean() >= 0.99)


def _constant(values: np.ndarray) -> bool:
    present = values[~np.isnan(values)]
    return len(present) > 0 and bool((present == np.median(present)).mean() >= 0.99)
