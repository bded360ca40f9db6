"""Parity compares every bit, asks at edges, and names what it finds."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import HOUR
from headrace.features.frames.training_frame import training_frame
from headrace.features.oracle_audit import audit
from headrace.features.table_shapes import shape_of
from headrace.verification.parity import different, parity, random_points
from headrace.verification.parity_diagnosis.hypotheses import (
    DiagnosisCase,
    Observed,
    answer,
    explain,
)
from headrace.verification.parity_diagnosis.wrong_rules import HYPOTHESES
from headrace.verification.skew.faults import FAULTS
from headrace.verification.skew.replay import TablesPath, as_requests
from headrace.verification.skew.sample_system import CONTRACTS, MODE, SPINE, VIEWS, make_world

WORLD = make_world(0)
POINTS = WORLD.points(200)


def types():
    return training_frame(POINTS.slice(0, 1), VIEWS, WORLD.history, CONTRACTS, MODE).schema


def tables_path():
    return TablesPath(SPINE, VIEWS, CONTRACTS, WORLD.history, types(), MODE)


def store_path():
    pytest.importorskip("lmdb", reason="the embedded online store needs headrace[online]")
    from headrace.verification.replay_store import StorePath

    return StorePath(SPINE, VIEWS, CONTRACTS, WORLD.history, types(), MODE)


def compared(path, steps=12):
    return parity(path, POINTS, VIEWS, WORLD.history, CONTRACTS, MODE, steps=steps)


@pytest.mark.parametrize("path", [tables_path, store_path])
@pytest.mark.parametrize("steps", [1, 12])
def test_serving_equals_training(path, steps):
    with closing(path()) as opened:
        found = compared(opened, steps)
    assert found.to_json() == {"compared": 200, "different": 0, "causes": {}}


def test_one_bit_of_one_value_is_seen():
    class OneBit:
        def __init__(self):
            self.path = tables_path()

        def publish(self, until):
            self.path.publish(until)

        def serve(self, points):
            made = self.path.serve(points)
            place = made.column_names.index("line__fare_sum_1d")
            values = made["line__fare_sum_1d"].to_numpy().copy()
            values[0] = np.nextafter(values[0], np.inf)
            changed = pa.array(values, from_pandas=True)
            return made.set_column(place, "line__fare_sum_1d", changed)

    found = compared(OneBit(), steps=12)
    assert 0 < found.different <= 12
    assert found.features == ("line__fare_sum_1d",)
    assert set(found.to_json()["causes"]) == {"float sum"}
    assert found.examples


@pytest.mark.parametrize(
    ("one", "other", "rows"),
    [
        (pa.array([1.0, None, 2.0]), pa.array([1.0, None, 2.0]), []),
        (pa.array([0.0, 1.0]), pa.array([-0.0, 1.0]), [0]),
        (pa.array([1, None]), pa.array([1, 0]), [1]),
        (pa.array([2**62 + 1, None]), pa.array([2**62, None]), [0]),
        (pa.array([0.1 + 0.2, None]), pa.array([0.3, None]), [0]),
        (pa.array(["a", None]), pa.array(["b", None]), [0]),
        (pa.array([1]), pa.array([1.0]), [0]),
    ],
)
def test_values_are_compared_by_type_null_and_bits(one, other, rows):
    found = different(pa.chunked_array([one]), pa.chunked_array([other]))
    assert np.flatnonzero(found).tolist() == rows


def test_points_are_rows_of_the_spine_at_any_time_and_at_edges():
    facts = [np.array([HOUR * n for n in range(10_000)], np.int64) + WORLD.spine["t"][0].as_py()]
    points = random_points(WORLD.spine, facts, VIEWS, 4000, seed=3)
    assert points.column_names == WORLD.spine.column_names
    assert points.schema.types == WORLD.spine.schema.types
    first = WORLD.spine["t"][0].as_py()
    beside = (points["t"].to_numpy() - first) % HOUR
    assert (beside == 0).sum() > 300
    assert (beside == 1).sum() > 300
    assert (beside == HOUR - 1).sum() > 300


def test_requests_are_in_units():
    contract = CONTRACTS["trips"]
    row = pa.table({"id": [7], "fare": [1337], "t": [5]})
    [(request, t)] = as_requests(row, contract)
    assert (str(request["fare"]), request["id"], t) == ("13.37", 7, 5)


def cases(count=30):
    shape = shape_of(CONTRACTS["trips"])
    found = []
    for n in range(count):
        row = POINTS.slice(n, 1).to_pylist()[0]
        spine = {"line": row["line"] or "A", "t": row["t"]}
        found.append(DiagnosisCase(VIEWS[0], WORLD.rows["trips"], shape, spine, MODE, row["t"]))
    return found


@pytest.mark.parametrize("number", range(0, len(HYPOTHESES), 4))
def test_a_wrong_rule_explains_what_it_makes_and_no_more(number):
    """Where a rule makes a difference at all, its values are explained, by it or one before it."""
    rule = HYPOTHESES[number]
    given = cases()
    parameter = 3 * HOUR if rule.limit else next(iter(rule.parameters(given)))
    pairs = []
    for case in given:
        right, wrong = answer(case), rule.answer(case, parameter)
        differs = repr(right) != repr(wrong)
        pairs.append((Observed(case, wrong, differs), Observed(case, right, differs)))
    causes = explain(pairs, HYPOTHESES[: number + 1])
    if any(served.differs for served, _ in pairs):
        assert [cause.side for cause in causes] == ["serving"]
        assert "unexplained" not in {cause.name for cause in causes}
    else:
        assert causes == []


def test_what_no_rule_makes_stays_unexplained():
    case = cases(1)[0]
    right = answer(case)
    wrong = {**right, "line__rows_1h": right["line__rows_1h"] + 12345}
    pairs = [(Observed(case, wrong), Observed(case, right))]
    assert [cause.name for cause in explain(pairs, HYPOTHESES)] == ["unexplained"]


def test_the_wrong_side_is_told():
    case = cases(1)[0]
    right = answer(case)
    wrong = {**right, "line__rows_1h": right["line__rows_1h"] + 12345}
    pairs = [(Observed(case, right), Observed(case, wrong))]
    assert [cause.side for cause in explain(pairs, HYPOTHESES)] == ["training"]


def test_a_fault_on_one_side_is_told_with_its_numbers():
    path = FAULTS["inclusive edge"].path(WORLD, types())
    found = compared(path)
    assert found.to_json()["causes"] == {"inclusive edge": found.different}
    assert found.different > 0
    assert replace(found, different=0).to_json() != found.to_json()


def differing(seed, paths):
    """Serving against training, and training against the oracle, in a made-up world."""
    world = make_world(seed)
    points = world.points(80)
    frame = training_frame(points, VIEWS, world.history, CONTRACTS, MODE)
    rows = range(0, points.num_rows, 4)
    found = list(audit(frame, VIEWS, world.history, CONTRACTS, rows, mode=MODE))
    for path in paths:
        with closing(path(SPINE, VIEWS, CONTRACTS, world.history, frame.schema, MODE)) as opened:
            report = parity(opened, points, VIEWS, world.history, CONTRACTS, MODE, steps=9)
        found += [str(cause) for cause in report.causes]
        assert report.compared == points.num_rows
    return found


@pytest.mark.parametrize("seed", range(100, 108))
def test_any_world_is_served_as_it_is_trained(seed):
    assert differing(seed, paths()) == []


@pytest.mark.slow
def test_two_hundred_worlds_are_served_as_they_are_trained():
    assert {s: d for s in range(1000, 1200) if (d := differing(s, paths()))} == {}


def paths():
    pytest.importorskip("lmdb", reason="the embedded online store needs headrace[online]")
    from headrace.verification.replay_store import StorePath

    return (TablesPath, StorePath)
