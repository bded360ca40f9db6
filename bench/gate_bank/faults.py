"""Faults of a delivery, planted in its rows as text. Shares nothing with the detectors.

Each fault alters a whole batch or a part of it, at a place that only the table and the day decide.
It returns None where it cannot be planted: the table has no such column, or nothing would change.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from bench.gate_bank.tables import BankTable, Row, Rows, csv_bytes

Scope = Literal["batch", "part"]
NULLS = ("", "NA", "None", "nil", "?")


@dataclass(frozen=True)
class Day:
    """Clean delivery to alter, with the one before it."""

    table: BankTable
    name: str
    rows: Rows
    before: Rows
    number: int

    @property
    def random(self) -> random.Random:
        """Return a generator of its own for each table and day."""
        return random.Random(f"{self.table.name}:{self.name}")

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
class Planted:
    """Altered delivery.

    Attributes:
        payload: bytes to deliver.
        altered: places of the altered rows; None if it is the batch as a whole.
        columns: altered columns.
    """

    payload: bytes
    altered: frozenset[int] | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
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
    plant: Callable[[Day], Planted | None] = field(hash=False)


FAULTS: list[Fault] = []


def _fault(
    name: str, scope: Scope, family: str
) -> Callable[[Callable[[Day], Planted | None]], None]:
    def register(plant: Callable[[Day], Planted | None]) -> None:
        FAULTS.append(Fault(name, scope, family, plant))

    return register


def _changed(
    day: Day, columns: tuple[str, ...], change: Callable[[Row], Row], where: set[int] | None = None
) -> Planted | None:
    """Alter some rows; None if fewer than half of them change."""
    rows, altered = [], set()
    for place, row in enumerate(day.rows):
        other = change(dict(row)) if where is None or place in where else row
        rows.append(other)
        if other != row:
            altered.add(place)
    wanted = len(day.rows) if where is None else len(where)
    if len(altered) * 2 < wanted or not altered:
        return None
    whole = where is None
    return Planted(csv_bytes(rows), None if whole else frozenset(altered), columns)


def _cell(column: str, change: Callable[[str], str]) -> Callable[[Row], Row]:
    return lambda row: row if row[column] in NULLS else {**row, column: change(row[column])}


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


def _with_unit(day: Day) -> tuple[str, float, float] | None:
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
def _(day: Day) -> Planted | None:
    found = _with_unit(day)
    return found and _changed(day, found[:1], _cell(found[0], _affine(*found[1:])))


@_fault("unit of a measure in 61% of rows", "part", "unit")
def _(day: Day) -> Planted | None:
    found = _with_unit(day)
    return found and _changed(day, found[:1], _cell(found[0], _affine(*found[1:])), day.part(0.61))


@_fault("unit of a measure for one category", "part", "unit")
def _(day: Day) -> Planted | None:
    found, places = _with_unit(day), _category(day)
    if found is None or places is None:
        return None
    return _changed(day, found[:1], _cell(found[0], _affine(*found[1:])), places)


@_fault("measure rounded to tens", "batch", "precision")
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.measures)
    return column and _changed(
        day, (column,), _cell(column, lambda text: f"{round((_number(text) or 0) / 10) * 10}")
    )


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


def _alters(change: Callable[[str], str], share: float | None) -> Callable[[Day], Planted | None]:
    def plant(day: Day) -> Planted | None:
        column = day.pick(day.table.measures)
        where = None if share is None else day.part(share)
        return column and _changed(day, (column,), _cell(column, change), where)

    return plant


for _name, _family, _change, _share in _CELLS:
    _fault(_name, "batch" if _share is None else "part", _family)(_alters(_change, _share))


@_fault("measure clipped at its median", "batch", "clipped")
def _(day: Day) -> Planted | None:
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
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.measures)
    usual = column and next((r[column] for r in day.rows if _number(r[column])), None)
    return usual and _changed(day, (column,), _cell(column, lambda _: usual))


@_fault("sensor stuck for a quarter of the day", "part", "stuck")
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.measures)
    first, last = len(day.rows) // 2, len(day.rows) * 3 // 4
    if column is None or last - first < 4:
        return None
    usual = day.rows[first][column]
    return _changed(day, (column,), _cell(column, lambda _: usual), set(range(first, last)))


# Columns


@_fault("two measures exchanged", "batch", "swap")
def _(day: Day) -> Planted | None:
    return _exchanged(day, None)


@_fault("two measures exchanged in 30% of rows", "part", "swap")
def _(day: Day) -> Planted | None:
    return _exchanged(day, day.part(0.3))


def _exchanged(day: Day, where: set[int] | None) -> Planted | None:
    one, other = day.pick(day.table.measures), day.pick(day.table.measures, 1)
    if one is None or other is None or one == other:
        return None
    return _changed(day, (one, other), lambda r: {**r, one: r[other], other: r[one]}, where)


@_fault("measure shifted by one row", "batch", "shifted")
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.measures)
    if column is None or len(day.rows) < 10:
        return None
    texts = [row[column] for row in day.rows]
    moved = iter([texts[-1], *texts[:-1]])
    return _changed(day, (column,), lambda row: {**row, column: next(moved)})


@_fault("column renamed", "batch", "schema")
def _(day: Day) -> Planted | None:
    column = day.pick((*day.table.measures, *day.table.codes))
    if column is None:
        return None
    rows = [{("new_" + n if n == column else n): v for n, v in row.items()} for row in day.rows]
    return Planted(csv_bytes(rows), None, (column,))


@_fault("column missing", "batch", "schema")
def _(day: Day) -> Planted | None:
    column = day.pick((*day.table.measures, *day.table.codes), 1)
    if column is None:
        return None
    rows = [{n: v for n, v in row.items() if n != column} for row in day.rows]
    return Planted(csv_bytes(rows), None, (column,))


# Codes and texts


def _category(day: Day) -> set[int] | None:
    """Return the rows of the most frequent category of a code column."""
    column = day.pick(day.table.codes)
    level = day.common_level(column) if column else None
    if level is None:
        return None
    return {place for place, row in enumerate(day.rows) if row[column] == level}


def _level(day: Day) -> tuple[str, str] | None:
    column = day.pick(day.table.codes)
    level = day.common_level(column, 0.9) if column else None
    return (column, level) if column and level else None


@_fault("code constant", "batch", "constant")
def _(day: Day) -> Planted | None:
    found = _level(day)
    return found and _changed(day, found[:1], _cell(found[0], lambda _: found[1]))


@_fault("code UNKNOWN", "batch", "constant")
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.codes)
    return column and _changed(day, (column,), lambda row: {**row, column: "UNKNOWN"})


@_fault("code in upper or lower case", "batch", "recode")
def _(day: Day) -> Planted | None:
    column = day.pick(day.table.codes)
    return column and _changed(day, (column,), _cell(column, str.swapcase))


@_fault("one category under a new name", "part", "recode")
def _(day: Day) -> Planted | None:
    return _recoded(day, lambda level, _: f"{level}_v2")


@_fault("one category merged into another", "part", "merge")
def _(day: Day) -> Planted | None:
    return _recoded(day, lambda _, other: other)


def _recoded(day: Day, to: Callable[[str, str], str]) -> Planted | None:
    found = _level(day)
    if found is None:
        return None
    column, level = found
    others = sorted({row[column] for row in day.rows} - {level, *NULLS})
    if not others:
        return None
    name = to(level, others[0])
    where = {place for place, row in enumerate(day.rows) if row[column] == level}
    return _changed(day, (column,), _cell(column, lambda _: name), where)


@_fault("two categories exchanged", "part", "recode")
def _(day: Day) -> Planted | None:
    found = _level(day)
    if found is None:
        return None
    column, level = found
    counts = [row[column] for row in day.rows]
    others = sorted(set(counts) - {level, *NULLS}, key=lambda text: (-counts.count(text), text))
    if not others or counts.count(others[0]) < 3:
        return None
    names = {level: others[0], others[0]: level}
    where = {place for place, row in enumerate(day.rows) if row[column] in names}
    return _changed(day, (column,), _cell(column, names.__getitem__), where)


# Rows


@_fault("one category missing", "part", "missing_rows")
def _(day: Day) -> Planted | None:
    places = _category(day)
    return places and _kept(day, set(range(len(day.rows))) - places)


@_fault("half of one category missing", "part", "missing_rows")
def _(day: Day) -> Planted | None:
    places = _category(day)
    if places is None or len(places) < 6:
        return None
    gone = set(sorted(places)[::2])
    return _kept(day, set(range(len(day.rows))) - gone)


def _kept(day: Day, places: set[int]) -> Planted | None:
    rows = [row for place, row in enumerate(day.rows) if place in places]
    return Planted(csv_bytes(rows)) if rows and len(rows) < len(day.rows) else None


@_fault("cut to the first half", "batch", "missing_rows")
def _(day: Day) -> Planted | None:
    return _kept(day, set(range(len(day.rows) // 2)))


@_fault("cut to a twentieth", "batch", "missing_rows")
def _(day: Day) -> Planted | None:
    return _kept(day, set(range(max(1, len(day.rows) // 20))))


@_fault("the day before again", "batch", "wrong_delivery")
def _(day: Day) -> Planted | None:
    return Planted(csv_bytes(day.before)) if day.before and day.before != day.rows else None


@_fault("every row twice", "batch", "repeated")
def _(day: Day) -> Planted | None:
    return Planted(csv_bytes([row for row in day.rows for _ in range(2)]))


@_fault("every row twice under other keys", "batch", "repeated")
def _(day: Day) -> Planted | None:
    column = day.table.number
    if not column:
        return None
    copies = [{**row, column: str(int(row[column]) + 10_000_000)} for row in day.rows]
    return Planted(csv_bytes([*day.rows, *copies]), None, (column,))


@_fault("keys moved by a constant", "batch", "keys")
def _(day: Day) -> Planted | None:
    column = day.table.number
    if not column:
        return None
    return _changed(day, (column,), lambda r: {**r, column: str(int(r[column]) + 50_000_000)})


# Times


@_fault("times an hour late", "batch", "zone")
def _(day: Day) -> Planted | None:
    return _moved(day, timedelta(hours=1))


@_fault("times in another zone", "batch", "zone")
def _(day: Day) -> Planted | None:
    return _moved(day, timedelta(hours=5))


@_fault("times an hour late for one category", "part", "zone")
def _(day: Day) -> Planted | None:
    places = _category(day)
    return places and _moved(day, timedelta(hours=1), places)


@_fault("times a year late", "batch", "wrong_period")
def _(day: Day) -> Planted | None:
    return _moved(day, timedelta(days=365))


@_fault("times in whole hours", "batch", "precision")
def _(day: Day) -> Planted | None:
    clock = day.table.clock
    return clock and _changed(day, (clock[0],), lambda row: _timed(row, clock, _whole_hour))


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0)


def _moved(day: Day, by: timedelta, where: set[int] | None = None) -> Planted | None:
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
def _(day: Day) -> Planted | None:
    lines = csv_bytes(day.rows).splitlines(keepends=True)
    return Planted(
        b"".join([*lines[: len(lines) // 2 + 1], lines[0], *lines[len(lines) // 2 + 1 :]])
    )


@_fault("header missing", "batch", "file")
def _(day: Day) -> Planted | None:
    return Planted(csv_bytes(day.rows).split(b"\n", 1)[1])


@_fault("semicolons", "batch", "file")
def _(day: Day) -> Planted | None:
    if any(";" in text or "," in text for row in day.rows for text in row.values()):
        return None
    return Planted(csv_bytes(day.rows).replace(b",", b";"))


@_fault("UTF-16", "batch", "file")
def _(day: Day) -> Planted | None:
    return Planted(csv_bytes(day.rows).decode().encode("utf-16"))


def plantings(day: Day) -> Iterator[tuple[Fault, Planted]]:
    """Yield each fault that can be planted in a day."""
    for fault in FAULTS:
        planted = fault.plant(day)
        if planted:
            yield fault, planted
