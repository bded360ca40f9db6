"""Data model of alerts: a condition of a batch, and the history of its alert."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.core.files import sha256

OPENED, CLOSED = "opened", "closed"
# Causes without a batch: no delivery for a partition, or a source that could not be read.
MISSING, SOURCE = "missing", "source"
# A monitor's verdict, not a gate's: a window to investigate. `table` is the monitor's name.
INVESTIGATE = "INVESTIGATE"
# Causes about a model and its retraining, not about a table.
FAILED, ROLLED_BACK = "retraining_failed", "rolled_back"
# Verdicts that may alert, most severe first. MISSING has no batch, only a partition.
VERDICTS = ("ERROR", "BLOCK", "MISSING", INVESTIGATE, "QUARANTINE", "WARN")
BLOCKING = frozenset({"ERROR", "BLOCK"})


@dataclass(frozen=True)
class Condition:
    """Condition of one batch that its owner may be alerted to.

    Attributes:
        batch_id: `slot:<slot>` if there is no batch.
        cause: stable key of the cause, such as `unit_change:distance` or the id of a check.
        words: the cause in a few words, such as `unit change in distance`.
        reason: the cause in one sentence.
        check: id of the check or other result that is the cause; "" if there is none.
        owner: the contract's owner.
        rows: number of rows blocked or quarantined.
        consumers: pipelines that read the table.
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
        """Return an id that is the same for the same batch and cause."""
        return sha256(f"{self.table}\0{self.batch_id}\0{self.cause}".encode())[:16]

    @property
    def fault(self) -> str:
        """Return the key by which partitions are grouped into one incident."""
        return "delivery" if self.cause in {MISSING, SOURCE} else self.cause

    @property
    def about_model(self) -> bool:
        """Return True if `table` is a model's name, and `slot` the trigger of its retraining."""
        return self.cause in {FAILED, ROLLED_BACK}

    @property
    def has_batch(self) -> bool:
        return not self.batch_id.startswith("slot:")


@dataclass(frozen=True)
class Alert:
    """Condition with the history of its alert. Times are int64 microseconds UTC, None for not yet.

    Attributes:
        notified_at: when a notifier accepted the first of its opening messages.
        closed_by: why it was closed, in words, such as `superseded by 3f2a...`.
        incident: id of the first alert of its incident, which may be itself; "" in old records.
        related: number of other alerts of the same incident.
        messages: number of its messages by state: `sent`, `waiting`, `dropped`.
        error: error of the last attempt to send; "" if it succeeded.
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
    related: int = 0
    messages: Mapping[str, int] = field(default_factory=dict, hash=False)
    error: str = ""

    @property
    def state(self) -> str:
        if self.closed_at is not None:
            return "closed"
        return "acknowledged" if self.acknowledged_at is not None else "open"

    def document(self) -> dict[str, Any]:
        """Return JSON values, with timestamps in RFC 3339."""
        from headrace.core.clock import iso

        moments = ("opened_at", "notified_at", "acknowledged_at", "closed_at")
        times = {name: None if (at := getattr(self, name)) is None else iso(at) for name in moments}
        condition = self.condition
        return {
            "alert": self.alert_id,
            "incident": self.incident or self.alert_id,
            "state": self.state,
            "table": condition.table,
            "slot": condition.slot,
            "batch": condition.batch_id if condition.has_batch else "",
            "verdict": condition.verdict,
            "cause": condition.cause,
            "words": condition.words,
            "reason": condition.reason,
            "owner": condition.owner,
            "rows": condition.rows,
            "consumers": list(condition.consumers),
            **times,
            "acknowledged_by": self.acknowledged_by,
            "closed_by": self.closed_by,
            "messages": dict(self.messages),
            "error": self.error,
        }
