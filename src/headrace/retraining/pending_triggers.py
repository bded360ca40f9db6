"""Triggers of retrainings that have not ended, for the Dagster sensor."""

from dataclasses import dataclass

from headrace.core.home import Home
from headrace.monitoring.decisions.ledger import DecisionLedger
from headrace.pipeline.definition import Pipeline
from headrace.retraining.workflow import ENDS


@dataclass(frozen=True)
class Trigger:
    """Decision that triggers a retraining; `sequence` is its ascending row number in the ledger."""

    sequence: int
    trigger_id: str
    reason: str


def open_triggers(pipeline: Pipeline, home: Home) -> list[Trigger]:
    """Return the triggers of this pipeline whose retraining has not ended, in order.

    The ledger says which retrainings have ended, so a new Dagster instance without a sensor cursor
    does not run them again.
    """
    ledger, name = DecisionLedger(home), pipeline.monitor.name
    ended = {step.trigger_id for step in ledger.steps(name) if step.step in ENDS}
    return [
        Trigger(row.cursor, row.decision.trigger_id, " ".join(row.decision.reasons))
        for row in ledger.entries(name)
        if row.decision.trigger_id is not None and row.decision.trigger_id not in ended
    ]
