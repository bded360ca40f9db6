"""What a person accepts: quiet from there on, held to it, and never the start of a retraining."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from headrace.cli import app as commands
from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.home import Home
from headrace.core.permissions import Grant, local_user
from headrace.core.permissions import PermissionPolicy as Grants
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.monitoring import DecisionLedger, Evidence, State, Window, advance, decide, monitor
from headrace.monitoring.decisions.history import record_of
from headrace.monitoring.decisions.ledger import Acceptance, newest_entries
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.replay import replay
from headrace.monitoring.detectors.measures import MeasuredWindow
from headrace.monitoring.evidence.acceptance import in_force, open_topics
from headrace.monitoring.run_details import write_details
from headrace.operations.monitor_accept import accept
from headrace.report_server.actions import Acting, Caller
from headrace.report_server.site import Site
from headrace.reports.monitor import render
from headrace.reports.monitor.facts import monitor_report
from tests.monitoring.watched import Watched
from tests.monitoring.worlds import FIRST, LATER, changed, scored, spec, weeks_of, world

SINCE = 12  # the week in which it changes
WEEKS = 22


def some(value, share):
    """A change of values: so great a share of them becomes `value`."""
    return lambda old: np.where(np.arange(len(old)) * 7919 % 100 < 100 * share, value, old)


def per_hour(values):
    return values * 36


class Watch:
    """A monitor that is run week by week, and what it has on its ledger."""

    def __init__(self, folder, policy="version: 1\n"):
        self.home, self.spec = Home(folder / "home"), spec(folder, policy)
        self.ledger = DecisionLedger(self.home)

    def run(self, frame, until=WEEKS, scores=None, slots=()):
        keep = pa.array(weeks_of(frame) < until)
        scores = None if scores is None else scores.filter(keep)
        return monitor(self.spec, frame.filter(keep), scores, slots, self.home, LATER)

    def accept(self, week, reason="meant so", **changes):
        end = self.entries[week].window.end
        about = tuple(sorted(open_topics(self.entries[week].evidence)))
        said = Acceptance("world", end, "ana", reason, about, 5)
        assert self.ledger.accept(replace(said, **changes))
        return about

    @property
    def entries(self):
        return list(newest_entries(self.ledger.entries("world")).values())


def acts(made, first, last=None):
    return [one.decision.action for one in made.results[first:last]]


def loud(result):
    return {(e.kind, e.subject) for e in result.evidence if e.severity == "alarm"}


@pytest.mark.parametrize(
    ("column", "change", "back"),
    [
        ("carrier", some("WN", 0.15), "population"),
        ("speed", per_hour, "data_fault"),
        ("speed", lambda v: np.full(len(v), np.nan), "data_fault"),
    ],
)
def test_accepted_it_is_quiet_and_what_moves_back_is_told(tmp_path, column, change, back):
    frame, lasts = world(WEEKS, rows=100), range(SINCE, 19)
    frame = changed(frame, column, change, lasts)
    watch = Watch(tmp_path)
    before = watch.run(frame, 15)
    assert acts(before, SINCE) == ["investigate"] * 3  # for ever, were it not for a person
    about = watch.accept(SINCE)
    assert about == (f"data_fault:{column}",)
    made = watch.run(frame)
    assert acts(made, 15, 19) == ["none"] * 4
    assert back in {kind for kind, _ in loud(made.results[19])}

    window = made.results[SINCE]
    assert not loud(window)
    told = next(e for e in window.evidence if e.accepted)
    assert (told.severity, told.accepted) == ("notice", 1)
    assert told.sentence.endswith("Accepted by ana: meant so.")
    assert acts(made, SINCE, 15) == ["watch", "none", "none"]
    first = [e for e in watch.ledger.entries("world") if e.window == window.window]
    assert [e.decision.action for e in first] == ["investigate", "watch"]


def test_a_unit_that_is_taken_back_in_the_next_week_is_told(tmp_path):
    frame = changed(world(14, rows=100), "speed", per_hour, [SINCE])
    watch = Watch(tmp_path)
    watch.run(frame, 13)
    watch.accept(SINCE)
    assert loud(watch.run(frame).results[13]) == {("data_fault", "speed")}


def test_a_sensor_that_lies_elsewhere_than_the_others_say(tmp_path):
    """Its own range is as ever, so that only the relation tells, before and after."""
    frame = world(28, rows=60)
    rng = np.random.default_rng(3)
    base = np.nan_to_num(frame["speed"].to_numpy(), nan=50.0)
    for name in ("left", "right"):
        frame = frame.append_column(name, pa.array(base + rng.normal(0, 1, frame.num_rows)))
    frame = changed(frame, "right", lambda v: v + 8, range(SINCE, 25))
    watch = Watch(tmp_path)
    before = watch.run(frame, 15)
    assert acts(before, SINCE) == ["investigate"] * 3
    assert watch.accept(SINCE) == ("data_fault:right",)
    made = watch.run(frame, 28)
    assert acts(made, SINCE + 1, 25) == ["none"] * 12
    assert {e.columns[0] for e in made.results[25].evidence if e.severity == "alarm"} == {"right"}
    assert made.results[25].decision.action == "investigate"


def test_how_far_an_accepted_column_went_is_not_usual():
    ratios = {
        "measured": {"shape": {"a": 9.0, "b": 0.5}},
        "limits": {"shape": {"a": 1.0, "b": 1.0}},
    }
    seen = MeasuredWindow(Window(0, 7), None, {}, **ratios)
    assert (seen.strain("shape"), replace(seen, renewed={"a"}).strain("shape")) == (9.0, 0.5)


def test_another_fault_of_an_accepted_column_is_told(tmp_path):
    frame = changed(world(WEEKS, rows=100), "carrier", some("WN", 0.4), range(SINCE, WEEKS))
    frame = changed(frame, "carrier", some("??", 0.1), [17])
    frame = changed(frame, "carrier", some(None, 0.3), [19])
    frame = changed(frame, "speed", per_hour, [20])
    watch = Watch(tmp_path)
    watch.run(frame, 13)
    watch.accept(SINCE)
    made = watch.run(frame)
    assert [bool(loud(one)) for one in made.results[13:]] == [
        False, False, False, False, True, False, True, True, False,
    ]  # fmt: skip
    assert loud(made.results[17]) == {("data_fault", "carrier")}
    assert loud(made.results[19]) >= {("data_fault", "carrier")}
    assert loud(made.results[20]) >= {("data_fault", "speed")}


def test_only_what_was_known_is_accepted(tmp_path):
    frame = changed(world(WEEKS, rows=100), "speed", per_hour, range(SINCE, WEEKS))
    watch = Watch(tmp_path)
    watch.run(frame, 13)
    watch.accept(SINCE)
    # a correction of the same window brings another fault with it
    frame = changed(frame, "count", lambda v: v + 900, [SINCE])
    missing = {"table": "flights", "slot": "2020-04-01", "verdict": "MISSING"}
    made = watch.run(frame, 15, slots=[missing])
    assert loud(made.results[SINCE]) == {("data_fault", "count"), ("data_fault", "flights:missing")}
    assert acts(made, 13) == ["none"] * 2


def test_so_many_rows_and_rows_that_come_twice_can_be_right(tmp_path):
    frame = world(WEEKS, rows=60)
    weeks = weeks_of(frame)
    frame = pa.concat_tables([frame, frame.filter(pa.array(weeks >= SINCE))])
    watch = Watch(tmp_path)
    before = watch.run(frame, 14)
    assert loud(before.results[13]) == {("volume", "rows"), ("data_fault", "rows:twice")}
    watch.accept(SINCE)
    made = watch.run(frame)
    assert acts(made, SINCE) == ["watch", *["none"] * (WEEKS - SINCE - 1)]


def test_taken_back_it_is_judged_as_before(tmp_path):
    frame = changed(world(18, rows=100), "speed", per_hour, range(SINCE, 18))
    watch = Watch(tmp_path)
    before = watch.run(frame, 14)
    about = watch.accept(SINCE)
    watch.run(frame, 14)
    watch.accept(SINCE, "a mistake", about=about, withdrawn=True)
    made = watch.run(frame)
    assert [one.evidence for one in made.results[:14]] == [one.evidence for one in before.results]
    assert acts(made, 14) == ["investigate"] * 4
    assert [e.decision.action for e in watch.entries[SINCE:]] == ["investigate"] * 6
    assert in_force(watch.ledger.acceptances("world")) == {}


# -- nothing is retrained by it --------------------------------------------------------------------

TRUSTING = "version: 1\nretrain_on: [concept, performance, population]\nquorum: 1\nhysteresis: 2\n"


def turned(frame, since=SINCE, rest=WEEKS):
    """The same frame in another unit, and labels that are turned from then on."""
    frame = changed(frame, "speed", per_hour, range(since, rest))
    return frame, scored(frame, flipped=range(since, rest))


def test_nothing_is_retrained_for_what_was_decided(tmp_path):
    """Under the most trusting policy: what is looked at again starts nothing."""
    frame, scores = turned(world(WEEKS, rows=100))
    watch = Watch(tmp_path, TRUSTING)
    before = watch.run(frame, 17, scores)
    assert "retrain" not in acts(before, 0)
    watch.accept(SINCE)
    made = watch.run(frame, 17, scores)
    assert "retrain" not in acts(made, 0)
    assert any("starts nothing" in one.decision.reasons[-1] for one in made.results[SINCE:])
    assert not any(one.decision.trigger_id for one in watch.ledger.entries("world"))


def test_data_that_are_right_and_a_relation_that_holds_retrain_nothing(tmp_path):
    frame = changed(world(WEEKS, rows=100), "speed", per_hour, range(SINCE, WEEKS))
    scores = scored(frame)
    watch = Watch(tmp_path, TRUSTING)
    watch.run(frame, 14, scores)
    watch.accept(SINCE)
    for until in range(15, WEEKS + 1):
        assert acts(watch.run(frame, until, scores), 14) == ["none"] * (until - 14)


def test_a_relation_that_moved_has_to_last_in_windows_whose_data_are_well(tmp_path):
    """Accepted in the same week: its own window does not count, two whole ones do."""
    frame, scores = turned(world(WEEKS, rows=100))
    watch = Watch(tmp_path, "version: 1\nhysteresis: 2\n")
    watch.run(frame, 13, scores)
    watch.accept(SINCE)
    week = [acts(watch.run(frame, until, scores), until - 1)[0] for until in (14, 15)]
    assert week == ["watch", "retrain"]
    told = watch.entries[14].decision.reasons
    assert any("has lasted 2 windows" in one for one in told)
    # the same ledger, read again, says the same
    entries = watch.ledger.entries("world")
    record = record_of(entries, watch.spec.closes, (), ())
    rows = replay(entries, watch.spec.policy(), closes=watch.spec.closes, record=record)
    assert [one.decision for one in rows] == [one.recorded for one in rows]


def test_what_was_seen_again_is_replayed_as_it_stood(tmp_path):
    """Accepted late: the windows between have lasted; it is asked of the next one, and replayed."""
    frame, scores = turned(world(WEEKS, rows=100))
    watch = Watch(tmp_path, "version: 1\nhysteresis: 4\n")
    watch.run(frame, 15, scores)
    watch.accept(SINCE)
    made = watch.run(frame, 18, scores)
    assert acts(made, 15) == ["watch", "retrain", "watch"]
    entries = watch.ledger.entries("world")
    assert len(entries) > 18
    record = record_of(entries, watch.spec.closes, (), ())
    rows = replay(entries, watch.spec.policy(), closes=watch.spec.closes, record=record)
    assert [one.decision for one in rows] == [one.recorded for one in rows]
    again = watch.run(frame, 18, scores)
    assert (again.recorded, again.results) == (0, made.results)


def found(kind, number, *, accepted=0, severity="alarm"):
    window = Window(number * 7, number * 7 + 7)
    return Evidence(kind, window, "s", 2.0, 1.0, severity, f"{kind}.", (), (), accepted)


@pytest.mark.parametrize(
    ("others", "doubtful"),
    [((), False), ((found("contract", 1, severity="notice"),), False),
     ((found("data_fault", 1, severity="notice"),), True)],
)  # fmt: skip
def test_accepted_data_end_the_doubt_and_feed_nothing(others, doubtful):
    policy = Policy()
    evidence = (found("data_fault", 1, accepted=1, severity="notice"), *others, found("concept", 1))
    state = State("p", Window(7, 14), 14, cause="concept", streak=5, doubtful=True)
    made = decide(evidence, state, policy)
    assert (made.action, made.trigger_id) == ("watch", None)
    after = advance(state, evidence, made, policy)
    assert (after.streak, after.since, after.doubtful) == (5, None, doubtful)


# -- the ledger ------------------------------------------------------------------------------------


def said(reason="meant so", *, withdrawn=False, about=("data_fault:x",)):
    return Acceptance("p", 14, "ana", reason, about, 5, withdrawn)


def test_an_acceptance_is_on_record_once_and_again_after_it_was_taken_back(tmp_path):
    ledger = DecisionLedger(Home(tmp_path))
    order = [said(), said(), said("better so"), said(withdrawn=True), said(withdrawn=True), said()]
    assert [ledger.accept(one) for one in order] == [True, False, True, True, False, True]
    rows = ledger.acceptances("p")
    assert [one.cursor for one in rows] == [1, 2, 3, 4]
    assert [(one.reason, one.withdrawn) for one in rows[:3]] == [
        ("meant so", False), ("better so", False), ("meant so", True),
    ]  # fmt: skip
    assert in_force(rows[:2])[14]["data_fault:x"].cursor == 1
    assert in_force(rows[:3]) == {}
    assert in_force(rows)[14]["data_fault:x"].cursor == 4
    assert ledger.acceptances("q") == []


def test_a_ledger_of_format_3_is_brought_up_to_date(tmp_path):
    """What format 3 had stays as it is, evidence hashes with it."""
    from tests.monitoring.test_decision_ledger import entry

    ledger = DecisionLedger(Home(tmp_path))
    ledger.append([entry(1), entry(2)])
    ledger.acknowledge("p", 14, "ana", "known strike", 5)
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("DROP TABLE acceptances")
        db.execute("PRAGMA user_version = 3")
        before = db.execute("SELECT * FROM decisions").fetchall()
    opened = DecisionLedger(Home(tmp_path))
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT * FROM decisions").fetchall() == before
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
        assert all(one[4] == e.evidence_hash
                   for one, e in zip(before, opened.entries("p"), strict=True))  # fmt: skip
    assert len(opened.acks("p")) == 1
    assert opened.accept(said())
    assert json.loads(json.dumps(opened.entries("p")[0].to_json()))["evidence"]


# -- the command -----------------------------------------------------------------------------------

DAY_OF_IT = "2020-03-31"  # in week 12
ANA = {
    "principal": "ana",
    "reason": "meant so",
    "policy": Grants({"ana": Grant(frozenset({"accept"}))}),
}


@pytest.fixture
def watch(tmp_path):
    """Ten weeks, then the table does not come for one, then the unit is another."""
    frame = changed(world(15, rows=60), "speed", per_hour, range(SINCE, 15))
    slots = [{"table": "flights", "slot": "2020-03-18", "verdict": "BLOCK"}]
    made = Watch(tmp_path)
    made.frame, made.slots = frame, slots
    write_details(made.home, made.run(frame, 14, slots=slots))
    learned = SimpleNamespace(training_until=FIRST + 5 * DAY)
    made.pipeline = Watched("world", made.spec, learned, SimpleNamespace(name="model"))
    return made


def test_the_command_and_what_comes_of_it(watch, monkeypatch):
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [watch.pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(watch.home.root))

    def command(*words, code=0):
        done = CliRunner().invoke(commands.app, ["monitor", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert "headrace monitor accept 2020-03-30 --pipeline world" in command("status", code=1)
    assert "headrace monitor accept 2020-03-30" in render(
        monitor_report(watch.pipeline, watch.home)
    )
    words = ("accept", DAY_OF_IT, "--reason", "km/h by the new firmware")
    assert "speed accepted by" in command(*words)
    assert "speed already accepted by" in command(*words)
    assert "km/h by the new firmware" in command("status")  # somebody knows; nobody is paged
    write_details(watch.home, watch.run(watch.frame, 15, slots=watch.slots))
    assert "nothing is open" in command("status").lower()
    told = json.loads(command("explain", DAY_OF_IT, "--json"))
    assert (told["action"], told["later"][0]["action"]) == ("investigate", "watch")
    assert told["accepted"][0]["about"] == ["data_fault:speed"]
    assert "km/h by the new firmware" in told["later"][0]["reasons"][0]
    assert "speed by" in command("explain", DAY_OF_IT)
    page = render(monitor_report(watch.pipeline, watch.home))
    assert "accepted the data (speed): km/h by the new firmware" in page

    done = json.loads(command(*words[:2], "--withdraw", "--reason", "no", "--json"))
    assert (done["withdrawn"], done["changed"], done["about"]) == (True, True, ["data_fault:speed"])
    assert "no longer accepted" in command("explain", DAY_OF_IT)
    watch.run(watch.frame, 15, slots=watch.slots)
    assert open_topics(watch.entries[-2].evidence) == {"data_fault:speed"}


@pytest.mark.parametrize(
    ("which", "more", "words"),
    [
        ("2020-02-11", {}, "2020-02-10 to 2020-02-16 has no data fault"),
        ("2020-03-18", {}, "gates and sources reported the fault: flights is blocked"),
        (DAY_OF_IT, {"withdraw": True}, "nothing of 2020-03-30 to 2020-04-05 was accepted"),
        (DAY_OF_IT, {"reason": " "}, "a principal and a reason"),
    ],
)
def test_what_cannot_be_accepted(watch, which, more, words):
    with pytest.raises(DeclarationError, match=words):
        accept(watch.pipeline, watch.home, which, **ANA | more)
    assert watch.ledger.acceptances("world") == []


def test_who_may_only_acknowledge_cannot_accept(watch):
    grants = Grants({"eve": Grant(frozenset({"ack"}))})
    with pytest.raises(RefusedError, match="eve may not accept"):
        accept(watch.pipeline, watch.home, "last", **ANA | {"principal": "eve", "policy": grants})
    assert watch.ledger.acceptances("world") == []


@pytest.mark.parametrize("words", [{}, {"withdraw": True}])
def test_what_is_in_force_is_on_the_audit_trail(watch, monkeypatch, words):
    """Killed before it is on the trail, it is not in force; said again, it is both, once."""
    before = [accept(watch.pipeline, watch.home, "last", **ANA)[0]] if words else []

    def die(*_):
        raise KeyboardInterrupt

    again = ANA | {"reason": "killed"} | words
    with monkeypatch.context() as patch:
        patch.setattr("headrace.operations.monitor_accept.record", die)
        with pytest.raises(KeyboardInterrupt):
            accept(watch.pipeline, watch.home, "last", **again)
    assert watch.ledger.acceptances("world") == before
    done = [accept(watch.pipeline, watch.home, "last", **again) for _ in range(2)]
    assert [new for _, new in done] == [True, False]
    assert done[0][0] == done[1][0]
    with Ledger(watch.home) as ledger:
        assert [one.reason for one in actions(ledger, "world")].count("killed") == 1


HERE = Caller("127.0.0.1", {"host": "127.0.0.1:3070", "origin": "http://127.0.0.1:3070"})


def test_an_incident_is_acknowledged_and_accepted_on_the_page_of_its_monitor(watch):
    site = Site([watch.pipeline], watch.home, Acting())
    assert "<form" not in site.answer("/monitor/world").body.decode()
    page = site.answer("/monitor/world", HERE).body.decode()
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))

    def send(**more):
        return site.act("/monitor/world", {**fields, "reason": "new firmware", **more}, HERE)

    assert send(action="accept", token="").status == 403
    assert send(action="accept", reason=" ").status == 422
    refused = send(action="accept", **{"accept-day": "x"})
    assert refused.status == 422
    assert "is not a day" in refused.body.decode()
    assert watch.ledger.acceptances("world") == []
    done = send(action="accept")
    assert (done.status, done.location) == (303, "./world#top")
    (accepted,) = watch.ledger.acceptances("world")
    assert (accepted.principal, accepted.reason) == (local_user(), "new firmware")
    done = send(action="ack")
    assert done.status == 303
    assert [one.principal for one in watch.ledger.acks("world")] == [local_user()]
