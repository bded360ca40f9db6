"""A simulation's code location, and whether its daemon has nothing left to do.

`defs` are the project's own definitions over the simulation's sources: the module is loaded by a
code server that the simulation starts, with `HEADRACE_SIMULATED` naming the pipeline's module.
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
# What has to have looked, and found nothing to do, before a moment of the simulation is over.
SENSORS = ("deliveries", "builds", "alerts", "retraining")
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def load() -> dg.Definitions:
    """The definitions of the pipeline that `HEADRACE_SIMULATED` names."""
    from headrace.core.home import Home
    from headrace.dagster import definitions, project_definitions
    from headrace.pipeline.load import load_pipeline
    from headrace.verification.simulation.pipeline_override import moved

    declared = load_pipeline(os.environ[MODULE])
    if declared.places is not None:
        return project_definitions(declared)
    return definitions(moved(declared, Home.find()))


def is_idle(instance: dg.DagsterInstance, since: float, sensors: Sequence[str] = SENSORS) -> bool:
    """Whether no run waits or is at work, and each sensor has looked since, and wants nothing.

    Since `since` (seconds of the epoch) and since the last run ended, whichever is later.
    """
    unfinished = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    if instance.get_runs(filters=dg.RunsFilter(statuses=unfinished), limit=1):
        return False
    last = instance.get_run_records(limit=1, order_by="update_timestamp", ascending=False)
    after = max([since, *(record.end_time or 0.0 for record in last)])
    states = {state.instigator_name: state for state in instance.all_instigator_state()}
    return all(name in states and _wants_nothing(instance, states[name], after) for name in sensors)


def _wants_nothing(instance: dg.DagsterInstance, state: "InstigatorState", after: float) -> bool:
    """A look that has begun since, and ended; the next one may be under way already."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
    return any(tick.timestamp >= after and tick.status.value == "SKIPPED" for tick in ticks)


def counted(instance: dg.DagsterInstance) -> dict[str, int]:
    """How many runs of each job ended how."""
    found = Counter(f"{run.job_name} {run.status.value.lower()}" for run in instance.get_runs())
    return dict(sorted(found.items()))


if CLOCK in os.environ and MODULE in os.environ:
    # Dagster was started elsewhere, for its `.env`; the project's code runs in the project.
    os.chdir(os.environ[PROJECT])
    defs = load()
