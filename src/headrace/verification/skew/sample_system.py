"""Small generated data set for `verify self-test`, in which every known cause of skew is visible.

It has three days around a daylight-saving change. Rows come late, are corrected, move to another
line or time, or are deleted. Times lie on window edges and between milliseconds. Batches are
published hours after they were known, and some rows never pass the gate.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa

from headrace.contracts.model import TIMESTAMP, Contract, Field, Kind, LogicalType, Sql, TimeRule
from headrace.core.clock import DAY, HOUR, MINUTE, SECOND, duration, parse_iso
from headrace.features.kernel.arrays import times
from headrace.features.kernel.visibility import History
from headrace.features.oracle import Row
from headrace.features.spec import (
    Count,
    FeatureView,
    First,
    Label,
    Last,
    Lookup,
    Max,
    Mean,
    Min,
    Mode,
    Rows,
    RowTransform,
    Spine,
    Std,
    Sum,
    View,
    Where,
    Window,
)
from headrace.features.spines import build_spine
from headrace.verification.parity import random_points, usable_moments

MODE: Mode = "recorded"
START = parse_iso("2024-03-30")
LENGTH = 3 * DAY
ON = Where("status", "==", "on")
HOUR_1, HOUR_6, DAY_1 = Window("-1h"), Window("-6h"), Window("-1d")

VIEWS: tuple[View, ...] = (
    FeatureView(
        "line",
        "trips",
        ("line",),
        (
            Rows(HOUR_1),
            Rows(HOUR_6, where=ON),
            Count("delay", HOUR_6),
            Sum("fare", DAY_1),
            Mean("fare", HOUR_6),
            Mean("delay", DAY_1),
            Std("fare", DAY_1),
            Min("speed", HOUR_6),
            Max("delay", HOUR_6),
            First("status", HOUR_6),
            Last("fare", HOUR_6),
            Last("speed", DAY_1),
        ),
    ),
    FeatureView("target", "trips", ("line",), (Mean("late", DAY_1),)),
    FeatureView(
        "ahead", "plan", ("stop",), (Rows(Window("0s", "3h")), Sum("seats", Window("-1h", "3h")))
    ),
    Lookup("gauge", "gauges", ("stop",), ("rain", "level"), max_age="3h"),
)
SPINE = Spine("plan", "-2h", ("line", "stop"))
LABEL = Label("late", "trips", ("id",), ("late",), "6h", "4h", "status", ("off",))
# Kind, primary key, and (column, type, scale) of each column.
_TABLES: dict[
    str, tuple[Kind, tuple[str, ...], tuple[tuple[str, LogicalType, int | None], ...]]
] = {
    "trips": (
        "event",
        ("id",),
        (
            ("id", "integer", None),
            ("line", "string", None),
            ("delay", "integer", None),
            ("fare", "number", 2),
            ("speed", "number", None),
            ("status", "string", None),
            ("late", "integer", None),
        ),
    ),
    "plan": (
        "planned",
        ("id",),
        (
            ("id", "integer", None),
            ("line", "string", None),
            ("stop", "string", None),
            ("seats", "integer", None),
        ),
    ),
    "gauges": (
        "state",
        ("id",),
        (
            ("id", "integer", None),
            ("stop", "string", None),
            ("rain", "number", 1),
            ("level", "number", None),
        ),
    ),
}
_DATES = ("event_time", "known_at", "committed_at", "_deleted")


def contract(name: str) -> Contract:
    """Return the contract of one of the sample tables."""
    kind, key, columns = _TABLES[name]
    fields = tuple(
        Field(
            column,
            form,
            10 + number,
            column,
            "public",
            required=column in key,
            primary_key_position=key.index(column) + 1 if column in key else None,
            scale=scale,
            max_abs=10**9 if form == "integer" or scale is not None else None,
        )
        for number, (column, form, scale) in enumerate(columns)
    )
    rule = TimeRule(Sql("event_time"), "made up")
    return Contract(
        name, "1.0.0", kind, "active", name, "a row each", "nobody", (), "CC0-1.0", (), "public",
        fields, None, rule, rule, (), None, 10_000, (), "", "", Path(name),
    )  # fmt: skip


CONTRACTS: Mapping[str, Contract] = {name: contract(name) for name in _TABLES}


@dataclass(frozen=True)
class SampleWorld:
    """Published `rows` by table, in the order of publication, and rows that never pass the gate."""

    rows: Mapping[str, Sequence[Row]]
    rejected_rows: Mapping[str, Sequence[Row]]
    seed: int = 0

    def history(self, table: str, columns: list[str]) -> pa.Table:
        del columns
        return self._tables[table]

    def quarantined(self, table: str, columns: list[str]) -> pa.Table:
        del columns
        return table_of(table, self.rejected_rows[table])

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {name: table_of(name, rows) for name, rows in self.rows.items()}

    @cached_property
    def spine(self) -> pa.Table:
        return build_spine(SPINE, self.history, CONTRACTS, MODE)

    def points(self, samples: int) -> pa.Table:
        """Return points: half are random, half are at times at which a row affects a view."""
        moments = []
        for name, rows in self._tables.items():
            moments += [times(rows, "event_time", name), usable_moments(rows, MODE, name)]
        aimed = self._aimed(samples // (2 * len(VIEWS)))
        count = samples - aimed.num_rows
        return pa.concat_tables(
            [random_points(self.spine, moments, VIEWS, count, seed=self.seed), aimed]
        )

    def _aimed(self, per_view: int) -> pa.Table:
        """Return points at times when a row affects a view, for the entity of this row.

        These are the times at which a row becomes usable or later enters or leaves a window, and
        one microsecond before and after.
        """
        chance = random.Random(f"points {self.seed}")  # noqa: S311
        spine_rows, points = rows_of(self.spine), []
        for view in VIEWS:
            assert not isinstance(view, RowTransform)
            kinds: list[Callable[[Row], int]] = [_usable]
            kinds += [partial(_edge, bound) for bound in _bounds(view)]
            for n in range(per_view):
                kind, beside = kinds[n % len(kinds)], (0, 0, 1, 0, 0, -1)[n // len(kinds) % 6]
                rows = [row for row in self.rows[view.table] if kind(row) >= _usable(row)]
                row = chance.choice(rows or self.rows[view.table])
                entity = zip(view.spine_entity, view.entity, strict=True)
                point = chance.choice(spine_rows) | {name: row[column] for name, column in entity}
                points.append(point | {"t": kind(row) + beside})
        return pa.Table.from_pylist(points, schema=self.spine.schema)


def _usable(row: Row) -> int:
    return int(max(row["known_at"], row["committed_at"]))


def _edge(bound: int, row: Row) -> int:
    """Return the t for which the row's event time is `t + bound`."""
    return int(row["event_time"] - bound)


def _bounds(view: FeatureView | Lookup) -> list[int]:
    """Return the window bounds of a view's features, in microseconds relative to t."""
    if isinstance(view, Lookup):
        return [0, -duration(view.max_age or "0s")]
    return sorted({bound for f in view.features for bound in (f.window.a, f.window.b)})


def table_of(name: str, rows: Sequence[Row]) -> pa.Table:
    """Convert rows of a table to Arrow; in the rows, times are int microseconds UTC."""
    arrays = {field.name: _column(rows, field.name, field.arrow_type) for field in _fields(name)}
    arrays["event_time"] = _column(rows, "event_time", TIMESTAMP)
    arrays["known_at"] = _column(rows, "known_at", TIMESTAMP)
    arrays["committed_at"] = _column(rows, "committed_at", pa.int64())
    arrays["_deleted"] = _column(rows, "_deleted", pa.bool_())
    return pa.table(arrays)


def _fields(name: str) -> tuple[Field, ...]:
    return CONTRACTS[name].fields


def _column(rows: Sequence[Row], name: str, kind: pa.DataType) -> pa.Array:
    values = [row[name] for row in rows]
    return pa.array(values, pa.int64()).view(kind) if kind == TIMESTAMP else pa.array(values, kind)


def rows_of(table: pa.Table) -> list[Row]:
    """Convert an Arrow table to rows: the inverse of `table_of`."""
    columns = {
        name: (column.cast(pa.int64()) if column.type == TIMESTAMP else column).to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def history_of(rows: Callable[[str], Sequence[Row]]) -> History:
    return lambda table, _: table_of(table, rows(table))


# Generation


def make_world(seed: int = 0) -> SampleWorld:
    """Generate the world of a seed: about 260 trips, 130 plans, 80 gauge readings."""
    chance = random.Random(f"world {seed}")  # noqa: S311
    plan = _plan(chance)
    tables = {"trips": _trips(chance, plan), "plan": plan, "gauges": _gauges(chance)}
    rejected: dict[str, list[Row]] = {name: [] for name in tables}
    rejected["trips"] = [
        _dated(chance, _trip(chance, 5000 + n, e), e)
        for n, e in enumerate(_moment(chance) for _ in range(60))
    ]
    return SampleWorld({name: _published(rows) for name, rows in tables.items()}, rejected, seed)


def _published(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["committed_at"])


def _moment(chance: random.Random) -> int:
    """Return a random time in microseconds UTC; about a third are on a quarter of an hour."""
    if chance.random() < 0.35:
        return START + chance.randrange(LENGTH // (15 * MINUTE)) * 15 * MINUTE
    return START + chance.randrange(LENGTH)


def _dated(chance: random.Random, row: Row, e: int, after: int | None = None) -> Row:
    known_at = e + chance.choice([MINUTE, 10 * MINUTE, 10 * MINUTE, 2 * HOUR, 5 * HOUR])
    if after is not None:
        known_at = after + chance.choice([1, 20 * MINUTE, 3 * HOUR, 8 * HOUR])
    known_at += chance.randrange(SECOND)
    committed = known_at + chance.choice([0, 0, 0, 30 * SECOND, 3 * HOUR, 26 * HOUR])
    return {
        **row,
        "event_time": e,
        "known_at": known_at,
        "committed_at": committed,
        "_deleted": False,
    }


def _line(chance: random.Random, e: int) -> str:
    """Return a random line; one of them opens on the third day."""
    return chance.choice(["A", "A", "B", "C", *(["D", "D"] if e > START + 50 * HOUR else [])])


def _trip(chance: random.Random, number: int, e: int) -> Row:
    delay = chance.choice([None, 0, *range(-5, 40)])
    return {
        "id": number,
        "line": None if chance.random() < 0.15 else _line(chance, e),
        "delay": delay,
        "fare": chance.choice([None, 5, 10, 105, 235, 1337, 99_999_937, chance.randrange(10**6)]),
        "speed": chance.choice([None, 0.1, chance.uniform(1, 99), chance.uniform(1, 99)]),
        "status": chance.choice(["on", "on", "off", None]),
        "late": int((delay or 0) > 15),
    }


def _trips(chance: random.Random, plan: Sequence[Row]) -> list[Row]:
    """Generate trips: planned trips at about their planned time, and others."""
    due = {row["id"]: row["event_time"] for row in plan}
    rows: list[Row] = []
    for number in range(170):
        e = _moment(chance)
        if number in due:
            e = due[number] + chance.choice([0, 0, 20 * MINUTE, 2 * HOUR + 7])
        if chance.random() < 0.15:  # add another trip of the same line at the same time
            twin = _trip(chance, 1000 + number, e)
            rows.append(_dated(chance, twin, e))
            rows.append(_dated(chance, _trip(chance, number, e) | {"line": twin["line"]}, e))
        else:
            rows.append(_dated(chance, _trip(chance, number, e), e))
        while chance.random() < 0.4:
            last = rows[-1]
            event_time = last["event_time"] + chance.choice([0, 0, -2 * HOUR, 90 * MINUTE])
            fresh = _dated(
                chance, _trip(chance, number, event_time), event_time, after=last["known_at"]
            )
            if chance.random() < 0.4:  # unchanged, except for the status and the line
                unchanged = {**last, "status": "off", "line": chance.choice(["A", "B"])}
                fresh = unchanged | {name: fresh[name] for name in _DATES}
            fresh["_deleted"] = chance.random() < 0.2
            rows.append(fresh)
    return rows


def _plan(chance: random.Random) -> list[Row]:
    rows = []
    for number in range(100):
        due = _moment(chance)
        trip = {
            "id": number,
            "line": None if chance.random() < 0.2 else _line(chance, due),
            "stop": chance.choice(["north", "south"]),
            "seats": chance.choice([None, 30, 60, 90]),
        }
        first = _dated(chance, trip, due, after=due - 20 * HOUR)
        rows.append(first)
        if chance.random() < 0.3:
            other = {**trip, "line": chance.choice(["A", "B", "C"]), "stop": "north", "seats": 45}
            rows.append(_dated(chance, other, due, after=first["known_at"] + 9 * HOUR))
    return rows


def _gauges(chance: random.Random) -> list[Row]:
    rows = []
    for number in range(80):
        reading = {
            "id": number,
            "stop": chance.choice(["north", "south"]),
            "rain": chance.choice([None, 0, 3, 12]),
            "level": chance.choice([None, 0.25, chance.uniform(0, 9)]),
        }
        e = _moment(chance) // (2 * HOUR) * 2 * HOUR + chance.choice([0, 0, 7])
        rows.append(_dated(chance, reading, e))
    return rows
