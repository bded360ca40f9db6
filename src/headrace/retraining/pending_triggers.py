"""Decisions that ask for a retraining, as the sensor forwards them."""

from dataclasses import dataclass

from headrace.core.home import Home
from headrace.monitoring.decisions.ledger import DecisionLedger
from headrace.pipeline.definition import Pipeline
from headrace.retraining.workflow import ENDS


@dataclass(frozen=True)
class Trigger:
    """A row of the decision ledger that asks for a retraining; `sequence` grows with every row."""

    sequence: int
    trigger_id: str
    reason: str


def open_triggers(pipeline: Pipeline, home: Home) -> list[Trigger]:
    """Triggers of this pipeline whose retraining has not ended, in order.

    What the ledger knows as done needs no run, also for a Dagster that has forwarded nothing yet.
    """
    ledger, name = DecisionLedger(home), pipeline.monitor.name
    ended = {step.trigger_id for step in ledger.steps(name) if step.step in ENDS}
    return [
        Trigger(row.cursor, row.decision.trigger_id, " ".join(row.decision.reasons))
        for row in ledger.entries(name)
        if row.decision.trigger_id is not None and row.decision.trigger_id not in ended
    ]
