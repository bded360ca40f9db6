"""Numbers, moments and values as a tired person reads them; no markup here."""

import json
import re
from collections.abc import Iterable
from math import isfinite

from headrace.core.clock import DAY, HOUR, MINUTE, from_us

LONGEST = 120  # characters of a value that comes from data
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)(?:\.\d+)?Z")
_FIX = re.compile(r" \(fix: (.*)\)$", re.DOTALL)
_TYPES = {"int64": "integer", "double": "number", "string": "text", "bool": "yes or no"}
_STATES = {
    "pending": "waiting for a decision",
    "published": "published",
    "judged": "judged, to be published by the next run",
    "superseded": "replaced by a later delivery",
    "rejected": "rejected",
    "recalled": "recalled",
    "received": "received, not judged yet",
}


def kind(arrow: str) -> str:
    """A column's type in words."""
    return "moment, UTC" if arrow.startswith("timestamp") else _TYPES.get(arrow, arrow)


def parted(reason: str) -> tuple[str, str]:
    """(what is wrong, how to mend it or "") of a reason that says both."""
    found = _FIX.search(reason)
    return (reason[: found.start()], found[1]) if found else (reason, "")


def state(word: str) -> str:
    return _STATES.get(word, word)


def number(value: float) -> str:
    """`1,024`, `0.0153`, `1.2e+09`: few digits, thousands apart."""
    if isinstance(value, int) or (isfinite(value) and float(value).is_integer()):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def digits(found: float) -> str:
    """A number from data: no commas, since it may be a year or a flight."""
    return str(found) if isinstance(found, int) else f"{found:.6g}"


def percent(share: float) -> str:
    """Never `0%` of something, nor `100%` of not quite all."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], most: int = 6) -> str:
    """`a, b and c`, the rest counted."""
    every = list(words)
    if len(every) > most:
        every = [*every[: most - 1], f"{len(every) - most + 1} more"]
    return " and ".join(part for part in (", ".join(every[:-1]), *every[-1:]) if part)


def moment(us: int) -> str:
    """To the minute, in UTC."""
    return f"{from_us(us):%Y-%m-%d %H:%M} UTC"


def age(us: int) -> str:
    """A span of time, in the one unit that says most."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if us >= unit * (2 if unit == DAY else 1):
            return counted(us // unit, name)
    return "less than a minute"


def ago(us: int, now: int) -> str:
    return f"{age(now - us)} ago" if us <= now else moment(us)


def value(found: object) -> str:
    """A value from data, shortened; text keeps its spaces, and nothing reads as nothing."""
    if found is None:
        return "null"
    if found == "":
        return "empty text"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, int | float):
        return digits(found)
    if isinstance(found, str):
        return shortened(_minute(found))
    return shortened(json.dumps(found, ensure_ascii=False, default=str))


def _minute(text: str) -> str:
    """A moment in RFC 3339 without what every moment of its kind has."""
    found = _MOMENT.fullmatch(text)
    return f"{found[1]} {found[2]}{(found[3] or '').removeprefix(':00')}" if found else text


def scope(text: str) -> str:
    """An override's scope, as canonical JSON, in words: `checks wind_speed; lines 3, 9`."""
    try:
        found = json.loads(text)
    except ValueError:
        return shortened(text)
    if not isinstance(found, dict):
        return shortened(text)
    return shortened("; ".join(_part(name, value) for name, value in found.items()))


def _part(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} {', '.join(map(str, value))}"
    if isinstance(value, dict):
        return f"{name} {', '.join(f'{k} = {v}' for k, v in value.items())}"
    return f"the whole {name}" if value is True else f"{name} {value}"


def shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}… ({len(text):,} characters)"


def capital(text: str) -> str:
    """Sentences begin large; a column's name stays as it is spelled."""
    word = text.partition(" ")[0]
    return text if "_" in word else text[:1].upper() + text[1:]
