"""What people did about the batches that a snapshot shows, for whoever pins that snapshot."""

import json
from collections.abc import Mapping
from dataclasses import replace

from headrace.core.files import canonical_json
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.audit_trail import Action, actions, scope_words


def overrides_in(ledger: Ledger, table: str, live: Mapping[str, str]) -> tuple[str, ...]:
    """Each action that the shown rows depend on, as canonical JSON; mutes included.

    Args:
        ledger: the ingest ledger.
        table: name of the table.
        live: by batch the path that the snapshot shows.

    Returns:
        {"action", "at", "batches", "expires_at", "principal", "reason", "rules", "scope", "slot",
        "suite_hash", "table"} each, sorted; `batches` are the shown ones that it bears on.
    """
    shown = current_verdicts(ledger.judgements(table), live)
    bears_on: dict[int, list[str]] = {}
    for batch_id in sorted(live):
        for taken in json.loads(shown[batch_id].action_ids) if batch_id in shown else ():
            bears_on.setdefault(taken, []).append(batch_id)
    found = [action for action in actions(ledger, table) if action.id in bears_on]
    return tuple(sorted(_pinned(one, bears_on[one.id]) for one in found))


def _pinned(action: Action, batches: list[str]) -> str:
    document = replace(action, note="").document()
    for name in ("id", "batch", "allowed", "note"):
        del document[name]
    return canonical_json({**document, "batches": batches}).decode()


def told(override: str) -> str:
    """One of them as a sentence for people."""
    one = json.loads(override)
    until = f" until {one['expires_at']}" if one.get("expires_at") else ""
    what = f"{one['table']} {one['slot']}".strip()
    of = scope_words(one["scope"])
    return f"{one['action']} of {what} ({of}) by {one['principal']}{until}: {one['reason']}"
