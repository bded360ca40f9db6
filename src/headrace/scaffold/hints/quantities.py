"""Physical quantities that column names denote, and the values that each of their units allows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headrace.scaffold.hints.sample import Floats
from headrace.scaffold.inspection.column_words import words


@dataclass(frozen=True)
class UnitRange:
    """Unit of a quantity, with the range of its usual medians, and the range of all values."""

    unit: str
    medians: tuple[float, float]
    values: tuple[float, float]

    def admits(self, values: Floats) -> bool:
        low, high = float(values.min()), float(values.max())
        middle = float(np.median(values))
        return (
            self.values[0] <= low
            and high <= self.values[1]
            and self.medians[0] <= middle <= self.medians[1]
        )


@dataclass(frozen=True)
class Quantity:
    """Quantity that words in a column's name denote.

    Attributes:
        name: of the quantity.
        names: words one of them must be in a name.
        units: units whose values hardly overlap; a unit is suggested if it is the only one left.
        fraction: True if values must not all be whole numbers.
    """

    name: str
    names: frozenset[str]
    units: tuple[UnitRange, ...]
    fraction: bool = False


_BROAD = (-1e12, 1e12)
_QUANTITIES = (
    # Outdoor and indoor temperatures. The median of a month is hardly ever above 40 degC, and in
    # degF hardly ever below; between 32 and 40 both are possible.
    Quantity(
        "temperature",
        frozenset({"temp", "temperature", "dewp", "dewpoint", "tdewpoint", "tmin", "tmax", "tavg"}),
        (
            UnitRange("degC", (-35, 32), (-60, 60)),
            UnitRange("degF", (41, 130), (-75, 140)),
            UnitRange("kelvin", (230, 320), (200, 340)),
        ),
    ),
    Quantity(
        "relative humidity",
        frozenset({"humid", "humidity", "rh"}),
        (UnitRange("percent", (5, 100), (0, 105)), UnitRange("fraction", (0.05, 1), (0, 1.05))),
    ),
    Quantity(
        "share",
        frozenset({"percent", "percentage", "pct", "share", "ratio", "proportion", "fraction"}),
        (UnitRange("percent", (1.5, 100), (0, 100)), UnitRange("fraction", (0, 1), (0, 1))),
        fraction=True,
    ),
    Quantity("cloud cover", frozenset({"cloud", "clouds", "cloudiness", "cloudcover"}),
             (UnitRange("percent", (0, 100), (0, 100)),)),
    Quantity(
        "pressure of air",
        frozenset({"pres", "press", "pressure", "slp", "barometer", "baro"}),
        (
            UnitRange("hPa", (900, 1060), (800, 1100)),
            UnitRange("inHg", (26, 31.5), (24, 33)),
            UnitRange("mmHg", (680, 795), (600, 825)),
            UnitRange("kPa", (90, 106), (80, 110)),
            UnitRange("Pa", (90_000, 106_000), (80_000, 110_000)),
        ),
    ),
    Quantity(
        "direction",
        frozenset({"dir", "direction", "bearing", "heading", "azimuth"}),
        (UnitRange("degree", (10, 350), (0, 360)), UnitRange("radian", (0.2, 6.2), (0, 6.2832))),
    ),
    Quantity(
        "latitude", frozenset({"lat", "latitude"}), (UnitRange("degree", (-90, 90), (-90, 90)),),
        fraction=True,
    ),
    Quantity(
        "longitude",
        frozenset({"lon", "lng", "long", "longitude"}),
        (UnitRange("degree", (-180, 180), (-180, 180)),),
        fraction=True,
    ),
    Quantity("age", frozenset({"age"}), (UnitRange("year", (1, 90), (0, 125)),)),
    Quantity("voltage", frozenset({"voltage", "volts"}),
             (UnitRange("volt", (90, 500), (0, 1000)), UnitRange("kilovolt", (1, 50), (0.5, 80)))),
    Quantity("glucose in blood", frozenset({"glucose"}),
             (UnitRange("milligram per decilitre", (60, 300), (20, 700)),
              UnitRange("millimole per litre", (3, 17), (1, 40)))),
    Quantity("particles in air", frozenset({"pm"}),
             (UnitRange("microgram per cubic metre", (1, 500), (0, 5000)),)),
)  # fmt: skip
# Quantities whose units cannot be distinguished by values: (words, quantity, its usual units).
_OPEN: tuple[tuple[frozenset[str], str, str], ...] = (
    (
        frozenset({"price", "cost", "amount", "fare", "fee", "tip", "tax", "revenue", "salary",
                   "adr", "open", "high", "low", "close"}),
        "money", "which currency",
    ),
    (frozenset({"windspeed", "wind", "gust", "speed"}), "speed", "m/s, km/h, mph or knot"),
    (frozenset({"visib", "visibility", "distance", "dist"}), "length", "metre, kilometre or mile"),
    (frozenset({"rain", "snow", "precip", "precipitation"}), "depth of rain", "millimetre or inch"),
    (
        frozenset({"duration", "delay", "elapsed", "wait", "tat", "lead"}),
        "time", "second, minute, hour or day",
    ),
    (frozenset({"power", "energy", "consumption"}), "energy or power", "watt, kilowatt or kWh"),
    (frozenset({"weight", "mass"}), "mass", "gram, kilogram or pound"),
)  # fmt: skip
_NO_MEASURE = frozenset(
    {"mean", "id", "code", "flag", "type", "name", "category", "number", "rank"}
)


def quantities_of(name: str) -> Iterator[Quantity]:
    """Yield the quantities that a column's name denotes."""
    name_words = words(name)
    if _NO_MEASURE & set(name_words[-1:]):
        return
    for quantity in _QUANTITIES:
        if not quantity.names & set(name_words):
            continue
        # "long" and "lat" are also adjectives, and "press" a verb, if other words follow.
        if quantity.name in {"latitude", "longitude"} and name_words[-1] not in quantity.names:
            continue
        yield quantity


def fitting_units(quantity: Quantity, values: Floats) -> list[str]:
    """Return the units of `quantity` that the values allow."""
    if not len(values) or (quantity.fraction and bool((values == np.rint(values)).all())):
        return []
    return [unit.unit for unit in quantity.units if unit.admits(values)]


def open_quantity(name: str) -> tuple[str, str] | None:
    """Return (quantity, usual units) if the name denotes one whose unit values cannot show."""
    name_words = words(name)
    for names, quantity, units in _OPEN:
        if names & set(name_words) and not _NO_MEASURE & set(name_words[-1:]):
            return quantity, units
    return None
