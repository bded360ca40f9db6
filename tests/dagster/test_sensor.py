"""The retraining sensor forwards each trigger exactly once, whatever happens in between."""

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg
import pytest

from headrace.dagster.jobs.retraining import RETRAIN
from headrace.dagster.sensors import retraining_trigger
from headrace.dagster.sensors.retraining_trigger import retraining_sensor
from headrace.monitoring import DecisionLedger
from headrace.retraining import service
from headrace.retraining.workflow import retraining_lock


@dataclass(frozen=True)
class Trigger:
    sequence: int
    trigger_id: str
    reason: str = "the relation moved"


class Ledger:
    """Append-only, as the decision ledger is."""

    def __init__(self) -> None:
        self.rows: list[Trigger] = []

    def append(self, trigger_id: str) -> None:
        self.rows.append(Trigger(len(self.rows) + 1, trigger_id))

    def waiting(self) -> list[Trigger]:
        return self.rows


class Daemon:
    """What Dagster's sensor daemon does in a tick: evaluate, launch what is new, move the cursor.

    `dies` is where the process is killed: before the launch, or between it and the cursor.
    """

    def __init__(self, sensor: dg.SensorDefinition, defs: dg.Definitions, instance) -> None:
        self.sensor, self.defs, self.instance = sensor, defs, instance
        self.cursor: str | None = None

    def tick(self, dies: str = "") -> None:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.defs
        )
        data = self.sensor.evaluate_tick(context)
        if dies == "before launch":
            return
        for request in data.run_requests or []:
            self._launch(request)
        if dies != "before cursor":
            self.cursor = data.cursor or self.cursor

    def _launch(self, request: dg.RunRequest) -> None:
        if self.launched(request.run_key):
            return
        job = self.defs.resolve_job_def(RETRAIN)
        tags = {**request.tags, "dagster/run_key": request.run_key}
        self.instance.create_run_for_job(job, tags=tags, run_config=request.run_config)

    def launched(self, run_key: str | None = None) -> list[str]:
        tags = {"dagster/run_key": run_key} if run_key else {}
        runs = self.instance.get_runs(filters=dg.RunsFilter(job_name=RETRAIN, tags=tags))
        return [run.tags["dagster/run_key"] for run in runs]


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def daemon(ledger, pipeline, defs, instance, home):
    return Daemon(retraining_sensor(pipeline, lambda: home, ledger.waiting), defs, instance)


def test_no_trigger_no_run(daemon):
    daemon.tick()
    assert daemon.launched() == []


def test_each_trigger_launches_one_run_however_often_the_sensor_looks(daemon, ledger):
    ledger.append("a")
    ledger.append("b")
    for _ in range(3):
        daemon.tick()
    ledger.append("c")
    for _ in range(3):
        daemon.tick()
    assert sorted(daemon.launched()) == ["a", "b", "c"]
    assert daemon.cursor == "3"


@pytest.mark.parametrize("dies", ["before launch", "before cursor"])
def test_a_daemon_that_dies_in_a_tick_loses_nothing_and_doubles_nothing(daemon, ledger, dies):
    ledger.append("a")
    daemon.tick(dies=dies)
    ledger.append("b")
    daemon.tick(dies=dies)
    daemon.tick()
    daemon.tick()
    assert sorted(daemon.launched()) == ["a", "b"]


def test_a_lost_cursor_launches_nothing_again(daemon, ledger):
    ledger.append("a")
    daemon.tick()
    daemon.cursor = None
    daemon.tick()
    assert daemon.launched() == ["a"]


def test_a_trigger_whose_run_failed_gets_another_until_it_has_ended(daemon, ledger, instance):
    ledger.append("a")
    daemon.tick()
    daemon.tick()
    assert daemon.launched() == ["a"]
    for run in instance.get_runs():
        instance.report_run_failed(run)
    daemon.tick()
    daemon.tick()
    assert sorted(daemon.launched()) == ["a", "a/2"]
    ledger.rows.clear()  # the ledger leaves out what has ended
    for run in instance.get_runs():
        if not run.is_finished:
            instance.report_run_failed(run)
    daemon.tick()
    assert sorted(daemon.launched()) == ["a", "a/2"]


def test_a_run_that_died_without_a_word_is_closed_and_replaced(daemon, ledger, monkeypatch):
    ledger.append("a")
    daemon.tick()
    monkeypatch.setattr(retraining_trigger, "GRACE", timedelta(0))
    daemon.tick()
    assert sorted(daemon.launched()) == ["a", "a/2"]
    dead = next(one for one in daemon.instance.get_runs() if one.tags["dagster/run_key"] == "a")
    assert dead.status == dg.DagsterRunStatus.FAILURE


def test_a_run_at_work_is_left_alone(daemon, ledger, home, monkeypatch):
    ledger.append("a")
    daemon.tick()
    monkeypatch.setattr(retraining_trigger, "GRACE", timedelta(0))
    with retraining_lock(home, "shop"):
        daemon.tick()
    assert daemon.launched() == ["a"]


def test_runs_that_never_begin_are_given_up(daemon, ledger, home, monkeypatch, pipeline):
    told = []
    monkeypatch.setattr(service, "page_failure", lambda *given: told.append(given))
    monkeypatch.setattr(retraining_trigger, "GRACE", timedelta(0))
    monkeypatch.setattr(retraining_trigger, "LAUNCHES", 2)
    ledger.append("a")
    for _ in range(3):
        daemon.tick()
    assert sorted(daemon.launched()) == ["a", "a/2"]
    (step,) = DecisionLedger(home).steps("shop", "a")
    assert (step.step, step.detail["because"]) == ("failed", "2 runs ended without beginning it")
    assert told == [(pipeline, home, "a")]


def test_another_dagster_forwards_what_has_not_ended(daemon, ledger):
    """Its cursor was restored, its runs were not."""
    ledger.append("a")
    daemon.cursor = "1"
    daemon.tick()
    assert daemon.launched() == ["a"]


def test_the_run_carries_its_trigger(daemon, ledger, instance):
    ledger.append("a")
    daemon.tick()
    (run,) = instance.get_runs()
    assert run.run_config == {"ops": {"retrain_model": {"config": {"trigger_id": "a"}}}}
    assert run.tags["headrace/trigger"] == "a"
    assert run.tags["headrace/reason"] == "the relation moved"
