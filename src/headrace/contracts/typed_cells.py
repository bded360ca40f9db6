"""Parser of text columns into typed columns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.contracts.model import MOST_SCALE, TIMESTAMP, Field
from headrace.core.clock import parse_iso

_INTEGER = r"^-?[0-9]+$"
_NUMBER = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"^(?i:nan|-?inf|-?infinity)$"
# Years 1 to 9999: Arrow also accepts year 0, but Python's `datetime`, which reports use, does not.
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_MOMENT = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]+)?Z$"
_FINER = r"^(.*\.[0-9]{6})[0-9]+Z$"  # more decimals than microseconds
EXPECTED = {
    "integer": "a whole number of at most 63 bits",
    "number": "a number",
    "timestamp": "a moment such as 2013-01-31T12:00:00Z",
    "boolean": "true or false",
}
_FIRST, _LAST = parse_iso("0001-01-01"), parse_iso("9999-12-31T23:59:59.999999")
_WIDE = pa.decimal256(76, 38)
_SHORTENED = 60  # maximum number of characters of a cell that a message shows
# Longer texts and exponents beyond ±29 are parsed in Python, because Arrow reads past the end of
# its table of powers of ten.
_LONG, _FAR = 60, r"[eE][+-]?([0-9]{3}|[3-9][0-9])"
# Relative error up to which a float counts as a decimal of the declared scale; binary arithmetic
# causes such errors, as in 0.1 + 0.2.
_NOISE = 2.0**-48
_NO_ROWS: NDArray[np.int64] = np.empty(0, np.int64)
Bools = NDArray[np.bool_]


@dataclass
class TypedCells:
    """Typed column, with the problems of its cells.

    `wrong` are rows whose text does not parse as the type; if there are any, `values` is
    meaningless. `problems` are (row, rule, reason) for values that parse but cannot be used.
    `rounded` are rows with digits beyond the declared scale.
    """

    values: pa.Array
    wrong: list[int] = field(default_factory=list)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    rounded: NDArray[np.int64] = field(default_factory=lambda: _NO_ROWS)


@dataclass(frozen=True)
class Rounded:
    """Summary of a column's cells with digits beyond its scale, which are rounded half to even.

    `line` and `text` describe the first such cell; `needed` is the smallest scale that loses no
    digits.
    """

    field: str
    scale: int
    count: int
    line: int
    text: str
    needed: int

    def __str__(self) -> str:
        cells = "cell has" if self.count == 1 else "cells have"
        fix = (
            f"a scale of {self.needed} keeps them all, if sums then still fit"
            if self.needed <= MOST_SCALE
            else f"no scale keeps them all, {MOST_SCALE} is the greatest"
        )
        return (
            f"{self.count} {cells} digits beyond scale {self.scale} of {self.field}, first"
            f" {self.text} on line {self.line}: they are rounded ({fix})"
        )


def rounded(name: str, scale: int, lossy: pa.Array, line: int) -> Rounded:
    """Summarise the `lossy` cells of a column; `line` is the line of the first."""
    text = lossy[0].as_py()[:_SHORTENED]
    return Rounded(name, scale, len(lossy), line, text, needed_scale(lossy))


def parse(column: Field, text: pa.Array) -> TypedCells:
    """Parse `text` (an array of strings and nulls) as the declared type of `column`.

    White space around numbers, timestamps and booleans is ignored.
    """
    if column.null_tokens:
        tokens = pa.array(column.null_tokens, pa.string())
        text = pc.if_else(pc.is_in(text, tokens), pa.scalar(None, pa.string()), text)
    cells = _PARSERS[column.type](column, text)
    if cells.wrong and column.type != "string":  # only now: hardly any producer pads its numbers
        cells = _PARSERS[column.type](column, pc.utf8_trim_whitespace(text))
    return bounded(column, cells)


def bounded(column: Field, cells: TypedCells) -> TypedCells:
    """Replace sentinels with null; note values above `max_abs` and timestamps out of range."""
    if cells.wrong:
        return cells
    if column.sentinels:
        sentinels = pa.array(column.sentinels, cells.values.type)
        null = pa.scalar(None, cells.values.type)
        cells.values = pc.if_else(pc.is_in(cells.values, sentinels), null, cells.values)
    if column.max_abs is not None:
        _note_beyond_limit(column, cells)
    if pa.types.is_timestamp(cells.values.type):
        _note_outside_calendar(column, cells)
    return cells


def _note_outside_calendar(column: Field, cells: TypedCells) -> None:
    """Note timestamps outside years 1 to 9999, which SQL may compute, and set them to null."""
    moments = cells.values.cast(pa.int64())
    earliest, latest = pc.min_max(moments).values()
    if not earliest.is_valid or (earliest.as_py() >= _FIRST and latest.as_py() <= _LAST):
        return
    far = pc.or_(pc.less(moments, _FIRST), pc.greater(moments, _LAST))
    for row in np.flatnonzero(_truth(far)):
        reason = f"{column.name} is not within the years 1 to 9999"
        cells.problems.append((int(row), "max_abs", reason))
    cells.values = pc.if_else(far, pa.scalar(None, cells.values.type), cells.values)


def _note_beyond_limit(column: Field, cells: TypedCells) -> None:
    limit = column.max_abs or 0
    range_ = pc.min_max(cells.values).as_py()
    if range_["min"] is None or (-limit <= range_["min"] and range_["max"] <= limit):
        return
    for row, value in enumerate(cells.values.to_pylist()):
        if value is not None and abs(value) > limit and np.isfinite(value):
            value_, bound = column.in_unit(value), column.in_unit(limit)
            reason = f"{column.name} is {value_}, beyond its greatest absolute value {bound}"
            cells.problems.append((row, "max_abs", reason))


def normal(values: pa.Array) -> TypedCells:
    """Return float64 values with -0 as +0 and NaN as null; note infinite values as problems."""
    numbers = values.to_numpy(zero_copy_only=False) + 0.0
    cells = TypedCells(pa.array(numbers, pa.float64(), mask=np.isnan(numbers)))
    for row in np.flatnonzero(np.isinf(numbers)):
        cells.problems.append((int(row), "infinity", "the value is infinite"))
    return cells


def _string(_: Field, text: pa.Array) -> TypedCells:
    return TypedCells(text)


def _integer(_: Field, text: pa.Array) -> TypedCells:
    fits = pc.ascii_is_decimal(text)  # cheaper than the regex, but false for a minus sign
    if pc.all(fits).as_py() is False:
        fits = pc.match_substring_regex(text, _INTEGER)
    return _cast(text, fits, partial(pc.cast, target_type=pa.int64()))


def _boolean(_: Field, text: pa.Array) -> TypedCells:
    fits = pc.match_substring_regex(text, "^(true|false)$")
    return _cast(text, fits, lambda cells: pc.equal(cells, "true"))


def _timestamp(column: Field, text: pa.Array) -> TypedCells:
    def cast(cells: pa.Array) -> pa.Array:
        if not pc.any(pc.match_substring_regex(cells, _FINER)).as_py():
            return cells.cast(TIMESTAMP)
        floor = pc.replace_substring_regex(cells, _FINER, r"\1Z").cast(TIMESTAMP)
        finer = pc.match_substring_regex(cells, r"\.[0-9]{6}[0-9]*[1-9][0-9]*Z$")
        up = pc.add(floor, pa.scalar(1, pa.duration("us")))
        return pc.if_else(finer, up, floor) if column.round_up else floor

    return _cast(text, pc.match_substring_regex(text, _MOMENT), cast)


def _number(column: Field, text: pa.Array) -> TypedCells:
    if column.scale is not None:
        return _scaled(column, text)
    fits = pc.match_substring_regex(text, _NUMBER)
    if pc.all(fits).as_py() is False:  # NaN and infinities are rare, but valid numbers
        fits = pc.or_(fits, pc.match_substring_regex(text, _NOT_FINITE))
    cells = _cast(text, fits, partial(pc.cast, target_type=pa.float64()))
    return cells if cells.wrong else normal(cells.values)


def _scaled(column: Field, text: pa.Array) -> TypedCells:
    """Parse numbers v of scale d as int64, v * 10^d, rounded half to even.

    Numbers are converted exactly, except with `sourceForm: float`: by floating-point arithmetic.
    """
    odd = pc.fill_null(pc.match_substring_regex(text, _NOT_FINITE), False)
    infinite = pc.and_(odd, pc.match_substring_regex(text, "(?i)inf"))
    lossy: list[Bools] = []  # last entry: mask of the rows that lost digits
    quantise = partial(_from_float if column.form == "float" else _from_text, lossy=lossy)
    digits = pc.if_else(odd, pa.scalar(None, pa.string()), text)
    fits = pc.match_substring_regex(digits, _NUMBER)
    cells = _cast(digits, fits, partial(quantise, scale=column.scale or 0))
    for row in np.flatnonzero(_truth(infinite)):
        cells.problems.append((int(row), "infinity", "the value is infinite"))
    if not cells.wrong:
        cells.rounded = np.flatnonzero(lossy[-1])
        overflowing = _truth(pc.is_null(cells.values)) & _truth(pc.is_valid(digits))
        for row in np.flatnonzero(overflowing):
            cell, limit = digits[int(row)], column.max_abs
            reason = f"{column.name} is {cell}, beyond its greatest value of {limit} units"
            cells.problems.append((int(row), "max_abs", reason))
    return cells


def needed_scale(text: pa.Array) -> int:
    """Return the greatest number of decimals in these texts, without trailing zeros."""
    plain = text.filter(pc.match_substring_regex(text, r"^[^eE]*\.[^eE]*$"))
    trimmed = pc.utf8_rtrim(plain, characters="0")
    places = pc.subtract(pc.binary_length(trimmed), pc.find_substring(trimmed, "."))
    return max((pc.max(places).as_py() or 1) - 1, 0)


def _from_float(text: pa.Array, scale: int, lossy: list[Bools]) -> pa.Array:
    """Parse as floats and scale to int64; null where the absolute result is 2^53 or more."""
    numbers = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = numbers * 10.0**scale
        scaled = np.rint(exact)
        usable = np.abs(scaled) < 2.0**53
        lossy.append(usable & (np.abs(exact - scaled) > _NOISE * np.abs(exact)))
    return pa.array(np.where(usable, scaled, 0).astype(np.int64), mask=~usable)


def _from_text(text: pa.Array, scale: int, lossy: list[Bools]) -> pa.Array:
    """Scale decimal texts exactly to int64; null where the result does not fit."""
    if not len(text):
        lossy.append(np.empty(0, bool))
        return pa.array([], pa.int64())
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest > _LONG or pc.any(pc.match_substring_regex(text, _FAR)).as_py():
        return _scale_all_exactly(text, scale, lossy)
    try:
        decimals = text.cast(_WIDE)
        wide = pc.round(decimals, ndigits=scale, round_mode="half_to_even")
        narrow = wide.cast(pa.decimal256(_WIDE.precision - _WIDE.scale + scale, scale))
    except pa.ArrowInvalid:  # more than 38 digits on one side of the point
        return _scale_all_exactly(text, scale, lossy)
    lossy.append(_truth(pc.not_equal(decimals, wide)))
    words = np.frombuffer(narrow.buffers()[1], np.int64).reshape(-1, 4)
    words = words[narrow.offset : narrow.offset + len(narrow)]  # least significant word first
    fits = (words[:, 1:] == (words[:, :1] >> 63)).all(axis=1)
    return pa.array(words[:, 0], pa.int64(), mask=~fits | _truth(pc.is_null(narrow)))


def _scale_all_exactly(text: pa.Array, scale: int, lossy: list[Bools]) -> pa.Array:
    cells = text.to_pylist()
    numbers = [_scale_exactly(cell, scale) for cell in cells]
    pairs = zip(cells, numbers, strict=True)
    lossy.append(np.array([_is_rounded(cell, number, scale) for cell, number in pairs], bool))
    return pa.array(numbers, pa.int64())


def _is_rounded(cell: str | None, number: int | None, scale: int) -> bool:
    """Return True if the scaled number differs from its text."""
    if cell is None or number is None:
        return False
    try:
        return Decimal(cell) != Decimal(number).scaleb(-scale)
    except InvalidOperation:  # a very negative exponent: rounded, unless the digits are all 0
        return bool(Decimal(cell.lower().partition("e")[0]))


def _scale_exactly(cell: str | None, scale: int) -> int | None:
    if cell is None:
        return None
    try:
        value = Decimal(cell)
    except InvalidOperation:  # an exponent beyond the limits of Decimal
        digits, _, exponent = cell.lower().partition("e")
        return 0 if exponent.startswith("-") or not Decimal(digits) else None
    if not value:
        return 0
    if value.adjusted() + scale > 19:
        return None
    exact = Context(prec=60 + scale, rounding=ROUND_HALF_EVEN)
    quantum = int(value.quantize(Decimal(1).scaleb(-scale), context=exact).scaleb(scale))
    return quantum if -(2**63) <= quantum < 2**63 else None


def _cast(text: pa.Array, fits: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> TypedCells:
    """Apply `cast` to the column; rows where `fits` is false or `cast` fails are `wrong`."""
    wrong: list[int] = []
    if pc.all(fits).as_py() is False:
        wrong = np.flatnonzero(_truth(pc.invert(fits))).tolist()
        text = pc.if_else(fits, text, pa.scalar(None, pa.string()))
    try:
        return TypedCells(cast(text), wrong)
    except pa.ArrowInvalid:  # matches the pattern but is impossible, such as 30 February
        return TypedCells(text, sorted(wrong + _failing(text, cast, 0)))


def _failing(text: pa.Array, cast: Callable[[pa.Array], pa.Array], start: int) -> list[int]:
    """Find the rows on which `cast` fails, by bisection."""
    try:
        cast(text)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return [start]
        half = len(text) // 2
        first_half = _failing(text.slice(0, half), cast, start)
        return first_half + _failing(text.slice(half), cast, start + half)
    return []


def _truth(values: pa.Array) -> Bools:
    truth: Bools = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return truth


_PARSERS: dict[str, Callable[[Field, pa.Array], TypedCells]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "timestamp": _timestamp,
    "boolean": _boolean,
}
