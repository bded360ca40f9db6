"""A view kept on disk is the view computed from nothing, whatever happened to its tables."""

from contextlib import suppress
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.features import build_spine
from headrace.features.frames import materialise as module
from headrace.features.frames.materialise import Inputs, materialise
from headrace.features.frames.training_frame import Host
from tests.examples import examples
from tests.features import logs
from tests.features.logs import SHAPES, SPINE, VIEWS, random_log, table_of

READ = [view for view in VIEWS if "target" not in view.spine_entity]
TABLES = ("facts", "plan", "states")


@dataclass(frozen=True)
class World:
    """Files by name, each with its table and rows: what a table's snapshot lists."""

    files: dict[str, tuple[str, tuple]]
    mode: str

    def rows(self, table):
        return [row for of, rows in self.files.values() if of == table for row in rows]

    def history(self, table, columns):
        extra = ["event_time", "known_at", "committed_at", "_deleted"]
        return table_of(self.rows(table)).select([*columns, *extra])

    def names(self, table):
        return tuple(sorted(name for name, (of, _) in self.files.items() if of == table))

    def usable_from(self, files):
        known = [row["known_at"] for some in files.values() for name in some
                 for row in self.files[name][1]]  # fmt: skip
        return min(known, default=None)

    @property
    def spine(self):
        return build_spine(SPINE, self.history, SHAPES, self.mode)

    def compute(self, view):
        def columns(rows):
            named = Host.over(rows, [view], self.history, SHAPES, self.mode).columns(view)
            return pa.table([column for _, column in named], names=[name for name, _ in named])

        return columns

    def materialised(self, folder, view):
        files = {table: self.names(table) for table in sorted({view.table, SPINE.table})}
        inputs = Inputs(f"{view.name} {self.mode}", files)
        return materialise(folder, inputs, self.spine, self.compute(view), self.usable_from)

    def changed(self, step, number):
        """Late facts and new ones, a file that is gone, a file with other rows in its place."""
        kind, table, rows = step
        files = dict(self.files)
        names = self.names(table)
        if kind != "add" and names:
            name = names[number % len(names)]
            del files[name]
        if kind != "remove":
            files[f"{table}-{number}"] = (table, rows)
        return replace(self, files=files)


def same(one: pa.Table, other: pa.Table) -> bool:
    """To the bit: -0 is not +0."""
    ours, theirs = (logs.plain_lists(table) for table in (one, other))
    return one.schema == other.schema and all(
        list(map(logs.bits, ours[name])) == list(map(logs.bits, theirs[name])) for name in ours
    )


kinds = st.sampled_from(["add", "add", "add", "add", "remove", "replace"])
steps = st.tuples(kinds, st.sampled_from(TABLES), st.lists(logs.rows, max_size=8).map(tuple))
relaxed = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@relaxed
@given(
    st.lists(steps, min_size=1, max_size=8),
    st.sampled_from(READ),
    st.sampled_from(["declared", "recorded"]),
)
def test_it_is_what_would_be_computed_from_nothing(tmp_path_factory, changes, view, mode):
    folder = tmp_path_factory.mktemp("view")
    world = World({}, mode)
    for number, step in enumerate(changes):
        world = world.changed(step, number)
        done = world.materialised(folder, view)
        assert same(done.table, world.compute(view)(world.spine))
        again = world.materialised(folder, view)
        assert again.computed == 0
        assert same(again.table, done.table)


@relaxed
@given(st.lists(steps, min_size=1, max_size=8), st.sampled_from(READ), st.data())
def test_a_crash_at_any_write_leaves_what_can_be_built_on(tmp_path_factory, changes, view, data):
    """Segments, the state, and old segments that go last: die before or after any of these.

    Then the tables may go on, or back to where they were.
    """
    folder = tmp_path_factory.mktemp("view")
    world = World({}, "declared")
    for number, step in enumerate(changes):
        before, world = world, world.changed(step, number)
        fatal = data.draw(st.sampled_from(["", "write_json", "_write_segment", "_forget_others"]))
        if fatal:
            after = data.draw(st.booleans())
            with pytest.MonkeyPatch.context() as patch, suppress(CrashError):
                patch.setattr(module, fatal, dies(getattr(module, fatal), after=after))
                world.materialised(folder, view)
        if data.draw(st.booleans()):
            world = before
        done = world.materialised(folder, view)
        assert same(done.table, world.compute(view)(world.spine))


class CrashError(Exception):
    pass


def dies(function, *, after):
    def dying(*arguments):
        if after:
            function(*arguments)
        raise CrashError

    return dying


def days(log, mode="declared"):
    """The rows of a log, a file for every ten moments in which they became known."""
    parts = {}
    for row in log.rows:
        parts.setdefault(row["known_at"] // 10, []).append(row)
    return [(f"day-{day}", tuple(rows)) for day, rows in sorted(parts.items())]


@pytest.mark.parametrize("view", READ, ids=lambda view: view.name)
def test_a_new_day_computes_what_can_see_it(tmp_path, view):
    world = World({}, "declared")
    for name, rows in days(random_log(7)):
        files = {f"{table}-{name}": (table, rows) for table in TABLES}
        world = replace(world, files={**world.files, **files})
        done = world.materialised(tmp_path, view)
        first = min(row["known_at"] for row in rows)
        assert done.computed == sum(t >= first for t in world.spine["t"].to_pylist())
    assert same(done.table, world.compute(view)(world.spine))


def test_many_small_days_are_gathered(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_SEGMENTS", 2)
    world, view = World({}, "declared"), READ[0]
    for name, rows in days(random_log(8)):
        files = {f"{table}-{name}": (table, rows) for table in TABLES}
        world = replace(world, files={**world.files, **files})
        assert same(world.materialised(tmp_path, view).table, world.compute(view)(world.spine))
        assert len(list(tmp_path.glob("*.parquet"))) <= 3


def test_another_definition_or_a_file_that_is_gone_computes_everything(tmp_path):
    log, view = random_log(9), READ[0]
    files = {f"{table}-{n}": (table, log.rows[n::2]) for table in TABLES for n in (0, 1)}
    world = World(files, "declared")
    rows = world.materialised(tmp_path, view).computed
    assert rows == world.spine.num_rows > 0
    less = replace(world, files={k: v for k, v in files.items() if k != "facts-1"})
    assert less.materialised(tmp_path, view).computed == rows
    other = replace(less, mode="recorded")
    assert other.materialised(tmp_path, view).computed == other.spine.num_rows


def test_a_late_fact_renews_from_the_moment_it_is_known_only(tmp_path):
    """It happened long ago; who asked before it was known shall not learn of it."""
    log, view = random_log(10), READ[0]
    world = World({table: (table, log.rows) for table in TABLES}, "declared")
    before = world.materialised(tmp_path, view)
    late = {**log.rows[0], "id": 99, "event_time": 1, "known_at": 45, "_deleted": False}
    world = replace(world, files={**world.files, "late": ("facts", (late,))})
    after = world.materialised(tmp_path, view)
    kept = sum(t < 45 for t in world.spine["t"].to_pylist())
    assert 0 < kept < world.spine.num_rows
    assert after.computed == world.spine.num_rows - kept
    assert same(after.table.slice(0, kept), before.table.slice(0, kept))


def test_a_crash_while_going_back_does_not_touch_what_is_read(tmp_path, monkeypatch):
    """The day is taken back, the build dies, and the day comes again: its state still holds."""
    view, worlds = READ[0], [World({}, "declared")]
    for name, rows in days(random_log(11))[:3]:
        files = {f"{table}-{name}": (table, rows) for table in TABLES}
        worlds.append(replace(worlds[-1], files={**worlds[-1].files, **files}))
    for world in worlds:
        done = world.materialised(tmp_path, view)
    with monkeypatch.context() as patch, suppress(CrashError):
        patch.setattr(module, "write_json", dies(module.write_json, after=False))
        worlds[-2].materialised(tmp_path, view)
    again = worlds[-1].materialised(tmp_path, view)
    assert again.computed == 0
    assert same(again.table, done.table)
