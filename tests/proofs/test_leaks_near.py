"""Leaks are found as well when the altered world holds only what lies near the moment."""

import numpy as np
import pytest

from headrace.core.clock import DAY, HOUR
from headrace.verification.leaks import TimeReach, leaks, random_moments, reach_of
from headrace.verification.skew.faults import FAULTS
from headrace.verification.skew.sample_system import CONTRACTS, MODE, SPINE, VIEWS, make_world

WORLD = make_world(0)
CUTS = random_moments(WORLD.spine, 20, seed=4)
NEAR = reach_of(VIEWS, SPINE)


def found(fault=None, **about):
    system = FAULTS[fault] if fault else None
    parts = {} if system is None else {"build": system.spine, "frame": system.frame}
    return leaks(SPINE, VIEWS, WORLD.history, CONTRACTS, CUTS, mode=MODE, **about, **parts)


def test_reach_covers_windows_lookups_and_the_spine():
    assert {
        "trips": TimeReach(DAY, 0),
        "plan": TimeReach(2 * HOUR, 3 * HOUR),
        "gauges": TimeReach(3 * HOUR, 0),
    } == NEAR


@pytest.mark.parametrize("near", [None, NEAR])
def test_nothing_moves(near):
    report = found(near=near, known=WORLD.spine)
    assert report.to_json() == {"rows": report.rows, "moved": 0}
    assert report.rows >= 20


@pytest.mark.parametrize(
    "fault",
    [
        "known-at ignored",
        "future correction",
        "global target encoding",
        "spine column from the future",
    ],
)
def test_planted_leaks_are_found(fault):
    report = found(fault, near=NEAR)
    assert report.moved > 0
    assert report.to_json()["found"]


def test_random_moments_are_those_of_enough_rows():
    t = WORLD.spine["t"].to_numpy()
    for rows in (1, 30, 10_000):
        cuts = random_moments(WORLD.spine, rows, seed=rows)
        assert np.isin(t, cuts).sum() >= min(rows, len(t))
        assert set(cuts) <= set(t.tolist())
    assert random_moments(WORLD.spine, 5, seed=1) != random_moments(WORLD.spine, 5, seed=2)
