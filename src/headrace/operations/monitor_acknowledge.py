"""Acknowledgement of a window: it is recorded permanently, and the window sends no more pages."""

from headrace.core.clock import now_us, parse_day
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.monitoring.decisions.ledger import Ack, DecisionLedger, Entry
from headrace.monitoring.decisions.replay import first_entries
from headrace.monitoring.evidence.model import day_number, day_text
from headrace.operations.authorization import permit
from headrace.pipeline.definition import Pipeline
from headrace.reports.monitor.facts import tell_owner

LATEST = "last"


def window_of(pipeline: Pipeline, home: Home, window_day: str) -> Entry:
    """Return the decided window that contains the ISO day `window_day`; for `last`, the newest.

    Raises:
        DeclarationError: `window_day` is not a day, or no decided window contains it.
    """
    name = pipeline.monitor.name
    entries = first_entries(DecisionLedger(home).entries(name))
    if not entries:
        raise DeclarationError(
            f"the monitor {name} has not evaluated a window yet",
            where=str(home.root),
            fix="headrace run; a window is evaluated once it is over",
        )
    if window_day == LATEST:
        return entries[-1]
    day = day_number(parse_day(window_day, "WINDOW, a day or `last`"))
    matches = [entry for entry in entries if entry.window.first <= day < entry.window.end]
    if not matches:
        raise DeclarationError(
            f"no decided window of monitor {name} contains {window_day}",
            where=str(home.root),
            fix=f"give a day from {day_text(entries[0].window.first)} to "
            f"{day_text(entries[-1].window.end - 1)}",
        )
    return matches[0]


def acknowledge(
    pipeline: Pipeline,
    home: Home,
    window_day: str,
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
) -> tuple[Ack, bool]:
    """Acknowledge the window that contains a day; return the record, and True if it is new.

    Raises:
        DeclarationError: there is no such window, it has no findings, or the principal or reason is
            empty.
        RefusedError: the policy does not allow it; the refusal is recorded.
    """
    entry, name = window_of(pipeline, home, window_day), pipeline.monitor.name
    if entry.decision.action == "none":
        raise DeclarationError(
            f"there is nothing to acknowledge in {entry.window.text}: it was quiet",
            where=f"monitor {name}",
            fix="headrace monitor status",
        )
    need_who_and_why(f"acknowledging {entry.window.text}", name, principal, reason)
    draft = Action(
        principal=principal,
        action="ack",
        table=name,
        reason=reason,
        slot=day_text(entry.window.first),
        note=f"window {entry.window.text} of monitor {name}",
    )
    ledger, acknowledgement = DecisionLedger(home), (entry.window.end, principal, reason)
    with Ledger(home) as batches:
        permit(batches, draft, policy)
        new = _recorded_ack(ledger, name, acknowledgement) is None
        if new:
            record(batches, draft)  # first, so that the audit trail has every acknowledgement
            ledger.acknowledge(name, *acknowledgement, now_us())
    tell_owner(pipeline, home)
    ack = _recorded_ack(ledger, name, acknowledgement)
    assert ack is not None
    return ack, new


def need_who_and_why(doing: str, name: str, principal: str, reason: str) -> None:
    """Refuse an action without a principal or a reason, before anything is recorded.

    Raises:
        DeclarationError: the principal or the reason is empty.
    """
    if not principal.strip() or not reason.strip():
        raise DeclarationError(
            f"{doing} needs a principal and a reason",
            where=f"monitor {name}",
            fix='--reason "..."; both are kept permanently',
        )


def _recorded_ack(
    ledger: DecisionLedger, name: str, acknowledgement: tuple[int, str, str]
) -> Ack | None:
    """Return the recorded acknowledgement with this window, principal and reason; None if none."""
    return next(
        (
            ack
            for ack in ledger.acks(name)
            if (ack.window_end, ack.principal, ack.reason) == acknowledgement
        ),
        None,
    )
