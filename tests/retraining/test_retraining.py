"""From a trigger to a champion: each step once, no fault learned from, rolled back if worse."""

import multiprocessing
import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from bench.retraining_world import FrameWorld, live
from headrace.alerts.model import FAILED, ROLLED_BACK
from headrace.cli import app as commands
from headrace.core.clock import DAY, HOUR, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import DatasetSpec, open_release
from headrace.models import champion, find_model, history, promote, train
from headrace.models.retraining_config import Retraining
from headrace.models.training_rows import Recipe
from headrace.monitoring import Decision, DecisionLedger, Entry, Evidence, MonitorSpec, Window
from headrace.monitoring.evidence.model import day_number
from headrace.pipeline.rolled_splits import with_rolled_splits
from headrace.retraining import workflow as retraining
from headrace.retraining.promotion_watch import _over, watch_over
from headrace.retraining.request import Request, by_hand, faulty_spans, requested
from headrace.retraining.service import page_endings
from headrace.retraining.workflow import at_work, plan_of, retrain, verdict
from tests.retraining.worlds import FIRST, WEEK, rows, world

TURN = FIRST + 16 * WEEK
START = day_number("2024-01-01")


def entry(week, *evidence, action="none", trigger=None, at=0):
    window = Window(START + 7 * week, START + 7 * week + 7)
    found = tuple(replace(one, window=window) for one in evidence)
    return Entry("made_up", window, Decision(action, ("Because.",), trigger), found, "p", at)


W = Window(0, 7)
CONCEPT = Evidence("concept", W, "ranking", 0.3, 0.1, "alarm", "Moved.", (), (("place", "b"),))
FAULT = Evidence("data_fault", W, "x__level", 1.0, 0.5, "alarm", "Frozen.", ("x__level",))


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A world that turned at week 16, whose champion is from week 10; copied by `fresh`."""
    folder = tmp_path_factory.mktemp("turned")
    made = world(folder, rows(weeks=28, turned_from=TURN))
    made.begin(FIRST + 10 * WEEK)
    DecisionLedger(made.home).append(
        [
            entry(12),
            entry(13, FAULT, action="investigate"),
            entry(14),
            entry(20, CONCEPT, action="watch"),
            entry(21, CONCEPT, action="retrain", trigger="t1"),
        ]
    )
    return made


def copied(made, folder):
    shutil.copytree(made.home.root, folder / "home")
    return world(folder, made.frame)


@pytest.fixture
def fresh(turned, tmp_path):
    return copied(turned, tmp_path)


@pytest.fixture(scope="module")
def retrained(turned, tmp_path_factory):
    made = copied(turned, tmp_path_factory.mktemp("retrained"))
    return made, retrain(made, ask(made))


@pytest.fixture
def promoted(retrained, tmp_path):
    """The world after its retraining."""
    return copied(retrained[0], tmp_path)


def ask(made: FrameWorld, trigger="t1") -> Request:
    return requested(made.monitor, DecisionLedger(made.home), trigger)


def test_what_a_decision_asks_for(fresh):
    request = ask(fresh)
    assert request.as_of == FIRST + 22 * WEEK
    assert request.segment == (("place", "b"),)
    # the first alarm in a row, judged on predictions of the two days before its window
    assert request.onsets == (FIRST + 20 * WEEK - 2 * DAY, FIRST + 18 * WEEK - 2 * DAY)
    assert Request.from_json("t1", request.to_json()) == request
    with pytest.raises(StateError, match="no decision"):
        ask(fresh, "unknown")


def test_a_window_that_later_evidence_clears_is_not_faulty(fresh):
    ledger = DecisionLedger(fresh.home)
    (span,) = faulty_spans(fresh.monitor, ledger.entries("made_up"), FIRST + 30 * WEEK)
    assert (span.from_us, span.until_us) == (FIRST + 13 * WEEK, FIRST + 14 * WEEK)
    assert span.because == "data_fault x__level"
    assert faulty_spans(fresh.monitor, ledger.entries("made_up"), FIRST + 12 * WEEK) == []
    ledger.append([entry(13)])
    assert faulty_spans(fresh.monitor, ledger.entries("made_up"), FIRST + 30 * WEEK) == []


def test_a_retraining_is_on_record_step_by_step(turned, retrained):
    fresh, outcome = retrained
    before = champion(turned.home, "turn")
    assert list(outcome.steps) == [
        "started", "released", "trained", "compared", "promoted", "watching",
    ]  # fmt: skip
    released, compared = outcome.steps["released"], outcome.steps["compared"]
    assert released["dataset"] == "made_up@1.1.0"
    assert released["withheld_rows"] == 7 * 80
    data = open_release("made_up@1.1.0", store=fresh.home.store)
    for split in ("train", "valid", "test"):
        t = data.split(split).arrow["t"].cast(pa.int64()).to_numpy()
        assert not np.any((t >= FIRST + 13 * WEEK) & (t < FIRST + 14 * WEEK))
    assert outcome.steps["trained"]["recipe"].startswith("since")
    assert compared["champion"] == before.bundle_id
    assert compared["comparison"]["interval"]["high"] < 0
    assert compared["frozen"]["row_sum"] == data.manifest.splits["test"].row_sum
    assert 0 <= compared["representative"]["mix_distance"]["place"] < 0.1
    now = champion(fresh.home, "turn")
    assert now.bundle_id == outcome.steps["promoted"]["bundle"] != before.bundle_id
    assert all({"seconds", "cpu_s"} <= set(found) for found in outcome.steps.values())
    again = retrain(fresh, ask(fresh))
    assert not again.began
    assert again.steps == outcome.steps
    assert len(history(fresh.home, "turn")) == 2


@dataclass(frozen=True)
class Declared:
    """What of a pipeline says where its splits end."""

    dataset: DatasetSpec
    monitor: MonitorSpec
    retraining: Retraining

    @property
    def monitors(self):
        return (self.monitor,)

    def with_dataset(self, dataset):
        return replace(self, dataset=dataset)


def test_the_splits_stay_where_they_were_rolled_to_when_the_plan_changes(promoted):
    """The plan of the next retraining moves no release before it."""
    pipeline = Declared(promoted.dataset, promoted.monitor, promoted.plan)
    stands, withheld = with_rolled_splits(pipeline, promoted.home)
    (released,) = [
        one for one in DecisionLedger(promoted.home).steps("made_up") if one.step == "released"
    ]
    as_of = FIRST + 22 * WEEK
    assert stands.dataset.splits.bounds[1:] == (as_of - 14 * DAY, as_of)
    assert len(withheld) == len(released.detail["withheld"]) == 1
    other = replace(pipeline, retraining=Retraining(valid="5d", test="30d"))
    assert with_rolled_splits(other, promoted.home)[0].dataset == stands.dataset


def test_a_release_that_does_not_say_how_long_its_parts_were_has_those_of_today(promoted):
    ledger = DecisionLedger(promoted.home)
    detail = {"as_of": "2024-05-01", "declared": promoted.declared(), "withheld": []}
    ledger.record_step("made_up", "old", "released", detail, 0)
    pipeline = Declared(promoted.dataset, promoted.monitor, Retraining(test="30d"))
    bounds = with_rolled_splits(pipeline, promoted.home)[0].dataset.splits.bounds
    assert bounds[2] - bounds[1] == 30 * DAY


STEPS = ["started", "released", "trained", "compared", "promoted", "watching"]


def test_a_retraining_killed_in_every_step_goes_on_where_it_was(fresh, monkeypatch):
    """Killed after the work of a step, before it is on record: the worst moment."""

    class Killed(BaseException):
        pass

    real, killed = DecisionLedger.record_step, []

    def record(self, pipeline, trigger_id, step, detail, when):
        if step not in killed:
            killed.append(step)
            raise Killed
        return real(self, pipeline, trigger_id, step, detail, when)

    monkeypatch.setattr(DecisionLedger, "record_step", record)
    fresh.plan = replace(fresh.plan, attempts=9)
    for _ in STEPS:
        with pytest.raises(Killed):
            retrain(fresh, ask(fresh))
    outcome = retrain(fresh, ask(fresh))
    assert list(outcome.steps) == killed == STEPS
    ledger = DecisionLedger(fresh.home)
    assert [one.step for one in ledger.steps("made_up", "t1")] == STEPS
    assert [one.sequence for one in history(fresh.home, "turn")] == [1, 2]
    assert open_release("made_up@latest", store=fresh.home.store).ref == "made_up@1.1.0"
    assert ledger.begin_attempt("made_up", "t1", 0) == 8


@pytest.mark.parametrize("step", ["released", "compared"])
def test_what_asked_turns_out_to_be_a_fault(fresh, monkeypatch, step):
    """A correction or a recall is judged between the trigger and the promotion."""
    ledger, real = DecisionLedger(fresh.home), DecisionLedger.record_step

    def record(self, pipeline, trigger_id, done, detail, when):
        if done == step:
            ledger.append([entry(21, CONCEPT, FAULT, action="watch")])
        return real(self, pipeline, trigger_id, done, detail, when)

    monkeypatch.setattr(DecisionLedger, "record_step", record)
    before = champion(fresh.home, "turn")
    outcome = retrain(fresh, ask(fresh))
    assert outcome.summary == "kept: the triggering window is now known to be faulty: Frozen."
    assert champion(fresh.home, "turn").bundle_id == before.bundle_id


def test_a_fault_that_comes_back_is_withheld_again(fresh):
    """Mended by a correction that is then recalled."""
    ledger = DecisionLedger(fresh.home)
    ledger.append([entry(13)])
    ledger.append([entry(13, FAULT, action="investigate")])
    spans = faulty_spans(fresh.monitor, ledger.entries("made_up"), FIRST + 30 * WEEK)
    assert [one.from_us for one in spans] == [FIRST + 13 * WEEK]


def test_killed_for_good_after_its_promotion_is_watched_all_the_same(fresh, monkeypatch):
    class Killed(BaseException):
        pass

    real = DecisionLedger.record_step

    def record(self, pipeline, trigger_id, step, detail, when):
        if step == "promoted":
            raise Killed
        return real(self, pipeline, trigger_id, step, detail, when)

    fresh.plan = replace(fresh.plan, attempts=2)
    with monkeypatch.context() as patch:
        patch.setattr(DecisionLedger, "record_step", record)
        for _ in range(2):
            with pytest.raises(Killed):
                retrain(fresh, ask(fresh))
    assert list(retrain(fresh, ask(fresh)).steps) == STEPS


def test_a_promotion_that_could_not_be_recorded_has_not_failed(fresh, monkeypatch):
    real = DecisionLedger.record_step

    def record(self, pipeline, trigger_id, step, detail, when):
        if step == "promoted":
            raise OSError("database is locked")
        return real(self, pipeline, trigger_id, step, detail, when)

    fresh.plan = replace(fresh.plan, attempts=1)
    with monkeypatch.context() as patch:
        patch.setattr(DecisionLedger, "record_step", record)
        with pytest.raises(OSError, match="locked"):
            retrain(fresh, ask(fresh))
    assert list(retrain(fresh, ask(fresh)).steps) == STEPS


def test_what_somebody_rolled_back_is_not_put_in_charge_again(fresh, monkeypatch):
    class Killed(BaseException):
        pass

    real, old = DecisionLedger.record_step, champion(fresh.home, "turn")

    def record(self, pipeline, trigger_id, step, detail, when):
        if step == "promoted":
            raise Killed
        return real(self, pipeline, trigger_id, step, detail, when)

    with monkeypatch.context() as patch:
        patch.setattr(DecisionLedger, "record_step", record)
        with pytest.raises(Killed):
            retrain(fresh, ask(fresh))
    promote(fresh.home, old, "a person knows better")
    with pytest.raises(DeclarationError, match="a person replaced it"):
        retrain(fresh, ask(fresh))
    assert champion(fresh.home, "turn").bundle_id == old.bundle_id
    assert DecisionLedger(fresh.home).steps("made_up", "t1")[-1].step == "failed"


def test_a_retraining_that_always_dies_is_given_up(fresh, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(FrameWorld, "release", fail)
    for _ in range(3):
        with pytest.raises(OSError, match="no space"):
            retrain(fresh, ask(fresh))
    outcome = retrain(fresh, ask(fresh))
    assert outcome.steps["failed"]["because"] == "attempt 3: OSError: no space left"
    assert not outcome.began


def test_one_that_is_killed_each_time_is_given_up(fresh):
    ledger = DecisionLedger(fresh.home)
    for n in range(3):
        ledger.begin_attempt("made_up", "t1", n)
    outcome = retrain(fresh, ask(fresh))
    assert outcome.summary == "failed: killed in each of 3 attempts"


def test_what_no_other_attempt_can_mend_fails_at_once(fresh):
    early = replace(ask(fresh), trigger_id="t2", as_of=FIRST + 2 * WEEK)
    with pytest.raises(DeclarationError):
        retrain(fresh, early)
    assert DecisionLedger(fresh.home).steps("made_up", "t2")[-1].step == "failed"


def _hold(root, name, ready, go):
    from headrace.core.home import Home

    with retraining.retraining_lock(Home(root), name):
        ready.set()
        go.wait()


def test_whether_somebody_is_at_work_is_known(fresh):
    assert not at_work(fresh.home, "made_up")
    spawn = multiprocessing.get_context("spawn")
    ready, go = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(fresh.home.root, "made_up", ready, go))
    other.start()
    ready.wait()
    assert at_work(fresh.home, "made_up")
    other.kill()
    other.join()
    other.close()
    assert not at_work(fresh.home, "made_up")


def test_a_champion_that_saw_the_compared_rows_is_not_compared(fresh):
    """As of a moment before the champion's own training, no row is new to both."""
    old = replace(ask(fresh), trigger_id="t3", as_of=FIRST + 8 * WEEK, onsets=(), segment=())
    outcome = retrain(fresh, old)
    assert outcome.summary == (
        "kept: not comparable with the champion: there are no rows to compare on"
    )


def test_a_dry_run_writes_nothing(fresh):
    before = sorted(path for path in fresh.home.root.rglob("*") if path.suffix != ".lock")
    plan = plan_of(fresh, ask(fresh))
    assert (plan["dataset"], plan["change"]) == ("made_up@1.1.0", "MINOR")
    assert plan["candidates"][0] == "all"
    assert "place b" in plan["candidates"][1]
    after = sorted(path for path in fresh.home.root.rglob("*") if path.suffix != ".lock")
    assert [one for one in after if "sqlite" not in one.name] == [
        one for one in before if "sqlite" not in one.name
    ]


def test_a_person_asks_with_what_the_monitor_knows(fresh):
    ledger = DecisionLedger(fresh.home)
    request = Request("manual-1", FIRST + 22 * WEEK, ("new rules",), "ana")
    asked = by_hand(fresh.monitor, ledger, request)
    assert asked.segment == (("place", "b"),)
    assert asked.onsets == ask(fresh).onsets
    calm = replace(request, as_of=FIRST + 15 * WEEK)
    assert by_hand(fresh.monitor, ledger, calm) == calm


@pytest.mark.parametrize("given", [("--reason", "x"), ("--as-of", "2024-01-01"), ("--as", "ana")])
def test_a_trigger_says_all_that_it_asks_for(given):
    done = CliRunner().invoke(commands.app, ["retrain", "--trigger", "t1", *given])
    assert done.exit_code == 2
    assert f"--trigger cannot be combined with {given[0]}" in " ".join(done.stderr.split())


class TestVerdict:
    def found(self, low, high, *worse):
        from headrace.models.compare import ModelComparison

        interval = {"difference": (low + high) / 2, "low": low, "high": high, "blocks": 9}
        one = {"value": "b", "rows": 300, "difference": 0.1, "low": 0.05, "high": 0.2}
        return ModelComparison(
            900, 9, 0.5, 0.5, interval, {"place": [{**one, "worse": w} for w in worse]}
        )

    def test_not_worse_is_promoted(self):
        assert verdict(self.found(-0.1, 0.0005, False), 0.001)[0]
        assert not verdict(self.found(-0.1, 0.002, False), 0.001)[0]
        assert not verdict(self.found(-0.1, float("nan")), 0.001)[0]

    def test_a_single_day_is_no_proof(self):
        one = replace(self.found(-0.1, -0.1, False), days=1)
        assert not verdict(one, 0.001)[0]
        assert not verdict(one, 0.001, tainted=True)[0]

    def test_a_segment_that_gets_worse_refuses_what_improves_the_whole(self):
        promoted, because = verdict(self.found(-0.1, -0.05, False, True), 0.001)
        assert not promoted
        assert "place b: +0.1000 [+0.0500, +0.2000] over 300 rows" in because

    def test_against_a_tainted_champion_the_burden_of_proof_turns_round(self):
        assert verdict(self.found(-0.1, 0.1, True), 0.001, tainted=True)[0]
        assert not verdict(self.found(0.05, 0.1), 0.001, tainted=True)[0]


def watched(made, now):
    return watch_over(made, clock=lambda: now)


def test_a_promotion_that_keeps_its_promise_is_confirmed(promoted):
    as_of = FIRST + 22 * WEEK
    assert [one.step for one in watched(promoted, as_of + WEEK)] == [None]
    (found,) = watched(promoted, as_of + 4 * WEEK + 2 * DAY)
    assert (found.step, found.windows) == ("confirmed", 4)
    assert watched(promoted, as_of + 5 * WEEK) == []
    step = DecisionLedger(promoted.home).steps("made_up", "t1")[-1]
    assert step.detail["comparison"]["interval"]["high"] < 0


def test_a_past_that_is_watched_today_is_on_record_since_today(promoted):
    as_of = FIRST + 22 * WEEK
    (found,) = watch_over(promoted, now=as_of + 4 * WEEK + 2 * DAY, clock=lambda: 7)
    assert found.step == "confirmed"
    assert DecisionLedger(promoted.home).steps("made_up", "t1")[-1].recorded_at == 7


def test_a_window_that_began_before_the_promotion_does_not_count(promoted):
    """A person may ask in the middle of a day."""
    as_of = FIRST + 22 * WEEK
    whole = _over(promoted, as_of, as_of + 3 * WEEK, [])
    assert whole == [as_of + WEEK, as_of + 2 * WEEK]
    assert _over(promoted, as_of + 5 * HOUR, as_of + 3 * WEEK, []) == whole[1:]


@pytest.mark.parametrize(("step", "cause"), [("failed", FAILED), ("rolled_back", ROLLED_BACK)])
def test_how_a_watch_ended_badly_is_told(promoted, monkeypatch, step, cause):
    """It fails where it is lost, and the old champion was trained on a recalled batch."""
    told = []
    monkeypatch.setattr(
        "headrace.alerts.watcher.open_alerts", lambda _home, found: told.extend(found)
    )
    ledger = DecisionLedger(promoted.home)
    ledger.record_step("made_up", "t1", step, {"because": "it loses"}, now_us())
    owner = SimpleNamespace(contract=SimpleNamespace(owner="team"))
    pipeline = SimpleNamespace(model=promoted.model, monitor=promoted.monitor, tables=[owner])
    page_endings(pipeline, promoted.home)
    assert [(one.cause, one.reason) for one in told] == [(cause, "it loses")]


def test_a_promotion_that_disappoints_is_rolled_back_by_itself(promoted, turned):
    """The relation turns back right after the promotion."""
    old = champion(turned.home, "turn")
    as_of = FIRST + 22 * WEEK
    there = promoted.frame["place"].to_numpy(zero_copy_only=False) == "b"
    label = promoted.frame["label"].to_numpy()
    label = np.where((promoted.moments >= as_of) & there, 1 - label, label)
    at = promoted.frame.column_names.index("label")
    promoted.frame = promoted.frame.set_column(at, "label", pa.array(label))
    assert [one.step for one in watched(promoted, as_of + WEEK)] == [None]
    (found,) = watched(promoted, as_of + WEEK + 2 * DAY)
    assert (found.step, found.windows) == ("rolled_back", 1)
    assert champion(promoted.home, "turn").bundle_id == old.bundle_id
    assert "rollback" in history(promoted.home, "turn")[-1].reason
    assert watched(promoted, as_of + 3 * WEEK) == []


def test_windows_that_are_faulty_do_not_count(promoted):
    DecisionLedger(promoted.home).append([entry(23, FAULT, action="investigate")])
    as_of = FIRST + 22 * WEEK
    (found,) = watched(promoted, as_of + 4 * WEEK + 2 * DAY)
    assert (found.step, found.windows) == (None, 3)


def test_what_a_person_did_meanwhile_ends_the_watch(promoted, turned):
    old = champion(turned.home, "turn")
    promote(promoted.home, find_model(promoted.home, old.ref), "by hand")
    (found,) = watched(promoted, FIRST + 23 * WEEK)
    assert (found.step, found.because) == ("rolled_back", "the old champion is the champion again")


def test_another_champion_ends_the_watch(promoted):
    data = open_release("made_up@1.1.0", store=promoted.home.store)
    promote(promoted.home, train(data, promoted.model, promoted.home, Recipe("all")), "by hand")
    (found,) = watched(promoted, FIRST + 23 * WEEK)
    assert found.step == "confirmed"


def test_a_champion_that_changed_since_the_comparison_is_not_overrun(promoted, turned):
    """Somebody rolled back by hand between the comparison and the promotion."""
    old = champion(turned.home, "turn")
    data = open_release("made_up@1.0.0", store=promoted.home.store)
    third = train(data, promoted.model, promoted.home, Recipe("all"))
    promote(promoted.home, third, "by hand")
    work = retraining._Work(promoted, ask(promoted), DecisionLedger(promoted.home), lambda: 0)
    assert work.recorded["compared"]["champion"] == old.bundle_id
    with pytest.raises(DeclarationError, match="became champion"):
        work._promote()
    assert champion(promoted.home, "turn") == third


def test_lived_through_a_turned_segment_gets_a_new_champion(tmp_path):
    """Window by window: detected, decided, retrained, confirmed; and quiet again."""
    made = world(tmp_path, rows(weeks=28, a_day=120, turned_from=TURN))
    first = made.begin(FIRST + 10 * WEEK)
    lived = list(live(made, FIRST + 10 * WEEK, FIRST + 28 * WEEK))
    calm = [one for one in lived if one.ends <= TURN]
    assert not any(one.retrained for one in calm)
    assert any(one.retrained and "promoted" in one.retrained.steps for one in lived)
    assert champion(made.home, "turn") != first
    assert lived[-1].action in {"none", "watch"}
