"""Second oracle: rows as they are delivered, judged and read, from the page of semantics alone.

It shares no code with the package. `accept` says which rows a table holds and when (rules 2 to 6),
`cells` what a feature is at a moment (rules 5 to 16). Slow and obvious on purpose.
"""

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Value = None | int | float | str
Cell = tuple[str, str | None]
"""Bits of a value ("null" for none), and the reason of a null."""

OPERATORS: dict[str, Callable[[object, object], bool]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


@dataclass(frozen=True)
class Column:
    """`kind`: `scaled` (summed, int64 at a decimal scale), `int`, `float` or `text`."""

    kind: str
    scale: int = 0
    max_abs: int = 0
    source: str = "text"


@dataclass(frozen=True)
class Table:
    name: str
    columns: dict[str, Column]
    max_events: int
    sequence: bool = False
    planned: bool = False


@dataclass(frozen=True)
class Row:
    """Row as it is delivered: values are text of a decimal, floats or text."""

    key: int | str | None
    event_time: int | None
    known_at: int | None
    entity: tuple[str | None, ...]
    values: dict[str, Value]
    sequence: int = 0
    deleted: bool = False


@dataclass(frozen=True)
class Delivery:
    """Rows that one commit brings: a file, or a micro-batch of a stream."""

    id: str
    table: str
    at: int
    rows: tuple[Row, ...]
    stream: bool = False


@dataclass(frozen=True)
class Action:
    """`take out` or `approve`: rows of a delivery leave the table, or come back."""

    what: str
    delivery: str
    at: int
    lines: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Feature:
    """`kind` of a column over [t + start, t + end), of the rows that pass `where`."""

    kind: str
    table: str
    column: str = ""
    start: int = 0
    end: int = 0
    where: tuple[str, str, Value] | None = None
    default: Value = None
    max_age: int | None = None


@dataclass(frozen=True)
class Point:
    t: int
    entity: tuple[str | None, ...]


@dataclass(frozen=True)
class World:
    tables: dict[str, Table]
    steps: tuple[Delivery | Action, ...]
    features: tuple[Feature, ...]
    points: tuple[Point, ...]
    mode: str
    content: Callable[[Row], bytes] | None = None
    """Of tables from before conflicts were refused: they hold both rows, the greater bytes win."""


Spans = list[tuple[int, int | None]]


@dataclass
class Version:
    """Typed row with its copies: by (delivery, line), the spans of time in which each was held."""

    row: Row
    copies: dict[tuple[str, int], Spans] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return any(spans[-1][1] is None for spans in self.copies.values())

    def enter(self, copy: tuple[str, int], at: int) -> None:
        spans = self.copies.setdefault(copy, [])
        if not spans or spans[-1][1] is not None:
            spans.append((at, None))

    def leave(self, copy: tuple[str, int], at: int) -> None:
        spans = self.copies[copy]
        if spans[-1][1] is None:
            spans[-1] = (spans[-1][0], at)


# Acceptance


def quantised(value: Value, column: Column) -> int:
    """Rule 14. Raises ValueError for a number that the column cannot hold."""
    if column.source == "text":
        with localcontext() as exact:
            exact.prec = 400
            scaled = Decimal(str(value)).scaleb(column.scale)
            number = int(scaled.to_integral_value(ROUND_HALF_EVEN))
    else:
        number = round(float(value) * float(10**column.scale))  # type: ignore[arg-type]
        if not abs(number) < 2**53:
            raise ValueError("a float beyond 2^53")
    if abs(number) > column.max_abs:
        raise ValueError("beyond the declared bound")
    return number


def typed(row: Row, table: Table) -> Row:
    """Row as the table stores it. Raises ValueError for a quarantined one (rules 4, 14, 16)."""
    if row.key is None or row.event_time is None or row.known_at is None:
        raise ValueError("a null key or time")
    values: dict[str, Value] = {}
    for name, column in table.columns.items():
        value = row.values[name]
        if column.kind == "float" and value is not None:
            if math.isinf(float(value)):
                raise ValueError("infinity")
            value = None if math.isnan(float(value)) else float(value) + 0.0
        if column.kind in {"scaled", "int"} and value is not None:
            value = quantised(value, column)
        values[name] = value
    return replace(row, values=values)


def accept(world: World) -> dict[str, list[Version]]:
    """Versions of each table that ever got in, in the order in which they came."""
    tables: dict[str, list[Version]] = {name: [] for name in world.tables}
    for step in sorted(world.steps, key=lambda step: step.at):
        if isinstance(step, Action):
            act(world, tables, step)
            continue
        table, versions = world.tables[step.table], tables[step.table]
        rows = []
        for line, row in enumerate(step.rows):
            try:
                rows.append((line, typed(row, table)))
            except ValueError:
                continue
        same_file = {}
        for _line, row in rows:
            same_file.setdefault(identity(row), row)
        conflicts = world.content is None and not step.stream
        if conflicts and any(row != same_file[identity(row)] for _line, row in rows):
            continue  # a conflict within one delivery blocks it
        for line, row in rows:
            same = [version for version in versions if identity(version.row) == identity(row)]
            rivals = [version for version in same if version.row != row]
            if world.content is None and any(version.held for version in rivals):
                continue  # a conflict: the first stays as it is
            equal = [version for version in same if version.row == row]
            if not equal:
                equal = [Version(row)]
                versions += equal
            if all(delivery != step.id for delivery, _ in equal[0].copies):
                equal[0].enter((step.id, line), step.at)
    return tables


def identity(row: Row) -> tuple[object, ...]:
    return (row.key, row.known_at, row.sequence)


def act(world: World, tables: dict[str, list[Version]], action: Action) -> None:
    for versions in tables.values():
        for version in versions:
            same = [other for other in versions if identity(other.row) == identity(version.row)]
            rivals = [other for other in same if other is not version]
            free = world.content is not None or not any(other.held for other in rivals)
            for copy in version.copies:
                if copy[0] != action.delivery or copy[1] not in (action.lines or (copy[1],)):
                    continue
                if action.what == "take out":
                    version.leave(copy, action.at)
                elif free:
                    version.enter(copy, action.at)


# Features


def visible(version: Version, t: int, mode: str, *, live: bool) -> bool:
    """Rules 2 and 3; what a frame sees of the past is what of it the table still holds."""
    assert version.row.known_at is not None
    if version.row.known_at > t or not (live or version.held):
        return False
    return mode == "declared" or any(
        since <= t and (until is None or t < until)
        for spans in version.copies.values()
        for since, until in spans
        if live or spans[-1][1] is None
    )


def standing(world: World, versions: Iterable[Version], t: int, *, live: bool) -> list[Row]:
    """Rows that hold at `t`: the greatest version of each key, without tombstones (rule 5)."""

    def rank(row: Row) -> tuple[int, int, bytes]:
        assert row.known_at is not None
        return (row.known_at, row.sequence, world.content(row) if world.content else b"")

    greatest: dict[object, Row] = {}
    for version in versions:
        row = version.row
        if visible(version, t, world.mode, live=live):
            rival = greatest.get(row.key)
            if rival is None or rank(row) > rank(rival):
                greatest[row.key] = row
    return [row for row in greatest.values() if not row.deleted]


def bits(value: Value) -> str:
    if value is None:
        return "null"
    return struct.pack(">d", value).hex() if isinstance(value, float) else repr(value)


def unit(value: Value, column: Column) -> Value:
    """Value in the column's unit: fl(q) / fl(10^d)."""
    if column.kind != "scaled" or value is None:
        return value
    return float(value) / float(10**column.scale)


def passes(row: Row, feature: Feature, table: Table) -> bool:
    if feature.where is None:
        return True
    name, operator, literal = feature.where
    value, column = row.values[name], table.columns[name]
    if value is None:
        return False
    if column.kind == "scaled":
        return OPERATORS[operator](value, Decimal(str(literal)).scaleb(column.scale))
    return OPERATORS[operator](value, literal)


def cell(feature: Feature, table: Table, rows: list[Row], point: Point) -> Cell:
    """Value of a feature at a point; `rows` are those of `standing`."""

    def null(reason: str, default: Value = None) -> Cell:
        return (bits(default), None) if default is not None else ("null", reason)

    if any(part is None for part in point.entity):
        return null("null entity")
    t, kind = point.t, feature.kind
    rows = [row for row in rows if row.entity == point.entity]
    default: Value = 0 if kind in {"rows", "count", "distinct"} else feature.default
    if not rows:
        return null("no history", default)
    if kind == "lookup":
        rows = [row for row in rows if moment(row) <= t]
    else:
        rows = [row for row in rows if t + feature.start <= moment(row) < t + feature.end]
        if len(rows) > table.max_events:
            return null("too many events")
    rows = sorted((row for row in rows if passes(row, feature, table)), key=order)
    if kind == "rows":
        return bits(len(rows)), None
    if not rows:
        return null("empty window", default)
    column = table.columns[feature.column]
    if kind in {"lookup", "last_row"}:
        if feature.max_age is not None and t - moment(rows[-1]) > feature.max_age:
            return null("expired", default)
        value = rows[-1].values[feature.column]
        return (bits(unit(value, column)), None) if value is not None else null("all null")
    values: list[Any] = [row.values[feature.column] for row in rows]
    values = [value for value in values if value is not None]
    if kind == "count":
        return bits(len(values)), None
    if kind == "distinct":
        return bits(len(set(values))), None
    if not values:
        return null("all null", default)
    if kind == "std" and len(values) < 2:
        return null("one value", default)
    return bits(number(kind, values, column)), None


def moment(row: Row) -> int:
    assert row.event_time is not None
    return row.event_time


def order(row: Row) -> tuple[int, int, Any]:
    """Rule 7."""
    return (moment(row), row.sequence, row.key)


def number(kind: str, values: list[Any], column: Column) -> Value:
    """Rule 15, of values in event order."""
    if kind in {"first", "last"}:
        return unit(values[0 if kind == "first" else -1], column)
    if kind in {"min", "max"}:
        return unit(min(values) if kind == "min" else max(values), column)
    n, s1, s2, one = len(values), sum(values), sum(v * v for v in values), 10**column.scale
    if kind == "sum":
        return unit(s1, column)
    if kind == "mean":
        return float(s1) / float(n * one)
    return math.sqrt(float(n * s2 - s1 * s1) / float(n * (n - 1) * one * one))


def cells(world: World, *, live: bool = False) -> list[list[Cell]]:
    """A list of cells for each feature, in the order of the points.

    A frame is made when all is over. With `live`, each point is asked at its own moment, as a
    store is: what was taken out since was still there.
    """
    versions = accept(world)
    live = live and world.mode == "recorded"
    found: list[list[Cell]] = [[] for _ in world.features]
    for point in world.points:
        rows = {name: standing(world, some, point.t, live=live) for name, some in versions.items()}
        for feature, column in zip(world.features, found, strict=True):
            table = world.tables[feature.table]
            column.append(cell(feature, table, rows[table.name], point))
    return found
