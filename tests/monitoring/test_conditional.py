"""What columns say of each other: a season cancels, a sensor that is off does not."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY
from headrace.core.home import Home
from headrace.monitoring import monitor
from headrace.monitoring.detectors.column_relations import (
    STEPS,
    Term,
    coded,
    relate,
    residuals,
    sums,
)
from tests.monitoring.worlds import FIRST, LATER, changed, spec, weeks_of

WEEKS, ROWS = 30, 60


def weather(seed=0, weeks=WEEKS):
    """Three stations under one sky: temperature, dew point and pressure swing with a season."""
    rng = np.random.default_rng(seed)
    n = weeks * 7 * ROWS
    day = np.repeat(np.arange(weeks * 7), ROWS)
    sky = np.repeat(np.cumsum(rng.normal(0, 0.5, weeks * 7)) * 0.3, ROWS)
    temp = 60 + 20 * np.sin(day / 60) + 4 * sky + rng.normal(0, 8, n)
    station = rng.choice(["EWR", "JFK", "LGA"], n)
    return pa.table(
        {
            "t": FIRST + day * DAY + rng.integers(0, DAY, n),
            "temp": temp,
            "dew": temp * 0.8 - 5 + rng.normal(0, 2, n),
            "pressure": 1030 - 0.4 * temp + rng.normal(0, 2, n),
            "wind": rng.gamma(2, 4, n),
            "station": station,
        }
    )


def run(tmp_path, frame):
    made = monitor(spec(tmp_path), frame, None, (), Home(tmp_path / "home"), LATER)
    return made.results


def loud(results):
    return [one.attribution for one in results if one.attribution.cause != "none"]


def part(frame, column, change, week, station=None):
    """`change` of one column in one week, at one station or at all."""
    inside = weeks_of(frame) == week
    if station is not None:
        inside &= np.asarray(frame["station"].to_pylist()) == station
    values = frame[column].to_numpy().copy()
    values[inside] = change(values[inside])
    return frame.set_column(frame.column_names.index(column), column, pa.array(values))


@pytest.mark.parametrize("seed", range(4))
def test_a_season_that_moves_all_columns_together_is_no_fault(tmp_path, seed):
    faults = [
        one
        for result in run(tmp_path, weather(seed))
        for one in result.evidence
        if one.kind == "data_fault"
    ]
    assert faults == []


def test_one_sensor_against_the_others_is_a_fault_with_its_factor(tmp_path):
    broken = part(weather(), "temp", lambda v: (v - 32) / 1.8, 20)
    found = run(tmp_path, broken)[20]
    assert found.attribution.cause == "data"
    assert found.attribution.columns[0] == "temp"
    assert "temp moved by one factor (x0.5" in " ".join(one.sentence for one in found.evidence)
    assert "temp" in found.shapes


def test_a_bias_at_one_station_is_told_with_its_station(tmp_path):
    broken = part(weather(), "temp", lambda v: v + 12, 20, "EWR")
    found = run(tmp_path, broken)[20].attribution
    assert (found.cause, found.columns[0]) == ("data", "temp")
    assert found.segments == ((("station", "EWR"),),)
    assert "at EWR only; the others relate as before." in found.sentence


@pytest.mark.parametrize("factor", [1024.0, 2.0**-20])
def test_the_unit_that_a_column_always_had_does_not_matter(tmp_path, factor):
    (tmp_path / "other").mkdir()
    broken = part(weather(), "temp", lambda v: v + 25, 20)
    plain = run(tmp_path, broken)
    scaled = changed(broken, "temp", lambda v: v * factor, range(WEEKS))
    other = run(tmp_path / "other", scaled)
    facts = [
        [[(e.kind, e.subject, e.columns, round(e.statistic, 6)) for e in one.evidence] for one in r]
        for r in (plain, other)
    ]
    assert facts[0] == facts[1]
    assert loud(plain)


# -- the sums --------------------------------------------------------------------------------------

TERMS = (
    Term("temp", "number", 60.0, 15.0),
    Term("dew", "number", 45.0, 12.0),
    Term("wind", "number", 8.0, 5.0),
    *(Term("station", "level", level=name) for name in ("EWR", "JFK", "LGA")),
)


def test_sums_merge_exactly_however_rows_are_parted():
    code = coded(TERMS, weather(weeks=2)).code
    whole = sums(code)
    for cut in (0, 1, 300, len(code)):
        both = sums(code[:cut]) + sums(code[cut:])
        assert both.rows == whole.rows
        assert np.array_equal(both.total, whole.total)
        assert np.array_equal(both.products, whole.products)


def test_predictions_are_those_of_least_squares_on_the_other_columns():
    code = coded(TERMS, weather(weeks=4)).code
    x = code / STEPS
    relation = relate(sums(code), TERMS)
    others = np.column_stack([np.ones(len(x)), x[:, 1:5]])  # one level follows from the others
    fitted = others @ np.linalg.lstsq(others, x[:, 0], rcond=None)[0]
    ours = x[:, 0] - (x - relation.mean) @ relation.residual[0]
    assert np.abs(ours - fitted).max() < 0.05
    assert relation.usual[0] == pytest.approx(np.std(x[:, 0] - fitted), rel=0.05)


def test_levels_of_one_column_do_not_predict_each_other():
    relation = relate(sums(coded(TERMS, weather(weeks=4)).code), TERMS)
    assert relation.explained[0] > 0.8
    assert np.all(relation.explained[3:] < 0.05)


def test_nothing_is_left_over_where_nothing_changed():
    code = coded(TERMS, weather(weeks=4)).code
    left = residuals(relate(sums(code), TERMS), sums(code))
    assert np.abs(left.bias).max() < 1e-6
    assert np.abs(left.scatter).max() < 0.05
    assert left.slope[0] == pytest.approx(1, abs=0.02)


def test_null_is_usual_and_what_is_far_is_cut():
    terms = (Term("x", "number", 10.0, 2.0), Term("x", "null"))
    table = pa.table({"x": pa.array([10.0, None, float("nan"), 1e9, -1e9, 13.0])})
    done = coded(terms, table)
    assert done.code[:, 0].tolist() == [0, 0, 0, 512, -512, 96]
    assert done.code[:, 1].tolist() == [0, 64, 64, 0, 0, 0]
    assert done.present["x"].tolist() == [True, False, False, True, True, True]
