"""Listing of the mutes and acceptances of tables, with the batches to which they applied."""

import json
from collections.abc import Iterable
from typing import Any

from headrace.core.clock import now_us
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, actions
from headrace.lake.overrides.exemptions import (
    RecordedExemption,
    exemption_sentence,
    last_day,
    recorded_exemptions,
)
from headrace.lake.overrides.muted_checks import mutes_now


def mute_rows(
    home: Home, tables: Iterable[str], *, everything: bool = False
) -> list[dict[str, Any]]:
    """Return one document for each mute and acceptance of these tables, oldest first.

    Each has the action of the audit trail, and: `form` (accepted findings, muted findings, muted
    checks), `covers` (phrases), `sentence`, `last_day`, `state` (in force, ended, expired), and
    `applied` (partitions of the batches on whose verdict it bears).

    Args:
        home: where the state lives.
        tables: names of the tables.
        everything: include those that are not in force.
    """
    with Ledger(home) as ledger:
        rows = [row for table in tables for row in _rows_of(ledger, table)]
    return [row for row in rows if everything or row["state"] == "in force"]


def _rows_of(ledger: Ledger, table: str) -> list[dict[str, Any]]:
    now, applied = now_us(), _applied(ledger, table)
    active = set(mutes_now(ledger, table, now).actions)
    exemptions = {r.action.id: r for r in recorded_exemptions(ledger, table)}
    rows = []
    for action in actions(ledger, table):
        if action.id in exemptions:
            recorded = exemptions[action.id]
            form = "accepted findings" if action.action == "accept" else "muted findings"
            row = _row(action, form, recorded.covers, _state(recorded, now))
        elif action.action == "mute" and action.allowed:
            state = "in force" if action.id in active else _ended(action, now)
            row = _row(action, "muted checks", list(action.scope.get("checks", ())), state)
        else:
            continue
        rows.append({**row, "applied": applied.get(action.id, [])})
    return rows


def _row(action: Action, form: str, covers: list[str], state: str) -> dict[str, Any]:
    return {
        **action.document(),
        "form": form,
        "covers": covers,
        "sentence": exemption_sentence(action),
        "last_day": last_day(action.expires_at) if action.expires_at else "",
        "state": state,
    }


def _state(recorded: RecordedExemption, now: int) -> str:
    return "in force" if recorded.in_force(now) else _ended(recorded.action, now)


def _ended(action: Action, now: int) -> str:
    return "expired" if action.expires_at and action.expires_at <= now else "ended"


def _applied(ledger: Ledger, table: str) -> dict[int, list[str]]:
    """Return {action: partitions of the batches whose verdict it affects}."""
    batches = ledger.batches(table)
    slots: dict[int, set[str]] = {}
    for row in ledger.judgements(table).values():
        for action_id in json.loads(row.action_ids):
            slots.setdefault(action_id, set()).add(batches[row.batch_id].slot)
    return {action_id: sorted(names) for action_id, names in slots.items()}
