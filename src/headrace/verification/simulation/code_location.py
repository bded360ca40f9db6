"""Dagster code location of a simulation, and a check that its daemon is idle.

`defs` are the project's definitions, but with sources that read the simulation's folders. The
simulation starts a code server that loads this module; `HEADRACE_SIMULATED` names the pipeline's
module.
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.clock import CLOCK

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

MODULE = "HEADRACE_SIMULATED"
PROJECT = "HEADRACE_SIMULATED_PROJECT"
# At each time step the simulation waits until these sensors have run and found nothing to do.
SENSORS = ("deliveries", "builds", "alerts", "retraining")
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def load() -> dg.Definitions:
    """Return the definitions of the pipeline that `HEADRACE_SIMULATED` names."""
    from headrace.core.home import Home
    from headrace.dagster import definitions, project_definitions
    from headrace.pipeline.load import load_pipeline
    from headrace.verification.simulation.pipeline_override import relocated

    declared = load_pipeline(os.environ[MODULE])
    if declared.places is not None:
        return project_definitions(declared)
    return definitions(relocated(declared, Home.find()))


def is_idle(instance: dg.DagsterInstance, since: float, sensors: Sequence[str] = SENSORS) -> bool:
    """Return True if no run is queued or running, and no sensor has found anything to do.

    Each sensor must have run after `since` (epoch seconds) and after the end of the last run.
    """
    unfinished = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    if instance.get_runs(filters=dg.RunsFilter(statuses=unfinished), limit=1):
        return False
    last = instance.get_run_records(limit=1, order_by="update_timestamp", ascending=False)
    after = max([since, *(record.end_time or 0.0 for record in last)])
    states = {state.instigator_name: state for state in instance.all_instigator_state()}
    return all(name in states and _wants_nothing(instance, states[name], after) for name in sensors)


def _wants_nothing(instance: dg.DagsterInstance, state: "InstigatorState", after: float) -> bool:
    """Return True if a tick started after `after` and requested no run."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
    return any(tick.timestamp >= after and tick.status.value == "SKIPPED" for tick in ticks)


def counted(instance: dg.DagsterInstance) -> dict[str, int]:
    """Count runs by job and status."""
    counts = Counter(f"{run.job_name} {run.status.value.lower()}" for run in instance.get_runs())
    return dict(sorted(counts.items()))


if CLOCK in os.environ and MODULE in os.environ:
    # Dagster is started in the simulation's folder, so that it does not read the project's `.env`.
    # The project's code expects to run in the project's folder.
    os.chdir(os.environ[PROJECT])
    defs = load()
