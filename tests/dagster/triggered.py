"""A code location with the retraining sensor and its job, whose work is light: see the test."""

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg

from headrace.core.clock import now_us
from headrace.core.home import Home
from headrace.dagster.jobs.retraining import RetrainConfig, retrain_job
from headrace.dagster.sensors import retraining_trigger
from headrace.dagster.sensors.retraining_trigger import retraining_sensor
from headrace.monitoring import DecisionLedger
from headrace.retraining.workflow import ENDS, retraining_lock

PIPELINE = cast("Any", SimpleNamespace(name="tiny", monitor=SimpleNamespace(name="tiny")))
retraining_trigger.GRACE = timedelta(seconds=int(os.environ.get("GRACE_SECONDS", "180")))


def home() -> Home:
    return Home(Path(os.environ["HEADRACE_HOME"]))


def work(pipeline: Any, home: Home, asked: RetrainConfig, run_id: str) -> None:
    """What a retraining does with the ledger, and nothing else."""
    ledger, name = DecisionLedger(home), pipeline.monitor.name
    with retraining_lock(home, name):
        done = {step.step for step in ledger.steps(name, asked.trigger_id)}
        if not ENDS.isdisjoint(done):
            return
        ledger.begin_attempt(name, asked.trigger_id, now_us())
        ledger.record_step(name, asked.trigger_id, "started", {"run": run_id}, now_us())
        ledger.record_step(name, asked.trigger_id, "kept", {"because": run_id}, now_us())


defs = dg.Definitions(
    jobs=[retrain_job(PIPELINE, home, work)],
    sensors=[
        retraining_sensor(PIPELINE, home, seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
    ],
    executor=dg.in_process_executor,
)
