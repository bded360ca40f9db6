"""Faults of a delivery, planted in its rows as text. Shares nothing with the detectors.

Each fault alters a whole batch or a part of it, at a place that only the table and the day decide.
It returns None where it cannot be planted: the table has no such column, or nothing would change.
"""

import csv
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from headrace.verification.gate_bank.tables import BankTable, Row, Rows, csv_bytes

Scope = Literal["batch", "part"]
NULLS = ("", "NA", "None", "nil", "?")


@dataclass(frozen=True)
class CleanDay:
    """Clean delivery to alter, with the one before it."""

    table: BankTable
    name: str
    rows: Rows
    before: Rows
    number: int

    @property
    def random(self) -> random.Random:
        """Return a generator of its own for each table and day."""
        return random.Random(f"{self.table.name}:{self.name}")  # noqa: S311

    def pick(self, names: tuple[str, ...], turn: int = 0) -> str | None:
        """Return one of the columns, another each day; None if there are none."""
        return names[(self.number + turn) % len(names)] if names else None

    def part(self, share: float) -> set[int]:
        """Return the places of a share of the rows."""
        count = max(1, round(share * len(self.rows)))
        return set(self.random.sample(range(len(self.rows)), min(count, len(self.rows))))

    def common_level(self, column: str, at_most: float = 0.7) -> str | None:
        """Return the most frequent text of a column that is not nearly all there is."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row[column]] = counts.get(row[column], 0) + 1
        fair = {
            text: count
            for text, count in counts.items()
            if text not in NULLS and 3 <= count <= at_most * len(self.rows)
        }
        return max(fair, key=lambda text: (fair[text], text)) if fair else None


@dataclass(frozen=True)
class AlteredDelivery:
    """Altered delivery.

    Attributes:
        payload: bytes to deliver.
        places: of the altered rows; None if it is the batch as a whole.
        columns: altered columns.
        repeats: True if the only change is that rows are repeated exactly.
    """

    payload: bytes
    places: frozenset[int] | None = None
    columns: tuple[str, ...] = ()
    repeats: bool = False


@dataclass(frozen=True)
class BankFault:
    """Fault of the catalogue.

    Attributes:
        name: unique name.
        scope: of the alteration.
        family: kind of change, which a right headline names.
        plant: the altered delivery; None where it cannot be planted.
    """

    name: str
    scope: Scope
    family: str
    plant: Callable[[CleanDay], AlteredDelivery | None] = field(hash=False)


FAULTS: list[BankFault] = []


def _fault(
    name: str, scope: Scope, family: str
) -> Callable[[Callable[[CleanDay], AlteredDelivery | None]], None]:
    def register(plant: Callable[[CleanDay], AlteredDelivery | None]) -> None:
        FAULTS.append(BankFault(name, scope, family, plant))

    return register


def _changed(
    day: CleanDay,
    columns: tuple[str, ...],
    change: Callable[[Row], Row],
    where: set[int] | None = None,
) -> AlteredDelivery | None:
    """Alter some rows; None if fewer than half of them change."""
    rows, places = [], set()
    for place, row in enumerate(day.rows):
        new = change(dict(row)) if where is None or place in where else row
        rows.append(new)
        if new != row:
            places.add(place)
    intended = len(day.rows) if where is None else len(where)
    if len(places) * 2 < intended or not places:
        return None
    return AlteredDelivery(csv_bytes(rows), None if where is None else frozenset(places), columns)


def _cell(column: str, change: Callable[[str], str]) -> Callable[[Row], Row]:
    return lambda row: row if row[column] in NULLS else {**row, column: change(row[column])}


def _cells(
    day: CleanDay, column: str | None, change: Callable[[str], str], where: set[int] | None = None
) -> AlteredDelivery | None:
    """Alter the cells of a column; None if there is no such column."""
    return _changed(day, (column,), _cell(column, change), where) if column else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _affine(factor: float, offset: float = 0.0) -> Callable[[str], str]:
    """Return the same number in another unit, with as many digits as it had."""

    def change(text: str) -> str:
        number = _number(text)
        if number is None:
            return text
        digits = len(text.strip().partition(".")[2])
        return f"{number * factor + offset:.{min(digits, 6)}f}"

    return change


# What producers confuse: declared unit -> unit, factor, offset.
UNITS = {
    "dollar": ("cent", 100.0, 0.0), "euro": ("cent", 100.0, 0.0),
    "pound sterling": ("pence", 100.0, 0.0), "degC": ("degF", 1.8, 32.0),
    "kelvin": ("degC", 1.0, -273.15), "kilowatt": ("watt", 1000.0, 0.0),
    "watt hour": ("kilowatt hour", 0.001, 0.0), "volt": ("millivolt", 1000.0, 0.0),
    "ampere": ("milliampere", 1000.0, 0.0), "percent": ("fraction", 0.01, 0.0),
    "hPa": ("kPa", 0.1, 0.0), "mmHg": ("hPa", 1.33322, 0.0), "m/s": ("km/h", 3.6, 0.0),
    "kilometre": ("mile", 1 / 1.609344, 0.0), "millimetre": ("inch", 1 / 25.4, 0.0),
    "milligram per decilitre": ("millimole per litre", 1 / 18.0182, 0.0),
    "nanoampere": ("picoampere", 1000.0, 0.0), "hour": ("minute", 60.0, 0.0),
    "day": ("hour", 24.0, 0.0), "year": ("month", 12.0, 0.0),
    "microgram per cubic metre": ("milligram per cubic metre", 0.001, 0.0),
}  # fmt: skip


def _with_unit(day: CleanDay) -> tuple[str, float, float] | None:
    """Return a column of a known unit with its conversion."""
    unit = {f.name: f.unit for f in day.table.contract.delivered}
    alias = {a: f.name for f in day.table.contract.delivered for a in (f.name, *f.aliases)}
    columns = tuple(c for c in day.table.measures if unit.get(alias.get(c, c)) in UNITS)
    column = day.pick(columns)
    if column is None:
        return None
    _, factor, offset = UNITS[unit[alias.get(column, column)] or ""]
    return column, factor, offset


# Units and numbers


@_fault("unit of a measure", "batch", "unit")
def _(day: CleanDay) -> AlteredDelivery | None:
    unit = _with_unit(day)
    return unit and _changed(day, unit[:1], _cell(unit[0], _affine(*unit[1:])))


@_fault("unit of a measure in 61% of rows", "part", "unit")
def _(day: CleanDay) -> AlteredDelivery | None:
    unit = _with_unit(day)
    return unit and _changed(day, unit[:1], _cell(unit[0], _affine(*unit[1:])), day.part(0.61))


@_fault("unit of a measure for one category", "part", "unit")
def _(day: CleanDay) -> AlteredDelivery | None:
    unit, places = _with_unit(day), _category(day)
    if unit is None or places is None:
        return None
    return _changed(day, unit[:1], _cell(unit[0], _affine(*unit[1:])), places)


@_fault("measure rounded to tens", "batch", "precision")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.measures)
    delivery = _cells(day, column, lambda text: f"{round((_number(text) or 0) / 10) * 10}")
    return delivery and _unless_constant(day, delivery)


def _unless_constant(day: CleanDay, delivery: AlteredDelivery) -> AlteredDelivery | None:
    """Return None if a measure of several values has only one left: that is another fault."""
    name = delivery.columns[0]
    before = {row[name] for row in day.rows} - set(NULLS)
    after = {row[name] for row in csv.DictReader(io.StringIO(delivery.payload.decode()))}
    return None if len(after - set(NULLS)) < min(2, len(before)) else delivery


# Faults that alter the cells of one measure: name, family, change, share of the rows (None: all).
_CELLS: tuple[tuple[str, str, Callable[[str], str], float | None], ...] = (
    ("measure times 1000", "unit", _affine(1000.0), None),
    ("measure through 100", "unit", _affine(0.01), None),
    ("sign flipped", "sign", _affine(-1.0), None),
    ("sign flipped in 30% of rows", "sign", _affine(-1.0), 0.3),
    ("decimal comma", "type", lambda text: text.replace(".", ","), None),
    ("words in place of numbers", "type", lambda _: "unknown", None),
    ("measure empty", "nulls", lambda _: "", None),
    ("measure empty in 30% of rows", "nulls", lambda _: "", 0.3),
    ("measure zero", "sentinel", lambda _: "0", None),
    ("zero for 30% of a measure", "sentinel", lambda _: "0", 0.3),
    ("-999 in 20% of a measure", "sentinel", lambda _: "-999", 0.2),
    ("9999 in 2% of a measure", "sentinel", lambda _: "9999", 0.02),
)


def _alters(
    family: str, change: Callable[[str], str], share: float | None
) -> Callable[[CleanDay], AlteredDelivery | None]:
    def plant(day: CleanDay) -> AlteredDelivery | None:
        column = day.pick(day.table.measures)
        where = None if share is None else day.part(share)
        delivery = _cells(day, column, change, where)
        # A constant is what other faults of this list make of a measure on purpose.
        return delivery and (_unless_constant(day, delivery) if family == "unit" else delivery)

    return plant


for _name, _family, _change, _share in _CELLS:
    _fault(_name, "batch" if _share is None else "part", _family)(_alters(_family, _change, _share))


@_fault("measure clipped at its median", "batch", "clipped")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.measures)
    numbers = (
        sorted(n for row in day.rows if (n := _number(row[column])) is not None) if column else []
    )
    if len(numbers) < 10 or column is None:
        return None
    middle = numbers[len(numbers) // 2]
    cap = next(row[column] for row in day.rows if _number(row[column]) == middle)
    above = {i for i, row in enumerate(day.rows) if (_number(row[column]) or middle) > middle}
    return _changed(day, (column,), _cell(column, lambda _: cap), above)


@_fault("measure constant", "batch", "stuck")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.measures)
    if column is None:
        return None
    usual = next((row[column] for row in day.rows if _number(row[column])), None)
    return _cells(day, column, lambda _: usual) if usual else None


@_fault("sensor stuck for a quarter of the day", "part", "stuck")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.measures)
    first, last = len(day.rows) // 2, len(day.rows) * 3 // 4
    if column is None or last - first < 4:
        return None
    usual = day.rows[first][column]
    return _changed(day, (column,), _cell(column, lambda _: usual), set(range(first, last)))


# Columns


@_fault("two measures exchanged", "batch", "swap")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _exchanged(day, None)


@_fault("two measures exchanged in 30% of rows", "part", "swap")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _exchanged(day, day.part(0.3))


def _exchanged(day: CleanDay, where: set[int] | None) -> AlteredDelivery | None:
    first, second = day.pick(day.table.measures), day.pick(day.table.measures, 1)
    if first is None or second is None or first == second:
        return None
    pair = (first, second)
    return _changed(day, pair, lambda r: {**r, first: r[second], second: r[first]}, where)


@_fault("measure shifted by one row", "batch", "shifted")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.measures)
    if column is None or len(day.rows) < 10:
        return None
    texts = [row[column] for row in day.rows]
    shifted = iter([texts[-1], *texts[:-1]])
    return _changed(day, (column,), lambda row: {**row, column: next(shifted)})


@_fault("column renamed", "batch", "schema")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick((*day.table.measures, *day.table.codes))
    if column is None:
        return None
    rows = [{("new_" + n if n == column else n): v for n, v in row.items()} for row in day.rows]
    return AlteredDelivery(csv_bytes(rows), None, (column,))


@_fault("column missing", "batch", "schema")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick((*day.table.measures, *day.table.codes), 1)
    if column is None:
        return None
    rows = [{n: v for n, v in row.items() if n != column} for row in day.rows]
    return AlteredDelivery(csv_bytes(rows), None, (column,))


# Codes and texts


def _category(day: CleanDay) -> set[int] | None:
    """Return the rows of the most frequent category of a code column."""
    column = day.pick(day.table.codes)
    level = day.common_level(column) if column else None
    if column is None or level is None:
        return None
    return {place for place, row in enumerate(day.rows) if row[column] == level}


def _level(day: CleanDay) -> tuple[str, str] | None:
    column = day.pick(day.table.codes)
    level = day.common_level(column, 0.9) if column else None
    return (column, level) if column and level else None


@_fault("code constant", "batch", "constant")
def _(day: CleanDay) -> AlteredDelivery | None:
    usual = _level(day)
    return usual and _changed(day, usual[:1], _cell(usual[0], lambda _: usual[1]))


@_fault("code UNKNOWN", "batch", "constant")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.codes)
    if column is None:
        return None
    return _changed(day, (column,), lambda row: {**row, column: "UNKNOWN"})


@_fault("code in upper or lower case", "batch", "recode")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.pick(day.table.codes)
    return _cells(day, column, str.swapcase)


@_fault("one category under a new name", "part", "recode")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _recoded(day, lambda level, _: f"{level}_v2")


@_fault("one category merged into another", "part", "merge")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _recoded(day, lambda _, other: other)


def _recoded(day: CleanDay, to: Callable[[str, str], str]) -> AlteredDelivery | None:
    usual = _level(day)
    if usual is None:
        return None
    column, level = usual
    rest = sorted({row[column] for row in day.rows} - {level, *NULLS})
    if not rest:
        return None
    name = to(level, rest[0])
    where = {place for place, row in enumerate(day.rows) if row[column] == level}
    return _changed(day, (column,), _cell(column, lambda _: name), where)


@_fault("two categories exchanged", "part", "recode")
def _(day: CleanDay) -> AlteredDelivery | None:
    usual = _level(day)
    if usual is None:
        return None
    column, level = usual
    counts = [row[column] for row in day.rows]
    rest = sorted(set(counts) - {level, *NULLS}, key=lambda text: (-counts.count(text), text))
    if not rest or counts.count(rest[0]) < 3:
        return None
    names = {level: rest[0], rest[0]: level}
    where = {place for place, row in enumerate(day.rows) if row[column] in names}
    return _changed(day, (column,), _cell(column, names.__getitem__), where)


# Rows


@_fault("one category missing", "part", "missing_rows")
def _(day: CleanDay) -> AlteredDelivery | None:
    places = _category(day)
    return _only(day, set(range(len(day.rows))) - places) if places else None


@_fault("half of one category missing", "part", "missing_rows")
def _(day: CleanDay) -> AlteredDelivery | None:
    places = _category(day)
    if places is None or len(places) < 6:
        return None
    missing = set(sorted(places)[::2])
    return _only(day, set(range(len(day.rows))) - missing)


def _only(day: CleanDay, places: set[int]) -> AlteredDelivery | None:
    rows = [row for place, row in enumerate(day.rows) if place in places]
    return AlteredDelivery(csv_bytes(rows)) if rows and len(rows) < len(day.rows) else None


@_fault("cut to the first half", "batch", "missing_rows")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _only(day, set(range(len(day.rows) // 2)))


@_fault("cut to a twentieth", "batch", "missing_rows")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _only(day, set(range(max(1, len(day.rows) // 20))))


@_fault("the day before again", "batch", "wrong_delivery")
def _(day: CleanDay) -> AlteredDelivery | None:
    return AlteredDelivery(csv_bytes(day.before)) if day.before and day.before != day.rows else None


@_fault("every row twice", "batch", "repeated")
def _(day: CleanDay) -> AlteredDelivery | None:
    twice = [row for row in day.rows for _ in range(2)]
    return AlteredDelivery(csv_bytes(twice), repeats=True)


@_fault("every row twice under other keys", "batch", "repeated")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.table.number
    if not column:
        return None
    copies = [{**row, column: str(int(row[column]) + 10_000_000)} for row in day.rows]
    return AlteredDelivery(csv_bytes([*day.rows, *copies]), None, (column,))


@_fault("keys moved by a constant", "batch", "keys")
def _(day: CleanDay) -> AlteredDelivery | None:
    column = day.table.number
    if not column:
        return None
    return _changed(day, (column,), lambda r: {**r, column: str(int(r[column]) + 50_000_000)})


# Times


@_fault("times an hour late", "batch", "zone")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _later(day, timedelta(hours=1))


@_fault("times in another zone", "batch", "zone")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _later(day, timedelta(hours=5))


@_fault("times an hour late for one category", "part", "zone")
def _(day: CleanDay) -> AlteredDelivery | None:
    places = _category(day)
    return _later(day, timedelta(hours=1), places) if places else None


@_fault("times a year late", "batch", "wrong_period")
def _(day: CleanDay) -> AlteredDelivery | None:
    return _later(day, timedelta(days=365))


@_fault("times in whole hours", "batch", "precision")
def _(day: CleanDay) -> AlteredDelivery | None:
    clock = day.table.clock
    if not clock:
        return None
    return _changed(day, (clock[0],), lambda row: _timed(row, clock, _whole_hour))


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0)


def _later(day: CleanDay, by: timedelta, where: set[int] | None = None) -> AlteredDelivery | None:
    clock = day.table.clock
    if not clock:
        return None
    return _changed(day, (clock[0],), lambda row: _timed(row, clock, lambda m: m + by), where)


def _timed(row: Row, clock: tuple[str, str], change: Callable[[datetime], datetime]) -> Row:
    """Alter the time in one or two columns; a form of two columns is split at its blank."""
    columns, form = clock[0].split(","), clock[1]
    try:
        moment = datetime.strptime(" ".join(row[name] for name in columns), form)  # noqa: DTZ007
    except ValueError:
        return row
    texts = change(moment).strftime(form).split(" ", 1) if len(columns) > 1 else None
    if texts is None:
        return {**row, columns[0]: change(moment).strftime(form)}
    return {**row, **dict(zip(columns, texts, strict=True))}


# The file


@_fault("header in the middle", "batch", "file")
def _(day: CleanDay) -> AlteredDelivery | None:
    lines = csv_bytes(day.rows).splitlines(keepends=True)
    return AlteredDelivery(
        b"".join([*lines[: len(lines) // 2 + 1], lines[0], *lines[len(lines) // 2 + 1 :]])
    )


@_fault("header missing", "batch", "file")
def _(day: CleanDay) -> AlteredDelivery | None:
    return AlteredDelivery(csv_bytes(day.rows).split(b"\n", 1)[1])


@_fault("semicolons", "batch", "file")
def _(day: CleanDay) -> AlteredDelivery | None:
    if any(";" in text or "," in text for row in day.rows for text in row.values()):
        return None
    return AlteredDelivery(csv_bytes(day.rows).replace(b",", b";"))


@_fault("UTF-16", "batch", "file")
def _(day: CleanDay) -> AlteredDelivery | None:
    return AlteredDelivery(csv_bytes(day.rows).decode().encode("utf-16"))


def plantings(day: CleanDay) -> Iterator[tuple[BankFault, AlteredDelivery]]:
    """Yield each fault that can be planted in a day."""
    for fault in FAULTS:
        planted = fault.plant(day)
        if planted:
            yield fault, planted
