"""Exemptions of a table: acceptances and mutes of findings in the audit trail.

A verdict uses the exemptions that were on record when the gate decided. If the rules change, a
batch is validated again with the exemptions of its last verdict's time, not with those of today.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from headrace.core.clock import from_us
from headrace.gates.exemptions import AcceptedFinding, Exemption, Exemptions
from headrace.gates.exemptions.scopes import ENDED, FINDINGS, KINDS, exemption_words, period_of
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions


@dataclass(frozen=True)
class RecordedExemption:
    """Exemption in the audit trail; `ended_at` is when a person ended it before its time."""

    action: Action
    exemption: Exemption
    ended_at: int | None = None

    def in_force(self, at: int) -> bool:
        """Return True if the exemption was on record, and had not ended, at a time (us)."""
        ends = [end for end in (self.action.expires_at, self.ended_at) if end is not None]
        return self.action.at <= at < min(ends, default=at + 1)

    @property
    def covers(self) -> list[str]:
        """Return the covered findings as phrases."""
        return exemption_words(self.action.scope)


@dataclass(frozen=True)
class RecordedExemptions:
    """All exemptions of a table, and the time of the last verdict on each of its batches."""

    recorded: tuple[RecordedExemption, ...] = ()
    decided: Mapping[str, int] = field(default_factory=dict, hash=False)

    def at(self, moment: int, day: str) -> Exemptions:
        """Return the exemptions for the batch of a day that is decided at a time (us)."""
        return Exemptions(day, tuple(r.exemption for r in self.recorded if r.in_force(moment)))


def exemptions_on_record(ledger: Ledger, table: str) -> RecordedExemptions:
    """Return all exemptions of a table.

    The list is complete up to the present time.
    """
    # Decisions get their time under the write lock: while it is held here, no process has a time
    # for a decision that is not recorded yet.
    with ledger.transaction():
        recorded = recorded_exemptions(ledger, table)
    return RecordedExemptions(recorded, ledger.decided(table) if recorded else {})


def recorded_exemptions(ledger: Ledger, table: str | None = None) -> tuple[RecordedExemption, ...]:
    """Return the exemptions of a table, or of all tables, oldest first."""
    trail = [action for action in actions(ledger, table) if action.allowed]
    ended = {
        action_id: action.at
        for action in reversed(trail)  # the first end counts
        for action_id in action.scope.get(ENDED, ())
        if action.action == "unmute"
    }
    return tuple(
        RecordedExemption(action, _exemption(action), ended.get(action.id))
        for action in trail
        if is_exemption(action)
    )


def is_exemption(action: Action) -> bool:
    """Return True for an acceptance or a mute of findings."""
    return (action.action == "accept" and FINDINGS in action.scope) or (
        action.action == "mute" and KINDS in action.scope
    )


def day_of(slot: str, arrived_at: int) -> str:
    """Return the ISO day of a partition; of a snapshot, the day on which it arrived (UTC)."""
    try:
        return date.fromisoformat(slot[:10]).isoformat()
    except ValueError:
        return f"{from_us(arrived_at):%Y-%m-%d}"


def _exemption(action: Action) -> Exemption:
    scope = action.scope
    return Exemption(
        action.id,
        exemption_sentence(action),
        findings=tuple(AcceptedFinding.from_document(d) for d in scope.get(FINDINGS, ())),
        kinds=tuple(scope.get(KINDS, ())),
        columns=tuple(scope.get("columns", ())),
        period=period_of(scope),
    )


def exemption_sentence(action: Action) -> str:
    """Return an exemption in words: who, when, until when, why."""
    verb = "accepted" if action.action == "accept" else "muted"
    period = period_of(action.scope)
    when = f" ({period.words})" if period else ""
    until = f" until {last_day(action.expires_at)}" if action.expires_at else ""
    return (
        f"{verb} by {action.principal} on {from_us(action.at):%Y-%m-%d}{until}{when}:"
        f" {action.reason}"
    )


def last_day(expires_at: int) -> str:
    """Return the last day (UTC) on which a decision with this end is in force."""
    return f"{from_us(expires_at - 1):%Y-%m-%d}"
