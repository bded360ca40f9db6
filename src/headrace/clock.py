"""Time is int64 microseconds since the epoch, UTC. Conversions live here."""

import re
from datetime import UTC, date, datetime, timedelta

from headrace.errors import DeclarationError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"us": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"([+-]?)(\d+)(us|s|m|h|d)")


def duration(text: str) -> int:
    """`"10m"`, `"-2h"`, `"28d"` as microseconds; a day is always 24 hours."""
    match = _DURATION.fullmatch(text.replace(" ", ""))
    if match is None:
        raise DeclarationError(
            f"{text!r} is not a duration",
            fix="write a whole number and one of us, s, m, h, d: '90m'",
        )
    sign, number, unit = match.groups()
    return (-1 if sign == "-" else 1) * int(number) * _UNITS[unit]


def duration_text(us: int) -> str:
    """The shortest form that `duration` reads back."""
    for unit in ("d", "h", "m", "s"):
        if us and us % _UNITS[unit] == 0:
            return f"{us // _UNITS[unit]}{unit}"
    return f"{us}us"


def to_us(moment: datetime) -> int:
    """An aware datetime as microseconds, exactly."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def iso(us: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are any."""
    return from_us(us).isoformat().replace("+00:00", "Z")


def parse_iso(text: str) -> int:
    """An RFC 3339 moment, or a date (its midnight UTC), as microseconds."""
    moment = datetime.fromisoformat(text)
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def end_of(text: str) -> int:
    """When something that is limited ends: `7d` from now, a moment, or a day, meant to its end.

    Raises:
        DeclarationError: it is none of these.
    """
    text = text.strip()
    if _DURATION.fullmatch(text):
        return now_us() + duration(text)
    try:
        return parse_iso(text) + (DAY if len(text) == len("2026-11-30") else 0)
    except ValueError:
        raise DeclarationError(
            f"{text!r} is no day", fix="write it as 2026-11-30, 2026-11-30T18:00:00Z, or 7d"
        ) from None


def now_us() -> int:
    return to_us(datetime.now(UTC))


def days(first: str, last: str) -> list[str]:
    """ISO dates from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(n)).isoformat() for n in range((end - start).days + 1)]
