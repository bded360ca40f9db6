"""Decisions that ask for a retraining, as the sensor forwards them."""

from dataclasses import dataclass

from headrace.home import Home
from headrace.monitoring.ledger import DecisionLedger
from headrace.pipeline.declare import Pipeline


@dataclass(frozen=True)
class Trigger:
    """A row of the decision ledger that asks for a retraining; `sequence` grows with every row."""

    sequence: int
    trigger_id: str
    reason: str


def triggers_after(pipeline: Pipeline, home: Home, cursor: int) -> list[Trigger]:
    """Triggers of this pipeline with a greater sequence than `cursor`, in order."""
    return [
        Trigger(row.cursor, row.decision.trigger_id, " ".join(row.decision.reasons))
        for row in DecisionLedger(home).rows_after(cursor, pipeline.monitor.name, limit=-1)
        if row.decision.trigger_id is not None
    ]
