"""Wall-clock derivations: conversion of local dates and HHMM times to UTC timestamps, and back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.contracts.model import TIMESTAMP, LocalTime, NextClock, WallClock, ZoneRule
from headrace.contracts.typed_cells import Bools, TypedCells
from headrace.core.clock import DAY, MINUTE
from headrace.core.time_zones import Ambiguous, Int64Array, to_local, to_utc

Columns = Mapping[str, pa.Array]
Rows = NDArray[np.int64] | slice
Problems = list[tuple[int, str, str]]
FIRST_YEAR, LAST_YEAR = 1900, 2198  # each time-zone table also covers 2199
_EARLIEST, _LATEST = (
    int(np.datetime64(f"{year}-01-01", "us").astype(np.int64)) for year in (1900, 2199)
)


@dataclass
class _Numbers:
    """int64 values, 0 for nulls, and a mask of the non-null ones."""

    values: Int64Array
    valid: Bools


def local_time(rule: LocalTime, columns: Columns) -> TypedCells:
    """Return timestamp[us, UTC]; null if an input is null, or not a date, HHMM or known zone."""
    year, month, day = (_numbers(columns[name]) for name in (rule.year, rule.month, rule.day))
    valid = year.valid & month.valid & day.valid
    problems: Problems = []
    dates, real = _days(year.values, month.values, day.values)
    for row in np.flatnonzero(valid & ~real):
        parts = f"{year.values[row]}-{month.values[row]}-{day.values[row]}"
        problems.append(
            (int(row), "date", f"{parts} is not a date from {FIRST_YEAR} to {LAST_YEAR}")
        )
    minutes = _minutes(rule.clock, columns, len(valid), problems)
    valid &= real & minutes.valid
    local = (dates + rule.days) * DAY + minutes.values * MINUTE
    result = np.zeros(len(valid), np.int64)
    for zone, rows in _zones(rule.zone, columns, valid, problems):
        result[rows] = to_utc(local[rows], zone, ambiguous=rule.ambiguous, missing=rule.missing)
    return _instants(result, valid, problems)


def next_clock(rule: NextClock, columns: Columns) -> TypedCells:
    """Return timestamp[us, UTC]; null if an input is null, or the HHMM or zone is invalid."""
    after = _moments(columns[rule.after])
    problems: Problems = _clear_uncovered(rule.after, after)
    minutes = _minutes(rule.clock, columns, len(after.valid), problems)
    valid = after.valid & minutes.valid
    result = np.zeros(len(valid), np.int64)
    for zone, rows in _zones(rule.zone, columns, valid, problems):
        result[rows] = _next_instants(after.values[rows], minutes.values[rows] % 1440, zone)
    return _instants(result, valid, problems)


def wall_clock(rule: WallClock, columns: Columns) -> TypedCells:
    """Return the local time as int64 YYYYMMDDHHMM; null if the timestamp or zone is missing."""
    moments = _moments(columns[rule.of])
    problems: Problems = _clear_uncovered(rule.of, moments)
    valid = moments.valid
    result = np.zeros(len(valid), np.int64)
    for zone, rows in _zones(rule.zone, columns, valid, problems):
        result[rows] = _clock_digits(to_local(moments.values[rows], zone))
    return TypedCells(pa.array(result, mask=~valid), problems=problems)


def _next_instants(after: Int64Array, minutes: Int64Array, zone: str) -> Int64Array:
    """Return the first instants at or after `after` when the clock shows `minutes` of the day."""
    today = to_local(after, zone) // DAY * DAY + minutes * MINUTE
    result = to_utc(today + DAY, zone)
    showings: tuple[Ambiguous, ...] = ("last", "first")
    for showing in showings:
        candidate = to_utc(today, zone, ambiguous=showing)
        result = np.where(candidate >= after, candidate, result)
    return result


def _clock_digits(local: Int64Array) -> Int64Array:
    moments = local.view("datetime64[us]")
    months = moments.astype("datetime64[M]")
    years = months.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (moments.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    minute = local % DAY // MINUTE
    date = (years * 100 + month) * 100 + day
    digits: Int64Array = date * 10_000 + minute // 60 * 100 + minute % 60
    return digits


def _minutes(clock: str | int, columns: Columns, rows: int, problems: Problems) -> _Numbers:
    """Convert HHMM to minutes since midnight (2400 is 1440); note invalid ones in `problems`."""
    if isinstance(clock, int):
        minutes_ = np.full(rows, clock // 100 * 60 + clock % 100, np.int64)
        return _Numbers(minutes_, np.ones(rows, bool))
    numbers = _numbers(columns[clock])
    hours, minutes = numbers.values // 100, numbers.values % 100
    real = (hours >= 0) & (minutes < 60) & ((hours < 24) | (numbers.values == 2400))
    for row in np.flatnonzero(numbers.valid & ~real):
        problems.append((int(row), "clock", f"{clock} is {numbers.values[row]}, not an HHMM clock"))
    return _Numbers(np.where(real, hours * 60 + minutes, 0), numbers.valid & real)


def _days(year: Int64Array, month: Int64Array, day: Int64Array) -> tuple[Int64Array, Bools]:
    """Return days since 1970-01-01, and a mask of the valid dates."""
    real = (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(real, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64) - first
    real &= day <= length
    return first + np.where(real, day, 1) - 1, real


def _zones(
    rule: ZoneRule, columns: Columns, valid: Bools, problems: Problems
) -> Iterator[tuple[str, Rows]]:
    """Yield (zone, rows). Note rows without a zone as problems and set their `valid` to False."""
    if rule.reference is None or rule.by is None:
        yield rule.name or "UTC", slice(None)
        return
    names = columns[rule.by].dictionary_encode()
    zones = [rule.reference.values.get(name) for name in names.dictionary.to_pylist()]
    places = sorted({zone for zone in zones if zone is not None})
    of_name = np.array([places.index(z) if z else -1 for z in zones] + [-2], np.int64)
    place = of_name[pc.fill_null(names.indices, len(zones)).to_numpy()]
    for row in np.flatnonzero(valid & (place == -1)):
        name = names[int(row)].as_py()
        problems.append((int(row), "zone", f"{rule.by} {name!r} is not in {rule.reference.name}"))
    valid &= place >= 0
    for number, zone in enumerate(places):
        yield zone, np.flatnonzero(valid & (place == number))


def _clear_uncovered(name: str, moments: _Numbers) -> Problems:
    """Mark timestamps outside the time-zone tables as invalid, in place; return their problems."""
    outside = (moments.values < _EARLIEST) | (moments.values >= _LATEST)
    reason = f"{name} is not a moment from {FIRST_YEAR} to {LAST_YEAR}"
    rows = np.flatnonzero(moments.valid & outside)
    moments.valid &= ~outside
    moments.values[outside] = 0
    return [(int(row), "date", reason) for row in rows]


def _numbers(column: pa.Array) -> _Numbers:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    values = column if column.null_count == 0 else pc.fill_null(column, 0)
    return _Numbers(values.to_numpy(), valid.copy())


def _moments(column: pa.Array) -> _Numbers:
    numbers = _numbers(column.cast(pa.int64()))
    return _Numbers(numbers.values.copy(), numbers.valid)


def _instants(moments: Int64Array, valid: Bools, problems: Problems) -> TypedCells:
    return TypedCells(pa.array(moments, pa.int64(), mask=~valid).cast(TIMESTAMP), problems=problems)
