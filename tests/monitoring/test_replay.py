"""A history decided again: what failed retrainings, acknowledgements and other policies change."""

from dataclasses import replace

import pytest

from headrace.core.clock import DAY
from headrace.monitoring import Decision, Evidence, Policy, Window
from headrace.monitoring.decisions.history import (
    AttributedWindow,
    Record,
    ending_of,
    record_of,
    redecide,
)
from headrace.monitoring.decisions.incidents import Decided, incidents, settled
from headrace.monitoring.decisions.ledger import Ack, Entry, Step
from headrace.monitoring.decisions.replay import compared, first_entries, replay, tally
from headrace.monitoring.decisions.retraining_decision import ROLLED_BACK
from headrace.monitoring.evidence.attribution import attribute
from headrace.reports.monitor.business_figures import figures

POLICY = Policy(cool_down=14 * DAY)


def week(number):
    return Window(7 * number, 7 * number + 7)


def found(kind, number, subject="s", severity="alarm"):
    return Evidence(kind, week(number), subject, 1.0, 0.5, severity, f"{kind} of {subject}.")


def history(*kinds):
    """A window for each word: evidence of these kinds (joined by +), or none for a dot."""
    return [
        tuple(found(kind, at) for kind in word.split("+") if kind != ".")
        for at, word in enumerate(kinds)
    ]


def judged(*kinds):
    return [
        AttributedWindow(week(at), evidence, attribute(evidence).cause)
        for at, evidence in enumerate(history(*kinds))
    ]


def actions(decided):
    return [decision.action for decision, _ in decided]


def recorded(policy, *kinds):
    """The ledger's rows of this history, decided by `policy` as it came."""
    rows = redecide("p", judged(*kinds), policy)
    return [
        Entry("p", one.window, decision, one.evidence, policy.hash, 0, at + 1)
        for at, (one, (decision, _)) in enumerate(zip(judged(*kinds), rows, strict=True))
    ]


def ended(number, how):
    return Record(endings={week(number).end * DAY: how})


LONG = ["concept"] * 8


def test_a_lasting_cause_retrains_after_hysteresis_and_again_after_the_cool_down():
    assert actions(redecide("p", judged(*LONG), POLICY)) == [
        "watch", "retrain", "watch", "retrain", "watch", "retrain", "watch", "retrain",
    ]  # fmt: skip


def test_a_rollback_is_for_a_person_until_the_evidence_ends():
    decided = redecide("p", judged(*LONG[:5], ".", "concept", "concept"), POLICY,
                       record=ended(1, "rolled_back"))  # fmt: skip
    assert actions(decided) == [
        "watch", "retrain", "watch", "investigate", "investigate", "none", "watch", "retrain",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["failed", "kept"])
def test_retrainings_that_change_nothing_cool_down_and_are_counted(how):
    both = {week(1).end * DAY: how, week(3).end * DAY: how}
    decided = redecide("p", judged(*LONG), POLICY, record=Record(endings=both))
    assert actions(decided)[:6] == ["watch", "retrain", "watch", "retrain", "watch", "investigate"]
    once = redecide("p", judged(*LONG), replace(POLICY, attempts=1), record=ended(1, how))
    assert actions(once)[:4] == ["watch", "retrain", "watch", "investigate"]


def test_only_a_model_that_stands_makes_the_champion_younger():
    for how, known in [("failed", None), ("rolled_back", None), ("kept", 14 * DAY), ("", 14 * DAY)]:
        decided = redecide("p", judged("concept", "concept", "."), POLICY, record=ended(1, how))
        assert decided[2][1].trained_at == known


def test_faulty_windows_neither_end_nor_feed_what_lasts():
    assert actions(redecide("p", judged("concept", "data_fault", "concept"), POLICY)) == [
        "watch", "investigate", "retrain",
    ]  # fmt: skip
    moved = redecide("p", judged("concept", "population+performance", "concept"), POLICY)
    assert actions(moved) == ["watch", "watch", "retrain"]


def test_data_that_hurt_the_scores_are_looked_at_and_never_retrain():
    decided = redecide("p", judged(*["population+performance"] * 4), POLICY)
    assert actions(decided) == ["watch", "investigate", "investigate", "investigate"]


def test_both_wait_for_a_person_but_not_for_ever():
    both = judged(*["population+concept"] * 4)
    assert actions(redecide("p", both, POLICY)) == ["watch", "investigate", "investigate",
                                                    "retrain"]  # fmt: skip
    known = Record(acknowledged=frozenset({week(1).end * DAY}))
    assert actions(redecide("p", both, POLICY, record=known)) == ["watch", "investigate",
                                                                  "retrain", "watch"]  # fmt: skip


def test_what_the_ledger_says_of_retrainings_and_acknowledgements():
    rows = recorded(POLICY, "concept", "concept")
    trigger = rows[1].decision.trigger_id
    steps = [Step("p", trigger, name, {}, 0) for name in ("started", "promoted", "rolled_back")]
    acks = [Ack("p", week(1).end, "ana", "seen", 0)]
    record = record_of(rows, lambda window: window.end * DAY, steps, acks)
    end = week(1).end * DAY
    assert record == Record(frozenset({end}), {end: "rolled_back"}, frozenset({end}))
    assert [ending_of(some) for some in (["started"], ["kept"], ["promoted", "confirmed"])] == [
        "", "kept", "promoted",
    ]  # fmt: skip


def test_the_same_policy_decides_the_same_again():
    rows = recorded(POLICY, *LONG, "data_fault", ".", "population", "staleness+concept")
    assert not any(one.differs for one in replay(rows, POLICY))
    assert [one.decision for one in replay(rows, POLICY)] == [row.decision for row in rows]


def test_another_policy_side_by_side():
    rows = recorded(POLICY, "concept", "concept", "concept", "data_fault", "data_fault", ".")
    never, eager = replace(POLICY, retrain_on=()), replace(POLICY, hysteresis=1, cool_down=0)
    now, other = compared(replay(rows, never))
    assert (len(now.retrainings), len(other.retrainings)) == (1, 0)
    assert now.pages == other.pages == (week(3),)
    assert len(compared(replay(rows, eager))[1].retrainings) == 3
    document = replay(rows, never)[1].to_json()
    assert (document["recorded"]["action"], document["policy"]["action"]) == ("retrain", "watch")
    assert document["differs"]


def test_a_window_is_replayed_as_it_was_decided_first():
    rows = recorded(POLICY, "concept", ".")
    late = replace(rows[0], evidence=(found("data_fault", 0),), cursor=9)
    assert first_entries([*rows, late]) == rows
    assert replay([], POLICY) == []


# -- pages -----------------------------------------------------------------------------------------


def decided(*kinds):
    return [
        Decided(week(at), "investigate" if evidence else "none", evidence)
        for at, evidence in enumerate(history(*kinds))
    ]


def pages(*kinds, acks=()):
    return [one.first for one in incidents(decided(*kinds), acks)]


def test_what_lasts_is_one_page():
    assert pages("data_fault", "data_fault", "data_fault") == [week(0)]
    assert pages("data_fault", ".", "data_fault") == [week(0), week(2)]


def test_what_joins_an_incident_belongs_to_it_and_another_is_another():
    rows = [
        Decided(week(0), "investigate", (found("data_fault", 0, "a"),)),
        Decided(week(1), "investigate", (found("data_fault", 1, "a"), found("data_fault", 1, "b"))),
        Decided(week(2), "investigate", (found("data_fault", 2, "b"),)),
        Decided(week(3), "investigate", (found("volume", 3, "rows"),)),
    ]
    first, second = incidents(rows)
    assert (first.first, first.last, first.is_open) == (week(0), week(2), False)
    assert first.topics == {"data_fault:a", "data_fault:b"}
    assert (second.first, second.is_open) == (week(3), True)


def test_what_another_alert_tells_of_is_an_incident_and_no_page():
    blocked = found("data_fault", 0, "weather:block")
    rows = [
        (week(0), (blocked, found("volume", 0, "rows")), ()),
        (week(2), (found("data_fault", 2, "a"),), ()),
        (week(3), (found("data_fault", 3, "a"), replace(blocked, window=week(3))), ()),
        (week(5), (), (ROLLED_BACK,)),
    ]
    quiet = [(week(1), (), ()), (week(4), (), ())]
    told = [
        (window, evidence, Decision("investigate" if evidence or why else "none", why))
        for window, evidence, why in sorted([*rows, *quiet], key=lambda row: row[0])
    ]
    known = incidents([Decided(w, d.action, e, d.reasons) for w, e, d in told])
    assert [one.first for one in known] == [week(0), week(2), week(5)]
    assert tally(told).pages == (week(2),)  # what joined it later took no page back
    counted = figures([], known, [])
    assert (counted.incidents, counted.pages) == (3, 1)


def test_what_is_acknowledged_may_pause_and_pages_nobody():
    known = [Ack("p", week(0).end, "ana", "a sensor", 5), Ack("p", week(0).end, "bo", "too", 6)]
    again = ["data_fault", ".", "data_fault", ".", ".", "data_fault"]
    assert pages(*again) == [week(0), week(2), week(5)]
    assert pages(*again, acks=known) == [week(0), week(5)]
    assert incidents(decided(*again), known)[0].acknowledged == known[0]


def test_what_was_mended_is_over():
    found = incidents(decided(".", "data_fault"))
    assert [one.is_open for one in found] == [True]
    assert [one.is_open for one in settled(found, {week(1).end: ()})] == [False]
    again = settled(found, {week(1).end: history(".", "data_fault+volume")[1]})
    assert [one.is_open for one in again] == [True]
    spent = incidents([Decided(week(0), "investigate", (), ("The budget is spent.",))])
    assert settled(spent, {week(0).end: ()}) == spent


def test_a_watch_pages_nobody():
    assert incidents([Decided(week(0), "watch", (found("population", 0),))]) == []
    spent = Decided(week(0), "investigate", (), ("The budget is spent.",))
    assert [one.sentence for one in incidents([spent])] == ["The budget is spent."]
