"""Random training rows of the year, made again from what their traces name and nothing else."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY
from headrace.datasets import content_sum, open_release
from headrace.features import build_spine, training_frame
from headrace.features.kernel.arrays import times
from headrace.features.labels import attach_label
from headrace.features.oracle_audit import plain_values
from headrace.features.spec import RowTransform
from headrace.features.table_shapes import shapes_of
from headrace.lineage.row_trace.feature_trace import trace_row
from headrace.lineage.row_trace.lookups import InMemory
from headrace.lineage.row_trace.release_row import cut_of, parts_of, released_form
from headrace.pipeline.build_context import BuildContext

# The same is tried on random histories and a small lake by tests that are not slow.
pytestmark = pytest.mark.slow
GROUP, ROWS = 25, 500


class World:
    """The release, and the tables it was made of, each in memory once."""

    def __init__(self, year):
        self.pipeline = year.pipeline
        self.context = BuildContext(year.pipeline, year.home)
        self.parts = parts_of(year.pipeline)
        self.shapes = shapes_of(self.parts.contracts)
        dataset = open_release(f"{year.pipeline.dataset.name}@latest", store=year.home.store)
        self.manifest = dataset.manifest
        self.train = dataset.split("train").arrow
        self.facts = InMemory(self.context.history, self.shapes)
        self.numbers = cache(self._numbers)

    def _numbers(self, table):
        rows = self.facts.table(table)
        names = zip(rows["_batch"].to_pylist(), rows["_line"].to_pylist(), strict=True)
        return {name: number for number, name in enumerate(names)}

    def chosen(self, rows, seed=2013):
        """Released rows, each with its row of the spine."""
        picked = np.random.default_rng(seed).permutation(self.train.num_rows)[:rows]
        released = self.train.take(pa.array(np.sort(picked)))
        columns = [*self.shapes["schedule"].primary_key, *self.parts.spine.columns, "t"]
        cells = {name: plain_values(released[name]) for name in columns}
        rows = [dict(zip(columns, one, strict=True)) for one in zip(*cells.values(), strict=True)]
        return released, rows

    def cut(self, row):
        return cut_of(self.pipeline, self.manifest, row["t"])

    def places(self, table):
        """Columns that say where a row is: those of its key, of entities, and its times."""
        found = {*self.shapes[table].primary_key, "event_time", "known_at", "committed_at"}
        for view in self.parts.views:
            if not isinstance(view, RowTransform) and view.table == table:
                found |= {*view.entity}
        return found | {"_batch", "_line", "_deleted", self.shapes[table].sequence}

    def again(self, rows, tables):
        """The rows as they would be released of these tables."""

        def history(table, columns):
            names = [n for n in tables[table].column_names if n in columns or n[0] == "_"]
            always = [n for n in ("event_time", "known_at", "committed_at") if n not in names]
            return tables[table].select([*names, *always])

        parts = self.parts
        spine = build_spine(parts.spine, history, parts.contracts, parts.mode)
        keys = self.shapes["schedule"].primary_key
        wanted = {tuple(row[name] for name in (*keys, "t")) for row in rows}
        near = np.isin(np.asarray(spine["t"]), [row["t"] for row in rows])
        spine = spine.filter(pa.array(near))
        cells = zip(*(plain_values(spine[name]) for name in (*keys, "t")), strict=True)
        spine = spine.filter(pa.array([key in wanted for key in cells]))
        frame = training_frame(spine, parts.views, history, parts.contracts, parts.mode)
        cuts = np.array([self.cut(row) for row in rows])
        assert len(set(cuts.tolist())) == 1
        return attach_label(frame, parts.label, history, parts.contracts, int(cuts[0]), parts.mode)

    def altered(self, table, traced, latest, chance):
        """The table with every row that is not traced deleted or holding other values.

        A row that was not usable by `latest` is another one altogether: other key, entity, time.
        """
        rows = self.facts.table(table)
        kept = np.zeros(rows.num_rows, dtype=bool)
        kept[[self.numbers(table)[name] for name in traced]] = True
        rest = np.flatnonzero(~kept)
        rest = rest[chance.random(len(rest)) < 0.7]
        late = times(rows, "known_at", table)[rest] > latest
        parts = [rows.filter(pa.array(kept))]
        for some, is_late in ((rest[~late], False), (rest[late], True)):
            other = rows.take(pa.array(some))
            for name in rows.column_names:
                if is_late or name not in self.places(table):
                    order = pa.array(chance.permutation(len(some)))
                    place = other.column_names.index(name)
                    other = other.set_column(place, name, other[name].take(order))
            if is_late:
                moved = times(other, "event_time", table) + chance.integers(-90, 90) * DAY
                moved = pa.array(moved).view(other["event_time"].type)
                other = other.set_column(
                    other.column_names.index("event_time"), "event_time", moved
                )
            parts.append(other)
        return pa.concat_tables(parts).combine_chunks()


@pytest.fixture(scope="module")
def world(year):
    return World(year)


def test_traced_rows_make_the_row_again_and_no_other_row_matters(world):
    released, rows = world.chosen(ROWS)
    chance = np.random.default_rng(0)
    made = 0
    for start in range(0, ROWS, GROUP):
        group, some = released.slice(start, GROUP), rows[start : start + GROUP]
        traces = [trace_row(world.parts, world.facts, row, world.cut(row)) for row in some]
        for number, trace in enumerate(traces):
            one = group.slice(number, 1)
            again = trace.recomputed(world.parts)
            again = released_form(world.pipeline, world.manifest, again, one)
            assert content_sum(again) == content_sum(one), some[number]
            made += 1
        traced = {
            table: {
                name
                for trace in traces
                for name in zip(
                    trace.tables[table]["_batch"].to_pylist(),
                    trace.tables[table]["_line"].to_pylist(),
                    strict=True,
                )
            }
            for table in world.parts.tables
        }
        latest = max(max(world.cut(row), row["t"]) for row in some)
        tables = {
            name: world.altered(name, named, latest, chance) for name, named in traced.items()
        }
        frame = world.again(some, tables)
        again = released_form(world.pipeline, world.manifest, frame, group)
        assert content_sum(again) == content_sum(group)
        # That much was altered: the same tables give the rest of the release other values.
        assert sum(len(named) for named in traced.values()) < world.facts.table("outcomes").num_rows
    assert made == ROWS


def test_a_traced_row_that_decides_does_matter(world):
    """The test above could not fail if what is altered never reached the frame."""
    released, rows = world.chosen(3, seed=1)
    for number, row in enumerate(rows):
        trace = trace_row(world.parts, world.facts, row, world.cut(row))
        for table in world.parts.tables:
            trace.tables[table] = (
                trace.tables[table].slice(1) if table == "outcomes" else trace.tables[table]
            )
        again = trace.recomputed(world.parts)
        one = released.slice(number, 1)
        again = released_form(world.pipeline, world.manifest, again, one)
        assert content_sum(again) != content_sum(one)
