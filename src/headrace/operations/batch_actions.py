"""What on-call does about batches; the command line and the jobs both call only these.

Every action is one line of the audit trail: who, why, what of, until when. Who the policy does not
list is refused, and so is what the batch's state does not admit; that is on the record, too. The
line is the decision: what follows from it (files, one snapshot) is done at once, and by any later
run if this one dies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.alerts.acknowledge import acknowledge
from headrace.alerts.store import AlertStore
from headrace.core.batch_actions import BATCH_ACTIONS
from headrace.core.clock import end_of, iso, now_us
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.home import Home
from headrace.core.permissions import Policy
from headrace.gates.muted_checks import mutable
from headrace.lake.ingest.protocol import rejudge, settle
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.lake.overrides.batch_case import BatchCase, open_case
from headrace.lake.overrides.muted_checks import mutes_now
from headrace.lake.overrides.scopes import reject_scope, release_scope, rerun_scope, rows_scope
from headrace.lake.table import Table
from headrace.operations.authorization import permit
from headrace.operations.recall import recall, restore

__all__ = [
    "ack",
    "mute",
    "perform",
    "quarantine",
    "recall",
    "reject",
    "release",
    "rerun",
    "restore",
    "unmute",
]
Scope = Mapping[str, Any]


def release(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    scope: Scope | None = None,
    expires: int | None = None,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Publish a blocked batch, or rows of a published one that are in quarantine.

    Of a blocked batch the rows that fail no row check are published; the others stay in quarantine
    unless `scope` names them. The rows are usable from this commit on. The release holds for this
    batch under the rules of now; judged under other rules it is as if it had not been.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its slot, or the start of its id.
        principal: who; see `headrace.core.permissions.acting`.
        reason: why, for the record.
        scope: {"checks": [ids]} and {"lines": [numbers]}; empty is all that can be released.
        expires: int64 microseconds UTC; then the rows leave again. None is never.
        policy: the project's, if left out.

    Raises:
        DeclarationError: no such batch, no reason, an expiry in the past, an unknown scope.
        RefusedError: the policy or the state of the batch does not admit it.
    """
    case = open_case(home, table, batch, ("pending", "judged", "published"))
    given = _checked(scope, ("checks", "lines"))
    if expires is not None and expires <= now_us():
        raise DeclarationError(
            f"the release would have ended {iso(expires)}", fix="name a later day"
        )
    draft = case.action("release", principal, reason, expires_at=expires, scope=given)
    done = _decide(case, draft, policy, release_scope)
    return _settled(case, done)


def quarantine(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    scope: Scope,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Take published rows of a batch out of the table into quarantine, under whatever rules.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its slot, or the start of its id.
        principal: who.
        reason: why, for the record.
        scope: which rows: {"lines": [numbers]}, {"checks": [ids]} (those that fail these, also if
            the checks only warn), {"where": {column: text}} (those that have these values).
        policy: the project's, if left out.

    Raises:
        DeclarationError: no such batch, no reason, an empty or unknown scope.
        RefusedError: the policy or the state of the batch does not admit it.
    """
    case = open_case(home, table, batch, ("published",))
    given = _checked(scope, ("checks", "lines", "where"))
    if not given:
        raise DeclarationError(
            "which rows is not said",
            fix="name them by line, check or key; a whole batch is recalled: headrace gate recall",
        )
    draft = case.action("quarantine", principal, reason, scope=given)
    return _settled(case, _decide(case, draft, policy, rows_scope))


def reject(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    scope: Scope | None = None,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Set a pending batch aside for good, or rows of a published one that are in quarantine.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its slot, or the start of its id.
        principal: who.
        reason: why, for the record.
        scope: of a published batch, {"checks": [ids]} and {"lines": [numbers]}; empty is all rows
            in quarantine.
        policy: the project's, if left out.

    Raises:
        DeclarationError: no such batch, no reason, an unknown scope.
        RefusedError: the policy or the state of the batch does not admit it.
    """
    case = open_case(home, table, batch, ("pending", "published"))
    draft = case.action("reject", principal, reason, scope=_checked(scope, ("checks", "lines")))
    return _settled(case, _decide(case, draft, policy, reject_scope))


def rerun(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Judge a batch again from its delivered bytes, by the checks and the mutes of now.

    Raises:
        DeclarationError: no such batch, or no reason.
        RefusedError: the policy does not admit it, or the batch was superseded, rejected, recalled.
    """
    case = open_case(home, table, batch, ("received", "pending", "judged", "published"))
    draft = case.action("rerun", principal, reason)
    done = _decide(case, draft, policy, rerun_scope)
    rejudge(table, case.batch, home)
    return _told(case, done)


def mute(
    home: Home,
    table: Table,
    checks: Sequence[str],
    *,
    principal: str,
    reason: str,
    expires: int,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Let checks of a table run and tell, but not decide, for batches judged until `expires`.

    Batches that were judged before stay as they are; `rerun` judges one again.

    Raises:
        DeclarationError: no such check, no reason, or an end in the past.
        RefusedError: the policy does not admit it.
    """
    for check in checks:
        mutable(table.suite, check)
    if expires <= now_us():
        raise DeclarationError(f"the mute would have ended {iso(expires)}", fix="name a later day")
    action = _of_table("mute", table, checks, principal, reason)
    return _of_checks(home, replace(action, expires_at=expires), policy)


def unmute(
    home: Home,
    table: Table,
    checks: Sequence[str],
    *,
    principal: str,
    reason: str,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Let muted checks decide again, for batches judged from now on.

    Raises:
        DeclarationError: no reason.
        RefusedError: the policy does not admit it, or a check is not muted.
    """
    return _of_checks(home, _of_table("unmute", table, checks, principal, reason), policy)


def ack(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Say that somebody is on it: its alerts send no more messages. Nothing else changes.

    Raises:
        DeclarationError: no such batch, or no reason.
        RefusedError: the policy does not admit it.
    """
    case = open_case(home, table, batch, ("pending", "published", "judged", "received"))
    with AlertStore(home) as store:
        about = [a for a in store.open_alerts() if a.condition.batch_id == case.batch.batch_id]
    if not about:
        return _told(case, _decide(case, case.action("ack", principal, reason), policy, _as_given))
    for alert in about:
        acknowledge(home, alert.alert_id, principal=principal, reason=reason, policy=policy)
    return {**_told(case, case.action("ack", principal, reason)), "alerts": len(about)}


_FUNCTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (release, quarantine, reject, rerun, mute, unmute, recall, restore, ack)
}


def perform(
    action: str,
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    expires: str | None = None,
    **selected: Any,  # noqa: ANN401 - checks, lines, where
) -> dict[str, Any]:
    """Take an action by its name, with parameters as people write them.

    Args:
        action: a name of `headrace.core.batch_actions.BATCH_ACTIONS`.
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its slot, or the start of its id; unused for checks of a table.
        principal: who.
        reason: why, for the record.
        expires: when it ends: `7d`, a day (to its end) or a moment; None is never.
        selected: what of the batch, by the action's own `rows`; empty ones select nothing.

    Raises:
        DeclarationError: what the action raises, or a parameter that it has not.
    """
    declared = BATCH_ACTIONS[action]
    rows = {name: selection for name, selection in selected.items() if selection}
    if foreign := sorted(rows.keys() - set(declared.rows)):
        raise DeclarationError(
            f"{declared.command_name} does not take {', '.join(foreign)}",
            fix=f"use {', '.join(declared.rows) or 'no selection of rows'}",
        )
    options: dict[str, Any] = {"principal": principal, "reason": reason}
    if expires is not None:
        options["expires"] = end_of(expires)
    if declared.of_table:
        return _FUNCTIONS[action](home, table, rows.get("checks", []), **options)
    if declared.rows:
        options["scope"] = rows
    return _FUNCTIONS[action](home, table, batch, **options)


# the steps


def _decide(
    case: BatchCase,
    draft: Action,
    policy: Policy | None,
    admit: Callable[[BatchCase, Action], Action | None],
) -> Action | None:
    """Put it on the record, if policy and state admit it; None if it is on it already."""
    with Ledger(case.home) as ledger:
        permit(ledger, draft, policy)
        try:
            action = admit(case, draft)
            if action is None:
                return None
            with ledger.transaction():
                _still(case, ledger)
                done = record(ledger, action)
                _mark(ledger, case, done)
        except RefusedError as refused:
            record(ledger, replace(draft, allowed=False, note=refused.what))
            raise
        return done


def _still(case: BatchCase, ledger: Ledger) -> None:
    if not case.unchanged(ledger):
        raise RefusedError(
            f"{case.name}, has changed meanwhile",
            fix=f"look at it again: headrace gate show {case.table.name} {case.batch.slot}",
        )


def _mark(ledger: Ledger, case: BatchCase, done: Action) -> None:
    """What of the batch's state is decided with the action, in its transaction."""
    if done.action == "release":
        ledger.mark_released(done.table, done.batch_id)
    elif done.action == "reject" and not done.scope:
        ledger.reject(done.table, done.batch_id, done.reason)
    del case


def _as_given(case: BatchCase, draft: Action) -> Action:
    del case
    return draft


def _settled(case: BatchCase, done: Action | None) -> dict[str, Any]:
    settle(case.table, [case.batch.slot], case.home)
    return _told(case, done)


def _told(case: BatchCase, done: Action | None) -> dict[str, Any]:
    """The batch as it is now; `changed` is false where the same had been decided before."""
    row = find_batches(case.home, case.table, case.batch.batch_id)[0]
    del row["judgement"]
    return {**row, "changed": done is not None, "action": done.document() if done else None}


def _checked(scope: Scope | None, known: Sequence[str]) -> dict[str, Any]:
    found = {key: value for key, value in dict(scope or {}).items() if value}
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise DeclarationError(f"unknown scope {', '.join(unknown)}", fix=f"use {', '.join(known)}")
    return found


def _of_table(
    verb: str, table: Table, checks: Sequence[str], principal: str, reason: str
) -> Action:
    if not checks:
        raise DeclarationError(f"{verb}: no check is named", fix="name it as the suite does")
    scope = {"checks": sorted(set(checks))}
    return Action(principal, verb, table.name, reason, suite_hash=table.suite.hash, scope=scope)


def _of_checks(home: Home, action: Action, policy: Policy | None) -> dict[str, Any]:
    with Ledger(home) as ledger:
        permit(ledger, action, policy)
        held = mutes_now(ledger, action.table, now_us()).checks
        loud = [check for check in action.scope["checks"] if check not in held]
        if action.action == "unmute" and loud:
            told = f"{', '.join(loud)} of {action.table} is not muted"
            record(ledger, replace(action, allowed=False, note=told))
            raise RefusedError(told, fix="see what is: headrace gate log --table " + action.table)
        done = record(ledger, action)
        return {
            "table": action.table,
            "muted": dict(mutes_now(ledger, action.table, now_us()).checks),
            "changed": True,
            "action": done.document(),
        }
