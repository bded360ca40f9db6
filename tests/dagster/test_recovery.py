"""A killed run neither stays 'running' nor loses a day."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
from shop_pipeline import DAYS, deliver_all
from test_runs import SALES, VISITS, materialisations, partition_status

from headrace.dagster.execute import ingest_due
from headrace.dagster.sensors.recovery import MARK, abandoned, process_mark

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def kill_a_run(folder, home, slot):
    done = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), str(folder), str(home.root), slot],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{HERE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr


def test_what_a_killed_run_planned_is_run_and_the_run_is_closed(
    folder, defs, pipeline, home, instance
):
    deliver_all(folder)
    kill_a_run(folder, home, "2024-03-04")
    (dead,) = instance.get_runs()
    assert dead.status == dg.DagsterRunStatus.STARTED
    runs = ingest_due(defs, pipeline, home, instance)
    assert all(run.success for run in runs)
    assert partition_status(instance, defs, VISITS) == (set(DAYS[:5]), set())
    assert partition_status(instance, defs, SALES) == (set(DAYS), set())
    assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
    assert ingest_due(defs, pipeline, home, instance) == []


def test_days_published_but_not_logged_are_logged(folder, defs, pipeline, home, instance):
    """Killed between commit and events: nothing is outstanding, yet Dagster lacks the days."""
    from headrace.lake.ingest.protocol import ingest

    deliver_all(folder)
    ingest(pipeline.table("visits"), DAYS[:5], home)
    job = defs.resolve_job_def("ingest")
    tags = {
        "headrace/pipeline": "shop",
        "headrace/tables": "visits",
        "dagster/asset_partition_range_start": DAYS[0],
        "dagster/asset_partition_range_end": DAYS[4],
        MARK: "elsewhere:1:",
    }
    foreign = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert foreign not in abandoned(instance, "shop")
    gone = process_mark(os.getpid()).rpartition(":")[0] + ":0"
    instance.create_run_for_job(job, tags={**tags, MARK: gone}, status=dg.DagsterRunStatus.STARTED)
    ingest_due(defs, pipeline, home, instance)
    assert sorted(materialisations(instance, VISITS)) == DAYS[:5]


def test_a_run_of_this_process_is_not_abandoned(defs, instance):
    tags = {"headrace/pipeline": "shop", MARK: process_mark(os.getpid())}
    job = defs.resolve_job_def("ingest")
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert abandoned(instance, "shop") == []
