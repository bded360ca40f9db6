"""Deliveries launch runs, each once; what a run that died had planned is run; then it is built."""

import os
import time
from types import SimpleNamespace

import dagster as dg
import pytest
from shop_pipeline import DAYS, deliver, deliver_all

from headrace.core.clock import DAY, HOUR, now_us, parse_iso
from headrace.dagster.execute import ingest_due, reference_due, run_span
from headrace.dagster.partitions import Span
from headrace.dagster.sensors import deliveries as module
from headrace.dagster.sensors.deliveries import SensorCursor
from headrace.dagster.sensors.recovery import MARK, abandoned, process_mark


@pytest.fixture
def clock(monkeypatch):
    """The sensors' time."""
    at = SimpleNamespace(now=parse_iso(DAYS[-1]) + 30 * HOUR)
    monkeypatch.setattr(module, "now_us", lambda: at.now)
    return at


@pytest.fixture
def look(defs, instance, clock):
    """One look of a sensor; keeps its cursor."""
    cursors: dict[str, str] = {}

    def evaluate(name: str, *, keeps: bool = True) -> list[dg.RunRequest]:
        sensor = defs.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance, cursor=cursors.get(name), repository_def=defs.get_repository_def()
        )
        found = sensor.evaluate_tick(context)
        if keeps and found.cursor:
            cursors[name] = found.cursor
        return list(found.run_requests or [])

    return evaluate


def test_what_came_is_asked_for_once(folder, look, defs, pipeline, home, instance):
    assert look("deliveries") == []
    deliver_all(folder)
    found = look("deliveries")
    assert {one.job_name for one in found} == {"ingest", "reference"}
    ingest_due(defs, pipeline, home, instance)
    reference_due(defs, pipeline, home, instance)
    assert look("deliveries") == []


def test_a_daemon_that_died_before_the_cursor_asks_with_the_same_keys(folder, look, clock):
    deliver_all(folder)
    first = look("deliveries", keeps=False)
    clock.now += HOUR
    assert [one.run_key for one in look("deliveries")] == [one.run_key for one in first]


def test_what_failed_is_tried_again_later_and_under_another_key(folder, look, clock):
    deliver_all(folder)
    first = look("deliveries")
    assert look("deliveries") == []  # nothing was launched here, so nothing has changed
    clock.now += 2 * HOUR
    again = look("deliveries")
    assert {one.run_key for one in again}.isdisjoint({one.run_key for one in first})


def test_nothing_is_asked_for_while_a_run_is_at_work(folder, look, defs, instance):
    deliver_all(folder)
    tags = {"headrace/pipeline": "shop", MARK: process_mark(os.getpid())}
    job = defs.resolve_job_def("ingest")
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert look("deliveries") == []
    instance.report_run_failed(run)
    assert look("deliveries")


def test_a_correction_of_a_recent_day_comes_at_once_and_of_an_old_one_within_a_day(
    folder, look, clock, defs, pipeline, home, instance
):
    deliver_all(folder)
    ingest_due(defs, pipeline, home, instance)
    reference_due(defs, pipeline, home, instance)
    assert look("deliveries") == []
    deliver(folder, "visits", DAYS[1], [1, 2, 3, 4], suffix="_corrected")
    (found,) = look("deliveries")
    assert (found.partition_key, found.job_name) == (DAYS[1], "ingest")
    span = Span(DAYS[1], DAYS[1], ("visits",))
    run_span(defs, pipeline, span, instance)
    clock.now += 20 * DAY
    assert look("deliveries") == []
    deliver(folder, "visits", DAYS[2], [1, 2, 3, 4], suffix="_corrected")
    clock.now += HOUR
    assert look("deliveries") == []
    clock.now += DAY
    assert [one.partition_key for one in look("deliveries")] == [DAYS[2]]


def test_a_run_that_died_is_closed_after_its_work_was_asked_for(
    folder, look, defs, pipeline, home, instance
):
    from headrace.lake.ingest.protocol import ingest

    deliver_all(folder)
    for table in pipeline.tables:
        ingest(table, pipeline.slots_of(table), home)
    gone = process_mark(os.getpid()).rpartition(":")[0] + ":0"
    tags = {
        "headrace/pipeline": "shop",
        "headrace/tables": "visits",
        "dagster/partition": DAYS[0],
        MARK: gone,
    }
    job = defs.resolve_job_def("ingest")
    dead = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    (found,) = look("deliveries")
    assert found.partition_key == DAYS[0]
    assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.STARTED
    run_span(defs, pipeline, Span(DAYS[0], DAYS[0], ("visits",)), instance)
    assert look("deliveries") == []
    assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_no_worker_began_is_found(defs, instance, monkeypatch):
    job = defs.resolve_job_def("ingest")
    tags = {"headrace/pipeline": "shop"}
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTING)
    assert abandoned(instance, "shop", ("ingest",)) == []
    later = time.time() + 1000
    monkeypatch.setattr("headrace.dagster.sensors.recovery.time.time", lambda: later)
    assert abandoned(instance, "shop") == []
    assert [one.run_id for one in abandoned(instance, "shop", ("ingest",))] == [run.run_id]


def test_a_run_says_which_process_executes_it(folder, defs, pipeline, instance):
    deliver_all(folder)
    done = run_span(defs, pipeline, Span(DAYS[0], DAYS[0], ("visits",)), instance)
    assert instance.get_run_by_id(done.run_id).tags[MARK] == process_mark(os.getpid())


def test_it_is_built_when_something_was_published_and_not_more_often_than_wanted(
    folder, look, clock, defs, pipeline, home, instance, monkeypatch
):
    keys, current = ["one"], [True]
    monkeypatch.setattr("headrace.pipeline.staleness.build_key", lambda *_, **__: keys[-1])
    monkeypatch.setattr("headrace.pipeline.staleness.is_current", lambda *_: current[-1])
    assert look("builds") == []  # nothing is published
    deliver_all(folder)
    ingest_due(defs, pipeline, home, instance)
    reference_due(defs, pipeline, home, instance)
    assert look("builds") == []  # somebody has built it by hand
    current.append(False)
    (first,) = look("builds")
    clock.now += 10 * HOUR
    (again,) = look("builds")  # the first has not succeeded
    assert again.run_key != first.run_key
    job = defs.resolve_job_def("build")
    tags = {"headrace/pipeline": "shop", "dagster/run_key": again.run_key}
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    clock.now += 10 * HOUR
    assert look("builds") == []
    keys.append("two")
    assert look("builds") == []
    clock.now += DAY
    assert len(look("builds")) == 1


def test_a_cursor_is_read_as_it_was_written():
    asked = SensorCursor().next("work", now_us(), dead=("a",))
    assert SensorCursor.of(asked.cursor) == asked
    assert asked.next("work", 1).attempt == 1
    assert asked.next("other", 1).attempt == 0
