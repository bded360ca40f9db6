"""No row moves when everything that was unknown at its moment is made different."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY, HOUR
from headrace.features import build_spine, output_columns, training_frame
from headrace.features.kernel import visibility
from headrace.features.kernel.arrays import times
from headrace.features.table_shapes import shapes_of
from headrace.pipeline.build import feature_frame
from headrace.pipeline.build_context import BuildContext
from headrace.verification.leaks import alter_future, busy_moments, leaks

ROWS = 1_000
# The widest window looks 28 days back. What the altered world lacks beyond that was known, and
# cannot matter; what it lacks of the time to come is one more way in which it differs.
BACK, AHEAD = 29 * DAY, 10 * DAY


class World:
    """The tables as the pipeline published it, with a view of it around a moment."""

    def __init__(self, built):
        self.pipeline = built.pipeline
        self.context = BuildContext(built.pipeline, built.home)
        self.frame = feature_frame(self.context)
        self.t = self.frame["t"].to_numpy()
        self.shapes = shapes_of(self.pipeline.contracts)
        self.table = cache(self._table)

    def _table(self, name):
        rows = self.context.history(name, list(self.shapes[name].columns))
        return rows.take(pa.array(np.argsort(times(rows, "event_time", name), kind="stable")))

    def near(self, name, cut):
        rows = self.table(name)
        if self.shapes[name].kind == "state" and name != "weather":
            return rows
        lo, hi = np.searchsorted(times(rows, "event_time", name), [cut - BACK, cut + AHEAD])
        return rows.slice(lo, hi - lo)

    def after(self, cut, seed):
        """The spine's rows at `cut` with all features, in a world with another future."""
        done = {}

        def read(name, columns):
            if name not in done:
                chance = np.random.default_rng([seed, len(name)])
                done[name] = alter_future(
                    self.near(name, cut), self.shapes[name], cut, "declared", chance
                )
            return done[name]

        views, contracts = self.pipeline.views, self.pipeline.contracts
        spine = build_spine(self.pipeline.spine, read, contracts)
        spine = spine.filter(pa.array(spine["t"].to_numpy() == cut))
        return training_frame(spine, views, read, contracts)

    def before(self, cut):
        lo, hi = np.searchsorted(self.t, [cut, cut + 1])
        return self.frame.slice(lo, hi - lo)

    def moved(self, cut, seed=0):
        """Rows at `cut`, and the columns in which they differ; all of them if rows came or went."""
        before, after = self.before(cut), self.after(cut, seed)
        assert before.num_rows
        if before.num_rows != after.num_rows:
            return before.num_rows, before.column_names
        names = [n for n in before.column_names if content(before[n]) != content(after[n])]
        return before.num_rows, names


def content(column: pa.ChunkedArray) -> tuple[bytes, bytes]:
    """Values and nulls, as bytes."""
    nothing = column.is_null().to_numpy()
    if pa.types.is_string(column.type):
        return repr(column.to_pylist()).encode(), b""
    # What lies under a null is no value.
    values = column.combine_chunks().fill_null(0).view(pa.int64()).to_numpy()
    return values.tobytes(), nothing.tobytes()


@pytest.fixture(scope="module")
def world(built) -> World:
    return World(built)


def moments(world: World, rows: int, seed: int) -> Iterator[int]:
    """The moments of random rows, until the rows at those moments are as many as asked for."""
    chance, taken, found = np.random.default_rng(seed), set(), 0
    for row in chance.permutation(len(world.t)):
        cut = int(world.t[row])
        if found < rows and cut not in taken:
            taken.add(cut)
            found += world.before(cut).num_rows
            yield cut


@pytest.mark.parametrize("asked", [120, pytest.param(ROWS, marks=pytest.mark.slow)])
def test_random_rows_do_not_move(world, asked):
    rows, found = 0, {}
    for seed, cut in enumerate(moments(world, asked, seed=13)):
        compared, names = world.moved(cut, seed)
        rows += compared
        if names:
            found[cut] = names
    assert not found
    assert rows >= asked
    assert set(output_columns(world.pipeline.views)) < set(world.frame.column_names)


@pytest.mark.slow
def test_a_thousand_random_rows_each_at_its_own_moment_do_not_move(world):
    chosen = np.random.default_rng(31).permutation(len(world.t))[:ROWS]
    found = {cut: names for cut in world.t[chosen].tolist() if (names := world.moved(cut)[1])}
    assert not found


def test_with_all_that_was_published_altered_busy_moments_do_not_move(world):
    """The same through the function that teams use, over all that was published."""
    pipeline, context = world.pipeline, world.context
    busy = busy_moments(context.spine, 2, 25, seed=5)
    report = leaks(pipeline.spine, pipeline.views, context.history, pipeline.contracts, busy)
    assert report.rows >= 50
    assert not report, report.found


def test_an_altered_future_would_be_seen(world, monkeypatch):
    """The same comparison, with a kernel that looks ahead by an hour or ignores known-at."""
    cuts = list(moments(world, 60, seed=7))
    usable = visibility.usable
    for planted in (
        lambda known, commit: usable(known, commit) - 12 * HOUR,
        lambda known, commit: np.zeros_like(known),
    ):
        monkeypatch.setattr(visibility, "usable", planted)
        assert any(world.moved(cut)[1] for cut in cuts[:5])
        monkeypatch.undo()
