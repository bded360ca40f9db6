"""Somebody is on it: on the record, if the policy allows it, and no more messages until it ends."""

from headrace.alerts.model import INVESTIGATE, Alert, Condition
from headrace.alerts.store import AlertStore
from headrace.core.clock import now_us
from headrace.core.errors import RefusedError
from headrace.core.home import Home
from headrace.core.permissions import Policy, load_policy
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record

DEFAULT_REASON = "seen, working on it"


def acknowledge(
    home: Home,
    start: str,
    *,
    principal: str,
    reason: str = DEFAULT_REASON,
    policy: Policy | None = None,
) -> Alert:
    """Acknowledge the alert whose id starts so; the first to do it stays the one.

    Raises:
        DeclarationError: there is no such alert, or more than one.
        RefusedError: the policy does not allow it; that is on the record.
    """
    policy = policy or load_policy()
    with AlertStore(home) as store, Ledger(home) as ledger:
        alert = store.find(start)
        given = alert.condition
        action = Action(
            principal=principal,
            action="ack",
            table=given.table,
            reason=reason,
            batch_id=given.batch_id if given.has_batch else "",
            slot=given.slot,
            note=f"alert {alert.alert_id}",
        )
        try:
            policy.check(principal, "ack", given.table)
        except RefusedError as refused:
            record(ledger, _refused(action, refused))
            raise
        if alert.acknowledged_at is None and alert.closed_at is None:
            record(ledger, action)
            store.acknowledge(alert.alert_id, principal, now_us())
            if given.verdict == INVESTIGATE:
                _tell_monitor(home, given, principal, reason)
        return store.find(alert.alert_id)


def _tell_monitor(home: Home, given: Condition, principal: str, reason: str) -> None:
    """What is known of an alert of a monitor is known of its window."""
    from headrace.alerts.monitors import window_end
    from headrace.monitoring.decisions.ledger import DecisionLedger

    end = window_end(given.cause)
    DecisionLedger(home).acknowledge(given.table, end, principal, reason, now_us())


def _refused(action: Action, error: RefusedError) -> Action:
    from dataclasses import replace

    return replace(action, allowed=False, note=error.what)
