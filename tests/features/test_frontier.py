"""Which rows of a view kept on disk are computed again: those that new facts can reach."""

import random

import numpy as np
import pyarrow as pa
import pytest

from headrace.features.frames.materialise import MOST_SEGMENTS, Inputs, materialise

ROWS = 30


def spine_of(rows):
    return pa.table({"t": pa.array(np.arange(rows) // 2, pa.int64())})


class World:
    """Facts by file, each a number that is usable from a moment on; the view is their sum at t."""

    def __init__(self, folder):
        self.folder, self.facts, self.asked = folder, {}, 0

    def usable_from(self, files):
        found = [k for paths in files.values() for path in paths for k, _ in self.facts[path]]
        return min(found, default=None)

    def compute(self, rows):
        facts = [fact for some in self.facts.values() for fact in some]
        self.asked += rows.num_rows
        sums = [sum(value for k, value in facts if k <= t) for t in rows["t"].to_pylist()]
        return pa.table({"v": pa.array(sums, pa.int64())})

    def renew(self, rows=ROWS, definition="d"):
        inputs = Inputs(definition, {"facts": tuple(self.facts)})
        self.asked = 0
        spine = spine_of(rows)
        done = materialise(self.folder, inputs, spine, self.compute, self.usable_from)
        assert done.computed == self.asked
        assert done.table.equals(self.compute(spine))
        return done.computed


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "view")


def test_only_what_new_facts_can_reach_is_computed(world):
    world.facts["a"] = [(0, 1), (3, 5)]
    assert [world.renew(), world.renew()] == [ROWS, 0]
    world.facts["b"] = [(10, 7)]
    assert world.renew() == ROWS - 20
    world.facts["late"] = [(2, 9)]
    assert world.renew() == ROWS - 4
    world.facts["empty"] = []
    assert [world.renew(), world.renew()] == [0, 0]
    world.facts["beyond"] = [(1000, 1)]
    assert [world.renew(), world.renew(ROWS + 6), world.renew(ROWS + 6)] == [0, 6, 0]


def test_what_went_and_another_definition_renew_everything(world):
    world.facts |= {"a": [(0, 1)], "b": [(10, 7)]}
    world.renew()
    del world.facts["b"]
    assert world.renew() == ROWS
    assert [world.renew(definition="e"), world.renew(definition="e")] == [ROWS, 0]


def test_the_same_files_again_and_a_longer_spine_keep_apart(world):
    """Both segments are of the same inputs; the second must not take the place of the first."""
    world.facts["a"] = [(0, 1), (12, 5)]
    assert [world.renew(20), world.renew(ROWS), world.renew(ROWS)] == [20, 10, 0]


def test_random_histories(world):
    chance = random.Random(0)
    for step in range(3 * MOST_SEGMENTS):
        start = chance.randrange(ROWS // 2)
        world.facts[f"f{step}"] = [
            (start + chance.randrange(3), chance.randrange(9)) for _ in range(chance.randrange(3))
        ]
        if chance.random() < 0.05:
            del world.facts[chance.choice(list(world.facts))]
        world.renew()
    assert len(list(world.folder.glob("*.parquet"))) <= MOST_SEGMENTS + 1


def test_a_lost_segment_is_computed_again(world):
    world.facts["a"] = [(0, 1)]
    world.renew()
    world.facts["b"] = [(10, 7)]
    world.renew()
    min(world.folder.glob("*.parquet")).unlink()
    assert [world.renew(), world.renew()] == [ROWS, 0]


def test_a_spine_without_rows(world):
    world.facts["a"] = [(0, 1)]
    assert [world.renew(0), world.renew(0), world.renew(0, "e"), world.renew(0, "e")] == [0] * 4
    assert [world.renew(4, "e"), world.renew(0, "f"), world.renew(0, "f")] == [4, 0, 0]
