"""Run the year through Dagster, like `headrace run`, to measure the time of its event log."""

from pathlib import Path

from bench.ours import watched
from bench.peers.learn import Result
from bench.watch import REST
from headrace.core.home import Home
from headrace.dagster import project_definitions
from headrace.dagster.execute import run_pipeline
from pipelines.flights import PIPELINE

DEFINITIONS = project_definitions(PIPELINE)
EVENT_LOG, ORCHESTRATION = "event log", "the rest, orchestration among it"


def work(folder: Path, url: str, out: Path) -> Result:  # noqa: ARG001 - it is in the environment
    watch = watched()
    for name in ("handle_new_event", "store_event"):
        watch.wrap("dagster.DagsterInstance", name, EVENT_LOG)
    watch.start()
    outcome = run_pipeline(PIPELINE, Home.find(), defs=DEFINITIONS, project=out)
    if not outcome.ok:
        raise SystemExit("\n".join(outcome.lines()))
    breakdown = watch.stop()
    breakdown[ORCHESTRATION] = breakdown.pop(REST)
    return Result(lambda: None, {**breakdown, **watch.beside}, {})
