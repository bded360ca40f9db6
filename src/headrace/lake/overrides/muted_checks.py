"""Which checks of a table are muted: now, or when a batch was judged."""

import json
from collections.abc import Iterable

from headrace.core.clock import iso
from headrace.gates.muted_checks import Mutes
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.overrides.audit_trail import Action, actions


def mutes_now(ledger: Ledger, table: str, now: int) -> Mutes:
    """Mutes that have neither expired nor been taken back."""
    held: dict[str, Action] = {}
    for action in actions(ledger, table):
        checks = action.scope.get("checks", ())
        if action.action == "mute" and action.in_force(now):
            held |= dict.fromkeys(checks, action)
        elif action.action == "unmute" and action.allowed:
            for check in checks:
                held.pop(check, None)
    return _mutes(held)


def mutes_of(ledger: Ledger, judged: JudgementRow) -> Mutes:
    """Those under which a verdict of the gate was found."""
    ids = set(json.loads(judged.action_ids))
    if not ids:
        return Mutes()
    found = [a for a in actions(ledger) if a.id in ids and a.action == "mute"]
    return _mutes({check: a for a in found for check in a.scope.get("checks", ())})


def _mutes(held: dict[str, Action]) -> Mutes:
    return Mutes(
        {check: _sentence(action) for check, action in sorted(held.items())}, _ids(held.values())
    )


def _ids(taken: Iterable[Action]) -> tuple[int, ...]:
    return tuple(sorted({action.id for action in taken}))


def _sentence(action: Action) -> str:
    until = f" until {iso(action.expires_at)}" if action.expires_at else ""
    return f"muted{until} by {action.principal}: {action.reason}"
