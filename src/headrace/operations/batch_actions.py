"""Actions of people on batches. Commands, Dagster jobs and report pages call only these functions.

Each action adds one line to the audit trail: who acts, why, on which rows, until when. An action is
refused if the policy forbids it to the principal, or if the batch's state does not allow it;
refusals are recorded too. The line is written first and its effects (files, one snapshot) follow at
once; if the process dies in between, a later run completes them.
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
from headrace.core.permissions import PermissionPolicy
from headrace.gates.exemptions.scopes import exemption_words
from headrace.gates.muted_checks import mutable
from headrace.gates.semantic_checks import KIND
from headrace.lake.ingest.protocol import rejudge, settle
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.lake.overrides.batch_case import BatchCase, open_case
from headrace.lake.overrides.muted_checks import mutes_now
from headrace.lake.overrides.overrides import QUARANTINED
from headrace.lake.overrides.scopes import reject_scope, release_scope, rerun_scope, rows_scope
from headrace.lake.table import Table
from headrace.operations.authorization import permit
from headrace.operations.exemptions import acceptance, record_acceptance
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
    right_until: int | None = None,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Approve and publish a blocked batch, or quarantined rows of a published batch.

    In a blocked batch, rows that fail no row check are published; the other rows stay in quarantine
    unless `scope` selects them. Features can use the rows from this commit on. The approval applies
    to this batch under the current rules; when the rules change, it is discarded.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id.
        principal: who acts; see `headrace.core.permissions.acting`.
        reason: why, for the record.
        scope: {"checks": [ids]} and {"lines": [numbers]}; empty selects all rows that can be
            approved.
        expires: microseconds UTC at which the rows are removed again; None for never.
        right_until: microseconds UTC until which findings of drift detection in later batches are
            accepted if they lie within those of this batch; None to accept none. The principal
            needs the permission `accept`.
        policy: by default the project's.

    Returns:
        The batch after the action. With `right_until` also `accepted`, phrases for what later
        batches may show, and `not_accepted`, ids of checks that blocked this batch and will block
        the next one.

    Raises:
        DeclarationError: no such batch, no reason, an expiry in the past, an unknown scope; or
            there is nothing that `right_until` could accept.
        RefusedError: the policy or the batch's state does not allow it.
    """
    case = open_case(home, table, batch, ("pending", "judged", "published"))
    selection = _selection(scope, ("checks", "lines"))
    if expires is not None and expires <= now_us():
        raise DeclarationError(
            f"the approval would have expired {iso(expires)}", fix="give a later day"
        )
    draft = case.action("release", principal, reason, expires_at=expires, scope=selection)
    accept = None if right_until is None else acceptance(case, principal, reason, right_until)
    admit = release_scope if accept is None else _admit_with_acceptance
    recorded = _decide(case, draft, policy, admit, accept)
    outcome = _settled(case, recorded)
    if accept is None:
        return outcome
    blocking = [r.id for r in case.report.failed if not r.verdict.publishes and r.kind != KIND]
    return {**outcome, "accepted": exemption_words(accept.scope), "not_accepted": blocking}


def quarantine(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    scope: Scope,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Move published rows of a batch to quarantine; they stay there when the rules change.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id.
        principal: who acts.
        reason: why, for the record.
        scope: rows to move: {"lines": [numbers]}, {"checks": [ids]} (rows that fail these checks,
            even if the checks only warn), {"where": {column: text}} (rows with these values).
        policy: by default the project's.

    Raises:
        DeclarationError: no such batch, no reason, an empty or unknown scope.
        RefusedError: the policy or the batch's state does not allow it.
    """
    case = open_case(home, table, batch, ("published",))
    selection = _selection(scope, ("checks", "lines", "where"))
    if not selection:
        raise DeclarationError(
            "no rows are selected",
            fix="select them by line, check or key; for a whole batch: headrace gate recall",
        )
    draft = case.action("quarantine", principal, reason, scope=selection)
    return _settled(case, _decide(case, draft, policy, rows_scope))


def reject(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    scope: Scope | None = None,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Permanently reject a pending batch, or quarantined rows of a published batch.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id.
        principal: who acts.
        reason: why, for the record.
        scope: for a published batch, {"checks": [ids]} and {"lines": [numbers]}; empty selects all
            rows in quarantine.
        policy: by default the project's.

    Raises:
        DeclarationError: no such batch, no reason, an unknown scope.
        RefusedError: the policy or the batch's state does not allow it.
    """
    case = open_case(home, table, batch, ("pending", "published"))
    draft = case.action("reject", principal, reason, scope=_selection(scope, ("checks", "lines")))
    return _settled(case, _decide(case, draft, policy, reject_scope))


def rerun(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Validate a batch again from its raw file, with the current checks and mutes.

    Raises:
        DeclarationError: no such batch, or no reason.
        RefusedError: the policy does not allow it, or the batch was superseded, rejected or
            recalled.
    """
    case = open_case(home, table, batch, ("received", "pending", "judged", "published"))
    draft = case.action("rerun", principal, reason)
    recorded = _decide(case, draft, policy, rerun_scope)
    rejudge(table, case.batch, home)
    return _outcome(case, recorded)


def mute(
    home: Home,
    table: Table,
    checks: Sequence[str],
    *,
    principal: str,
    reason: str,
    expires: int,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Mute checks of a table until `expires`: they still run but do not affect verdicts.

    Batches validated earlier keep their verdict; `rerun` validates a batch again.

    Raises:
        DeclarationError: no such check, no reason, or an end in the past.
        RefusedError: the policy does not allow it.
    """
    for check in checks:
        mutable(table.suite, check)
    if expires <= now_us():
        raise DeclarationError(
            f"the mute would have expired {iso(expires)}", fix="give a later day"
        )
    action = _check_action("mute", table, checks, principal, reason)
    return _record_check_action(home, replace(action, expires_at=expires), policy)


def unmute(
    home: Home,
    table: Table,
    checks: Sequence[str],
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Unmute checks: they affect the verdicts of batches validated from now on.

    Raises:
        DeclarationError: no reason.
        RefusedError: the policy does not allow it, or a check is not muted.
    """
    return _record_check_action(
        home, _check_action("unmute", table, checks, principal, reason), policy
    )


def ack(
    home: Home,
    table: Table,
    batch: str,
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
) -> dict[str, Any]:
    """Acknowledge a batch: its alerts send no more messages. Nothing else changes.

    Raises:
        DeclarationError: no such batch, or no reason.
        RefusedError: the policy does not allow it.
    """
    case = open_case(home, table, batch, ("pending", "published", "judged", "received"))
    with AlertStore(home) as store:
        alerts = [a for a in store.open_alerts() if a.condition.batch_id == case.batch.batch_id]
    if not alerts:
        return _outcome(
            case, _decide(case, case.action("ack", principal, reason), policy, _unconditional)
        )
    for alert in alerts:
        acknowledge(home, alert.alert_id, principal=principal, reason=reason, policy=policy)
    return {**_outcome(case, case.action("ack", principal, reason)), "alerts": len(alerts)}


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
    right_until: str | None = None,
    **selected: Any,  # noqa: ANN401 - checks, lines, where
) -> dict[str, Any]:
    """Take the action with this name; parameters have the form in which users type them.

    Args:
        action: a name of `headrace.core.batch_actions.BATCH_ACTIONS`.
        home: where the state lives.
        table: as the pipeline declares it.
        batch: its partition, or the start of its id; unused for checks of a table.
        principal: who acts.
        reason: why, for the record.
        expires: when the action ends: `7d`, a day (the end of it) or a time; None for never.
        right_until: for an approval, when the acceptance of later batches ends; None for an
            approval of this batch only.
        selected: rows of the batch, by the action's selectors `checks`, `lines` and `where`; empty
            selectors are ignored.

    Raises:
        DeclarationError: the action raises it, or does not take one of the selectors.
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
    if right_until is not None:
        options["right_until"] = end_of(right_until)
    if declared.of_table:
        return _FUNCTIONS[action](home, table, rows.get("checks", []), **options)
    if declared.rows:
        options["scope"] = rows
    return _FUNCTIONS[action](home, table, batch, **options)


# Steps of an action


def _decide(
    case: BatchCase,
    draft: Action,
    policy: PermissionPolicy | None,
    admit: Callable[[BatchCase, Action], Action | None],
    accept: Action | None = None,
) -> Action | None:
    """Record the action if policy and state allow it; return None if it was recorded before.

    `accept` is an acceptance to record in the same transaction.
    """
    with Ledger(case.home) as ledger:
        for decision in filter(None, (draft, accept)):
            permit(ledger, decision, policy)
        try:
            action = admit(case, draft)
            if action is None and accept is None:
                return None
            recorded = None
            with ledger.transaction():
                _refuse_changed(case, ledger)
                if action is not None:
                    recorded = record(ledger, action)
                    _mark_state(ledger, case, recorded)
                if accept is not None:
                    record_acceptance(ledger, accept)
        except RefusedError as refused:
            record(ledger, replace(draft, allowed=False, note=refused.what))
            raise
        return recorded


def _admit_with_acceptance(case: BatchCase, draft: Action) -> Action | None:
    """Return the approval; None if all rows are published already, as after a warning."""
    if not draft.scope and not case.blocked and not case.fates().lines(QUARANTINED):
        return None
    return release_scope(case, draft)


def _refuse_changed(case: BatchCase, ledger: Ledger) -> None:
    if not case.unchanged(ledger):
        raise RefusedError(
            f"{case.name}, has changed meanwhile",
            fix=f"look at it again: headrace gate show {case.table.name} {case.batch.slot}",
        )


def _mark_state(ledger: Ledger, case: BatchCase, recorded: Action) -> None:
    """Change the state of the batch in the transaction of the action."""
    if recorded.action == "release":
        ledger.mark_released(recorded.table, recorded.batch_id)
    elif recorded.action == "reject" and not recorded.scope:
        ledger.reject(recorded.table, recorded.batch_id, recorded.reason)
    del case


def _unconditional(case: BatchCase, draft: Action) -> Action:
    del case
    return draft


def _settled(case: BatchCase, recorded: Action | None) -> dict[str, Any]:
    settle(case.table, [case.batch.slot], case.home)
    return _outcome(case, recorded)


def _outcome(case: BatchCase, recorded: Action | None) -> dict[str, Any]:
    """Return the batch's present state; `changed` is false if the action was recorded before."""
    row = find_batches(case.home, case.table, case.batch.batch_id)[0]
    del row["judgement"]
    return {
        **row,
        "changed": recorded is not None,
        "action": recorded.document() if recorded else None,
    }


def _selection(scope: Scope | None, allowed: Sequence[str]) -> dict[str, Any]:
    selection = {key: value for key, value in dict(scope or {}).items() if value}
    unknown = sorted(set(selection) - set(allowed))
    if unknown:
        raise DeclarationError(
            f"unknown scope {', '.join(unknown)}", fix=f"use {', '.join(allowed)}"
        )
    return selection


def _check_action(
    verb: str, table: Table, checks: Sequence[str], principal: str, reason: str
) -> Action:
    if not checks:
        raise DeclarationError(f"{verb}: no check is named", fix="give ids of the suite's checks")
    scope = {"checks": sorted(set(checks))}
    return Action(principal, verb, table.name, reason, suite_hash=table.suite.hash, scope=scope)


def _record_check_action(
    home: Home, action: Action, policy: PermissionPolicy | None
) -> dict[str, Any]:
    with Ledger(home) as ledger:
        permit(ledger, action, policy)
        muted = mutes_now(ledger, action.table, now_us()).checks
        loud = [check for check in action.scope["checks"] if check not in muted]
        if action.action == "unmute" and loud:
            refusal = f"{', '.join(loud)} of {action.table} is not muted"
            record(ledger, replace(action, allowed=False, note=refusal))
            raise RefusedError(
                refusal, fix="list muted checks: headrace gate log --table " + action.table
            )
        recorded = record(ledger, action)
        return {
            "table": action.table,
            "muted": dict(mutes_now(ledger, action.table, now_us()).checks),
            "changed": True,
            "action": recorded.document(),
        }
