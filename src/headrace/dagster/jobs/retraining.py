"""The retraining job: one step that carries a trigger to its end, whoever launches it.

The ledger knows which steps of a trigger are done. So a run that is executed again is the same
retraining, not another; and so is a run of another Dagster over the same home.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.failures import readable

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.retraining.workflow import Outcome

RETRAIN = "retrain"
STEP = "retrain_model"


class Asked(dg.Config):
    """By a decision: `trigger_id`. By a person: who, and why; `as_of` is a moment, or now."""

    trigger_id: str = ""
    principal: str = ""
    reason: str = ""
    as_of: str = ""


def configured(trigger_id: str) -> dict[str, object]:
    """The run configuration that names a trigger."""
    return {"ops": {STEP: {"config": {"trigger_id": trigger_id}}}}


# What a run does; tests of what launches runs give a lighter one.
Work = Callable[["Pipeline", Home, Asked, str], "Outcome | None"]


def retrain_job(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find, work: Work | None = None
) -> dg.JobDefinition:
    """Release, train, compare, promote or keep; see `headrace.retraining.workflow`."""

    @dg.op(name=STEP, description="Carry one retraining to its end, or on from where it was.")
    def retrain_model(context: dg.OpExecutionContext, config: Asked) -> None:
        run = context.run
        with readable():
            outcome = (work or _work)(pipeline, home(), config, run.root_run_id or run.run_id)
        if outcome is not None:
            _tell(context, pipeline, outcome)

    @dg.job(
        name=RETRAIN,
        description="A new release and a challenger against the champion; asked for by the decision"
        " ledger, or by a person. `headrace retrain` does the same.",
        tags={"headrace/pipeline": pipeline.name},
    )
    def retrain() -> None:
        retrain_model()

    return retrain


def _work(pipeline: "Pipeline", home: Home, asked: Asked, run_id: str) -> "Outcome":
    from headrace.retraining.service import retrain_by_hand, retrain_by_trigger

    if asked.trigger_id:
        return retrain_by_trigger(pipeline, home, asked.trigger_id)
    # the first of all executions of a run names it: executed again, it is the same retraining
    return retrain_by_hand(
        pipeline, home, asked.principal, asked.reason, as_of=asked.as_of, key=run_id
    )


def _tell(context: dg.OpExecutionContext, pipeline: "Pipeline", outcome: "Outcome") -> None:
    """What came of it, on the assets that people look at."""
    context.log.info("%s: %s", outcome.trigger_id, outcome.says)
    about = {"trigger": outcome.trigger_id, "why": outcome.says}
    if not outcome.began:
        return
    if released := outcome.steps.get("released"):
        context.log_event(
            dg.AssetMaterialization(
                asset_names.release_key(pipeline.dataset.name),
                metadata={**about, "dataset": released["dataset"]},
            )
        )
    if promoted := outcome.steps.get("promoted"):
        context.log_event(
            dg.AssetMaterialization(
                asset_names.model_key(pipeline.model.name),
                metadata={**about, "model": promoted["model"]},
            )
        )
