"""Evidence about the batches that rows come from: delivery, verdict, and actions of people."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headrace.core.clock import iso
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.audit_trail import actions


@dataclass(frozen=True)
class BatchEvidence:
    """Evidence from the ledger about one batch of a table.

    Attributes:
        batch_id: id of the batch.
        delivery: the ledger row of the batch; None if the home's ledger does not have the batch.
        verdict: the verdict under which its rows were published.
        overrides: the actions that the verdict takes into account, as JSON documents.
    """

    home: Home
    batch_id: str
    delivery: Batch | None = None
    verdict: JudgementRow | None = None
    overrides: tuple[dict[str, Any], ...] = ()

    @property
    def file(self) -> str:
        """Path or address of the delivery; "" if it is not known."""
        return self.delivery.origin if self.delivery else ""

    @cached_property
    def _ends(self) -> np.ndarray | None:
        """Number of records up to the end of each page; None for a delivery without pages."""
        if self.delivery is None or self.delivery.format != "pages":
            return None
        try:
            payload = landed_delivery(self.home, self.delivery).payload
        except StateError:  # the bytes are gone, so only the line number is known
            return None
        pages = [json.loads(line) for line in payload.split(b"\n") if line.strip()]
        return np.cumsum([len(page["records"]) for page in pages])

    def place(self, line: int) -> dict[str, int]:
        """Return a row's position in the delivery: line, and page and record for an API."""
        if self._ends is None:
            return {"line": line}
        page = int(np.searchsorted(self._ends, line))
        before = int(self._ends[page - 1]) if page else 0
        return {"line": line, "page": page + 1, "record": line - before}

    def to_json(self) -> dict[str, Any]:
        delivery, verdict = self.delivery, self.verdict
        if delivery is None:
            return {"batch": self.batch_id, "known": False}
        document: dict[str, Any] = {
            "batch": self.batch_id,
            "known": True,
            "slot": delivery.slot,
            "source": delivery.source,
            "producer": delivery.producer,
            "owner": delivery.owner,
            "file": delivery.origin,
            "format": delivery.format,
            "sha256": delivery.sha256,
            "arrived_at": iso(delivery.arrived_at),
            "state": delivery.state,
            "overrides": list(self.overrides),
        }
        if verdict is not None:
            document |= {
                "verdict": verdict.verdict,
                "rules": verdict.rule_hash,
                "judged_at": iso(verdict.judged_at),
                "published_at": None if verdict.published_at is None else iso(verdict.published_at),
                "quarantined": verdict.quarantined,
                "summary": verdict.summary,
            }
        return document


def evidence_of(
    home: Home, table: str, batch_ids: Collection[str], live: Mapping[str, str]
) -> dict[str, BatchEvidence]:
    """Return the evidence by batch; `live` maps the batches of a snapshot to their paths."""
    with Ledger(home) as ledger:
        deliveries = ledger.batches(table)
        verdicts = current_verdicts(ledger.judgements(table), live)
        actions_by_id = {action.id: action for action in actions(ledger, table)}
    evidence = {}
    for batch_id in sorted(batch_ids):
        verdict = verdicts.get(batch_id)
        action_ids = json.loads(verdict.action_ids) if verdict else []
        evidence[batch_id] = BatchEvidence(
            home,
            batch_id,
            deliveries.get(batch_id),
            verdict,
            tuple(
                actions_by_id[number].document() for number in action_ids if number in actions_by_id
            ),
        )
    return evidence
