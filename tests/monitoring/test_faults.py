"""Gross damage to rows and columns, seen in its week; what is natural is left alone."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY
from headrace.core.home import Home
from headrace.monitoring import monitor
from headrace.monitoring.detectors.measures import js_distances
from tests.monitoring.worlds import FIRST, LATER, changed, spec, weeks_of, world

WEEK = 18


def run(tmp_path, frame):
    return monitor(spec(tmp_path), frame, None, (), Home(tmp_path / "home"), LATER).results


def alarms(result):
    return {(one.kind, one.subject) for one in result.evidence if one.severity == "alarm"}


def rows_of(frame, chosen):
    return frame.take(pa.array(np.flatnonzero(chosen)))


def test_rows_that_come_twice(tmp_path):
    frame = world()
    inside = np.flatnonzero(weeks_of(frame) == WEEK)
    again = np.concatenate([np.arange(frame.num_rows), inside[::5]])
    results = run(tmp_path, frame.take(pa.array(np.sort(again))))
    assert ("data_fault", "rows:twice") in alarms(results[WEEK])
    assert not any(alarms(one) for one in results[:WEEK])


def test_the_rows_of_an_earlier_week_again(tmp_path):
    frame = world()
    week = weeks_of(frame)
    old = rows_of(frame, week == WEEK - 3)
    moved = old.set_column(0, "t", pa.array(old["t"].to_numpy() + 21 * DAY))
    parts = [rows_of(frame, week < WEEK), moved, rows_of(frame, week > WEEK)]
    results = run(tmp_path, pa.concat_tables(parts))
    assert ("data_fault", "rows:again") in alarms(results[WEEK])
    assert not alarms(results[WEEK - 3])


def test_days_without_rows(tmp_path):
    frame = world()
    day = (frame["t"].to_numpy() - FIRST) // DAY
    gone = np.isin(day, [WEEK * 7 + 2, WEEK * 7 + 4])
    results = run(tmp_path, rows_of(frame, ~gone))
    assert alarms(results[WEEK]) == {("volume", "rows")}
    assert "2 of 7 days have no rows; at most 0 before." in results[WEEK].attribution.sentence


@pytest.mark.parametrize("code", [-999.0, 9999.0, 1e9])
def test_a_code_for_no_value_among_the_numbers(tmp_path, code):
    frame = changed(world(), "speed", lambda v: np.where(np.arange(len(v)) % 10, v, code), [WEEK])
    results = run(tmp_path, frame)
    assert ("data_fault", "speed") in alarms(results[WEEK])
    assert "speed is far from all it was in" in results[WEEK].attribution.sentence


def test_a_value_that_stands_still_in_some_rows(tmp_path):
    frame = changed(world(), "speed", lambda v: np.where(np.arange(len(v)) % 4, v, 51.0), [WEEK])
    results = run(tmp_path, frame)
    assert ("data_fault", "speed") in alarms(results[WEEK])
    assert "speed has one value in 2" in results[WEEK].attribution.sentence


@pytest.mark.parametrize("seed", range(4))
def test_many_columns_do_not_make_a_natural_week_loud(tmp_path, seed):
    """Twenty columns in four correlated families: the family-wise limit keeps all weeks quiet."""
    rng = np.random.default_rng(seed)
    weeks, rows = 26, 30
    n = weeks * 7 * rows
    families = [rng.normal(0, 1, n) + np.repeat(rng.normal(0, 0.3, weeks), n // weeks)
                for _ in range(4)]  # fmt: skip
    columns = {f"x{i}": families[i % 4] * (i + 1) + rng.normal(0, i + 1, n) for i in range(20)}
    t = FIRST + np.repeat(np.arange(weeks * 7), rows) * DAY + rng.integers(0, DAY, n)
    results = run(tmp_path, pa.table({"t": t, **columns}))
    assert sum(bool(alarms(one)) for one in results) <= 1


def test_distances_to_many_are_those_to_each():
    rng = np.random.default_rng(1)
    one, many = rng.integers(0, 9, 12), rng.integers(0, 9, (5, 12))
    many[3] = 0
    p = one / one.sum()
    for got, other in zip(js_distances(one, many), many, strict=True):
        if not other.any():
            assert got == 0
            continue
        q = other / other.sum()
        m = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = [np.nansum(np.where(a > 0, a * np.log2(a / m), 0)) for a in (p, q)]
        assert got == pytest.approx(np.sqrt(sum(kl) / 2))
