"""Whole runs over small worlds: silence where nothing happens, a word where something does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY, iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.monitoring import DecisionLedger, Policy, Window, monitor
from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import js_distance, upper_limit
from headrace.monitoring.evidence.model import day_number, windows
from headrace.reports.monitor import markdown
from tests.monitoring.worlds import FIRST, LATER, changed, scored, spec, weeks_of, world


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def run(tmp_path, frame, **options):
    options = {"now": LATER, "scores": None, "slots": (), "home": None, **options}
    options["home"] = options["home"] or Home(tmp_path / "home")
    return monitor(options.pop("spec", None) or spec(tmp_path), frame, **options)


def kinds(result):
    return {(one.kind, one.subject) for one in result.evidence}


@pytest.mark.parametrize("seed", range(6))
def test_a_stationary_world_is_quiet(tmp_path, seed):
    frame = world(seed=seed)
    made = run(tmp_path, frame, scores=scored(frame, seed))
    assert len(made.results) == 26
    assert made.counts() == {"none": 26, "watch": 0, "investigate": 0, "retrain": 0}


@pytest.mark.parametrize(
    ("column", "change", "kind"),
    [
        ("speed", lambda v: v + 12, "population"),
        ("count", lambda v: v + 6, "population"),
        ("carrier", lambda v: np.where(np.arange(len(v)) % 2, "UA", v), "population"),
        ("flag", lambda v: ~v, "population"),
        ("speed", lambda v: np.where(np.arange(len(v)) % 5, v, np.nan), "data_fault"),
        ("ratio", lambda v: v * 1000 + 500, "data_fault"),
        ("carrier", lambda v: np.where(np.arange(len(v)) % 3, v, "??"), "data_fault"),
        ("speed", lambda v: v * 0 + 50, "data_fault"),
    ],
    ids=["moved", "counts up", "mix", "flipped", "nulls", "unit", "unseen", "frozen"],
)
def test_a_planted_change_is_seen_in_its_week_and_only_there(tmp_path, column, change, kind):
    made = run(tmp_path, changed(world(), column, change, [18]))
    assert (kind, column) in kinds(made.results[18])
    assert made.results[18].decision.action == ("watch" if kind == "population" else "investigate")
    assert all(one.decision.action == "none" for one in made.results[:18])


def test_a_lasting_shift_becomes_the_new_normal_and_a_fault_never_does(tmp_path):
    moved = run(tmp_path / "a", changed(world(), "speed", lambda v: v + 12, range(15, 26)))
    assert moved.results[15].decision.action == "watch"
    assert all(one.decision.action == "none" for one in moved.results[22:])
    broken = run(tmp_path / "b", changed(world(), "speed", lambda v: v * 0 + 50, range(15, 26)))
    assert all(one.decision.action == "investigate" for one in broken.results[15:])


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()


def test_evidence_uses_the_past_only(tmp_path):
    """Rule 24: nothing that happens later changes what an earlier window showed."""
    frame = changed(world(), "speed", lambda v: v + 12, [12])
    short = frame.filter(pa.array(weeks_of(frame) < 14))
    wild = changed(frame, "speed", lambda v: v * 9, range(14, 26))
    wild = changed(wild, "carrier", lambda v: np.full(len(v), "ZZ", object), range(14, 26))
    a = run(tmp_path / "a", short)
    b = run(tmp_path / "b", wild)
    assert [one.evidence for one in a.results] == [one.evidence for one in b.results[:14]]


def test_broken_relations_retrain_once_they_last_and_bad_weeks_do_not(tmp_path):
    frame = world(weeks=30)
    made = run(tmp_path, frame, scores=scored(frame, flipped=range(20, 30)))
    actions = [one.decision.action for one in made.results]
    assert "retrain" not in actions[:21]
    assert actions[20:23].count("retrain") == 1
    assert {kind for kind, _ in kinds(made.results[21])} >= {"performance", "concept"}
    once = run(tmp_path / "b", frame, scores=scored(frame, flipped=[20]))
    assert once.counts()["retrain"] <= 1
    fault = [
        {"table": "t", "slot": iso(FIRST + d * DAY)[:10], "verdict": "BLOCK"} for d in range(210)
    ]
    held = run(tmp_path / "a", frame, scores=scored(frame, flipped=range(20, 30)), slots=fault)
    assert held.counts()["retrain"] == 0


@pytest.mark.parametrize(
    ("maturity", "policy"), [("14d", "version: 1\n"), ("48h", "version: 1\nstrong: 2\n")]
)
def test_answers_to_a_faulty_input_retrain_nothing_when_their_labels_come(
    tmp_path, maturity, policy
):
    """The fault is over when it shows in the scores: labels come later than inputs."""
    weeks = [20, 21] if maturity == "14d" else [20]
    frame = changed(world(weeks=28), "speed", lambda values: values * 10, weeks)
    watched = spec(tmp_path, policy, maturity=maturity)
    home = Home(tmp_path)
    made = monitor(watched, frame, scored(frame, flipped=weeks), [], home, LATER)
    assert made.counts()["retrain"] == 0
    late = made.results[weeks[-1] + 1]
    assert ("data_fault", "answers") in kinds(late)
    assert late.decision.action == "watch"
    assert late.attribution.cause == "concept"
    lasting = range(20, 28)
    moved = monitor(
        watched, world(weeks=28), scored(frame, flipped=lasting), [], Home(tmp_path / "b"), LATER
    )
    assert moved.counts()["retrain"] > 0


def test_labels_count_only_as_far_as_they_were_mature_when_the_window_closed(tmp_path):
    frame = world()
    now = FIRST + 20 * 7 * DAY
    full = scored(frame, flipped=[19])
    mature = pa.array(full["t"].to_numpy() < now - 2 * DAY)
    known = full.set_column(2, "label", pa.array(np.where(mature, full["label"], None), pa.int64()))
    a = run(tmp_path / "a", frame, scores=known, now=now)
    b = run(tmp_path / "b", frame, scores=full, now=LATER)
    assert len(a.results) == 20
    assert [one.scored for one in a.results] == [one.scored for one in b.results[:20]]


def slots(**bad):
    """A year's worth of passing slots of one table; `bad` is {verdict: days since the first}."""
    made = []
    for day in range(26 * 7):
        verdict = next((v for v, days in bad.items() if day in days), "PASS")
        slot = {"table": "weather", "slot": iso(FIRST + day * DAY)[:10], "verdict": verdict}
        made.append({**slot, "delivered": 100, "quarantined": 0, "contract": "1.0.0"})
    return made


@pytest.mark.parametrize("verdict", ["MISSING", "BLOCK", "ERROR"])
def test_an_absent_slot_is_a_data_fault_of_its_week(tmp_path, verdict):
    made = run(tmp_path, world(), slots=slots(**{verdict: {80, 82}}))
    loud = [one for one in made.results if one.decision.action != "none"]
    assert [one.window for one in loud] == [made.results[11].window]
    assert loud[0].decision.action == "investigate"
    assert "2020-03-26, 2020-03-28" in loud[0].decision.reasons[0]


def test_quarantine_beyond_its_own_past_and_a_changed_contract(tmp_path):
    made = slots()
    for day in (80, 81, 82):
        made[day]["quarantined"] = 30
    made[150]["contract"] = "2.0.0"
    result = run(tmp_path, world(), slots=made)
    assert ("data_fault", "weather:quarantine") in kinds(result.results[11])
    assert ("contract", "weather") in kinds(result.results[21])
    assert result.counts() == {"none": 24, "watch": 1, "investigate": 1, "retrain": 0}


def test_a_source_that_dies_is_missing_stale_and_low_in_volume(tmp_path):
    frame = world()
    short = frame.filter(pa.array(weeks_of(frame) < 20))
    watched = spec(tmp_path, max_age={"weather": "2d", "planes": "30d"})
    planes = {"table": "planes", "slot": "snapshot", "verdict": "PASS", "known_at": FIRST}
    dead = [*slots(MISSING=set(range(140, 182))), planes]
    made = run(tmp_path, short, slots=dead, spec=watched)
    assert len(made.results) == 26
    assert kinds(made.results[20]) == {
        ("data_fault", "weather:missing"),
        ("staleness", "weather"),
        ("staleness", "planes"),
        ("volume", "rows"),
    }
    assert ("staleness", "planes") not in kinds(made.results[3])


def test_half_the_rows_is_volume(tmp_path):
    frame = world()
    keep = (weeks_of(frame) != 15) | (np.arange(frame.num_rows) % 2 == 0)
    made = run(tmp_path, frame.filter(pa.array(keep)))
    assert ("volume", "rows") in kinds(made.results[15])


# -- the record ------------------------------------------------------------------------------------


def test_running_again_changes_nothing_and_later_windows_are_added(tmp_path, home):
    frame = world()
    first = run(tmp_path, frame, home=home, now=FIRST + 100 * DAY)
    assert (first.recorded, len(first.results)) == (14, 14)
    again = run(tmp_path, frame, home=home, now=FIRST + 104 * DAY)
    assert again.recorded == 0
    later = run(tmp_path, frame, home=home)
    assert later.recorded == 12
    ends = [one.window.end for one in DecisionLedger(home).entries("world")]
    assert ends == sorted(ends)


def test_day_by_day_and_all_at_once_record_the_same(tmp_path):
    frame = changed(world(weeks=16), "speed", lambda v: v * 0 + 50, [9])
    together, daily = Home(tmp_path / "together"), Home(tmp_path / "daily")
    run(tmp_path, frame, home=together)
    for weeks in range(1, 17):
        run(tmp_path, frame.filter(pa.array(weeks_of(frame) < weeks)), home=daily)
    records = [
        [(e.window, e.evidence_hash, e.decision) for e in DecisionLedger(h).entries("world")]
        for h in (together, daily)
    ]
    # before the bins were frozen nothing can be said, and the same nothing is said both ways
    assert records[0] == records[1]


def test_late_evidence_about_an_old_window_is_recorded_and_starts_nothing(tmp_path, home):
    frame = world()
    run(tmp_path, frame, home=home, slots=slots())
    made = run(tmp_path, frame, home=home, slots=slots(BLOCK={80}))
    assert made.recorded == 1
    assert made.results[11].decision.action == "watch"
    assert "starts nothing" in made.results[11].decision.reasons[-1]
    assert all(one.decision.trigger_id is None for one in DecisionLedger(home).entries("world"))


def test_a_model_trained_after_a_window_is_not_retrained_for_it(tmp_path, home):
    frame = world(weeks=30)
    scores = scored(frame, flipped=range(20, 30))
    made = run(tmp_path, frame, home=home, scores=scores, trained_at=FIRST + 160 * DAY)
    first = next(one for one in made.results if one.decision.action == "retrain")
    assert first.window.end * DAY > FIRST + 160 * DAY


def test_a_second_run_sees_the_same(tmp_path, home):
    frame = world()
    first = run(tmp_path, frame, home=home)
    again = run(tmp_path, frame, home=home)
    assert [one.heat for one in again.results] == [one.heat for one in first.results]


def test_a_watched_column_that_is_absent_is_an_error(tmp_path):
    with pytest.raises(DeclarationError, match="humidity"):
        run(tmp_path, world(weeks=2), spec=spec(tmp_path, columns=("speed", "humidity")))


def test_a_short_history_and_an_empty_frame_say_so(tmp_path):
    made = run(tmp_path, world(weeks=2))
    assert made.counts()["none"] == 2
    assert len(made.notes) == 6
    assert "clean windows before the newest: 1; fixed limits apply to columns" in made.notes[-1]
    none = run(tmp_path / "a", world(weeks=1).slice(0, 0))
    assert none.results == ()
    assert "none closed yet" in markdown(none)


def test_the_report_names_what_happened(tmp_path):
    frame = changed(world(), "speed", lambda v: v * 0 + 50, [18])
    text = markdown(run(tmp_path, frame, scores=scored(frame)))
    assert "speed stands still" in text
    assert text.count("data:image/svg+xml;base64,") == 4
    assert "investigate 1" in text


def test_the_flights_monitor_and_its_policy_load():
    from pipelines.flights.monitors import MONITOR

    policy = MONITOR.policy()
    assert policy.retrain_on == ("concept", "performance", "schedule")
    assert MONITOR.closes(Window(0, 7)) == 7 * DAY + 5 * 3_600_000_000
    assert Path(MONITOR.policy_path).name == "monitors.yaml"


# -- the measures ----------------------------------------------------------------------------------


def test_distance_is_zero_for_the_same_shape_and_one_for_no_overlap():
    assert js_distance([1, 2, 3], [10, 20, 30]) == 0
    assert js_distance([1, 0], [0, 5]) == pytest.approx(1)
    assert js_distance([0, 0], [1, 1]) == 0


def test_limits_are_cold_first_then_own():
    settings = Detection(min_history=3)
    assert upper_limit([0.1, 0.1], 0.7, 0.15, settings) == 0.7
    assert upper_limit([0.2, 0.2, 0.2], 0.7, 0.15, settings) == pytest.approx(0.2 * np.exp(0.45))
    assert upper_limit([0.1, 0.1, 0.4], 0.7, 0.15, settings) == 0.4
    assert upper_limit([1e-9, 1e-3, 0.01], 0.7, 0.15, settings) == pytest.approx(0.15)


def test_windows_lie_on_their_anchor_whatever_comes_first():
    anchor = day_number("2020-01-06")
    assert windows(anchor, 7, anchor + 9, anchor + 30, anchor + 30) == [
        Window(anchor + 7, anchor + 14),
        Window(anchor + 14, anchor + 21),
        Window(anchor + 21, anchor + 28),
    ]
    assert windows(anchor, 7, anchor - 3, anchor, anchor)[0] == Window(anchor - 7, anchor)
    assert windows(anchor, 7, anchor, anchor + 30, anchor + 6) == []


def test_the_offset_moves_the_day(tmp_path):
    frame = world(weeks=8)
    shifted = frame.set_column(0, "t", pa.array(frame["t"].to_numpy() + DAY // 4))
    plain = run(tmp_path / "a", frame)
    moved = run(tmp_path / "b", shifted, spec=spec(tmp_path, offset="-6h"))
    assert [one.rows for one in plain.results] == [one.rows for one in moved.results]


def test_an_unknown_verdict_is_an_error(tmp_path):
    bad = [{"table": "t", "slot": "2020-01-06", "verdict": "FINE"}]
    with pytest.raises(DeclarationError, match="FINE"):
        run(tmp_path, world(weeks=1), slots=bad)


def test_another_policy_on_the_same_evidence(tmp_path):
    frame = changed(world(), "speed", lambda v: v + 12, range(15, 26))
    eager = replace(Policy(), retrain_on=("population",), hysteresis=1)
    made = run(tmp_path, frame, policy=eager)
    assert made.results[15].decision.action == "retrain"
    assert parse_iso("2020-01-06") == FIRST
