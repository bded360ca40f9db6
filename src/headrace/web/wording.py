"""Readable forms of numbers, timestamps and values, as plain text."""

import json
import re
from collections.abc import Iterable
from math import isfinite

from headrace.core.clock import DAY, HOUR, MINUTE, from_us

LONGEST = 120  # characters shown of a value that comes from data
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)(?:\.\d+)?Z")
_FIX = re.compile(r" \(fix: (.*)\)$", re.DOTALL)
_TYPES = {"int64": "integer", "double": "number", "string": "text", "bool": "yes or no"}
_STATES = {
    "pending": "waiting for a decision",
    "published": "published",
    "judged": "validated, to be published by the next run",
    "superseded": "replaced by a later delivery",
    "rejected": "rejected",
    "recalled": "recalled",
    "received": "received, not validated yet",
}


def kind(arrow: str) -> str:
    """Return an Arrow type in words."""
    return "moment, UTC" if arrow.startswith("timestamp") else _TYPES.get(arrow, arrow)


def split_fix(reason: str) -> tuple[str, str]:
    """Split a reason into (what is wrong, its fix or "")."""
    match = _FIX.search(reason)
    return (reason[: match.start()], match[1]) if match else (reason, "")


def state(word: str) -> str:
    return _STATES.get(word, word)


def number(value: float) -> str:
    """Format as `1,024`, `0.0153`, `1.2e+09`: few digits, thousands separated."""
    if isinstance(value, int) or (isfinite(value) and float(value).is_integer()):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def digits(number_: float) -> str:
    """Format a number from data: no commas, since it may be a year or a flight number."""
    return str(number_) if isinstance(number_, int) else f"{number_:.6g}"


def percent(share: float) -> str:
    """Format a share in percent; only 0 is shown as `0%`, and only 1 as `100%`."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def counted(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: Iterable[str], limit: int = 6) -> str:
    """Join as `a, b and c`; if there are more than `limit` entries, end with `n more`."""
    entries = list(words)
    if len(entries) > limit:
        entries = [*entries[: limit - 1], f"{len(entries) - limit + 1} more"]
    return " and ".join(part for part in (", ".join(entries[:-1]), *entries[-1:]) if part)


def moment(epoch_us: int) -> str:
    """Format a timestamp in microseconds UTC, to the minute."""
    return f"{from_us(epoch_us):%Y-%m-%d %H:%M} UTC"


def age(span_us: int) -> str:
    """Format a duration in microseconds, in its largest unit."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if span_us >= unit * (2 if unit == DAY else 1):
            return counted(span_us // unit, name)
    return "less than a minute"


def ago(epoch_us: int, now: int) -> str:
    return f"{age(now - epoch_us)} ago" if epoch_us <= now else moment(epoch_us)


def value(content: object) -> str:
    """Format a value from data, shortened; null and "" become `null` and `empty text`."""
    if content is None:
        return "null"
    if content == "":
        return "empty text"
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, int | float):
        return digits(content)
    if isinstance(content, str):
        return shortened(_minute(content))
    return shortened(json.dumps(content, ensure_ascii=False, default=str))


def _minute(text: str) -> str:
    """Shorten an RFC 3339 timestamp: drop `T`, `Z`, fractions, and seconds if they are zero."""
    match = _MOMENT.fullmatch(text)
    return f"{match[1]} {match[2]}{(match[3] or '').removeprefix(':00')}" if match else text


def scope(text: str) -> str:
    """Format an override's scope, canonical JSON, in words: `checks wind_speed; lines 3, 9`."""
    try:
        document = json.loads(text)
    except ValueError:
        return shortened(text)
    if not isinstance(document, dict):
        return shortened(text)
    return shortened("; ".join(_part(name, value) for name, value in document.items()))


def _part(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} {', '.join(map(str, value))}"
    if isinstance(value, dict):
        return f"{name} {', '.join(f'{k} = {v}' for k, v in value.items())}"
    return f"the whole {name}" if value is True else f"{name} {value}"


def shortened(text: str, limit: int = LONGEST) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text):,} characters)"


def capital(text: str) -> str:
    """Capitalise a sentence, unless its first word contains `_`, as column names do."""
    word = text.partition(" ")[0]
    return text if "_" in word else text[:1].upper() + text[1:]
