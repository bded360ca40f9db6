"""What is known of the batches that rows came in: the delivery, the verdict, what people did."""

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
    """One batch of a table, as far as the ledger knows it.

    Attributes:
        batch_id: of the delivery.
        delivery: the ledger's row; None for a batch that this home's ledger does not know.
        verdict: what its rows were published by.
        overrides: what people did that the verdict takes into account, as JSON documents.
    """

    home: Home
    batch_id: str
    delivery: Batch | None = None
    verdict: JudgementRow | None = None
    overrides: tuple[dict[str, Any], ...] = ()

    @property
    def file(self) -> str:
        """Path or address that was delivered; "" where it is not known."""
        return self.delivery.origin if self.delivery else ""

    @cached_property
    def _ends(self) -> np.ndarray | None:
        """How many records there are up to the end of each page."""
        if self.delivery is None or self.delivery.format != "pages":
            return None
        try:
            payload = landed_delivery(self.home, self.delivery).payload
        except StateError:  # the bytes are gone: the record's number is all there is to say
            return None
        pages = [json.loads(line) for line in payload.split(b"\n") if line.strip()]
        return np.cumsum([len(page["records"]) for page in pages])

    def place(self, line: int) -> dict[str, int]:
        """Where in the delivery a row stands: its line, and of an API the page and the record."""
        if self._ends is None:
            return {"line": line}
        page = int(np.searchsorted(self._ends, line))
        before = int(self._ends[page - 1]) if page else 0
        return {"line": line, "page": page + 1, "record": line - before}

    def to_json(self) -> dict[str, Any]:
        one, judged = self.delivery, self.verdict
        if one is None:
            return {"batch": self.batch_id, "known": False}
        found: dict[str, Any] = {
            "batch": self.batch_id,
            "known": True,
            "slot": one.slot,
            "source": one.source,
            "producer": one.producer,
            "owner": one.owner,
            "file": one.origin,
            "format": one.format,
            "sha256": one.sha256,
            "arrived_at": iso(one.arrived_at),
            "state": one.state,
            "overrides": list(self.overrides),
        }
        if judged is not None:
            found |= {
                "verdict": judged.verdict,
                "rules": judged.rule_hash,
                "judged_at": iso(judged.judged_at),
                "published_at": None if judged.published_at is None else iso(judged.published_at),
                "quarantined": judged.quarantined,
                "summary": judged.summary,
            }
        return found


def evidence_of(
    home: Home, table: str, batch_ids: Collection[str], live: Mapping[str, str]
) -> dict[str, BatchEvidence]:
    """By batch what is known of it; `live` is the path by which a snapshot shows each batch."""
    with Ledger(home) as ledger:
        deliveries = ledger.batches(table)
        verdicts = current_verdicts(ledger.judgements(table), live)
        done = {action.id: action for action in actions(ledger, table)}
    found = {}
    for batch_id in sorted(batch_ids):
        judged = verdicts.get(batch_id)
        taken = json.loads(judged.action_ids) if judged else []
        found[batch_id] = BatchEvidence(
            home,
            batch_id,
            deliveries.get(batch_id),
            judged,
            tuple(done[number].document() for number in taken if number in done),
        )
    return found
