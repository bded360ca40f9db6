"""What a person does, by a script: only what the system pages for and cannot do itself.

Some hours after a page on-call looks at the batch and asks its producer. If the producer stands by
it, the gate was wrong, and it is released. If not, on-call acknowledges and waits for the repaired
delivery. A batch that was published, and that the producer takes back, is recalled.
"""

from dataclasses import dataclass, field

from headrace.alerts import AlertStore
from headrace.core.clock import HOUR
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.core.permissions import Policy
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ledger.ledger import Batch, Ledger
from headrace.lake.table import Table
from headrace.operations.batch_actions import ack, recall, release
from headrace.pipeline.definition import Pipeline
from headrace.verification.simulation.producers import World, records_of

AFTER = 6 * HOUR
WHO = "on-call"


@dataclass
class OnCall:
    """The person on duty, and what was `done`: at, action, table, slot, batch and outcome each."""

    pipeline: Pipeline
    home: Home
    world: World
    policy: Policy
    done: list[dict[str, str | int]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _stands: dict[tuple[str, str], bool] = field(default_factory=dict)

    def work(self, now: int) -> None:
        """Deal with every page that came at least `AFTER` ago."""
        with AlertStore(self.home) as store:
            waiting = [
                alert
                for alert in store.open_alerts()
                if alert.condition.has_batch
                and alert.alert_id not in self._seen
                and (alert.notified_at or alert.opened_at) <= now - AFTER
            ]
        for alert in waiting:
            given = alert.condition
            self._seen.add(alert.alert_id)
            batch = self._batch(given.table, given.batch_id)
            if batch.state in {"superseded", "rejected", "recalled"}:
                continue
            verb = "release" if self.stands(batch, given.table) else "ack"
            self._do(verb, given.table, batch, now)

    def take_back(self, now: int) -> None:
        """Recall what is published though its producer does not stand by it any more."""
        for name in self.world.tables:
            with Ledger(self.home) as ledger:
                batches = list(ledger.batches(name).values())
            for batch in batches:
                if batch.state == "published" and self._refuted(name, batch):
                    self._do("recall", name, batch, now)

    def _refuted(self, table: str, batch: Batch) -> bool:
        """A faulty delivery, of which the repaired one is there already."""
        slot = (table, batch.slot)
        if slot not in self.world.faulty or not self.world.final.get(slot):
            return False
        repaired = self.world.final[slot][-1].payload
        there = any(put.payload == repaired for put in self.world.shown.get(slot, ()))
        return there and not self.stands(batch, table)

    def stands(self, batch: Batch, table: str) -> bool:
        """Whether its producer stands by it, asked once: no answer is taken back."""
        known = (table, batch.batch_id)
        if known not in self._stands:
            delivery = landed_delivery(self.home, batch)
            records = records_of(delivery.payload, delivery.format)
            self._stands[known] = self.world.stands(table, batch.slot, records)
        return self._stands[known]

    def _batch(self, table: str, batch_id: str) -> Batch:
        with Ledger(self.home) as ledger:
            return ledger.batches(table)[batch_id]

    def _do(self, verb: str, name: str, batch: Batch, now: int) -> None:
        table: Table = self.pipeline.table(name)
        act = {"release": release, "ack": ack, "recall": recall}[verb]
        reason = {
            "release": "the producer stands by it",
            "ack": "the producer repairs it",
            "recall": "the producer has taken it back",
        }[verb]
        try:
            act(self.home, table, batch.batch_id, principal=WHO, reason=reason, policy=self.policy)
            outcome = "done"
        except HeadraceError as error:
            outcome = error.what
        self.done.append(
            {"at": now, "action": verb, "table": name, "slot": batch.slot,
             "batch": batch.batch_id[:12], "outcome": outcome}
        )  # fmt: skip
