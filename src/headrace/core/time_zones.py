"""Time zones from the pinned `tzdata` package, never the system's: local to UTC and back.

Every conversion is a binary search in a table of offset changes, so it works on whole arrays and
gives the same answer on every machine that has the same lock file. All arrays are int64
microseconds; local times are counted as if they were UTC.
"""

import difflib
import importlib.resources
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headrace.core.clock import DAY, SECOND
from headrace.core.errors import DeclarationError
from headrace.core.files import sha256

Int64Array = NDArray[np.int64]
Ambiguous = Literal["first", "last", "raise"]
Missing = Literal["forward", "raise"]

# The yearly rule at the end of a zone's file holds for ever. Local times are read up to this year.
LAST_YEAR = 2199
_LIMIT = 7_258_118_400  # 2200-01-01T00:00:00Z, in seconds
# Weekdays, and with them yearly rules, repeat every 400 years. The table contains one cycle after
# LAST_YEAR, so that any later instant has the offset of an instant in the table.
_CYCLE_YEARS, _CYCLE = 400, 146_097 * DAY
_LAST_CYCLE = _LIMIT * SECOND - DAY
_DAYS_TO_1970 = 719_468  # from 0000-03-01
_RULE = re.compile(
    r"(?:[A-Za-z]+|<[^>]+>)([-+\d:]+)"  # standard name and offset
    r"(?:(?:[A-Za-z]+|<[^>]+>)([-+\d:]*),([^,]+),([^,]+))?"  # daylight name, offset, start, end
)


@dataclass(frozen=True)
class Zone:
    """Offset changes of one zone.

    `changes`: int64[n], microseconds UTC, ascending. `offsets`: int64[n + 1], local minus UTC in
    microseconds; `offsets[i]` holds before `changes[i]`, `offsets[n]` after the last.
    `first` and `last`: int64[n], the local time from which `offsets[i + 1]` is used when an
    ambiguous local time means its first or its last occurrence.
    """

    name: str
    changes: Int64Array
    offsets: Int64Array
    first: Int64Array
    last: Int64Array


def to_local(utc_us: Int64Array, zone: str) -> Int64Array:
    """Convert UTC instants to local times of `zone`: int64[n] microseconds to int64[n].

    The zone's first offset is used before its first change, its yearly rule after the last.
    """
    table = zone_table(zone)
    late = utc_us >= _LAST_CYCLE
    moments = utc_us
    if late.any():
        moments = np.where(late, _LAST_CYCLE + (utc_us - _LAST_CYCLE) % _CYCLE, utc_us)
    return utc_us + table.offsets[np.searchsorted(table.changes, moments, side="right")]


def to_utc(
    local_us: Int64Array, zone: str, *, ambiguous: Ambiguous = "first", missing: Missing = "forward"
) -> Int64Array:
    """Convert local times of `zone` to UTC instants: int64[n] microseconds to int64[n].

    If a local time occurs twice (clocks set back), `ambiguous` selects the occurrence. A local time
    that never occurs (clocks set forward) is shifted forward by the gap: 02:30 becomes 03:30. With
    `"raise"`, such times raise a ValueError that names the first of them.
    """
    table = zone_table(zone)
    _refuse_beyond_table(local_us, zone)
    starts = table.last if ambiguous == "last" else table.first
    utc = local_us - table.offsets[np.searchsorted(starts, local_us, side="right")]
    if ambiguous == "raise":
        other = local_us - table.offsets[np.searchsorted(table.last, local_us, side="right")]
        _refuse(local_us, utc != other, f"occurs twice in {zone}")
    if missing == "raise":
        _refuse(local_us, to_local(utc, zone) != local_us, f"does not occur in {zone}")
    return utc


@cache
def zones_hash(*zones: str) -> str:
    """Return a digest of the time-zone files of `zones`, or of all zones."""
    parts = (f"{zone} {sha256(_file(zone))}" for zone in sorted(zones or zone_names()))
    return sha256("\n".join(parts).encode())


@cache
def zone_names() -> frozenset[str]:
    return frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text().split())


@cache
def zone_table(zone: str) -> Zone:
    """Return the table of `zone`; DeclarationError if it does not exist."""
    changes, offsets, rule = _read(_file(zone))
    for at, offset in _yearly(rule, after=changes[-1] if changes else None):
        changes.append(at)
        offsets.append(offset)
    at_us = np.array(changes, np.int64) * SECOND
    offset_us = np.array(offsets, np.int64) * SECOND
    first = at_us + np.maximum(offset_us[:-1], offset_us[1:])
    return Zone(zone, at_us, offset_us, first, at_us + offset_us[1:])


def _file(zone: str) -> bytes:
    if zone not in zone_names():
        near = difflib.get_close_matches(zone, zone_names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DeclarationError(
            f"{zone!r} is not a time zone{hint}",
            fix="write an IANA name such as 'America/New_York'",
        )
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()


def _read(data: bytes) -> tuple[list[int], list[int], str]:
    """Parse a zone file (RFC 8536): n changes and n + 1 offsets in seconds, and the yearly rule."""
    *_, times, types, characters = _sizes(data, 0)
    is_utc, is_standard, leaps = _sizes(data, 0)[:3]
    start = 44 + 5 * times + 6 * types + characters + 8 * leaps + is_standard + is_utc
    is_utc, is_standard, leaps, times, types, characters = _sizes(data, start)
    at = start + 44
    changes = list(struct.unpack_from(f">{times}q", data, at))
    kinds = data[at + 8 * times : at + 9 * times]
    at += 9 * times
    by_kind = [struct.unpack_from(">i", data, at + 6 * kind)[0] for kind in range(types)]
    footer = at + 6 * types + characters + 12 * leaps + is_standard + is_utc
    offsets = [by_kind[0], *(by_kind[kind] for kind in kinds)]
    return changes, offsets, data[footer:].strip(b"\n").decode("ascii")


def _sizes(data: bytes, at: int) -> tuple[int, ...]:
    if data[at : at + 4] != b"TZif" or data[at + 4 : at + 5] < b"2":
        raise DeclarationError("the tzdata package is damaged", fix="reinstall tzdata")
    return struct.unpack_from(">6I", data, at + 20)


def _yearly(rule: str, after: int | None) -> Iterator[tuple[int, int]]:
    """Yield the changes of a POSIX rule after `after`: (instant, new offset), both in seconds."""
    match = _RULE.fullmatch(rule)
    if match is None or match[3] is None:
        return
    standard = -_clock(match[1])
    daylight = -_clock(match[2]) if match[2] else standard + 3600
    pairs = [
        (_rule_day(year, text) - before, offset)
        for year in range(1970, LAST_YEAR + _CYCLE_YEARS + 1)
        for text, before, offset in ((match[3], standard, daylight), (match[4], daylight, standard))
    ]
    yield from sorted(pair for pair in pairs if after is None or pair[0] > after)


def _rule_day(year: int, text: str) -> int:
    """Convert `M3.2.0/2`, 02:00 on the second Sunday of March, to local seconds since 1970."""
    day, _, clock = text.partition("/")
    if not day.startswith("M"):
        raise DeclarationError(f"the yearly rule {text!r} is not of the form Mmonth.week.day")
    month, week, weekday = (int(part) for part in day[1:].split("."))
    first = days_since_epoch(year, month, 1)
    ordinal = first + (weekday - (first + 4)) % 7 + 7 * (week - 1)  # 1970-01-01 was a Thursday
    following = days_since_epoch(year + month // 12, month % 12 + 1, 1)
    while ordinal >= following:  # week 5 means the last one
        ordinal -= 7
    return ordinal * 86_400 + (_clock(clock) if clock else 7200)


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01 to a date of the Gregorian calendar."""
    shifted = year - (month <= 2)
    era_year = shifted % 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = era_year * 365 + era_year // 4 - era_year // 100 + day_of_year
    return shifted // 400 * 146_097 + day_of_era - _DAYS_TO_1970


def _clock(text: str) -> int:
    """Convert a time or offset such as `-9:30` to seconds."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _refuse_beyond_table(times: Int64Array, zone: str) -> None:
    late = times >= _LAST_CYCLE
    _refuse(times, late, f"is beyond the table of {zone}, which ends in {LAST_YEAR}")


def _refuse(times: Int64Array, wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        moment = np.datetime64(int(times[int(wrong.argmax())]), "us")
        raise ValueError(f"{moment} {why}")
