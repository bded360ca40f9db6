"""The study says what the monitor said, and counts it as a hand would."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.home import Home
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.run import monitor
from headrace.verification.drift_study.engine import prepare, replay
from headrace.verification.drift_study.fault_catalogue import CATALOGUE, plant
from headrace.verification.drift_study.intervals import wilson
from headrace.verification.drift_study.scoring import (
    FaultOutcome,
    StudyPlan,
    by_fault,
    counted,
    groups,
    natural,
)
from headrace.verification.drift_study.study import run_study
from tests.monitoring.study.histories import made

POLICY, PATH = Policy(), Path("none.yaml")
NAMED = {fault.name: fault for fault in CATALOGUE}
UNIT, FLIP = NAMED["unit changed"], NAMED["all labels flipped"]


@pytest.fixture(scope="module")
def prepared():
    return prepare(made(), POLICY, PATH)


@pytest.mark.parametrize(
    "name", ["30% missing", "rows doubled", "covariate shift and labels flipped", "10% missing"]
)
def test_a_replay_is_what_the_monitor_says_of_the_altered_history(prepared, name, tmp_path):
    fault = NAMED[name]
    done = plant(fault, prepared.history, prepared.windows[25 : 25 + fault.lasts], 3)
    quick = replay(prepared, done)
    whole = monitor(
        prepared.spec, done.history.frame, done.history.scores, [], Home(tmp_path),
        done.history.until, policy=prepared.policy, trained_at=prepared.trained_at,
    ).results[: len(quick)]  # fmt: skip
    assert [one.evidence for one in quick] == [one.evidence for one in whole]
    assert [one.attribution for one in quick] == [one.attribution for one in whole]
    assert [one.decision for one in quick] == [one.decision for one in whole]


def made_outcome(fault, cause, **more) -> FaultOutcome:
    given = {"located": False, "retrained": 0, "waited": 1, **more}
    return FaultOutcome(fault, "h", "report", "w", 0, (), cause, **given)


def test_detected_is_any_alarm_and_attributed_the_right_one():
    outcomes = [
        made_outcome(UNIT, "data", located=True),
        made_outcome(UNIT, "concept"),
        made_outcome(UNIT, "none"),
        made_outcome(FLIP, "concept", retrained=1),
        made_outcome(FLIP, "both"),
    ]
    unit, flip = by_fault(outcomes)
    assert (unit["injected"], unit["detected"], unit["attributed"], unit["named"]) == (3, 2, 1, 1)
    assert (flip["injected"], flip["detected"], flip["attributed"]) == (2, 2, 1)
    assert (unit["kind"], flip["kind"], flip["retrained"]) == ("data", "concept", 1)
    together = {(one["kind"], one["grade"]): one["detected"] for one in groups(outcomes)}
    assert together["data", "all"] == 2
    assert together["concept", "strong"] == 2


def test_intervals_are_those_of_wilson():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, of, low, high in [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
    ]:  # fmt: skip
        assert wilson(hits, of) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 5)[1] == 1.0
    assert counted([])["detected_interval"] == [0.0, 1.0]


def test_a_quiet_history_is_quiet_and_gross_faults_are_found():
    plan = StudyPlan((NAMED["column renamed"], FLIP), repeats=2)
    done = run_study([(made(), POLICY, PATH)], plan)
    (calm,) = done.naturals
    assert calm.windows == 36
    assert calm.data_alarms == calm.concept_alarms == 0
    assert [one.detected for one in done.outcomes] == [True] * 4
    assert [one.attributed for one in done.outcomes] == [True] * 4
    assert run_study([(made(), POLICY, PATH)], plan).to_json() == done.to_json()


def test_windows_after_a_known_drift_are_no_false_alarms(prepared):
    late = prepared.windows[30].first
    since = late * 86_400_000_000
    after = replace(prepared, history=replace(prepared.history, drift_from=since))
    assert natural(prepared).windows == 36
    assert natural(after).windows == 26


def test_tuning_histories_count_apart():
    tuning = replace(made(1, "other"), part="tuning")
    given = [(made(), POLICY, PATH), (tuning, POLICY, PATH)]
    told = run_study(given, StudyPlan((UNIT,), repeats=1)).to_json()
    assert told["natural"]["windows"] == told["tuning"]["natural"]["windows"] == 36
    assert [one["injected"] for one in told["faults"]] == [1]
    assert [one["history"] for one in told["natural"]["histories"]] == ["made"]
