"""Muted checks of a table: now, or when a batch was validated."""

import json
from collections.abc import Iterable

from headrace.core.clock import iso
from headrace.gates.muted_checks import Mutes
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.overrides.audit_trail import Action, actions


def mutes_now(ledger: Ledger, table: str, now: int) -> Mutes:
    """Return the mutes that have neither expired nor been withdrawn."""
    by_check: dict[str, Action] = {}
    for action in actions(ledger, table):
        checks = action.scope.get("checks", ())
        if action.action == "mute" and action.in_force(now):
            by_check |= dict.fromkeys(checks, action)
        elif action.action == "unmute" and action.allowed:
            for check in checks:
                by_check.pop(check, None)
    return _mutes(by_check)


def mutes_of(ledger: Ledger, judgement: JudgementRow) -> Mutes:
    """Return the mutes that applied to a verdict of the gate."""
    ids = set(json.loads(judgement.action_ids))
    if not ids:
        return Mutes()
    mutes = [a for a in actions(ledger) if a.id in ids and a.action == "mute"]
    return _mutes({check: a for a in mutes for check in a.scope.get("checks", ())})


def _mutes(by_check: dict[str, Action]) -> Mutes:
    return Mutes(
        {check: _sentence(action) for check, action in sorted(by_check.items())},
        _ids(by_check.values()),
    )


def _ids(mutes: Iterable[Action]) -> tuple[int, ...]:
    return tuple(sorted({action.id for action in mutes}))


def _sentence(action: Action) -> str:
    until = f" until {iso(action.expires_at)}" if action.expires_at else ""
    return f"muted{until} by {action.principal}: {action.reason}"
