"""An alert: one batch and one cause, from the moment somebody should know until it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.core.files import sha256

OPENED, CLOSED = "opened", "closed"
# Of these there is no batch: nothing came for a slot, or its source could not be read.
MISSING, SOURCE = "missing", "source"
# No gate's verdict: a window that somebody has to look at; the table is the monitor's name.
INVESTIGATE = "INVESTIGATE"
# These are about a model and its retraining, not about a table.
FAILED, ROLLED_BACK = "retraining_failed", "rolled_back"
# What may be alerted, gravest first. MISSING has no batch: its slot stands for one.
VERDICTS = ("ERROR", "BLOCK", "MISSING", INVESTIGATE, "QUARANTINE", "WARN")
HELD = frozenset({"ERROR", "BLOCK"})


@dataclass(frozen=True)
class Condition:
    """Something about one batch that its owner should know.

    Attributes:
        batch_id: `slot:<slot>` where the trouble is that there is none.
        cause: stable, such as `unit_change:distance` or the id of a check.
        words: the cause for people, short: `unit change in distance`.
        reason: one sentence.
        check: id of the result that names the cause; "" if none does.
        owner: the contract's owner.
        rows: rows that are concerned: held back, or quarantined.
        consumers: who reads the table.
    """

    table: str
    slot: str
    batch_id: str
    cause: str
    verdict: str
    words: str
    reason: str
    owner: str
    check: str = ""
    rows: int = 0
    consumers: tuple[str, ...] = ()

    @property
    def alert_id(self) -> str:
        """The same for the same batch and cause, whoever finds it and however often."""
        return sha256(f"{self.table}\0{self.batch_id}\0{self.cause}".encode())[:16]

    @property
    def fault(self) -> str:
        """What slots have in common that are one incident: nothing comes, whatever the reason."""
        return "delivery" if self.cause in {MISSING, SOURCE} else self.cause

    @property
    def about_model(self) -> bool:
        """Then `table` is the model's name, and the slot the retraining's trigger."""
        return self.cause in {FAILED, ROLLED_BACK}

    @property
    def has_batch(self) -> bool:
        return not self.batch_id.startswith("slot:")


@dataclass(frozen=True)
class Alert:
    """A condition and what became of it. Times are int64 microseconds UTC, None for not yet.

    Attributes:
        notified_at: when the first of its opening messages was taken by a notifier.
        closed_by: in words, such as `superseded by 3f2a...`.
        incident: id of the alert that was told for all that are of the same fault; "" if its own.
        more: how many other alerts are of the same incident.
        messages: how many of its messages are `sent`, `waiting`, `dropped`.
        error: what the last attempt to send died of; "" if it did not.
    """

    alert_id: str
    condition: Condition
    opened_at: int
    notified_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    closed_at: int | None = None
    closed_by: str = ""
    incident: str = ""
    more: int = 0
    messages: Mapping[str, int] = field(default_factory=dict, hash=False)
    error: str = ""

    @property
    def state(self) -> str:
        if self.closed_at is not None:
            return "closed"
        return "acknowledged" if self.acknowledged_at is not None else "open"

    def document(self) -> dict[str, Any]:
        """JSON values, moments in RFC 3339."""
        from headrace.core.clock import iso

        moments = ("opened_at", "notified_at", "acknowledged_at", "closed_at")
        told = {name: None if (at := getattr(self, name)) is None else iso(at) for name in moments}
        given = self.condition
        return {
            "alert": self.alert_id,
            "incident": self.incident or self.alert_id,
            "state": self.state,
            "table": given.table,
            "slot": given.slot,
            "batch": given.batch_id if given.has_batch else "",
            "verdict": given.verdict,
            "cause": given.cause,
            "words": given.words,
            "reason": given.reason,
            "owner": given.owner,
            "rows": given.rows,
            "consumers": list(given.consumers),
            **told,
            "acknowledged_by": self.acknowledged_by,
            "closed_by": self.closed_by,
            "messages": dict(self.messages),
            "error": self.error,
        }
