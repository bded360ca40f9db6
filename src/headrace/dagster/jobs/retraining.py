"""The retraining job: one op that carries out all steps of a triggered retraining.

The ledger records the finished steps of each trigger. So a re-executed run continues the same
retraining instead of starting another, even in another Dagster instance over the same home.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.failures import readable

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.retraining.workflow import RetrainingOutcome

RETRAIN = "retrain"
STEP = "retrain_model"


class RetrainConfig(dg.Config):
    """Request for a retraining, by a decision (`trigger_id`) or by a person (with a reason).

    `as_of` is a time; empty means now.
    """

    trigger_id: str = ""
    principal: str = ""
    reason: str = ""
    as_of: str = ""


def configured(trigger_id: str, suffix: str = "") -> dict[str, object]:
    """Return the run configuration for a trigger; the suffix is that of the job."""
    return {"ops": {STEP + suffix: {"config": {"trigger_id": trigger_id}}}}


# Function that does the work of a run; tests pass a faster one.
Work = Callable[["Pipeline", Home, RetrainConfig, str], "RetrainingOutcome | None"]


def retrain_job(
    pipeline: "Pipeline",
    home: Callable[[], Home] = Home.find,
    work: Work | None = None,
    *,
    suffix: str = "",
) -> dg.JobDefinition:
    """Return the job that retrains: release, train, compare, promote or keep the champion.

    See `headrace.retraining.workflow`. The suffix, at the end of the job's name, distinguishes the
    jobs of several monitors.
    """

    @dg.op(name=STEP + suffix, description="Carry out all steps of one retraining, or continue it.")
    def retrain_model(context: dg.OpExecutionContext, config: RetrainConfig) -> None:
        run = context.run
        with readable():
            outcome = (work or _work)(pipeline, home(), config, run.root_run_id or run.run_id)
        if outcome is not None:
            _log_outcome(context, pipeline, outcome)

    @dg.job(
        name=RETRAIN + suffix,
        description="Release the dataset, train a challenger and compare it with the champion."
        " Triggered by the decision ledger or by a person; `headrace retrain` does the same.",
        tags={"headrace/pipeline": pipeline.name},
    )
    def retrain() -> None:
        retrain_model()

    return retrain


def _work(
    pipeline: "Pipeline", home: Home, config: RetrainConfig, run_id: str
) -> "RetrainingOutcome":
    from headrace.retraining.service import retrain_by_hand, retrain_by_trigger

    if config.trigger_id:
        return retrain_by_trigger(pipeline, home, config.trigger_id)
    # The key is the id of the original run, so a re-executed run continues the same retraining.
    return retrain_by_hand(
        pipeline, home, config.principal, config.reason, as_of=config.as_of, key=run_id
    )


def _log_outcome(
    context: dg.OpExecutionContext, pipeline: "Pipeline", outcome: "RetrainingOutcome"
) -> None:
    """Log the outcome of a retraining on the assets of the release and the model."""
    context.log.info("%s: %s", outcome.trigger_id, outcome.summary)
    entries = {"trigger": outcome.trigger_id, "why": outcome.summary}
    if not outcome.began:
        return
    if released := outcome.steps.get("released"):
        context.log_event(
            dg.AssetMaterialization(
                asset_names.release_key(pipeline.dataset.name),
                metadata={**entries, "dataset": released["dataset"]},
            )
        )
    if promoted := outcome.steps.get("promoted"):
        context.log_event(
            dg.AssetMaterialization(
                asset_names.model_key(pipeline.model.name),
                metadata={**entries, "model": promoted["model"]},
            )
        )
