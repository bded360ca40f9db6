"""Every planted fault is found and named by detectors that do not know it; nothing is made up."""

import pytest

from headrace.verification.skew import detection as planted_module
from headrace.verification.skew.detection import POINTS, System, examine, verdict
from headrace.verification.skew.faults import FAULTS
from headrace.verification.skew.run import planted
from headrace.verification.skew.sample_system import VIEWS, make_world, rows_of

# One of each kind; the whole list takes most of a minute, and runs where there is time.
QUICK = (
    "inclusive edge",
    "wrong zone",
    "millisecond truncation",
    "dropped late event",
    "time watermark",
    "changed definition",
    "null coded as 0",
    "index by entity",
    "overwriting in place",
    "filter before resolve",
    "looser gate",
    "clock",
    "future correction",
    "global target encoding",
    "spine column from the future",
    "label by presence",
    "refitted transform",
)


@pytest.fixture(scope="module")
def world():
    return make_world(0)


@pytest.mark.parametrize("fault", QUICK)
def test_each_is_found_and_named(world, fault):
    assert verdict(examine(FAULTS[fault], world)) == fault


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_where_nothing_is_planted(seed):
    assert examine(System(), make_world(seed)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 4])
def test_all_of_them(seed):
    report = planted(seed=seed, clean_runs=10)
    assert len(report.faults) >= 19
    assert report.false_alarms == 0
    assert [(one.fault, one.diagnosis) for one in report.faults if not one.is_right] == []


@pytest.mark.parametrize("seed", [1, 4])
def test_a_point_lies_where_an_event_enters_or_leaves_each_window(seed):
    """By chance alone hardly a point has a row of its own entity at the end of a window."""
    world = make_world(seed)
    asked = rows_of(world.points(POINTS))
    assert len(asked) == POINTS
    for view in VIEWS:
        for feature in getattr(view, "features", ()):
            for bound in (feature.window.a, feature.window.b):
                own = {
                    (row[view.entity[0]], row["event_time"] - bound)
                    for row in world.rows[view.table]
                    if row["event_time"] - bound >= max(row["known_at"], row["committed_at"])
                }
                assert not own or own & {(one[view.spine_entity[0]], one["t"]) for one in asked}


def test_a_detector_is_told_nothing_of_the_fault(world):
    """The same system under another name gives the same verdict: names come from the bytes."""
    fault = FAULTS["exclusive start"]
    renamed = System(path=lambda w, types: fault.path(w, types))  # noqa: PLW0108
    assert verdict(examine(renamed, world)) == "exclusive start"


def test_without_detectors_nothing_is_found(world, monkeypatch):
    monkeypatch.setattr(planted_module, "_parity", lambda *_: [])
    assert verdict(examine(FAULTS["inclusive edge"], world)) is None
