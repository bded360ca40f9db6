"""The decision table, and the law that no data fault ever retrains."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.monitoring import Evidence, Policy, State, Window, advance, decide, load_policy
from headrace.monitoring.decisions.retraining_decision import FUTILE
from headrace.monitoring.evidence.model import DISTRUSTED, KINDS, evidence_hash

WEEK = Window(7, 14)
POLICY = Policy(max_age=100 * DAY)
FRESH = State("p", WEEK, 14 * DAY, trained_at=0)
LASTING = replace(FRESH, streak=1)


def found(kind, subject="s", severity="alarm", statistic=1.0):
    return Evidence(kind, WEEK, subject, statistic, 0.5, severity, f"{kind} of {subject}.")


LOSS, CONCEPT, FAULT = found("performance"), found("concept"), found("data_fault")
STRONG = found("concept", statistic=1.0)  # twice its limit
BOTH = [found("population"), CONCEPT]
MOVED = [found("population", subject, "notice") for subject in "abc"]

CASES = [
    # evidence, state, policy, action, a word of its reasons
    ("nothing", [], FRESH, POLICY, "none", "Nothing"),
    ("two columns, quorum three", MOVED[:2], FRESH, POLICY, "none", "quorum is 3"),
    ("one column twice is one", [*MOVED[:2], MOVED[0]], FRESH, POLICY, "none", "quorum"),
    ("quorum of columns", MOVED, FRESH, POLICY, "watch", "alone does not retrain"),
    ("one gross move", [found("population")], FRESH, POLICY, "watch", "population of s"),
    ("a shift that lasts, alone", MOVED, LASTING, POLICY, "watch", "alone"),
    ("a shift that lasts, by a policy that trusts it", MOVED, LASTING,
     replace(POLICY, retrain_on=("population",)), "retrain", "lasted 2"),
    ("worse once", [LOSS], FRESH, POLICY, "watch", "1 of 2"),
    ("worse twice", [LOSS], LASTING, POLICY, "retrain", "lasted 2"),
    ("another cause the second time", [CONCEPT], LASTING, POLICY, "retrain", "concept of s"),
    ("a notice is no cause", [found("performance", severity="notice")], LASTING, POLICY,
     "none", ""),
    ("worse, but the policy does not retrain on it", [LOSS], LASTING,
     replace(POLICY, retrain_on=()), "watch", "alone"),
    ("hysteresis of one", [LOSS], FRESH, replace(POLICY, hysteresis=1), "retrain", ""),
    ("cooling down", [LOSS], replace(LASTING, retrained=(7 * DAY,)), POLICY, "watch", "Cooling"),
    ("cooled down", [LOSS], replace(LASTING, retrained=(-14 * DAY,)), POLICY, "retrain", ""),
    ("budget spent", [LOSS], replace(LASTING, retrained=(-90 * DAY, -50 * DAY)),
     replace(POLICY, budget=2), "investigate", "budget"),
    ("budget of an earlier period", [LOSS], replace(LASTING, retrained=(-400 * DAY, -50 * DAY)),
     replace(POLICY, budget=2), "retrain", ""),
    ("too old", [], replace(FRESH, closes=101 * DAY), POLICY, "retrain", "older"),
    ("as old as allowed", [], replace(FRESH, closes=100 * DAY), POLICY, "none", ""),
    ("too old, no schedule", [], replace(FRESH, closes=101 * DAY),
     replace(POLICY, retrain_on=("concept",)), "none", ""),
    ("age unknown", [], replace(FRESH, trained_at=None, closes=900 * DAY), POLICY, "none", ""),
    ("fault", [FAULT], FRESH, POLICY, "investigate", "data_fault of s"),
    ("fault and worse", [FAULT, LOSS], LASTING, POLICY, "investigate", "Nothing is retrained"),
    ("fault and too old", [FAULT], replace(FRESH, closes=101 * DAY), POLICY, "investigate", ""),
    ("slight fault and worse", [found("data_fault", severity="notice"), LOSS], LASTING, POLICY,
     "watch", "doubtful"),
    ("data moved and the scores with them", [found("population"), LOSS],
     replace(LASTING, cause="data"), POLICY, "watch", "nothing is retrained"),
    ("data moved, and the scores suffer on", [found("population"), LOSS],
     replace(LASTING, cause="data", hurt=1), POLICY, "investigate", "suffer for 2 windows"),
    ("data moved, and the model is too old", [found("population")],
     replace(FRESH, cause="data", closes=101 * DAY), POLICY, "watch", "nothing is retrained"),
    ("data moved, by a policy that trusts it", [found("population")],
     replace(LASTING, cause="data"), replace(POLICY, retrain_on=("population",)), "retrain", ""),
    ("both once", BOTH, replace(FRESH, cause="both"), POLICY, "watch", "1 of 2"),
    ("both twice", BOTH, replace(LASTING, cause="both"), POLICY, "investigate", "which it is"),
    ("worse since a fault", [LOSS], replace(LASTING, doubtful=True), POLICY, "investigate",
     "began when the data were at fault"),
    ("worse since a fault that somebody knows of", [LOSS],
     replace(LASTING, doubtful=True, acknowledged=True), POLICY, "retrain", ""),
    ("worse since a fault, longer than a person is waited for", [LOSS],
     replace(LASTING, doubtful=True, streak=3), POLICY, "retrain", ""),
    ("both, and somebody knows", BOTH, replace(LASTING, cause="both", acknowledged=True), POLICY,
     "retrain", "lasted 2"),
    ("both, longer than a person is waited for", BOTH, replace(LASTING, cause="both", streak=3),
     POLICY, "retrain", "lasted 4"),
    ("strong once", [STRONG], FRESH, replace(POLICY, strong=2.0), "retrain", "one window"),
    ("not strong enough", [STRONG], FRESH, replace(POLICY, strong=2.5), "watch", "1 of 2"),
    ("strong, and the policy makes no exception", [STRONG], FRESH, POLICY, "watch", "1 of 2"),
    ("strong loss is no relation", [found("performance", statistic=9.0)], FRESH,
     replace(POLICY, strong=2.0), "watch", "1 of 2"),
    ("strong with a fault", [STRONG, FAULT], FRESH, replace(POLICY, strong=2.0), "investigate",
     "Nothing is retrained"),
    ("strong and cooling down", [STRONG], replace(FRESH, retrained=(7 * DAY,)),
     replace(POLICY, strong=2.0), "watch", "Cooling"),
    ("a retraining on it was rolled back", [LOSS],
     replace(LASTING, retrained=(-14 * DAY,), futile=("rolled_back",)), POLICY, "investigate",
     "rolled back"),
    ("one on it failed, some time ago", [LOSS],
     replace(LASTING, retrained=(-14 * DAY,), futile=("failed",)), POLICY, "retrain", ""),
    ("one on it failed just now", [LOSS],
     replace(LASTING, retrained=(7 * DAY,), futile=("failed",)), POLICY, "watch", "Cooling"),
    ("two on it changed nothing", [LOSS],
     replace(LASTING, retrained=(-45 * DAY, -14 * DAY), futile=("kept", "failed")), POLICY,
     "investigate", "did not help"),
    ("volume", [found("volume")], LASTING, POLICY, "investigate", ""),
    ("stale table", [found("staleness")], LASTING, POLICY, "investigate", ""),
    ("contract changed", [found("contract", severity="notice")], FRESH, POLICY, "watch", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "state", "policy", "action", "words"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_decision(evidence, state, policy, action, words):
    decision = decide(evidence, state, policy)
    assert decision.action == action
    assert words in " ".join(decision.reasons)
    assert decision.reasons
    assert (decision.trigger_id is not None) == (action == "retrain")


EVIDENCE = st.builds(
    found, st.sampled_from(KINDS), st.sampled_from("abcd"), st.sampled_from(["notice", "alarm"])
)
CAUSES = st.sampled_from(["none", "data", "concept", "both"])
STATES = st.builds(
    lambda **known: replace(FRESH, **known),
    cause=CAUSES,
    streak=st.integers(0, 9),
    hurt=st.integers(0, 3),
    trained_at=st.none() | st.integers(-500 * DAY, 14 * DAY),
    retrained=st.lists(st.integers(-500 * DAY, 7 * DAY), max_size=3).map(tuple),
    futile=st.lists(st.sampled_from(sorted(FUTILE)), max_size=2).map(tuple),
    acknowledged=st.booleans(),
)
POLICIES = st.builds(
    Policy,
    quorum=st.integers(1, 3),
    hysteresis=st.integers(1, 3),
    retrain_on=st.sets(st.sampled_from(["concept", "performance", "schedule", "population"])).map(
        lambda kinds: tuple(sorted(kinds))
    ),
    cool_down=st.integers(0, 60).map(lambda d: d * DAY),
    budget=st.integers(0, 3),
    max_age=st.none() | st.just(DAY),
    strong=st.none() | st.just(1.0),
    patience=st.integers(1, 4),
    attempts=st.integers(1, 2),
)


def test_evidence_of_a_kind_that_nothing_makes_any_more_is_read_and_starts_nothing():
    old = Evidence.from_json({**LOSS.to_json(), "kind": "schedule"})
    assert old.to_json()["kind"] == "schedule"
    assert decide([old], FRESH, POLICY).action == "none"


@given(st.lists(EVIDENCE, max_size=8), STATES, POLICIES, st.sampled_from(sorted(DISTRUSTED)),
       st.sampled_from(["notice", "alarm"]))  # fmt: skip
def test_no_fault_ever_retrains(evidence, state, policy, kind, severity):
    assert decide([*evidence, found(kind, severity=severity)], state, policy).action != "retrain"


@given(st.lists(EVIDENCE, max_size=8), STATES, POLICIES)
def test_data_that_moved_never_retrain_unless_the_policy_trusts_them(evidence, state, policy):
    decision = decide([*evidence, found("population")], replace(state, cause="data"), policy)
    if "population" not in policy.retrain_on:
        assert decision.action != "retrain"


@given(st.lists(EVIDENCE, max_size=8), STATES, POLICIES)
def test_what_was_rolled_back_is_not_tried_again_without_a_person(evidence, state, policy):
    state = replace(state, futile=("rolled_back",))
    assert decide(evidence, state, policy).action != "retrain"


@given(st.lists(EVIDENCE, max_size=8), STATES, POLICIES)
def test_decisions_are_pure_and_do_not_depend_on_the_order_of_evidence(evidence, state, policy):
    one, other = decide(evidence, state, policy), decide(evidence[::-1], state, policy)
    assert (one.action, one.trigger_id) == (other.action, other.trigger_id)
    assert one == decide(evidence, state, policy)


@given(st.lists(st.tuples(st.lists(EVIDENCE, max_size=4), CAUSES), max_size=40), POLICIES)
def test_cool_down_and_budget_hold_over_any_history(history, policy):
    state, fired = replace(FRESH, trained_at=None), []
    for week, (evidence, cause) in enumerate(history):
        state = replace(
            state, cause=cause, window=Window(week * 7, week * 7 + 7), closes=(week * 7 + 7) * DAY
        )
        decision = decide(evidence, state, policy)
        if decision.action == "retrain":
            fired.append(state.closes)
        state = advance(state, evidence, decision, policy)
    assert all(b - a >= policy.cool_down for a, b in pairwise(fired))
    assert len(fired) <= policy.budget


def test_a_faulty_window_neither_breaks_nor_feeds_a_streak():
    state = advance(FRESH, [LOSS], decide([LOSS], FRESH, POLICY), POLICY)
    assert state.streak == 1
    state = advance(state, [FAULT, LOSS], decide([FAULT, LOSS], state, POLICY), POLICY)
    assert state.streak == 1
    assert decide([LOSS], state, POLICY).action == "retrain"


def test_what_began_with_a_fault_is_doubtful_until_a_quiet_window():
    state = FRESH
    for evidence, doubtful in [
        ([FAULT], True),  # the scores may mind later
        ([LOSS], True),
        ([], False),
        ([FAULT, LOSS], True),
        ([LOSS], True),
        ([], False),
        ([LOSS], False),
        ([FAULT, LOSS], False),  # it was worse before the fault
    ]:
        state = advance(state, evidence, decide(evidence, state, POLICY), POLICY)
        assert state.doubtful is doubtful
    moved = replace(FRESH, cause="data")
    evidence = [found("population"), LOSS]
    assert advance(moved, evidence, decide(evidence, moved, POLICY), POLICY).doubtful


def test_a_model_of_age_waits_for_a_quiet_window_after_a_fault():
    old = replace(FRESH, trained_at=-(2**60), doubtful=True)
    assert decide([], old, POLICY).action == "none"
    after = advance(old, [], decide([], old, POLICY), POLICY)
    assert decide([], after, POLICY).action == "retrain"


def test_a_quiet_window_ends_a_streak_and_a_retraining_too():
    assert advance(LASTING, [], decide([], LASTING, POLICY), POLICY).streak == 0
    after = advance(LASTING, [LOSS], decide([LOSS], LASTING, POLICY), POLICY)
    assert (after.streak, after.retrained, after.trained_at) == (0, (14 * DAY,), 14 * DAY)


def test_trigger_ids_follow_the_facts_only():
    base = decide([LOSS], LASTING, POLICY).trigger_id
    reworded = replace(LOSS, sentence="Other words.", statistic=LOSS.statistic + 1e-12)
    assert decide([reworded], LASTING, POLICY).trigger_id == base
    worse = replace(LOSS, statistic=2.0)
    assert decide([worse], LASTING, POLICY).trigger_id != base
    assert decide([LOSS], replace(LASTING, pipeline="q"), POLICY).trigger_id != base
    assert decide([LOSS], replace(LASTING, window=Window(14, 21)), POLICY).trigger_id != base


def test_evidence_survives_json_even_with_an_infinite_statistic():
    one = found("staleness", statistic=float("inf"))
    back = Evidence.from_json(one.to_json())
    assert evidence_hash([back]) == evidence_hash([one])


# -- the reviewed file -----------------------------------------------------------------------------


def load(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return load_policy(path)


def test_a_policy_is_read_with_its_durations(tmp_path):
    text = "version: 1\nquorum: 2\ncool_down: 14d\nmax_age: 90d\ndetection: {spread: 4}\n"
    policy = load(tmp_path, text)
    assert (policy.quorum, policy.cool_down, policy.max_age) == (2, 14 * DAY, 90 * DAY)
    assert policy.detection.spread == 4.0
    assert policy.hash != Policy().hash
    assert load(tmp_path, "version: 1\n").hash == Policy().hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quorum: 2", "version: 1"),
        ("[]", "not a monitoring policy"),
        ("version: 1\nquorums: 2", "'quorums'"),
        ("version: 1\nquorum: two", "expected a whole number"),
        ("version: 1\nquorum: true", "expected a whole number"),
        ("version: 1\nquorum: 0", "quorum is 0"),
        ("version: 1\nattempts: 0", "attempts is 0"),
        ("version: 1\nstrong: 0.5", "strong is 0.5"),
        ("version: 1\nstrong: much", "expected"),
        ("version: 1\ncool_down: 28", "a duration such as"),
        ("version: 1\ncool_down: 4 weeks", "not a duration"),
        ("version: 1\nretrain_on: [data_fault]", "retraining on data_fault"),
        ("version: 1\nretrain_on: concept", "expected a list"),
        ("version: 1\ndetection: {spreads: 3}", "'spreads'"),
        ("version: 1\ndetection: {spread: wide}", "expected a number"),
        ("version: 1\ndetection: [3]", "keys and values"),
        ("version: 1\ncool_down: -1d", "cool_down is -1d"),
        ("version: 1\nmax_age: 0d", "max_age is 0"),
        ("version: 1\ndetection: {warmup_days: 0}", "warmup_days is 0"),
        ("version: 1\ndetection: {spread: -1}", "spread is -1"),
        ("version: 1\ndetection: {spread: .nan}", "spread is nan"),
    ],
)
def test_a_policy_with_anything_unknown_is_refused(tmp_path, text, words):
    with pytest.raises(DeclarationError, match=words) as raised:
        load(tmp_path, text)
    assert str(tmp_path / "policy.yaml") in (raised.value.where or "")
