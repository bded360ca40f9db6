"""Alerts under Dagster: whoever ran, each batch and cause is told once."""

import shutil

import dagster as dg
import pytest
from shop_pipeline import deliver, deliver_all

from headrace.dagster import alert_sensor, definitions
from headrace.dagster.execute import run_pipeline
from headrace.dagster.instance import open_instance
from headrace.lake.ingest.protocol import ingest
from tests.alerts.alert_servers import webhook


@pytest.fixture
def hook(tmp_path, monkeypatch):
    file = tmp_path / "alerts.yaml"
    file.write_text('version: 1\nroutes:\n  "*":\n    - ${PAGER}\n')
    monkeypatch.setenv("HEADRACE_ALERTS", str(file))
    with webhook() as found:
        monkeypatch.setenv("PAGER", found.url)
        yield found


def tick(pipeline, home, instance):
    sensor = alert_sensor(pipeline.tables, lambda: home)
    with dg.build_sensor_context(instance, cursor=None) as context:
        return sensor.evaluate_tick(context).skip_message


def test_a_batch_blocked_outside_dagster_is_told_by_the_sensor_once(
    pipeline, home, instance, folder, hook
):
    deliver(folder, "visits", "2024-03-03", [10])
    ingest(pipeline.table("visits"), ["2024-03-03"], home)
    assert tick(pipeline, home, instance) == "opened: 1, closed: 0, messages sent: 1"
    assert tick(pipeline, home, instance) == "opened: 0, closed: 0, messages sent: 0"
    assert [one["title"] for one in hook.got] == ["BLOCK visits 2024-03-03: check rows failed"]


def test_a_run_tells_at_its_end_and_the_sensor_tells_nothing_more(
    pipeline, home, folder, hook, built, tmp_path, databases
):
    shutil.copytree(databases, home.dagster)
    deliver_all(folder)
    deliver(folder, "visits", "2024-03-03", [10])
    defs = definitions(pipeline, home=lambda: home)
    outcome = run_pipeline(pipeline, home, stage="ingest", project=tmp_path, defs=defs)
    assert not outcome.ok
    assert len(hook.ids) == 1
    deliver(folder, "visits", "2024-03-03", [10, 20, 30], suffix="_corrected")
    ingest(pipeline.table("visits"), ["2024-03-03"], home)
    with open_instance(home) as instance:
        assert tick(pipeline, home, instance) == "opened: 0, closed: 1, messages sent: 1"
    assert hook.closed == hook.ids


def test_without_a_file_it_says_so(pipeline, home, instance, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_ALERTS", str(tmp_path / "none.yaml"))
    assert "no alerts.yaml" in tick(pipeline, home, instance)


def test_a_target_that_fails_is_named_and_nothing_fails(pipeline, home, instance, folder, hook):
    hook.status = 500
    deliver(folder, "visits", "2024-03-03", [10])
    ingest(pipeline.table("visits"), ["2024-03-03"], home)
    told = tick(pipeline, home, instance)
    assert told.startswith("opened: 1, closed: 0, messages sent: 0; PAGER: ")
    assert "s3cr3t" not in told
