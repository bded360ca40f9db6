"""Conversions between units: a factor and, for temperatures, an offset.

Factors follow the definitions of the units: the international yard and pound (1959), the nautical
mile (1929), and the SI brochure.
"""

from dataclasses import dataclass

UNDECLARED = "the declared unit"  # unit of a column whose contract names none


@dataclass(frozen=True)
class UnitConversion:
    """Conversion from `unit` to `other`: value in `other` = value * scale + offset."""

    unit: str
    other: str
    scale: float
    offset: float = 0.0

    @property
    def is_named(self) -> bool:
        """True if both units are known, False for a factor that may be that of any unit."""
        return self.unit != UNDECLARED and not self.other.endswith(f" times {self.unit}")

    @property
    def seems(self) -> str:
        """Words for a column of converted values, as in "distance looks 60 times too large"."""
        if self.is_named:
            return f"like {self.other} instead of {self.unit}"
        return f"{self._factor:.6g} times too {'large' if self.scale > 1 else 'small'}"

    @property
    def undoing(self) -> str:
        """Words for the way back, such as "divided by 60"."""
        way = f"{'divided' if self.scale > 1 else 'multiplied'} by {self._factor:.6g}"
        return "converted back" if self.offset else way

    @property
    def _factor(self) -> float:
        return max(self.scale, 1 / self.scale)


# Units of each quantity, with their size in a common base unit.
_QUANTITIES: dict[str, dict[str, float]] = {
    "length": {
        "metre": 1.0, "kilometre": 1000.0, "mile": 1609.344, "nautical mile": 1852.0,
        "foot": 0.3048, "inch": 0.0254, "centimetre": 0.01, "millimetre": 0.001, "yard": 0.9144,
    },
    "speed": {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, "knot": 1852 / 3600},
    "time": {
        "second": 1.0, "millisecond": 0.001, "minute": 60.0, "hour": 3600.0, "day": 86400.0,
        "week": 604800.0, "month": 2629746.0, "year": 31556952.0,
    },
    "mass": {"kilogram": 1.0, "gram": 0.001, "pound": 0.45359237, "ounce": 0.028349523125},
    "pressure": {
        "Pa": 1.0, "hPa": 100.0, "kPa": 1000.0, "inHg": 3386.389, "mmHg": 133.322387415,
        "psi": 6894.757293168,
    },
    "angle": {"degree": 1.0, "radian": 57.29577951308232, "gon": 0.9},
    "share": {"percent": 1.0, "fraction": 100.0},
    "power": {"watt": 1.0, "kilowatt": 1e3, "megawatt": 1e6, "horsepower": 745.69987158227022},
    "energy": {
        "watt hour": 3600.0, "kilowatt hour": 3.6e6, "megawatt hour": 3.6e9, "joule": 1.0,
        "kilojoule": 1e3, "megajoule": 1e6, "calorie": 4.184, "kilocalorie": 4184.0,
    },
    "voltage": {"volt": 1.0, "millivolt": 1e-3, "kilovolt": 1e3},
    "current": {"ampere": 1.0, "milliampere": 1e-3, "nanoampere": 1e-9, "picoampere": 1e-12},
    "volume": {"litre": 1.0, "millilitre": 1e-3, "cubic metre": 1e3, "gallon": 3.785411784},
    "concentration": {
        "gram per cubic metre": 1.0, "milligram per cubic metre": 1e-3,
        "microgram per cubic metre": 1e-6,
    },
    # Molar mass of glucose: 180.156 g/mol.
    "glucose": {"milligram per decilitre": 1.0, "millimole per litre": 18.0156},
    "frequency": {"hertz": 1.0, "kilohertz": 1e3, "megahertz": 1e6},
    "data": {"byte": 1.0, "kilobyte": 1e3, "megabyte": 1e6, "kibibyte": 1024.0},
    "dollars": {"dollar": 1.0, "cent": 0.01},
    "euros": {"euro": 1.0, "cent": 0.01},
    "pounds": {"pound sterling": 1.0, "pence": 0.01},
}  # fmt: skip
_ALIASES = {
    "m": "metre", "km": "kilometre", "mi": "mile", "miles": "mile", "nmi": "nautical mile",
    "ft": "foot", "feet": "foot", "in": "inch", "cm": "centimetre", "mm": "millimetre",
    "s": "second", "ms": "millisecond", "min": "minute", "h": "hour", "d": "day", "kg": "kilogram",
    "g": "gram", "lb": "pound", "oz": "ounce", "mbar": "hPa", "millibar": "hPa", "deg": "degree",
    "rad": "radian", "%": "percent", "kt": "knot", "knots": "knot", "kmh": "km/h", "USD": "dollar",
    "degF": "degF", "degC": "degC", "K": "kelvin", "fahrenheit": "degF", "celsius": "degC",
    "W": "watt", "kW": "kilowatt", "MW": "megawatt", "Wh": "watt hour", "kWh": "kilowatt hour",
    "MWh": "megawatt hour", "J": "joule", "kJ": "kilojoule", "V": "volt", "mV": "millivolt",
    "A": "ampere", "mA": "milliampere", "l": "litre", "ml": "millilitre", "m3": "cubic metre",
    "mg/dL": "milligram per decilitre", "mmol/L": "millimole per litre", "EUR": "euro",
    "GBP": "pound sterling", "Hz": "hertz", "B": "byte", "kB": "kilobyte", "MB": "megabyte",
}  # fmt: skip
_TEMPERATURES = {
    "degF": (("degC", 5 / 9, -160 / 9), ("kelvin", 5 / 9, 459.67 * 5 / 9)),
    "degC": (("degF", 9 / 5, 32.0), ("kelvin", 1.0, 273.15)),
    "kelvin": (("degC", 1.0, -273.15), ("degF", 9 / 5, -459.67)),
}
# Factors to try for a column without a declared unit: the most frequent confusions.
_COMMON = (60.0, 3600.0, 1000.0, 100.0, 10.0, 24.0, 1.609344, 0.3048, 2.54, 0.45359237, 1.852)


def conversions(unit: str | None) -> tuple[UnitConversion, ...]:
    """Return the conversions that may have been applied to a column of this unit."""
    if unit is None:
        pairs = [(f, 1 / f) for f in _COMMON]
        return tuple(UnitConversion(UNDECLARED, "another unit", f) for pair in pairs for f in pair)
    name = _ALIASES.get(unit, unit)
    if name in _TEMPERATURES:
        return tuple(UnitConversion(unit, *other) for other in _TEMPERATURES[name])
    for units in _QUANTITIES.values():
        if name in units:
            return tuple(
                UnitConversion(unit, other, units[name] / size)
                for other, size in units.items()
                if other != name
            )
    return conversions(None)
