"""Decisions that ask for a retraining, as the sensor forwards them."""

from dataclasses import dataclass

from headrace.home import Home
from headrace.monitoring.ledger import DecisionLedger
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.retraining import ENDS


@dataclass(frozen=True)
class Trigger:
    """A row of the decision ledger that asks for a retraining; `sequence` grows with every row."""

    sequence: int
    trigger_id: str
    reason: str


def triggers_after(pipeline: Pipeline, home: Home, cursor: int) -> list[Trigger]:
    """Triggers of this pipeline with a greater sequence than `cursor`, in order.

    Without those whose retraining has ended: a new Dagster begins with cursor 0, and what the
    ledger knows as done needs no run.
    """
    ledger, name = DecisionLedger(home), pipeline.monitor.name
    ended = {step.trigger_id for step in ledger.steps(name) if step.step in ENDS}
    return [
        Trigger(row.cursor, row.decision.trigger_id, " ".join(row.decision.reasons))
        for row in ledger.rows_after(cursor, name, limit=-1)
        if row.decision.trigger_id is not None and row.decision.trigger_id not in ended
    ]
