"""Streams and the online store under the daemon: what sensors ask for, and what runs do."""

import time
from dataclasses import replace
from types import SimpleNamespace

import dagster as dg
import pytest

import headrace.operations.online_store
import headrace.streams.consume
import headrace.streams.status
from headrace.core.errors import SourceError, StateError
from headrace.dagster import definitions
from headrace.dagster.asset_names import table_key
from headrace.dagster.sensors import backoff
from headrace.streams import NatsSubject, Stream

JOB = "stream_till_2"
IDLE = {
    "state": "stopped",
    "broker_error": "",
    "lag": {"events": 0, "seconds": 0.0},
    "unjudged": 0,
    "about_to_lose": 0,
}
BEHIND = {"commits": 0, "files": 0, "gone": 0}
STORE = {"state": "filled", "views": [], "tables": [{"table": "visits", "behind": BEHIND}]}


@pytest.fixture
def defs(pipeline, home):
    streams = (Stream("visits", NatsSubject("VISITS"), "the till", name="till-2"),)
    return definitions(replace(pipeline, streams=streams), home=lambda: home)


@pytest.fixture
def look(defs, instance, monkeypatch):
    """What a sensor asks for, given what it sees."""

    def at(sensor, **seen):
        stream, store = ({**form, **seen} for form in (IDLE, STORE))
        monkeypatch.setattr(headrace.streams.status, "stream_status", lambda *_: stream)
        monkeypatch.setattr(headrace.operations.online_store, "online_status", lambda *_: store)
        context = dg.build_sensor_context(instance=instance, definitions=defs)
        found = defs.resolve_sensor_def(sensor).evaluate_tick(context)
        return found.run_requests or found.skip_message

    return at


def a_run(defs, instance, job, status, tags):
    run = instance.create_run_for_job(defs.resolve_job_def(job), tags=tags, status=status)
    return run.run_id[:8]


@pytest.mark.parametrize(
    "seen",
    [{"lag": {"events": 3, "seconds": 1.0}}, {"unjudged": 1}, {"about_to_lose": 2}],
    ids=["waiting", "recorded", "deleted"],
)
def test_events_that_wait_ask_for_a_run(look, seen):
    (request,) = look(JOB, **seen)
    assert request.tags["headrace/pipeline"] == "shop"
    assert request.run_key is None


def test_nothing_is_asked_for_when_nothing_waits_or_another_is_at_work(look):
    assert look(JOB) == "no event waits"
    assert "separate consumer" in look(JOB, state="running", lag={"events": 3, "seconds": 0.0})
    with pytest.raises(SourceError, match="does not answer"):
        look(JOB, broker_error="nats does not answer", lag=None)


@pytest.mark.parametrize("job", [JOB, "online"])
def test_one_run_at_a_time_and_a_while_after_a_failure(look, defs, instance, job, monkeypatch):
    seen = {"lag": {"events": 3, "seconds": 0.0}} if job == JOB else {"state": "not filled"}
    (request,) = look(job, **seen)
    name = a_run(defs, instance, job, dg.DagsterRunStatus.STARTED, request.tags)
    assert look(job, **seen) == f"run {name} is at work"
    instance.report_run_failed(instance.get_runs()[0])
    assert f"run {name} failed; again in" in look(job, **seen)
    monkeypatch.setattr(backoff, "time", SimpleNamespace(time=lambda: time.time() + 1000))
    assert look(job, **seen)[0].tags == request.tags


@pytest.mark.parametrize("what", ["commits", "files", "gone"])
def test_a_store_that_is_behind_asks_for_a_run(look, what):
    assert "contains all" in look("online")
    assert len(look("online", tables=[{"table": "visits", "behind": {**BEHIND, what: 1}}])) == 1


def test_a_view_is_looked_after_before_it_is_stale(look):
    views = [{"table": "visits", "max_staleness": {"flag": "10m", "refuse": "1h"}}]
    aged = lambda age: [{"table": "visits", "behind": BEHIND, "age_seconds": age}]
    assert "contains all" in look("online", views=views, tables=aged(299.0))
    assert len(look("online", views=views, tables=aged(301.0))) == 1


def run_of(defs, instance, consume, monkeypatch):
    monkeypatch.setattr(headrace.streams.consume, "run_stream", consume)
    return defs.resolve_job_def(JOB).execute_in_process(instance=instance, raise_on_error=False)


def test_a_run_takes_what_waits_and_materialises_the_table(defs, instance, home, monkeypatch):
    asked = []

    def consume(stream, table, where, *, once, stop, on_batch):
        asked.append((stream.name, table.name, where, once, stop.is_set()))
        for events in (5, 2):
            on_batch(SimpleNamespace(events=events, verdict="PASS", seconds=0.1))
        return 7

    assert run_of(defs, instance, consume, monkeypatch).success
    assert asked == [("till-2", "visits", home, True, False)]
    event = instance.get_latest_materialization_event(table_key("visits"))
    told = {key: value.value for key, value in event.asset_materialization.metadata.items()}
    assert (told["events"], told["micro-batches"], told["stream"]) == (7, 2, "till-2")


def test_a_run_is_bounded_and_says_why_it_failed(pipeline, home, instance, monkeypatch):
    from headrace.dagster.assets.streams import stream_job

    stream = Stream("visits", NatsSubject("VISITS"), "the till", name="till-2")
    job = stream_job(pipeline, stream, lambda: home, seconds=0.05)

    def endless(*_args, stop, **_options):
        assert stop.wait(10)
        raise StateError("a check crashed", fix="mend it")

    monkeypatch.setattr(headrace.streams.consume, "run_stream", endless)
    done = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not done.success
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    assert "a check crashed" in failed.step_failure_data.user_failure_data.description
    assert instance.get_latest_materialization_event(table_key("visits")) is None
