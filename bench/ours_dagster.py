"""The year through Dagster, as `headrace run` does it: what the event log adds to the core."""

from pathlib import Path

import bench.ours  # noqa: F401 - the imports that its clock leaves out
from bench.peers.learn import Result
from headrace.dagster import project_definitions
from headrace.dagster.execute import run_pipeline
from headrace.home import Home
from pipelines.flights import PIPELINE

DEFINITIONS = project_definitions(PIPELINE)


def work(folder: Path, url: str, out: Path) -> Result:  # noqa: ARG001 - it is in the environment
    outcome = run_pipeline(PIPELINE, Home.find(), defs=DEFINITIONS, project=out)
    if not outcome.ok:
        raise SystemExit("\n".join(outcome.lines()))
    runs: dict[str, float] = {}
    for run in outcome.runs:
        runs[run.job] = runs.get(run.job, 0.0) + run.seconds
    return Result(lambda: None, runs, {})
