"""The retraining sensor forwards rows of the decision ledger, each exactly once, and no more."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import dagster as dg

from headrace.dagster.jobs import RETRAIN
from headrace.home import Home

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


class Trigger(Protocol):
    """A row of the decision ledger that asks for a retraining."""

    @property
    def sequence(self) -> int: ...

    @property
    def trigger_id(self) -> str: ...

    @property
    def reason(self) -> str: ...


# All triggers after a sequence number, in order.
TriggersAfter = Callable[[int], Iterable[Trigger]]


def retraining_sensor(
    pipeline: "Pipeline",
    home: Callable[[], Home] = Home.find,
    triggers_after: TriggersAfter | None = None,
) -> dg.SensorDefinition:
    """One run of `retrain` per trigger.

    The cursor saves reading old rows; what makes it exactly once is the run key. A daemon that dies
    between the launch and the cursor asks again with the same key, and Dagster refuses the double.
    """

    @dg.sensor(
        name="retraining",
        job_name=RETRAIN,
        minimum_interval_seconds=60,
        description="Launches a retraining for each row of the decision ledger that asks for one.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        after = int(context.cursor or 0)
        read = triggers_after or _ledger(pipeline, home)
        triggers = list(read(after))
        if not triggers:
            return dg.SkipReason(f"no trigger after row {after} of the decision ledger")
        requests = [_request(trigger) for trigger in triggers]
        newest = max(trigger.sequence for trigger in triggers)
        return dg.SensorResult(run_requests=requests, cursor=str(newest))

    return retraining


def _request(trigger: Trigger) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=trigger.trigger_id,
        tags={"headrace/trigger": trigger.trigger_id, "headrace/reason": trigger.reason[:250]},
    )


def _ledger(pipeline: "Pipeline", home: Callable[[], Home]) -> TriggersAfter:
    from headrace.pipeline import triggers_after

    return lambda after: triggers_after(pipeline, home(), after)
