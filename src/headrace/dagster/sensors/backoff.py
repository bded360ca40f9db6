"""Backoff: if a sensor should ask for another run of its job, and when after a failure."""

import time
from collections.abc import Collection, Sequence

import dagster as dg

from headrace.core.clock import HOUR, MINUTE

AFTER_FAILURE = 600.0  # seconds
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def not_now(instance: dg.DagsterInstance, job: str, pipeline: str) -> str:
    """Why not to ask for a run now: one is at work, or the last one has just failed; else ""."""
    tags = {"headrace/pipeline": pipeline}
    last = instance.get_run_records(dg.RunsFilter(job_name=job, tags=tags), limit=1)
    if not last:
        return ""
    run = last[0].dagster_run
    if run.status in _UNFINISHED:
        return f"run {run.run_id[:8]} is at work"
    waited = time.time() - (last[0].end_time or 0.0)
    if run.status == dg.DagsterRunStatus.FAILURE and waited < AFTER_FAILURE:
        return f"run {run.run_id[:8]} failed; again in {AFTER_FAILURE - waited:.0f} s"
    return ""


def unfinished(
    instance: dg.DagsterInstance,
    pipeline: str,
    jobs: Collection[str],
    but: Sequence[dg.DagsterRun] = (),
) -> list[dg.DagsterRun]:
    """Runs of these jobs that wait or are at work, `but` for some."""
    wanted = dg.RunsFilter(statuses=_UNFINISHED, tags={"headrace/pipeline": pipeline})
    left_out = {run.run_id for run in but}
    found = instance.get_runs(filters=wanted)
    return [run for run in found if run.job_name in jobs and run.run_id not in left_out]


def backoff(attempts: int) -> int:
    """Microseconds until what failed so often is tried again: 10, 20, 40 minutes ... two hours."""
    return int(min(10 * MINUTE * 2 ** min(attempts, 8), 2 * HOUR))


def request(pipeline: str) -> dg.RunRequest:
    """A run that `not_now` recognises."""
    return dg.RunRequest(tags={"headrace/pipeline": pipeline})
