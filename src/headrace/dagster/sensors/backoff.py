"""Backoff of sensors: do not request a run while another is unfinished or has just failed."""

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
    """Return a reason not to request a run of the job now; "" if there is none.

    A reason is that the last run is unfinished, or that it failed less than `AFTER_FAILURE` ago.
    """
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
    """Return the queued or running runs of these jobs, except those in `but`."""
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={"headrace/pipeline": pipeline})
    excluded_ids = {run.run_id for run in but}
    runs = instance.get_runs(filters=filters)
    return [run for run in runs if run.job_name in jobs and run.run_id not in excluded_ids]


def backoff(attempts: int) -> int:
    """Return the pause in microseconds after failed attempts: 10, 20, 40 minutes ... two hours."""
    return int(min(10 * MINUTE * 2 ** min(attempts, 8), 2 * HOUR))


def request(pipeline: str) -> dg.RunRequest:
    """Return a run request with the tag by which `not_now` recognises the run."""
    return dg.RunRequest(tags={"headrace/pipeline": pipeline})
