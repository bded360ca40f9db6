"""Units of number columns, from names, descriptions, values, and columns side by side."""

import re
from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.unit_conversions import conversions
from headrace.core.declarations.strict_yaml import is_mark
from headrace.scaffold.hints.model import Confidence, ContractHint, HintEvidence
from headrace.scaffold.hints.quantities import fitting_units, open_quantity, quantities_of
from headrace.scaffold.hints.sample import Bools, HintColumn, HintSample
from headrace.scaffold.inspection.column_words import words
from headrace.scaffold.inspection.domains import is_calendar, is_code, unit_of, unit_words

_LEAST_ROWS = 30
_FEW_VALUES = 20  # different values that a conclusion from values alone needs
_CLOCK_MINUTES = 50  # different minutes of HHMM clocks; 60 if all occur
_ON_GRID = 0.99  # share of values that a conversion must explain
_COARSE = 0.2  # rounding, as a share of the grid, above which values are on a grid by chance
_FINEST = 1e-5  # with more decimals, values are quotients, and on many grids
_CONVERTED = ("degF", "mph", "km/h", "mile", "kilometre", "pound", "kilogram")
# Whole seconds, milliseconds, ... since 1970 from 2000 to 2100.
_EPOCHS = {"second": 1.0, "millisecond": 1e3, "microsecond": 1e6, "nanosecond": 1e9}
_FIRST, _LAST = 946_684_800.0, 4_102_444_800.0
# "days_in_waiting_list": a plural, and what happens in this time.
_PERIODS = {
    "days": "day", "hours": "hour", "minutes": "minute", "seconds": "second", "weeks": "week",
    "months": "month", "years": "year", "nights": "night",
}  # fmt: skip
_OF_PERIODS = frozenset({"in", "since", "until", "to", "before", "after", "between", "from"})
# "in kilograms", "(mm)", "[USD]" in a description.
_IN_WORDS = re.compile(r"\b(?:in|of) ([A-Za-z%°/]+)\b|[(\[]([^()\[\]]{1,12})[)\]]")
_PARTICLES = re.compile(r"pm_?(2[._]?5|10|1)(_|$)", re.IGNORECASE)
_MERCURY = re.compile(r"mm_?hg(_|$)", re.IGNORECASE)


def units(sample: HintSample) -> Iterator[ContractHint]:
    """Yield at most one hint for each number column without a unit."""
    for column in sample.numbers:
        unit = column.field.unit
        if (unit is None or is_mark(unit)) and column.present.sum() >= _LEAST_ROWS:
            hint = _unit(sample, column)
            if hint is not None:
                yield hint


def _unit(sample: HintSample, column: HintColumn) -> ContractHint | None:
    if column.field.primary_key_position is None and not is_calendar(column):
        for suggest in (_clock, _epoch):
            hint = suggest(sample, column)
            if hint is not None:
                return hint
    if is_calendar(column) or is_code(column) or column.field.primary_key_position:
        return None
    for suggest in (_written, _described, _converted, _quantity, _open):
        hint = suggest(sample, column)
        if hint is not None:
            return hint
    return None


# Units in words


def _written(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return the unit in the column's name, such as `weight_kg` or `days_in_waiting_list`."""
    header_words = words(column.header)
    unit = unit_of(column)
    if _MERCURY.search(column.header):
        unit = "mmHg"
    if unit is None and len(header_words) > 2 and header_words[1] in _OF_PERIODS:
        unit = _PERIODS.get(header_words[0])
    if unit is None:
        return None
    name = f"The name {column.header!r} has the unit."
    return _hint(column, unit, name, _all(sample, column), "high")


def _described(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return the unit in the column's description, such as "Weight in kilograms"."""
    for match in _IN_WORDS.finditer(column.field.description):
        unit = unit_words(match[1] or match[2])
        if unit is not None:
            reason = f"The description has the unit: {match[0]!r}."
            return _hint(
                column,
                unit,
                reason,
                _all(sample, column),
                "high",
            )
    return None


def _quantity(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return the only unit of the quantity in the name that the values allow."""
    values = column.values[column.present & sample.first]
    name = _name(sample, column)
    for quantity in quantities_of(name):
        fitting = fitting_units(quantity, values)
        if len(fitting) != 1:
            continue
        unit = next(unit for unit in quantity.units if unit.unit == fitting[0])
        low, high = unit.values
        with np.errstate(invalid="ignore"):
            fits = (column.values >= low) & (column.values <= high)
        alternatives = [other.unit for other in quantity.units if other is not unit]
        beside = f", not in {' or '.join(alternatives)}" if alternatives else ""
        reason = (
            f"The name denotes {quantity.name}; its values ({values.min():g} to {values.max():g})"
            f" are usual in {unit.unit}{beside}."
        )
        return _hint(column, unit.unit, reason, _evidence(sample, column, fits), "medium")
    return None


def _name(sample: HintSample, column: HintColumn) -> str:
    """Return the name, with abbreviations written out that are clear from the other columns."""
    if _PARTICLES.match(column.header):
        return "pm"
    header_words = words(column.header)
    if header_words[:1] == ["t"] and len(header_words) == 2:
        alternatives = {q.name for c in sample.numbers for q in quantities_of(c.header)}
        if "relative humidity" in alternatives:
            return "temperature"
    return column.header


def _open(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return a question about a quantity whose unit the values cannot show."""
    quantity = open_quantity(column.header)
    if quantity is None:
        return None
    values = column.values[column.present]
    reason = (
        f"The name denotes {quantity[0]} ({values.min():g} to {values.max():g}); {quantity[1]}?"
    )
    return _hint(column, "", reason, _none(sample, column), "low")


# Units in values


def _clock(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return HHMM for whole numbers up to 2400 whose last two digits are always below 60."""
    if column.step < 1 or column.distinct < _FEW_VALUES:
        return None
    values = column.values[column.present & sample.first]
    if not len(values) or values.min() < 0 or values.max() > 2400 or values.max() < 1000:
        return None
    with np.errstate(invalid="ignore"):
        fits = (column.values >= 0) & (column.values <= 2400) & (column.values % 100 < 60)
    minutes = len(np.unique(values % 100))
    quarters = bool(np.isin(values % 100, (0, 15, 30, 45)).all())
    if not fits[column.present].all() or minutes < (4 if quarters else _CLOCK_MINUTES):
        return None
    if quarters and "time" not in words(column.header):
        return None
    reason = (
        f"{column.name} has whole numbers from {values.min():g} to {values.max():g}, whose"
        f" last two digits take {minutes} values, all below 60."
    )
    return _hint(column, "HHMM", reason, _evidence(sample, column, fits), "high")


def _epoch(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return the unit of counts since 1970 that follow the event time of the rows."""
    values = column.values[column.present & sample.first]
    if column.distinct < _FEW_VALUES or not len(values):
        return None
    for unit, size in _EPOCHS.items():
        if not (_FIRST * size <= values.min() and values.max() <= _LAST * size):
            continue
        with np.errstate(invalid="ignore"):
            seconds = column.values / size
            fits = (seconds >= _FIRST) & (seconds <= _LAST)
            apart = np.abs(seconds - sample.event / 1e6)[column.present]
        near = apart[~np.isnan(apart)]
        close = len(near) > 0 and float(np.quantile(near, 0.9)) <= 30 * 86_400
        day = np.datetime64(int(values.min() / size), "s").astype("datetime64[D]")
        reason = f"{column.name} counts from {day} on if it is in {unit}s since 1970-01-01" + (
            ", within 30 days of the event time." if close else "."
        )
        return _hint(
            column, unit, reason, _evidence(sample, column, fits), "high" if close else "low"
        )
    return None


def _converted(sample: HintSample, column: HintColumn) -> ContractHint | None:
    """Return the unit of values that are round numbers in another unit, such as 39.02 degF."""
    values = column.values[column.present & sample.first]
    values = values[values != 0]
    if len(np.unique(values)) < _FEW_VALUES or column.step < _FINEST:
        return None
    units = {
        unit.unit for quantity in quantities_of(column.header) for unit in quantity.units
    } or _CONVERTED
    best: tuple[float, str, str, Bools] | None = None
    for unit in sorted(units):
        for conversion in conversions(unit):
            if conversion.unit != unit or _is_simple(conversion.scale, conversion.offset):
                continue
            for grid in (1.0, 0.1):
                chance = column.step / (grid / abs(conversion.scale))
                if chance > _COARSE or (best is not None and chance >= best[0]):
                    continue
                tolerance = column.step / 2 * abs(conversion.scale) * 1.01 + 1e-9
                original = column.values * conversion.scale + conversion.offset
                off = np.abs(original - np.rint(original / grid) * grid)
                with np.errstate(invalid="ignore"):
                    fits: Bools = off <= tolerance
                if fits[column.present & sample.first].mean() >= _ON_GRID:
                    best = (chance, unit, conversion.other, fits)
    if best is None:
        return None
    reason = (
        f"The values of {column.name} are round numbers of {best[2]} converted to {best[1]};"
        f" {best[0]:.0%} of values would be by chance."
    )
    return _hint(column, best[1], reason, _evidence(sample, column, best[3]), "medium")


def _is_simple(scale: float, offset: float) -> bool:
    """Return True for factors such as 12 or 1/60, whose multiples occur without a conversion."""
    factors = np.array([scale, 1 / scale]) * np.array([[1.0], [10.0], [100.0], [1000.0]])
    return offset == 0 and bool((np.abs(factors - np.rint(factors)) < 1e-9).any())


def _all(sample: HintSample, column: HintColumn) -> HintEvidence:
    return sample.evidence(column.present, column.present)


def _none(sample: HintSample, column: HintColumn) -> HintEvidence:
    return sample.evidence(np.zeros(len(column.present), bool), column.present)


def _evidence(sample: HintSample, column: HintColumn, fits: Bools) -> HintEvidence:
    return sample.evidence(fits & column.present, column.present)


def _hint(
    column: HintColumn, unit: str, reason: str, evidence: HintEvidence, level: Confidence
) -> ContractHint:
    # Later values that the unit does not allow make it a question.
    is_confirmed = not evidence.later_rows or evidence.later_share >= _ON_GRID
    return ContractHint(
        "unit", (column.name,), unit, reason, evidence, level if is_confirmed else "low"
    )
