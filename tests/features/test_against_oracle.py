"""The kernel equals the specification in code, bit for bit."""

from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.features import build_spine, oracle, training_frame, vector
from tests.examples import examples
from tests.features.logs import (
    SHAPES,
    SPINE,
    TRAITS,
    VIEWS,
    Log,
    all_differences,
    logs,
    plain_lists,
    random_log,
    traits,
)


@settings(max_examples=examples(60), deadline=None)
@given(logs)
def test_equals_the_oracle_on_any_log(log):
    assert all_differences(log) == []


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
def test_equals_the_oracle_on_a_thousand_logs(kernel, monkeypatch):
    """Each log in the order it was drawn, and shuffled and cut into chunks; by both kernels."""
    if kernel == "compiled" and find_spec("numba") is None:
        pytest.skip("numba is not installed: pip install headrace[fast]")
    monkeypatch.setenv("HEADRACE_KERNEL", kernel)
    seen = Counter()

    @settings(max_examples=1000, deadline=None, derandomize=True, database=None)
    @given(logs, st.randoms(use_true_random=False))
    def compare(log, chance):
        seen.update(["logs", *traits(log)])
        assert all_differences(log) == []
        rows = list(log.rows)
        chance.shuffle(rows)
        cuts = sorted(chance.randrange(len(rows) + 1) for _ in range(chance.randrange(4)))
        shuffled = ChunkedLog(tuple(rows), log.spine, log.mode, tuple(cuts))
        assert all_differences(shuffled) == []

    compare()
    assert seen["logs"] >= 1000
    assert min(seen[trait] for trait in TRAITS) >= 100, seen


@dataclass(frozen=True)
class ChunkedLog(Log):
    cuts: tuple[int, ...] = ()

    @property
    def table(self):
        whole, ends = super().table, (0, *self.cuts, len(self.rows))
        return pa.concat_tables([whole.slice(a, b - a) for a, b in pairwise(ends)])


@pytest.mark.parametrize("seed", range(25))
def test_equals_the_oracle_on_dense_logs(seed):
    assert all_differences(random_log(seed)) == []


@settings(max_examples=examples(60), deadline=None)
@given(logs, st.randoms(use_true_random=False))
def test_order_of_arrival_and_chunks_do_not_matter(log, chance):
    before = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
    rows = list(log.rows)
    chance.shuffle(rows)
    shuffled = replace(log, rows=tuple(rows))

    def in_chunks(name, columns):
        table = shuffled.history(name, columns)
        cut = chance.randrange(len(rows) + 1)
        return pa.concat_tables([table.slice(0, cut), table.slice(cut)])

    assert training_frame(log.spine_table, VIEWS, in_chunks, SHAPES, log.mode).equals(before)


@settings(max_examples=examples(60), deadline=None)
@given(logs, st.randoms(use_true_random=False))
def test_a_frame_of_some_rows_is_those_rows_of_the_frame(log, chance):
    picked = [chance.randrange(len(log.spine)) for _ in range(6)] if log.spine else []
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
    subset = log.spine_table.take(pa.array(picked, pa.int64()))
    part = training_frame(subset, VIEWS, log.history, SHAPES, log.mode)
    assert part.equals(frame.take(pa.array(picked, pa.int64())))


def test_repeated_rows_change_nothing():
    log = random_log(1)
    assert all_differences(replace(log, rows=log.rows + log.rows[::2])) == []
    assert expected_same(log, replace(log, rows=log.rows + log.rows[::2]))


def expected_same(one, other):
    frames = [training_frame(g.spine_table, VIEWS, g.history, SHAPES, g.mode) for g in (one, other)]
    return frames[0].equals(frames[1])


def test_a_vector_is_a_row_of_the_frame():
    log = random_log(2)
    frame = training_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
    types = {field.name: field.type for field in log.spine_table.schema}
    for i, row in enumerate(log.spine):
        entity = {name: value for name, value in row.items() if name != "t"}
        got = vector(VIEWS, entity, row["t"], log.history, SHAPES, mode=log.mode, types=types)
        assert got == frame.select(list(got)).slice(i, 1).to_pylist()[0]


def test_an_empty_history_and_an_empty_spine():
    log = random_log(3)
    for empty in (replace(log, rows=()), replace(log, spine=()), replace(log, rows=(), spine=())):
        assert all_differences(empty) == []


def test_many_entities_and_distant_times_fit_one_key():
    """The packed (entity, time) key has 63 bits; where they do not do, times become ranks."""
    base = random_log(4)
    far = [{**row, "t": row["t"] + shift} for row in base.spine for shift in (0, 2**61, -(2**61))]
    log = replace(base, spine=tuple(far))
    assert all_differences(log) == []


def test_the_spine_is_ordered_and_holds_what_was_known():
    log = random_log(5)
    spine = build_spine(SPINE, log.history, SHAPES, log.mode)
    keys = list(zip(*(plain_lists(spine)[name] for name in ("t", "id", "part")), strict=True))
    assert keys == sorted(keys)
    assert keys


def test_the_oracle_stays_short():
    assert len(Path(oracle.__file__).read_text().splitlines()) < 200


def test_random_logs_hold_what_they_are_for():
    """Ties, corrections, tombstones and late facts do occur in the battery."""
    seen = Counter(trait for seed in range(25) for trait in traits(random_log(seed)))
    assert not [trait for trait in TRAITS if seen[trait] < (0 if trait == "far edge" else 10)], seen
