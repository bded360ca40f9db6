"""Actions that are possible on a batch now, by the rules that also apply when one is taken."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.core.errors import DeclarationError, HeadraceError, RefusedError
from headrace.core.permissions import PermissionPolicy
from headrace.gates.muted_checks import mutable
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action
from headrace.lake.overrides.batch_case import BatchCase
from headrace.lake.overrides.recall import shown_before_recall
from headrace.lake.overrides.scopes import (
    recall_scope,
    reject_scope,
    release_scope,
    rerun_scope,
    rows_scope,
)

# In display order: actions that decide about a held batch come first.
BATCH_ACTIONS = (
    "release",
    "reject",
    "rerun",
    "ack",
    "quarantine",
    "recall",
    "restore",
    "mute",
)


@dataclass(frozen=True)
class Availability:
    """Availability of one action on one batch.

    Attributes:
        action: one of `BATCH_ACTIONS`.
        allowed: True if the action is accepted now and changes something.
        reason: why it is refused or changes nothing; "" if it is allowed.
        fix: what to do instead, if the rule says so.
        checks: for an allowed mute, the failed checks that can be muted.
    """

    action: str
    allowed: bool
    reason: str = ""
    fix: str = ""
    checks: tuple[str, ...] = ()


def available_actions(
    case: BatchCase, *, principal: str = "", policy: PermissionPolicy | None = None
) -> dict[str, Availability]:
    """Return the availability of each of `BATCH_ACTIONS`; nothing is changed or recorded.

    The delivered bytes are read only if single rows matter: for a blocked batch with typed rows,
    and for a published batch with quarantined rows.

    Args:
        case: the batch, from `open_case` or `find_case`.
        principal: who would act; needed with `policy`.
        policy: also check the permissions of `principal`; None to check only the batch's state.
    """
    return {action: _answer(case, action, principal, policy) for action in BATCH_ACTIONS}


def _answer(
    case: BatchCase, action: str, principal: str, policy: PermissionPolicy | None
) -> Availability:
    if policy is not None:
        forbidden = policy.refusal(principal, action, case.table.name)
        if forbidden:
            return Availability(action, allowed=False, reason=forbidden)
    try:
        return _RULES[action](case, case.action(action, principal, ""))
    except HeadraceError as refused:
        return Availability(action, allowed=False, reason=refused.what, fix=refused.fix)


def _by(rule: Callable[[BatchCase, Action], Action | None]) -> "_Rule":
    """Make a rule from a scope function, which returns None if the action was taken before."""

    def answer(case: BatchCase, draft: Action) -> Availability:
        if rule(case, draft) is None:
            return Availability(draft.action, allowed=False, reason="this action was taken before")
        return Availability(draft.action, allowed=True)

    return answer


def _release_or_reject(
    rule: Callable[[BatchCase, Action], Action | None],
) -> "_Rule":
    by_rule = _by(rule)

    def answer(case: BatchCase, draft: Action) -> Availability:
        if _nothing_in_quarantine(case):
            return Availability(
                draft.action, allowed=False, reason=f"{case.name}, has no rows in quarantine"
            )
        return by_rule(case, draft)

    return answer


def _nothing_in_quarantine(case: BatchCase) -> bool:
    """Return True if the ledger shows that the batch is published with all its rows."""
    row = case.standing.row if case.standing else None
    return (
        case.batch.state == "published"
        and row is not None
        and not case.blocked
        and not row.quarantined
    )


def _quarantine(case: BatchCase, draft: Action) -> Availability:
    """Allow a quarantine if any row is published; the action itself selects the rows."""
    row = case.standing.row if case.standing else None
    if row is not None and case.is_live and not case.blocked and row.passing:
        return Availability(draft.action, allowed=True)
    return _by(rows_scope)(case, draft)


def _ack(case: BatchCase, draft: Action) -> Availability:
    del case
    return Availability(draft.action, allowed=True)


def _restore(case: BatchCase, draft: Action) -> Availability:
    if case.batch.state != "recalled":
        raise RefusedError(f"{case.name}, is {case.batch.state}, not recalled")
    with Ledger(case.home) as ledger:
        shown_before_recall(ledger, draft)  # raises StateError if its file is gone
    return Availability(draft.action, allowed=True)


def _mute(case: BatchCase, draft: Action) -> Availability:
    checks = tuple(r.id for r in case.report.failed if r.status == "fail" and _mutable(case, r.id))
    if not checks:
        raise RefusedError(f"no check that failed on {case.name}, can be muted")
    return Availability(draft.action, allowed=True, checks=checks)


def _mutable(case: BatchCase, check: str) -> bool:
    try:
        mutable(case.table.suite, check)
    except DeclarationError:
        return False
    return True


_Rule = Callable[[BatchCase, Action], Availability]
_RULES: dict[str, _Rule] = {
    "release": _release_or_reject(release_scope),
    "reject": _release_or_reject(reject_scope),
    "rerun": _by(rerun_scope),
    "ack": _ack,
    "quarantine": _quarantine,
    "recall": _by(recall_scope),
    "restore": _restore,
    "mute": _mute,
}
