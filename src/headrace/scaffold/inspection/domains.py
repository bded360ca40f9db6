"""Hints from a column's name: the limits of its values, its unit, its role."""

import re
from dataclasses import dataclass
from typing import Protocol

from headrace.scaffold.inspection.column_words import words

# Limits of dates, times and coordinates: (last words of names, least, greatest value, reason).
_LIMITS: tuple[tuple[frozenset[str], float, float, str], ...] = (
    (frozenset({"month", "mon", "mnth"}), 1, 12, "A year has 12 months."),
    (frozenset({"day", "mday", "dom"}), 1, 31, "A month has at most 31 days."),
    (frozenset({"hour", "hr"}), 0, 24, "A day has 24 hours."),
    (frozenset({"minute"}), 0, 59, "An hour has 60 minutes."),
    (frozenset({"weekday", "wday", "dow"}), 0, 7, "A week has 7 days."),
    (frozenset({"week"}), 0, 53, "A year has at most 53 weeks."),
    (frozenset({"quarter", "qtr"}), 1, 4, "A year has 4 quarters."),
    (frozenset({"latitude", "lat"}), -90, 90, "Latitudes lie between the poles."),
    (frozenset({"longitude", "lon", "lng", "long"}), -180, 180, "Longitudes go once around."),
    (frozenset({"percent", "percentage", "pct", "%", "humidity", "humid", "rh"}), 0, 100,
     "A percentage."),
    (frozenset({"bearing", "azimuth", "heading"}), 0, 360, "An angle on the compass."),
)  # fmt: skip
CALENDAR = frozenset(
    words(
        "year yr month mon mnth day mday dom hour hr minute weekday wday dow week quarter qtr "
        "date yday doy"
    )
)
_PLACES = frozenset(words("latitude lat longitude lon lng long"))
_CODES = frozenset(
    words(
        "id ids nr no num number code codes key zip zipcode postal postcode uuid guid sku index "
        "rowname rownames row phone version serial"
    )
)
# English words that end in "id" but do not denote ids; most are measures or flags.
_NO_CODES = frozenset(
    words(
        "acid aid avoid bid covid fluid grid humid invalid lipid liquid mid paid solid unpaid "
        "valid void"
    )
)
_UNITS = {
    "km": "kilometre", "kms": "kilometre", "kilometres": "kilometre", "kilometers": "kilometre",
    "mi": "mile", "mile": "mile", "miles": "mile", "metres": "metre", "meters": "metre",
    "cm": "centimetre", "mm": "millimetre", "feet": "foot", "ft": "foot", "inches": "inch",
    "kg": "kilogram", "kgs": "kilogram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "usd": "USD", "eur": "EUR", "gbp": "GBP", "chf": "CHF", "jpy": "JPY", "dollars": "USD",
    "euros": "EUR", "cents": "cent",
    "seconds": "second", "secs": "second", "sec": "second", "ms": "millisecond",
    "millis": "millisecond", "minutes": "minute", "mins": "minute", "hours": "hour",
    "hrs": "hour", "days": "day", "nights": "night",
    "percent": "percent", "percentage": "percent", "pct": "percent", "%": "percent",
    "celsius": "degC", "degc": "degC", "fahrenheit": "degF", "degf": "degF", "kelvin": "kelvin",
    "mph": "mph", "kmh": "km/h", "kph": "km/h", "knots": "knot", "kt": "knot", "kts": "knot",
    "hpa": "hPa", "mbar": "hPa", "kpa": "kPa", "inhg": "inHg", "psi": "psi",
    "kwh": "kWh", "mwh": "MWh", "kw": "kW", "mw": "MW", "litres": "litre", "liters": "litre",
    "degrees": "degree", "deg": "degree",
}  # fmt: skip
# Abbreviations that count as units only in brackets, or (c, f, k) in names of temperatures.
_IN_BRACKETS = {
    "m": "metre", "g": "gram", "s": "second", "h": "hour", "l": "litre", "c": "degC", "f": "degF",
    "k": "kelvin", "$": "USD", "€": "EUR", "£": "GBP", "m/s": "m/s", "km/h": "km/h", "in": "inch",
    "min": "minute", "°c": "degC", "°f": "degF", "w": "W",
}  # fmt: skip
_UNIT_NAMES = frozenset({*_UNITS.values(), *_IN_BRACKETS.values()})
_TEMPERATURE = frozenset({"temp", "temperature", "dewp", "dewpoint"})
_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]{1,12}?)\s*[)\]]\s*$")
_AMOUNT = frozenset(
    words(
        "amount price total cost revenue sales sale qty quantity count counts units delay "
        "duration distance weight temp temperature value fee fare tip tax paid balance rate "
        "speed load demand usage volume births deaths visits clicks score wait"
    )
)


class HeadedColumn(Protocol):
    """Column with its name as delivered."""

    @property
    def header(self) -> str: ...

    @property
    def is_number(self) -> bool: ...


@dataclass(frozen=True)
class Domain:
    """Range of possible values, in the contract's unit, and the reason for the limits."""

    low: float
    high: float
    reason: str


def domain_of(column: HeadedColumn) -> Domain | None:
    """Return the limits that a number column's name implies; None if it implies none."""
    if not column.is_number:
        return None
    name_words = words(column.header)
    if "wind" in name_words and name_words[-1] in {"dir", "direction"}:
        return Domain(0, 360, "An angle on the compass.")
    for names, low, high, reason in _LIMITS:
        if (
            name_words
            and name_words[-1] in names
            and (len(name_words) == 1 or name_words[-1] not in {"day", "long"})
        ):
            return Domain(low, high, reason)
    return None


def unit_of(column: HeadedColumn) -> str | None:
    """Return the unit in a number column's name, such as `weight_kg`, `Fare (USD)` or `temp_c`."""
    if not column.is_number:
        return None
    if bracket := _BRACKETS.search(column.header):
        text = bracket[1].casefold()
        return _UNITS.get(text) or _IN_BRACKETS.get(text)
    name_words = words(column.header)
    if len(name_words) < 2 or name_words[0] in {"n", "num", "number", "count"}:
        return None
    if name_words[-1] in {"c", "f", "k"} and _TEMPERATURE & set(name_words):
        return _IN_BRACKETS[name_words[-1]]
    return _UNITS.get(name_words[-1])


def unit_words(text: str) -> str | None:
    """Return the unit that a text denotes, such as "kilograms", "mm" or "USD"."""
    name = text.strip().casefold()
    return _UNITS.get(name) or _IN_BRACKETS.get(name) or (name if name in _UNIT_NAMES else None)


def is_calendar(column: HeadedColumn) -> bool:
    """Return True if the name denotes a part of a date or of a time of day."""
    name_words = words(column.header)
    return bool(name_words) and (
        name_words[-1] in CALENDAR or (name_words[-1] == "num" and "date" in name_words)
    )


def is_code(column: HeadedColumn) -> bool:
    """Return True if the name denotes an identifier, whose sums would be meaningless."""
    last = (words(column.header) or [""])[-1]
    return last in _CODES or (ends_as_id(column) and len(last) <= 5)


def ends_as_id(column: HeadedColumn) -> bool:
    """Return True for names that end in "id" as `customer_id` and `customerid` do, not `paid`."""
    last = (words(column.header) or [""])[-1]
    return last.endswith("id") and last not in _NO_CODES


def is_place(column: HeadedColumn) -> bool:
    return bool(_PLACES & set(words(column.header)[-1:]))


def is_amount(column: HeadedColumn) -> bool:
    """Return True if the name suggests an amount, or contains a unit."""
    return bool(_AMOUNT & set(words(column.header))) or unit_of(column) is not None
