"""Random small worlds: deliveries that clash, correct and repeat each other, and what is asked.

`draw` needs a `random.Random` only, so a seed names a world, and hypothesis can drive it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tests.worlds.oracle import (
    Action,
    Column,
    Delivery,
    Feature,
    Point,
    Row,
    Table,
    Value,
    World,
    identity,
)

EXACT = 2**53 - 1
SCALES = (*range(19), 0, 2, 2, 9, 10, 18)
"""Scales 0 to 18, those that are common or at an edge more often."""
OPERATIONS = ("rows", "count", "sum", "mean", "std", "min", "max", "first", "last", "last_row",
              "distinct", "lookup")  # fmt: skip
SUMS = OPERATIONS[:7]
WINDOWS = ((-3, 0), (-6, 0), (-15, 0), (-60, 0), (-9, -2), (-8, -7))
AHEAD = ((-4, 4), (0, 6), (2, 9))


def draw(
    chance: random.Random, *, plain: bool = False, actions: bool = True, clashes: bool = True
) -> World:
    """A world. `plain` ones can be written as CSV files: no empty text, keys that are numbers."""
    planned, exact = chance.random() < 0.3, 10**15 - 1 if plain else EXACT
    table = _table(chance, planned=planned, exact=exact)
    made = _Rows(chance, table, plain=plain, clashes=clashes)
    steps: list[Delivery | Action] = []
    stream, at = chance.random() < 0.5, 0
    for number in range(chance.choice([1, 2, 3, 4, 6])):
        at += chance.choice([1, 3, 6])
        rows = made.delivery(chance.choice(made.sizes), at, stream=stream)
        if rows:
            steps.append(Delivery(f"d{number}", "facts", at, rows, stream))
    mode = chance.choice(["declared", "recorded"])
    if actions and chance.random() < 0.5:
        steps += _actions(chance, steps, at)
    # What one feature reads of a store serves all: sums alone are answered by tiles alone.
    kinds, count = chance.choice([(OPERATIONS, 12), (OPERATIONS, 12), (SUMS, 2), (("std",), 2)])
    features = tuple(_feature(chance, made.table, chance.choice(kinds)) for _ in range(count))
    points = tuple(_point(chance, made.rows, features, at) for _ in range(10))
    return World({"facts": made.table}, tuple(steps), features, points, mode)


def _table(chance: random.Random, *, planned: bool, exact: int) -> Table:
    """`exact` is the greatest bound of the scaled column: YAML holds 15 digits of any number."""
    scale = chance.choice(SCALES)
    most = chance.choice([1, 2, 3, 4, 6, 8, 40, 1000, 1000])
    most = min(most, (2**63 - 1) // 10**scale)
    bounds = [9, 999, 5 * 10**scale, 3 * 10**9, exact]
    columns = {
        "amount": Column(
            "scaled",
            scale,
            min(chance.choice(bounds), exact),
            chance.choice(["text", "text", "float"]),
        ),
        "n": Column("int", 0, chance.choice([9, 3 * 10**9, EXACT])),
        "x": Column("float"),
        "s": Column("text"),
    }
    return Table("facts", columns, most, sequence=chance.random() < 0.5, planned=planned)


@dataclass
class _Rows:
    chance: random.Random
    table: Table
    plain: bool
    clashes: bool = True
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        pick = self.chance.choice
        self.width = pick([1, 1, 2])
        self.texts = not self.plain and self.chance.random() < 0.3
        self.keys = pick([3, 8, 30])
        self.late = pick([(0,), (0, 0, 1, 7), (1,), (-2, 0, 5)])
        # Of a dense one nearly all is on time and of one entity: windows are full of tiles.
        self.dense = self.chance.random() < 0.3
        self.sizes = [5, 9, 14] if self.dense else [1, 3, 6, 9]
        if self.dense:
            self.keys, self.late = 60, (0,)

    def delivery(self, size: int, at: int, *, stream: bool) -> tuple[Row, ...]:
        """Rows of which each may follow an earlier one; a file seldom holds a conflict itself."""
        found: list[Row] = []
        for _ in range(size):
            row = self._row(at)
            same = [other for other in found if identity(other) == identity(row)]
            if same and not stream and self.chance.random() > 0.1:
                continue
            others = [other for other in self.rows if identity(other) == identity(row)]
            if not self.clashes and any(repr(other) != repr(row) for other in others):
                continue
            found.append(row)
            self.rows.append(row)
        return tuple(found)

    def _row(self, at: int) -> Row:
        fresh = self._fresh(at)
        if not self.rows:
            return fresh
        old, roll = self.chance.choice(self.rows), self.chance.random()
        roll *= 3 if self.dense else 1
        if roll < 0.12:
            return old  # sent again
        if roll < 0.24:  # a clash
            return replace(fresh, key=old.key, known_at=old.known_at, sequence=old.sequence)
        if roll < 0.30:  # a clash in a single value
            return replace(old, values={**old.values, **self._values(("amount",))})
        if roll < 0.45:
            return self._correction(old, fresh)
        if roll < 0.53:
            return replace(self._correction(old, old), deleted=True)
        if roll < 0.63:  # a tie of events
            return replace(fresh, event_time=old.event_time, sequence=old.sequence)
        return fresh

    def _correction(self, old: Row, values: Row) -> Row:
        """Known later, or by its sequence, or earlier than the original; at times it moves."""
        known = (old.known_at or 0) + self.chance.choice([0, 1, 2, 8, -1, -3])
        sequence = old.sequence + self.chance.choice([0, 1]) if self.table.sequence else 0
        when = old.event_time if self.chance.random() < 0.6 else values.event_time
        who = old.entity if self.chance.random() < 0.7 else values.entity
        return replace(
            values, key=old.key, known_at=known, sequence=sequence, event_time=when, entity=who
        )

    def _fresh(self, at: int) -> Row:
        pick = self.chance.choice
        number = self.chance.randrange(self.keys)
        event_time = at - pick([0, 0, 1, 2, 5, 12])
        if self.table.planned:
            event_time += pick([0, 3, 9])
        places = (pick(["p", "p", "p", "q", None]), pick(["u", "u", "v", None]))
        if self.dense:
            places = ("p", "u")
        return Row(
            key=f"k{number}" if self.texts else number,
            event_time=event_time,
            known_at=event_time + pick(self.late),
            entity=places[: self.width],
            values=self._values(tuple(self.table.columns)),
            sequence=pick([0, 0, 1, 2]) if self.table.sequence else 0,
        )

    def _values(self, names: tuple[str, ...]) -> dict[str, Value]:
        made: dict[str, Callable[[], Value]] = {
            "amount": self._amount,
            "n": lambda: self._whole(self.table.columns["n"].max_abs),
            "x": lambda: self.chance.choice(
                [None, 0.0, -0.0, 1.5, float("nan"), 5e-324, -1e308, 0.1]
                + [float("inf")] * (self.chance.random() < 0.1)
            ),
            "s": lambda: self.chance.choice([None, "a", "alpha", "Öl"] + [""] * (not self.plain)),
        }
        return {name: made[name]() for name in names}

    def _whole(self, bound: int) -> int | None:
        """Integers at 0, at the bound and seldom beyond it, and where squares leave int64."""
        chance = self.chance
        if chance.random() < 0.15:
            return None
        big = min(bound, 3 * 10**9)
        wide = chance.randrange(min(10**9, big), big + 1)
        values = [
            0, 1, -1, 7, bound, -bound, bound - 1, chance.randrange(-bound, bound + 1), wide, -wide
        ]  # fmt: skip
        if chance.random() < 0.02:
            values = [bound + 1, -bound - 1]
        value = chance.choice(values)
        return value if abs(value) <= bound or abs(value) == bound + 1 else bound

    def _amount(self) -> Value:
        column = self.table.columns["amount"]
        whole = self._whole(column.max_abs)
        if whole is None:
            return None
        exact = Decimal(whole)
        if self.chance.random() < 0.1 and abs(whole) < column.max_abs:
            exact += self.chance.choice([Decimal("0.5"), Decimal("-0.5"), Decimal("0.49")])
        exact = exact.scaleb(-column.scale)
        return float(exact) if column.source == "float" else format(exact, "f")


def _feature(chance: random.Random, table: Table, kind: str) -> Feature:
    pick = chance.choice
    start, end = pick(WINDOWS + AHEAD if table.planned else WINDOWS)
    numbers = ("amount", "amount", "n")
    columns = {"sum": numbers, "mean": numbers, "std": numbers, "min": (*numbers, "x"),
               "max": (*numbers, "x")}  # fmt: skip
    column = "" if kind == "rows" else pick(columns.get(kind, (*numbers, "x", "s")))
    default = None
    if kind not in {"rows", "count", "distinct"} and chance.random() < 0.3:
        default = _default(kind, column)
    if kind == "lookup":
        return Feature(kind, table.name, column, default=default, max_age=pick([None, 0, 3, 9]))
    where = _where(chance, table) if chance.random() < 0.35 else None
    return Feature(kind, table.name, column, start, end, where, default)


def _default(kind: str, column: str) -> Value:
    if kind in {"mean", "std"} or column in {"amount", "x"}:
        return -3.0
    return -3 if column == "n" else "none"


def _where(chance: random.Random, table: Table) -> tuple[str, str, Value]:
    operator = chance.choice(["==", "!=", "<", "<=", ">", ">="])
    scale = table.columns["amount"].scale
    amounts = [float(Decimal(q).scaleb(-scale)) for q in (0, 1, -1, 7)]
    column = chance.choice(["amount", "n", "x", "s"])
    values: dict[str, list[Any]] = {"amount": amounts, "n": [0, 1, 7], "x": [0.0, 0.1, 1.5]}
    if column == "s":
        return column, chance.choice(["==", "!="]), chance.choice(["a", "alpha"])
    return column, operator, chance.choice(values[column])


def _point(
    chance: random.Random, rows: list[Row], features: tuple[Feature, ...], last: int
) -> Point:
    """A moment where something changes: a fact, a window's edge, a delivery; or any other."""
    whole = [row for row in rows if None not in row.entity] or rows
    row, feature = chance.choice(whole), chance.choice(features)
    event, known = row.event_time or 0, row.known_at or 0
    edges = [event - feature.start, event - feature.end, event + (feature.max_age or 0), known]
    t = chance.choice([*edges, chance.randrange(last + 15)]) + chance.choice([0, 0, -1, 1])
    if chance.random() < 0.1:
        return Point(t, chance.choice([(None, "u"), ("r", "v"), ("p", None)])[: len(row.entity)])
    return Point(t, row.entity)


def _actions(
    chance: random.Random, steps: list[Delivery | Action], last: int
) -> list[Delivery | Action]:
    """Rows of a delivery leave, and most come back; at times the whole delivery is recalled."""
    of = chance.choice([step for step in steps if isinstance(step, Delivery)])
    lines = None
    if of.rows and chance.random() < 0.7:
        lines = tuple(sorted({chance.randrange(len(of.rows)) for _ in range(3)}))
    at = of.at + chance.choice([1, 2, 5])
    found: list[Delivery | Action] = [Action("take out", of.id, at, lines)]
    if chance.random() < 0.7:
        found.append(Action("approve", of.id, at + chance.choice([1, 3, 8, last]), lines))
    return found
