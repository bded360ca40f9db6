"""Small, nasty histories: everything collides, and every time lies on an edge of something.

One table of facts plays four parts: an event, a planned and a state table, and the one that the
spine and the label read. Times are microseconds near 0, so that windows are a few of them long.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from headrace.features import (
    Column,
    Count,
    Distinct,
    FeatureView,
    First,
    Label,
    Last,
    LastRow,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Spine,
    Std,
    Sum,
    TableShape,
    Where,
    Window,
    attach_label,
    build_spine,
    oracle,
    training_frame,
)
from headrace.features.table_shapes import TIMESTAMP

EXACT = 2**53 - 1
FAR = 2**62


def far_away(here):
    """A helper that a transform of another module calls."""
    return here + FAR


COLUMNS = {
    "id": Column(pa.int64()),
    "part": Column(pa.string()),
    "seq": Column(pa.int64()),
    "who": Column(pa.string()),
    "place": Column(pa.int64()),
    "amount": Column(pa.int64(), scale=2, max_abs=EXACT),
    "small": Column(pa.int64(), scale=1, max_abs=1000),
    "n": Column(pa.int64(), max_abs=EXACT),
    "big": Column(pa.int64()),
    "x": Column(pa.float64()),
    "s": Column(pa.string()),
    "at": Column(TIMESTAMP),
    "flag": Column(pa.bool_()),
    "status": Column(pa.string()),
}
SCHEMA = pa.schema(
    [(name, column.type) for name, column in COLUMNS.items()]
    + [
        ("event_time", TIMESTAMP),
        ("known_at", TIMESTAMP),
        ("committed_at", pa.int64()),
        ("_deleted", pa.bool_()),
    ]
)


def shape(name: str, kind: str, most: int, *, sequence: str | None = "seq") -> TableShape:
    return TableShape(name, kind, ("id", "part"), COLUMNS, sequence, max_events=most)


SHAPES = {
    "facts": shape("facts", "event", 7),  # some windows of most logs hold more
    "plan": shape("plan", "planned", 3),
    "states": shape("states", "state", 1, sequence=None),  # a state has no window to be too full
}
TRAILING, OLD, AROUND = Window("-10us"), Window("-20us", "-3us"), Window("-4us", "9us")
ON = Where("status", "==", "on")
VIEWS = (
    FeatureView(
        "who",
        "facts",
        ("who",),
        (
            Rows(TRAILING),
            Rows(OLD, where=ON),
            Count("amount", TRAILING),
            Sum("amount", TRAILING),
            Sum("n", TRAILING),
            Mean("amount", TRAILING),
            Mean("small", OLD),
            Mean("n", TRAILING, where=Where("status", "!=", "on")),
            Std("amount", Window("-40us")),
            Std("small", TRAILING),
            Std("n", TRAILING, where=ON),
            Min("amount", TRAILING),
            Max("big", TRAILING),
            Min("big", OLD),
            Min("x", Window("-40us")),
            Max("x", TRAILING),
            Max("at", TRAILING),
            First("amount", Window("-40us")),
            First("s", TRAILING, where=Where("small", ">", 0.5)),
            Last("s", TRAILING),
            Last("x", TRAILING, where=Where("x", "not in", (0.0, 1.5))),
            Last("flag", TRAILING),
            Last("at", Window("-40us"), where=(ON, Where("n", "<=", 3))),
        ),
    ),
    FeatureView(
        "pair", "facts", ("who", "place"), (Rows(TRAILING), Last("n", TRAILING), Sum("n", OLD))
    ),
    FeatureView("spot", "facts", ("place",), (Mean("small", TRAILING),), {"place": "target"}),
    FeatureView(
        "plan",
        "plan",
        ("place",),
        (Rows(Window("2us", "6us")), Rows(AROUND), Sum("n", AROUND), Last("amount", AROUND)),
    ),
    FeatureView(
        "kinds",
        "facts",
        ("who",),
        (
            Distinct("amount", TRAILING),
            Distinct("n", Window("-40us"), where=ON),
            Distinct("big", OLD),
            Distinct("x", Window("-40us")),
            Distinct("s", TRAILING),
            Distinct("at", Window("-40us")),
            Distinct("flag", TRAILING),
            Count("at", TRAILING),
            LastRow(("amount", "x", "s", "at", "flag", "n"), TRAILING),
            LastRow(("s", "who"), Window("-40us"), where=Where("small", ">", 0.5), name="bright"),
        ),
    ),
    FeatureView(
        "given",
        "facts",
        ("place",),
        (
            Sum("amount", OLD, default=0.05),
            Sum("n", TRAILING, default=-1),
            Mean("small", OLD, default=0),
            Std("n", TRAILING, default=-0.0),
            Min("x", OLD, default=1e300),
            Max("at", OLD, default="1970-01-01T00:00:00.000007Z"),
            First("s", OLD, default=""),
            Last("flag", OLD, default=True),
            LastRow(("amount", "at", "s"), OLD, default=(-0.01, None, "none")),
        ),
    ),
    FeatureView(
        "planned_kinds",
        "plan",
        ("place",),
        (Distinct("n", AROUND), Distinct("s", AROUND), LastRow(("n", "x"), AROUND)),
    ),
    Lookup("state", "states", ("who",), ("amount", "x", "s", "at", "big"), "7us"),
    Lookup(
        "held",
        "states",
        ("who",),
        ("amount", "at", "s", "flag", "n"),
        "3us",
        default=(1.05, "1970-01-01T00:00:00Z", "none", None, -7),
    ),
    Lookup("ever", "states", ("place",), ("n", "flag"), None),
)
SPINE = Spine("plan", "-2us", ("who", "place", "x", "at"))
LABEL = Label(
    "outcome", "facts", ("who",), ("n", "x"), "9us", "4us", "status", ("off",)
)  # fmt: skip


@dataclass(frozen=True)
class Log:
    """The rows of the table, in the order in which they were ingested, and a spine."""

    rows: tuple[dict[str, Any], ...]
    spine: tuple[dict[str, Any], ...]
    mode: str = "declared"

    @property
    def table(self) -> pa.Table:
        return table_of(self.rows)

    @property
    def spine_table(self) -> pa.Table:
        kinds = {"who": pa.string(), "place": pa.int64(), "target": pa.int64(), "t": pa.int64()}
        return pa.Table.from_pylist(list(self.spine), schema=pa.schema(list(kinds.items())))

    def history(self, name, columns):
        assert name in SHAPES
        return self.table.select([*columns, "event_time", "known_at", "committed_at", "_deleted"])


def table_of(rows) -> pa.Table:
    arrays = [
        pa.array([row[field.name] for row in rows], pa.int64()).view(TIMESTAMP)
        if pa.types.is_timestamp(field.type)
        else pa.array([row[field.name] for row in rows], field.type)
        for field in SCHEMA
    ]
    return pa.table(arrays, schema=SCHEMA)


times = st.one_of(
    st.integers(-5, 45), st.integers(0, 8), st.sampled_from([-FAR, FAR, FAR - 1, -FAR + 10])
)
rows = st.fixed_dictionaries(
    {
        "id": st.integers(0, 4),
        "part": st.sampled_from(["a", "b", "Å"]),
        "seq": st.sampled_from([0, 0, 0, 1, 2, None]),
        "who": st.sampled_from(["p", "q", "p", None]),
        "place": st.sampled_from([1, 2, None]),
        "amount": st.sampled_from([None, 0, 1, -1, 333, EXACT, EXACT - 1, -EXACT]),
        "small": st.one_of(st.none(), st.integers(-1000, 1000)),
        "n": st.sampled_from([None, 0, 3, 7, -5, EXACT]),
        "big": st.sampled_from([None, 0, 2**63 - 1, -(2**63), 9]),
        "x": st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), 5e-324, -1e308, 0.1]),
        "s": st.sampled_from([None, "", "alpha", "Öl"]),
        "at": st.one_of(st.none(), st.integers(-50, 50)),
        "flag": st.sampled_from([None, True, False]),
        "status": st.sampled_from(["on", "on", "off", None]),
        "event_time": times,
        "known_at": times,
        "committed_at": times,
        "_deleted": st.sampled_from([False, False, False, False, True]),
    }
)
spine_rows = st.fixed_dictionaries(
    {
        "who": st.sampled_from(["p", "q", "r", None]),
        "place": st.sampled_from([1, 2, 3, None]),
        "target": st.sampled_from([1, 2, None]),
        "t": times,
    }
)
# What a row may share with an earlier one: its key, its version, or its place in event order.
SHARED = (("id", "part"), ("id", "part", "known_at", "seq"), ("event_time", "seq", "who"))


def _related(drawn) -> tuple[dict[str, Any], ...]:
    first, more = list(drawn[0]), drawn[1]
    for number, row, names in more if first else ():
        source = first[number % len(first)]
        first.append({**row, **{name: source[name] for name in names}})
    return tuple(first)


related = st.tuples(
    st.lists(rows, max_size=16),
    st.lists(st.tuples(st.integers(0, 99), rows, st.sampled_from(SHARED)), max_size=12),
).map(_related)
logs = st.builds(
    Log,
    related,
    st.lists(spine_rows, max_size=10).map(tuple),
    st.sampled_from(["declared", "recorded"]),
)


def random_log(seed: int) -> Log:
    """A larger log without the far edges, in which many rows share an entity."""
    chance = random.Random(seed)
    pick = chance.choice

    def row() -> dict[str, Any]:
        known = chance.randrange(0, 50)
        return {
            "id": chance.randrange(12),
            "part": pick("ab"),
            "seq": pick([0, 0, 1, None]),
            "who": pick(["p", "p", "q", None]),
            "place": pick([1, 1, 2, None]),
            "amount": pick([None, 1, 333, EXACT, EXACT - 1, EXACT - 7, chance.randrange(10**6)]),
            "small": pick([None, chance.randrange(-1000, 1000)]),
            "n": pick([None, chance.randrange(-9, 9), EXACT - 1]),
            "big": pick([None, chance.randrange(-(2**63), 2**63)]),
            "x": pick([None, -0.0, 0.0, chance.random() - 0.5, float("nan")]),
            "s": pick([None, "u", "v"]),
            "at": chance.randrange(-50, 50),
            "flag": pick([None, True, False]),
            "status": pick(["on", "on", "off", None]),
            "event_time": known + pick([-9, -3, -1, 0, 4]),
            "known_at": known,
            "committed_at": known + pick([0, 0, 5]),
            "_deleted": chance.random() < 0.08,
        }

    def asked() -> dict[str, Any]:
        return {
            "who": pick(["p", "q", None]),
            "place": pick([1, 2]),
            "target": pick([1, 2]),
            "t": chance.randrange(0, 60),
        }

    return Log(
        tuple(row() for _ in range(70)),
        tuple(asked() for _ in range(25)),
        pick(["declared", "recorded"]),
    )


TRAITS = (
    "late fact",
    "known before it happens",
    "tombstone",
    "correction moves the time",
    "correction moves the entity",
    "correction before its original",
    "tie of versions",
    "tie of events",
    "value at the edge of int64",
    "nothing but bits: NaN or -0",
    "null entity",
    "event at exactly t",
    "far edge",
)


def traits(log: Log) -> set[str]:
    """Which of the hard cases a log holds."""
    moments = {asked["t"] for asked in log.spine}
    found = {trait for row in log.rows for trait in _of_row(row, moments)}
    for i, later in enumerate(log.rows):
        for earlier in log.rows[:i]:
            found |= set(_of_pair(earlier, later))
    return found


def _of_row(row: dict[str, Any], moments: set[int]) -> Iterator[str]:
    yield from ["late fact"] * (row["known_at"] > row["event_time"])
    yield from ["known before it happens"] * (row["known_at"] < row["event_time"])
    yield from ["tombstone"] * row["_deleted"]
    yield from ["null entity"] * (row["who"] is None)
    yield from ["event at exactly t"] * (row["event_time"] in moments)
    yield from ["far edge"] * (abs(row["event_time"]) >= FAR - 10)
    yield from ["value at the edge of int64"] * (abs(row["big"] or 0) > 2**62)
    yield from ["nothing but bits: NaN or -0"] * (repr(row["x"]) in {"nan", "-0.0"})


def _of_pair(earlier: dict[str, Any], later: dict[str, Any]) -> Iterator[str]:
    def same(*names: str) -> bool:
        return all(earlier[name] == later[name] for name in names)

    if same("id", "part"):
        yield from ["correction moves the time"] * (not same("event_time"))
        yield from ["correction moves the entity"] * (not same("who"))
        before = earlier["known_at"] > later["known_at"]
        yield from ["correction before its original"] * before
        yield from ["tie of versions"] * (same("known_at", "seq") and earlier != later)
    else:
        yield from ["tie of events"] * same("event_time", "seq", "who")


def bits(value: Any) -> Any:
    """A value so that equal means equal to the bit."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return (type(value).__name__, value)


def plain_lists(table: pa.Table) -> dict[str, list[Any]]:
    """Columns as Python lists; timestamps as microseconds."""
    return {
        name: (
            column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        ).to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def expected_frame(log: Log, views=VIEWS) -> dict[str, list[Any]]:
    """The oracle's frame, reasons included."""
    found: dict[str, list[Any]] = {}
    for spine in log.spine:
        for view in views:
            one = oracle.view_row if isinstance(view, FeatureView) else oracle.lookup_row
            results = one(view, log.rows, SHAPES[view.table], spine, log.mode)
            for name, (value, why) in results.items():
                found.setdefault(name, []).append(value)
                found.setdefault(f"{name}__reason", []).append(why)
    return found


def differences(got: dict[str, list[Any]], expected: dict[str, list[Any]]) -> list[str]:
    return [
        f"{name}[{i}]: expected {wanted!r}, got {value!r}"
        for name in expected
        for i, (value, wanted) in enumerate(zip(got[name], expected[name], strict=True))
        if bits(value) != bits(wanted)
    ]


def frame_differences(log: Log) -> list[str]:
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode, reasons=True)
    return differences(plain_lists(frame), expected_frame(log))


def spine_differences(log: Log) -> list[str]:
    spine = build_spine(SPINE, log.history, SHAPES, log.mode)
    rows = oracle.spine_rows(SPINE, log.rows, SHAPES["plan"], log.mode)
    got = plain_lists(spine)
    if spine.num_rows != len(rows):
        return [f"expected {len(rows)} spine rows, got {spine.num_rows}"]
    return differences(got, {name: [row[name] for row in rows] for name in got if rows})


def label_differences(log: Log) -> list[str]:
    cuts = [20 if i % 3 else 35 for i in range(len(log.spine))]
    labelled = attach_label(
        log.spine_table, LABEL, log.history, SHAPES, pa.array(cuts, pa.int64()).to_numpy(),
        mode=log.mode,
    )  # fmt: skip
    rows = [
        oracle.label_row(LABEL, log.rows, SHAPES["facts"], spine, cut, mode=log.mode)
        for spine, cut in zip(log.spine, cuts, strict=True)
    ]
    return differences(
        plain_lists(labelled), {name: [row[name] for row in rows] for name in LABEL.outputs}
    )


def all_differences(log: Log) -> list[str]:
    return [*frame_differences(log), *spine_differences(log), *label_differences(log)]
