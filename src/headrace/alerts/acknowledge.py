"""Acknowledge an alert: record it if the policy allows it, and stop its messages."""

from headrace.alerts.model import INVESTIGATE, Alert, Condition
from headrace.alerts.store import AlertStore
from headrace.core.clock import now_us
from headrace.core.errors import RefusedError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy, load_policy
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record

DEFAULT_REASON = "seen, working on it"


def acknowledge(
    home: Home,
    start: str,
    *,
    principal: str,
    reason: str = DEFAULT_REASON,
    policy: PermissionPolicy | None = None,
) -> Alert:
    """Acknowledge the alert whose id starts with `start`; the first acknowledgement is kept.

    Raises:
        DeclarationError: no alert has such an id, or several have.
        RefusedError: the policy does not allow it; the attempt is recorded.
    """
    policy = policy or load_policy()
    with AlertStore(home) as store, Ledger(home) as ledger:
        alert = store.find(start)
        condition = alert.condition
        action = Action(
            principal=principal,
            action="ack",
            table=condition.table,
            reason=reason,
            batch_id=condition.batch_id if condition.has_batch else "",
            slot=condition.slot,
            note=f"alert {alert.alert_id}",
        )
        try:
            policy.check(principal, "ack", condition.table)
        except RefusedError as error:
            record(ledger, _as_refused(action, error))
            raise
        if alert.acknowledged_at is None and alert.closed_at is None:
            record(ledger, action)
            store.acknowledge(alert.alert_id, principal, now_us())
            if condition.verdict == INVESTIGATE:
                _acknowledge_window(home, condition, principal, reason)
        return store.find(alert.alert_id)


def _acknowledge_window(home: Home, condition: Condition, principal: str, reason: str) -> None:
    """Acknowledge the monitor window that the alert is about."""
    from headrace.alerts.monitors import window_end
    from headrace.monitoring.decisions.ledger import DecisionLedger

    end = window_end(condition.cause)
    DecisionLedger(home).acknowledge(condition.table, end, principal, reason, now_us())


def _as_refused(action: Action, error: RefusedError) -> Action:
    from dataclasses import replace

    return replace(action, allowed=False, note=error.what)
