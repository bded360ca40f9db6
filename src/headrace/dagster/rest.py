"""Whether a sensor that looks again and again should ask for another run of its job."""

import time

import dagster as dg

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


def request(pipeline: str) -> dg.RunRequest:
    """A run that `not_now` recognises."""
    return dg.RunRequest(tags={"headrace/pipeline": pipeline})
