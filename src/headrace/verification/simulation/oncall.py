"""Scripted on-call person, who reacts to pages and recalls batches that producers withdraw.

Some hours after a page, on-call asks the producer of the batch. If the producer confirms it, the
gate was wrong, and on-call approves the batch. Otherwise on-call acknowledges it and waits for the
repaired delivery. A published batch that the producer has withdrawn is recalled.
"""

from dataclasses import dataclass, field

from headrace.alerts import AlertStore
from headrace.core.clock import HOUR
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.table import Table
from headrace.operations.batch_actions import ack, recall, release
from headrace.pipeline.definition import Pipeline
from headrace.verification.simulation.producers import ProducerWorld, records_of

AFTER = 6 * HOUR
PRINCIPAL = "on-call"


@dataclass
class OnCall:
    """Person on call; `actions` logs (at, action, table, slot, batch, outcome) of each action."""

    pipeline: Pipeline
    home: Home
    world: ProducerWorld
    policy: PermissionPolicy
    actions: list[dict[str, str | int]] = field(default_factory=list)
    _handled: set[str] = field(default_factory=set)
    _confirmed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def work(self, now: int) -> None:
        """Handle every page that is at least `AFTER` old."""
        with AlertStore(self.home) as store:
            waiting = [
                alert
                for alert in store.open_alerts()
                if alert.condition.has_batch
                and alert.alert_id not in self._handled
                and (alert.notified_at or alert.opened_at) <= now - AFTER
            ]
        for alert in waiting:
            condition = alert.condition
            self._handled.add(alert.alert_id)
            batch = self._batch(condition.table, condition.batch_id)
            if batch.state in {"superseded", "rejected", "recalled"}:
                continue
            verb = "release" if self.is_confirmed(batch, condition.table) else "ack"
            self._do(verb, condition.table, batch, now)

    def take_back(self, now: int) -> None:
        """Recall published batches that their producer has replaced by a repaired delivery."""
        for name in self.world.tables:
            with Ledger(self.home) as ledger:
                batches = list(ledger.batches(name).values())
            for batch in batches:
                if batch.state == "published" and self._refuted(name, batch):
                    self._do("recall", name, batch, now)

    def _refuted(self, table: str, batch: Batch) -> bool:
        """Return True if the batch is faulty and its repaired version is already visible."""
        slot = (table, batch.slot)
        if slot not in self.world.faulty or not self.world.final.get(slot):
            return False
        repaired = self.world.final[slot][-1].payload
        visible = any(delivery.payload == repaired for delivery in self.world.visible.get(slot, ()))
        return visible and not self.is_confirmed(batch, table)

    def is_confirmed(self, batch: Batch, table: str) -> bool:
        """Return True if the producer confirms the batch; the answer is cached."""
        key = (table, batch.batch_id)
        if key not in self._confirmed:
            delivery = landed_delivery(self.home, batch)
            records = records_of(delivery.payload, delivery.format)
            self._confirmed[key] = self.world.confirms(table, batch.slot, records)
        return self._confirmed[key]

    def _batch(self, table: str, batch_id: str) -> Batch:
        with Ledger(self.home) as ledger:
            return ledger.batches(table)[batch_id]

    def _do(self, verb: str, name: str, batch: Batch, now: int) -> None:
        table: Table = self.pipeline.table(name)
        act = {"release": release, "ack": ack, "recall": recall}[verb]
        reason = {
            "release": "the producer confirms it",
            "ack": "the producer repairs it",
            "recall": "the producer has withdrawn it",
        }[verb]
        try:
            act(
                self.home,
                table,
                batch.batch_id,
                principal=PRINCIPAL,
                reason=reason,
                policy=self.policy,
            )
            outcome = "done"
        except HeadraceError as error:
            outcome = error.what
        self.actions.append(
            {"at": now, "action": verb, "table": name, "slot": batch.slot,
             "batch": batch.batch_id[:12], "outcome": outcome}
        )  # fmt: skip
