"""Permission checks for actions; refusals are recorded."""

from dataclasses import replace

from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.permissions import PermissionPolicy, load_policy
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.lake.overrides.available_actions import BATCH_ACTIONS, Availability, available_actions
from headrace.lake.overrides.batch_case import BatchCase


def permit(ledger: Ledger, draft: Action, policy: PermissionPolicy | None = None) -> None:
    """Raise and record RefusedError if the policy (default: the project's) forbids the action."""
    try:
        (policy or load_policy()).check(draft.principal, draft.action, draft.table)
    except RefusedError as refused:
        record(ledger, replace(draft, allowed=False, note=refused.what))
        raise


def permitted_actions(case: BatchCase, principal: str) -> dict[str, Availability]:
    """Return {action: availability} for a batch and a principal, under the project's policy.

    If the policy cannot be read, no action is allowed, and the error is the reason.
    """
    try:
        policy = load_policy()
    except DeclarationError as error:
        return {
            name: Availability(name, allowed=False, reason=error.what, fix=error.fix)
            for name in BATCH_ACTIONS
        }
    return available_actions(case, principal=principal, policy=policy)
