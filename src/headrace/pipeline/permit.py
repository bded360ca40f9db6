"""Whether an action may be done; what is refused is on the record as well."""

from dataclasses import replace

from headrace.errors import RefusedError
from headrace.gates.policy import Policy, load_policy
from headrace.lake.actions import Action, record
from headrace.lake.ledger import Ledger


def permit(ledger: Ledger, draft: Action, policy: Policy | None = None) -> None:
    """Raises RefusedError, on the record, where the policy (default: the project's) forbids it."""
    try:
        (policy or load_policy()).check(draft.principal, draft.action, draft.table)
    except RefusedError as refused:
        record(ledger, replace(draft, allowed=False, note=refused.what))
        raise
