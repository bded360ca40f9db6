"""A comparison names the segments that got worse; a recipe leaves out what no longer holds."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY, parse_iso
from headrace.core.errors import DeclarationError
from headrace.models import train
from headrace.models.compare import _segments, compare, mix_distance
from headrace.models.metrics import day_block_interval, log_loss
from headrace.models.score import predict
from headrace.models.train import choose
from headrace.models.training_rows import Recipe, candidates, in_segment
from tests.datasets.frames import DEFINITIONS, frame, put
from tests.models.conftest import MODEL, released

TURN = parse_iso("2013-02-01")


def turned(rows):
    """Flights of UA were late before TURN when they would be punctual now, and vice versa."""
    early = rows["t"].to_numpy() < TURN
    ours = in_segment(rows, (("calendar__carrier", "UA"),))
    late = rows["late"].to_numpy(zero_copy_only=False)
    return put(rows, "late", pa.array(np.where(early & ours, 1 - late, late), from_pandas=True,
                                      type=pa.int64()))  # fmt: skip


def test_a_comparison_finds_the_segment_that_got_worse(record, dataset, home):
    """One model knows everything, the other was told the truth of UA the wrong way round."""
    rows = frame()
    ours = in_segment(rows, (("calendar__carrier", "UA"),))
    late = rows["late"].to_numpy(zero_copy_only=False)
    wrong = put(rows, "late", pa.array(np.where(ours, 1 - late, late), from_pandas=True,
                                       type=pa.int64()))  # fmt: skip
    misled = train(released(home, wrong), replace(MODEL, bootstrap=50), home)
    test = dataset.split("test").arrow
    found = compare(misled, record, test, DEFINITIONS, rounds=500, segment_margin=0.01)
    assert found.rows == test.num_rows
    y = test["late"].cast(pa.float64()).to_numpy()
    assert found.champion == pytest.approx(
        log_loss(y, predict(record, test, definitions=DEFINITIONS))
    )
    worse = {one["value"]: one["worse"] for one in found.segments["calendar__carrier"]}
    assert worse["UA"]
    assert not worse["AA"]
    assert any(one.startswith("calendar__carrier UA: +") for one in found.worse)
    with pytest.raises(DeclarationError, match="no rows"):
        compare(misled, record, test.slice(0, 0), DEFINITIONS)


def test_more_looks_widen_the_interval():
    t = np.repeat(np.arange(30), 10) * DAY
    difference = np.random.default_rng(0).normal(size=300)
    narrow = day_block_interval(t, difference, 2_000, 7)
    wide = day_block_interval(t, difference, 2_000, 7, 1 - 0.05 / 4)
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


@pytest.mark.parametrize("days", [1, 2])
def test_a_segment_is_not_worse_by_a_single_day(days):
    t = np.arange(400) % days * DAY
    table = pa.table({"place": ["a"] * 400})
    (one,) = _segments(["place"], table, t, (np.ones(400), np.zeros(400)), (50, 7, 0.0))["place"]
    assert one["worse"] == (days > 1)


def test_the_mix_of_two_samples():
    half = pa.chunked_array([["a", "b"]])
    assert mix_distance(half, pa.chunked_array([["a", "a", "b", "b"]])) == 0
    assert mix_distance(half, pa.chunked_array([["a", "a"]])) == 0.5
    assert mix_distance(half, pa.chunked_array([["c", None]])) == 1


def test_recipes_leave_rows_out():
    rows = frame(rows=500)
    t, ours = rows["t"].to_numpy(), in_segment(rows, (("calendar__carrier", "UA"),))
    assert Recipe("all").rows(rows) == rows
    assert Recipe("recent", after=TURN).rows(rows).num_rows == np.sum(t >= TURN)
    partly = Recipe("since", since=TURN, segment=(("calendar__carrier", "UA"),))
    assert partly.rows(rows).num_rows == np.sum((t >= TURN) | ~ours)
    assert (
        partly.description
        == "since, without rows of calendar__carrier UA before 2013-02-01T00:00:00Z"
    )


def test_what_may_be_tried():
    names = [one.name for one in candidates(TURN)]
    assert names == ["all"]
    segment = (("carrier", "UA"),)
    found = candidates(TURN, onset=5, segment=segment, history=9, recent=4)
    assert [one.name for one in found] == ["all", "since in the segment", "since", "recent"]
    assert [one.after for one in found] == [TURN - 9, TURN - 9, TURN - 9, TURN - 4]


def test_all_other_levels_are_no_segment_that_rows_are_told_by():
    found = candidates(TURN, onset=5, segment=(("origin", "EWR"), ("carrier", "other")))
    assert [one.name for one in found] == ["all", "since"]


def test_no_two_candidates_learn_from_the_same_rows(home):
    dataset = released(home, frame(rows=2_000))
    nobody = (("calendar__carrier", "nobody"),)
    recipes = candidates(parse_iso("2013-04-28"), onset=TURN, segment=nobody, recent=300 * DAY)
    assert len(recipes) == 4
    assert {one.recipe.name for one in choose(dataset, MODEL, recipes)} == {"all", "since"}


def test_after_a_turn_the_recipe_that_forgets_is_chosen(home):
    dataset = released(home, turned(frame(rows=8_000)))
    ours = (("calendar__carrier", "UA"),)
    recipes = candidates(parse_iso("2013-04-28"), onset=TURN, segment=ours)
    tried = choose(dataset, MODEL, recipes)
    assert len(tried) == 3
    assert tried[0].recipe.name != "all"
    assert tried[-1].recipe.name == "all"
    assert [one.loss for one in tried] == sorted(one.loss for one in tried)
    record = train(dataset, MODEL, home, tried[0].recipe)
    assert record.params["recipe"] == tried[0].recipe.form()
    assert record.rounds == tried[0].recipe.rounds
    assert record.bundle_id != train(dataset, MODEL, home).bundle_id
    assert train(dataset, MODEL, home, tried[0].recipe) == record
