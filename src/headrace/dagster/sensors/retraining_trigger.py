"""Sensor that launches one retraining for each trigger in the decision ledger, exactly once.

At most once: Dagster launches a run key only once and each trigger has its own; the ledger records
each step of a retraining only once. At least once: if all runs of a trigger died before the
retraining ended, the sensor requests another run under a new run key.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import dagster as dg

from headrace.core.home import Home
from headrace.dagster.jobs.retraining import RETRAIN, configured
from headrace.dagster.sensors.settings import interval, status

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

RETRAINING = "retraining"
TAG = "headrace/trigger"
# Maximum time from the launch of a run until it holds the lock of its retraining.
GRACE = timedelta(minutes=10)
# The sensor gives up after this many runs that ended without starting the retraining.
LAUNCHES = 10


class RetrainingTrigger(Protocol):
    """A row of the decision ledger that triggers a retraining."""

    @property
    def sequence(self) -> int: ...

    @property
    def trigger_id(self) -> str: ...

    @property
    def reason(self) -> str: ...


# All triggers whose retraining has not ended, in order.
Triggers = Callable[[], Iterable[RetrainingTrigger]]


def retraining_sensor(
    pipeline: "Pipeline",
    home: Callable[[], Home] = Home.find,
    triggers: Triggers | None = None,
    seconds: int = 60,
    default_status: dg.DefaultSensorStatus | None = None,
    *,
    suffix: str = "",
) -> dg.SensorDefinition:
    """Return the sensor that runs `retrain` once per trigger, and again if the run died.

    The suffix is that of the monitor's job.

    The cursor is the sequence number of the newest trigger with a requested run. If a daemon dies
    after a launch but before it stores the cursor, it requests the same run key again, and Dagster
    ignores the duplicate.
    """

    @dg.sensor(
        name=RETRAINING + suffix,
        job_name=RETRAIN + suffix,
        minimum_interval_seconds=interval(seconds),
        default_status=default_status or status(),
        description="Launches a retraining for each trigger in the decision ledger.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        after = int(context.cursor or 0)
        read = triggers or _ledger(pipeline, home)
        waiting = list(read())
        new = [trigger for trigger in waiting if trigger.sequence > after]
        old = [trigger for trigger in waiting if trigger.sequence <= after]
        requests = [_request(trigger, trigger.trigger_id, suffix) for trigger in new]
        requests += _relaunches(context.instance, pipeline, home, old, suffix)
        if not requests:
            return dg.SkipReason(f"no trigger after row {after} of the decision ledger")
        newest = max((trigger.sequence for trigger in waiting), default=0)
        return dg.SensorResult(run_requests=requests, cursor=str(max(after, newest)))

    return retraining


def _request(trigger: RetrainingTrigger, run_key: str, suffix: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        run_config=configured(trigger.trigger_id, suffix),
        tags={TAG: trigger.trigger_id, "headrace/reason": trigger.reason[:250]},
    )


def _relaunches(
    instance: dg.DagsterInstance,
    pipeline: "Pipeline",
    home: Callable[[], Home],
    forwarded: Iterable[RetrainingTrigger],
    suffix: str,
) -> Iterator[dg.RunRequest]:
    """Yield run requests for earlier triggers that have not ended and have no live run."""
    for trigger in forwarded:
        runs = instance.get_run_records(dg.RunsFilter(tags={TAG: trigger.trigger_id}))
        if any(_lives(instance, pipeline, home, record) for record in runs):
            continue
        if len(runs) >= LAUNCHES:
            _give_up(pipeline, home(), trigger, len(runs))
        else:
            # Without any run (another Dagster instance, or deleted runs) the first run key is free.
            key = trigger.trigger_id if not runs else f"{trigger.trigger_id}/{len(runs) + 1}"
            yield _request(trigger, key, suffix)


def _lives(
    instance: dg.DagsterInstance,
    pipeline: "Pipeline",
    home: Callable[[], Home],
    record: dg.RunRecord,
) -> bool:
    """Return True if the run is at work or may still start; mark a dead run as failed."""
    from headrace.retraining.workflow import at_work

    run = record.dagster_run
    if run.is_finished:
        return False
    if run.status == dg.DagsterRunStatus.QUEUED or at_work(home(), pipeline.monitor.name):
        return True
    began = max(filter(None, [record.create_timestamp, record.update_timestamp]))
    if datetime.now(UTC) - began.astimezone(UTC) < GRACE:
        return True
    instance.report_run_failed(run, "the process that executed this run is gone")
    return False


def _give_up(pipeline: "Pipeline", home: Home, trigger: RetrainingTrigger, runs: int) -> None:
    """Record the retraining as failed, so that it is not launched again, and page the owner."""
    from headrace.core.clock import now_us
    from headrace.monitoring import DecisionLedger
    from headrace.retraining.service import page_failure

    because = f"{runs} runs ended without beginning it"
    DecisionLedger(home).record_step(
        pipeline.monitor.name, trigger.trigger_id, "failed", {"because": because}, now_us()
    )
    page_failure(pipeline, home, trigger.trigger_id)


def _ledger(pipeline: "Pipeline", home: Callable[[], Home]) -> Triggers:
    from headrace.retraining.pending_triggers import open_triggers

    return lambda: open_triggers(pipeline, home())
