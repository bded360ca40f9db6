"""Retraining of a declared pipeline, started by a trigger in the decision ledger or by a person."""

from typing import TYPE_CHECKING, Any

from headrace.alerts.model import FAILED, ROLLED_BACK, Condition
from headrace.core.clock import duration, now_us, parse_moment
from headrace.core.errors import DeclarationError
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.monitoring.decisions.ledger import DecisionLedger, Step
from headrace.pipeline.build_context import BuildContext, current_context
from headrace.pipeline.definition import Pipeline
from headrace.retraining.environment import PipelineWorld
from headrace.retraining.promotion_watch import watch_over
from headrace.retraining.request import Request, by_hand, requested
from headrace.retraining.workflow import RetrainingOutcome, plan_of, retrain

if TYPE_CHECKING:
    from headrace.retraining.promotion_watch import Watched


_PAGED_WITHIN = duration("7d")  # older failures and rollbacks send no page
# Results of a retraining that page the owner: the alert's cause and text.
_BAD = {
    "failed": (FAILED, "retraining failed"),
    "rolled_back": (ROLLED_BACK, "the new champion was rolled back"),
}


def retrain_by_trigger(pipeline: Pipeline, home: Home, trigger_id: str) -> RetrainingOutcome:
    """Run or resume the retraining that a decision triggered; raise the errors of `retrain`."""
    return carry(pipeline, home, requested(pipeline.monitor, DecisionLedger(home), trigger_id))


def retrain_by_hand(
    pipeline: Pipeline, home: Home, principal: str, reason: str, *, as_of: str = "", key: str = ""
) -> RetrainingOutcome:
    """Run a retraining that a person requests; a repeated call with the same `key` resumes it.

    Raises:
        DeclarationError: the principal or the reason is empty.
    """
    return carry(pipeline, home, asked_by(pipeline, home, principal, reason, as_of=as_of, key=key))


def asked_by(
    pipeline: Pipeline, home: Home, principal: str, reason: str, *, as_of: str = "", key: str = ""
) -> Request:
    """Build a person's request, as of a time (RFC 3339) or now.

    Raises:
        DeclarationError: the principal or the reason is empty, or `as_of` is not a time.
    """
    if not principal.strip() or not reason.strip():
        raise DeclarationError(
            "a retraining without a trigger needs a person and a reason",
            where=f"pipeline {pipeline.name}",
            fix='headrace retrain --reason "..."',
        )
    moment = parse_moment(as_of, "--as-of") if as_of else now_us()
    identity = [pipeline.name, principal, reason, key or moment]
    if pipeline.full_pipeline is not pipeline:  # the pipeline has more monitors
        identity.append(pipeline.monitor.name)
    request_id = digest(identity)[:24]
    request = Request(f"manual-{request_id}", moment, (reason,), principal)
    return by_hand(pipeline.monitor, DecisionLedger(home), request)


def dry_run(pipeline: Pipeline, home: Home, request: Request) -> dict[str, Any]:
    """Return the plan of a retraining without writing anything."""
    return plan_of(_environment(pipeline, home), request)


def _environment(pipeline: Pipeline, home: Home) -> PipelineWorld:
    return PipelineWorld(pipeline, home, BuildContext(pipeline, home))


def watch_promotions(
    pipeline: Pipeline, home: Home, now: int, context: BuildContext | None = None
) -> "list[Watched]":
    """Confirm promoted models or roll them back as of `now` (us); page the owner of a rollback."""
    context = current_context(pipeline, home, context)
    outcomes = watch_over(PipelineWorld(pipeline, home, context), now=now)
    page_endings(pipeline, home)
    return outcomes


def carry(pipeline: Pipeline, home: Home, request: Request) -> RetrainingOutcome:
    """Run a retraining or resume it; if it fails, page the owner once."""
    try:
        return retrain(_environment(pipeline, home), request)
    finally:
        page_failure(pipeline, home, request.trigger_id)


def page_endings(pipeline: Pipeline, home: Home) -> None:
    """Page the owner once about each recent failure or rollback in the ledger.

    This includes retrainings whose process died before it could send the page.
    """
    now = now_us()
    for step in DecisionLedger(home).steps(pipeline.monitor.name):
        if step.step in _BAD and now - step.recorded_at < _PAGED_WITHIN:
            _page(pipeline, home, step)


def page_failure(pipeline: Pipeline, home: Home, trigger_id: str) -> None:
    """Page the owner once if the retraining is recorded as failed."""
    for step in DecisionLedger(home).steps(pipeline.monitor.name, trigger_id):
        if step.step == "failed":
            _page(pipeline, home, step)


def _page(pipeline: Pipeline, home: Home, step: Step) -> None:
    from headrace.alerts.watcher import open_alerts

    cause, words = _BAD[step.step]
    condition = Condition(
        table=pipeline.model.name,
        slot=step.trigger_id[:12],
        batch_id=f"slot:{step.trigger_id}",
        cause=cause,
        verdict="ERROR",
        words=words,
        reason=str(step.detail["because"]),
        owner=pipeline.tables[0].contract.owner,
    )
    open_alerts(home, [condition])
