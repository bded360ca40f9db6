"""Time is int64 microseconds since the epoch, UTC: conversions, and the current time.

A home may use virtual time: `HEADRACE_CLOCK` names a file in the home that holds a
timestamp. Virtual time has this value when the file is written, and then advances as fast as real
time, so that all processes agree on it. The home must contain the marker file `virtual-time`. In
any other home `HEADRACE_CLOCK` raises an error, because real records must not get a virtual time.
"""

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from headrace.core.errors import DeclarationError, StateError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
STEP = MINUTE  # if the clock was set back by at most this much, `forward` waits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"us": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
CLOCK = "HEADRACE_CLOCK"
VIRTUAL_TIME = "virtual-time"  # marker file in the root of a home that uses virtual time
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION = re.compile(r"([+-]?)(\d+)(us|s|m|h|d)")


def duration(text: str) -> int:
    """Return `"10m"`, `"-2h"`, `"28d"` as microseconds; a day is always 24 hours."""
    match = _DURATION.fullmatch(text.replace(" ", ""))
    if match is None:
        raise DeclarationError(
            f"{text!r} is not a duration",
            fix="write a whole number and one of us, s, m, h, d: '90m'",
        )
    sign, number, unit = match.groups()
    return (-1 if sign == "-" else 1) * int(number) * _UNITS[unit]


def duration_text(span_us: int) -> str:
    """Return the shortest text that `duration` converts to `span_us`."""
    for unit in ("d", "h", "m", "s"):
        if span_us and span_us % _UNITS[unit] == 0:
            return f"{span_us // _UNITS[unit]}{unit}"
    return f"{span_us}us"


def to_us(moment: datetime) -> int:
    """Convert an aware datetime to microseconds, exactly."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(epoch_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=epoch_us)


def iso(us: int) -> str:
    """Return a time as RFC 3339 in UTC, with a fraction of a second only if it is not zero."""
    return from_us(us).isoformat().replace("+00:00", "Z")


def parse_iso(text: str) -> int:
    """Return an RFC 3339 time, or a date (its midnight UTC), as microseconds."""
    moment = datetime.fromisoformat(text)
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def parse_day(text: str, name: str) -> str:
    """Return `text` if it is an ISO day; `name` is its option or argument, for errors.

    Raises:
        DeclarationError: `text` is not a day.
    """
    if not _DAY.fullmatch(text) or _strict(text) is None:
        raise DeclarationError(
            f"{text!r} is not a day",
            where=name,
            fix="write a day of the calendar as YYYY-MM-DD, for example 2013-02-12",
        )
    return text


def parse_days(
    first: str | None, last: str | None, names: tuple[str, str] = ("--from", "--to")
) -> tuple[str, str]:
    """Return the ends of a range of ISO days, "" for an open one.

    Raises:
        DeclarationError: an end is not a day, or the range is reversed.
    """
    begin, end = (
        "" if text is None else parse_day(text, name)
        for text, name in zip((first, last), names, strict=True)
    )
    if begin and end and begin > end:
        raise DeclarationError(
            f"the range is reversed: it begins on {begin} and ends on {end}",
            where=" ".join(names),
            fix=f"{names[0]} {end} {names[1]} {begin}",
        )
    return begin, end


def parse_moment(text: str, name: str) -> int:
    """Return a day (its midnight UTC) or a timestamp as microseconds; `name` as in `parse_day`.

    Raises:
        DeclarationError: `text` is neither.
    """
    moment = _strict(text)
    if moment is None:
        raise DeclarationError(
            f"{text!r} is not a day or a moment",
            where=name,
            fix="write YYYY-MM-DD, for example 2013-02-12, or 2013-02-12T06:00:00Z",
        )
    return moment


def _strict(text: str) -> int | None:
    """Return the microseconds of a text that begins with YYYY-MM-DD; None if it is not a time."""
    try:
        return parse_iso(text) if _DAY.match(text) else None
    except (ValueError, OverflowError):
        return None


def end_of(text: str) -> int:
    """Return the end of a period in microseconds: `7d` from now, a timestamp, or the end of a day.

    Raises:
        DeclarationError: the text has another form.
    """
    text = text.strip()
    if _DURATION.fullmatch(text):
        return now_us() + duration(text)
    moment = _strict(text)
    if moment is None:
        raise DeclarationError(
            f"{text!r} is not a day", fix="write it as 2026-11-30, 2026-11-30T18:00:00Z, or 7d"
        )
    return moment + (DAY if _DAY.fullmatch(text) else 0)


def now_us() -> int:
    """Return the current time in microseconds UTC; virtual time if `HEADRACE_CLOCK` is set.

    Raises:
        StateError: `HEADRACE_CLOCK` does not name the clock file of a home with virtual time.
    """
    now = machine_us()
    clock = os.environ.get(CLOCK)
    return now if clock is None else _virtual(Path(clock), now)


def machine_us() -> int:
    """Return the machine's time in microseconds UTC, even if virtual time is set."""
    return to_us(datetime.now(UTC))


def forward(last: int, where: str, clock: Callable[[], int]) -> int:
    """Return the time of `clock` once it has reached `last`, the latest time recorded at `where`.

    Wait if the clock was set back a little, as time synchronisation does: records must be in the
    order of their times, and the data that was visible at a past time must not change.

    Raises:
        StateError: the clock is more than `STEP` before `last`.
    """
    while (now := clock()) < last:
        if last - now > STEP:
            raise StateError(
                f"the clock of this machine was set back: it shows {iso(now)}, but the latest"
                f" record has the time {iso(last)}",
                where=where,
                fix="set the clock right and run again; if the clock was ahead when the record was"
                " written, wait until that time, or restore an earlier backup of the home",
            )
        time.sleep(min(last - now, SECOND) / SECOND)
    return now


def _virtual(clock: Path, now: int) -> int:
    """Return the timestamp in the file plus the real time that has passed since it was written."""
    if not (clock.parent / VIRTUAL_TIME).is_file():
        raise _no_clock(clock, f"its folder has no file {VIRTUAL_TIME}")
    try:
        with clock.open() as file:
            moment, written = file.read().strip(), os.fstat(file.fileno()).st_mtime_ns // 1000
        return parse_iso(moment) + max(now - written, 0)
    except (OSError, ValueError) as error:
        raise _no_clock(clock, str(error)) from error


def _no_clock(clock: Path, why: str) -> StateError:
    return StateError(
        f"{CLOCK} is set, but the virtual time cannot be read: {why}",
        where=str(clock),
        fix=f"unset {CLOCK}; it is only for homes that use virtual time",
    )


def days(first: str, last: str) -> list[str]:
    """Return the ISO dates from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(n)).isoformat() for n in range((end - start).days + 1)]
