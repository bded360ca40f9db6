"""Every step may be run again: nothing changes, to the byte of every file of the state."""

import pytest

from headrace.core.home import Home
from headrace.dagster import definitions
from headrace.dagster.execute import run_pipeline, run_range
from headrace.dagster.instance import open_instance
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.operations.monitor_run import run_monitors
from headrace.pipeline import build_release, train_model
from tests.flights.short_range import (
    build_all,
    build_views,
    files_of,
    ingest_all,
    opened,
)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def pipeline(short_deliveries):
    with opened(short_deliveries) as declared:
        yield declared


def test_every_step_of_the_core(pipeline, home):
    assert any(result.changed for result in ingest_all(pipeline, home))
    assert any(done.changed for done in build_all(pipeline, home).values())
    before = files_of(home)
    for table in pipeline.tables:
        assert outstanding(table, table.expected_slots(), home) == []
        assert not any(r.changed for r in ingest(table, table.expected_slots(), home))
        assert files_of(home) == before, table.name
    views = build_views(pipeline, home)
    assert len(views) >= 12
    assert not any(done.changed or done.metadata["rows computed now"] for done in views.values())
    assert files_of(home) == before
    for stage in (build_release, train_model, run_monitors):
        assert not stage(pipeline, home).changed, stage.__name__
        assert files_of(home) == before, stage.__name__


def test_a_second_run_has_nothing_to_do_and_a_forced_one_changes_nothing(
    pipeline, home, short_deliveries
):
    defs = definitions(pipeline, home=lambda: home)
    project = short_deliveries.parent

    def run(stage="all"):
        return run_pipeline(pipeline, home, stage=stage, defs=defs, project=project)

    first = run()
    assert first.ok, first.lines()
    assert {one.job for one in first.runs} == {"ingest", "reference", "build"}
    before = files_of(home)
    assert run().runs == []
    assert files_of(home) == before
    forced = run("build")
    assert [(one.job, one.success) for one in forced.runs] == [("build", True)]
    with open_instance(home) as instance:
        again = run_range(defs, pipeline, pipeline.first_slot, pipeline.last_slot, instance)
    assert again
    assert all(one.success for one in again)
    assert files_of(home) == before
