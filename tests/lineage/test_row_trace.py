"""A trace is enough to make its row again, and nothing else matters to it."""

import random
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import given, settings

from headrace.core.errors import StateError
from headrace.features import build_spine, training_frame
from headrace.features.labels import attach_label
from headrace.features.oracle_audit import plain_values
from headrace.lineage.row_trace.contributing_rows import ROLES
from headrace.lineage.row_trace.feature_trace import Parts, trace_row
from headrace.lineage.row_trace.lookups import InMemory
from tests.features.logs import (
    LABEL,
    SHAPES,
    SPINE,
    VIEWS,
    bits,
    logs,
    plain_lists,
    random_log,
    table_of,
)
from tests.lineage.changed_rows import changed, dicts, in_place, is_looked_at, regions

TABLES = ("facts", "plan", "states")
NONE = pa.array([], pa.int64())
# The spine has no `target`; the place itself serves.
OWN_VIEWS = tuple(replace(one, entity_map={}) if one.name == "spot" else one for one in VIEWS)
OWN_LABEL = replace(LABEL, columns=("n", "s"))
CUT = 30


@dataclass
class World:
    """Three tables, each with rows of its own, and what is made of them."""

    rows: dict[str, list[dict]]
    mode: str

    @property
    def parts(self):
        return Parts(SPINE, OWN_VIEWS, OWN_LABEL, SHAPES, self.mode)

    def history(self, table, columns):
        rows = self.rows[table]
        found = table_of(rows)
        always = ["event_time", "known_at", "committed_at", "_deleted"]
        found = found.select([*columns, *always])
        found = found.append_column("_batch", pa.array([r["_batch"] for r in rows], pa.string()))
        return found.append_column("_line", pa.array([r["_line"] for r in rows], pa.int64()))

    def frame(self, cut=CUT):
        spine = build_spine(SPINE, self.history, SHAPES, self.mode)
        frame = training_frame(spine, OWN_VIEWS, self.history, SHAPES, self.mode, reasons=True)
        return attach_label(frame, OWN_LABEL, self.history, SHAPES, cut, self.mode)


def world(log) -> World:
    """The rows of a log dealt out to all three tables."""
    named = [{**row, "_batch": f"b{i % 3}", "_line": i} for i, row in enumerate(log.rows)]
    return World(dict.fromkeys(TABLES, named), log.mode)


def spine_rows(frame):
    names = ["id", "part", *SPINE.columns, "t"]
    columns = {name: plain_values(frame[name]) for name in names}
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def same(one, other):
    return [
        name
        for name in one.column_names
        if list(map(bits, plain_lists(one)[name])) != list(map(bits, plain_lists(other)[name]))
    ]


def check(made: World, chance: random.Random, most: int = 4) -> int:
    frame = made.frame()
    facts = InMemory(made.history, SHAPES)
    numbers = list(range(frame.num_rows))
    chance.shuffle(numbers)
    rows = spine_rows(frame)
    for number in numbers[:most]:
        trace = trace_row(made.parts, facts, rows[number], CUT)
        expected = frame.slice(number, 1)
        assert same(expected, trace.recomputed(made.parts)) == []
        assert moved(made, trace, expected, chance) == []
    return len(numbers[:most])


def moved(made: World, trace, expected, chance) -> list[str]:
    """What differs once every row that is not traced is deleted, or holds anything else."""
    found = regions(made.parts, trace)
    altered = {}
    for table, rows in made.rows.items():
        named = dicts(trace.tables[table], ("_batch", "_line"))
        kept = {(one["_batch"], one["_line"]) for one in named}
        altered[table] = []
        for row in rows:
            if (row["_batch"], row["_line"]) in kept:
                altered[table].append(row)
                continue
            assert not is_looked_at(row, table, found, made.mode)
            if chance.random() < 0.2:
                continue
            other = changed(row, rows, chance)
            if is_looked_at(other, table, found, made.mode):
                other = in_place(row, rows, chance)
            altered[table].append(other)
    after = World(altered, made.mode).frame()
    own = [i for i, row in enumerate(spine_rows(after)) if row == trace.row]
    assert len(own) == 1
    wanted = [name for name in expected.column_names if not name.endswith("__reason")]
    return same(expected.select(wanted), after.slice(own[0], 1).select(wanted))


@settings(max_examples=6, deadline=None)
@given(logs)
def test_a_trace_is_enough_and_nothing_else_matters_on_any_log(log):
    check(world(log), random.Random(0), most=2)


@pytest.mark.parametrize("seed", range(2))
def test_a_trace_is_enough_and_nothing_else_matters_on_dense_logs(seed):
    assert check(world(random_log(seed)), random.Random(seed)) == 4


@pytest.mark.slow
def test_a_trace_is_enough_and_nothing_else_matters_on_many_logs():
    chance = random.Random(1)

    @settings(max_examples=120, deadline=None, derandomize=True, database=None)
    @given(logs)
    def compare(log):
        check(world(log), chance, most=6)

    compare()
    for seed in range(100, 125):
        check(world(random_log(seed)), chance, most=12)


@pytest.mark.parametrize("seed", range(2))
def test_the_rows_that_decide_give_the_value_alone(seed):
    made = world(random_log(seed))
    frame = made.frame()
    facts = InMemory(made.history, SHAPES)
    chosen = random.Random(seed).sample(range(frame.num_rows), 3)
    for number in chosen:
        trace = trace_row(made.parts, facts, spine_rows(frame)[number], CUT)
        own = build_spine(SPINE, made.history, SHAPES, made.mode).slice(number, 1)
        for view in OWN_VIEWS:
            for name in view.outputs:
                one = trace.columns[name]

                def deciding(table, columns, one=one, trace=trace):
                    rows = trace.tables[table].take(one.rows.get("decides", NONE))
                    always = ["event_time", "known_at", "committed_at", "_deleted"]
                    return rows.select([*columns, *always])

                alone = training_frame(own, [view], deciding, SHAPES, made.mode)
                expected = frame.slice(number, 1).select([name])
                assert same(expected, alone.select([name])) == [], name


def test_every_role_occurs():
    met = set()
    for seed in range(6):
        made = world(random_log(seed))
        facts = InMemory(made.history, SHAPES)
        for row in spine_rows(made.frame())[:5]:
            trace = trace_row(made.parts, facts, row, CUT)
            met |= {role for one in trace.columns.values() for role in one.rows}
    assert met == set(ROLES)


def test_a_row_that_the_spine_does_not_have_is_refused():
    made = world(random_log(0))
    row = {**spine_rows(made.frame())[0], "id": 99}
    with pytest.raises(StateError, match="no row of plan"):
        trace_row(made.parts, InMemory(made.history, SHAPES), row, CUT)
