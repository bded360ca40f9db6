"""Overrides of the batches in a snapshot, for releases that pin the snapshot."""

import json
from collections.abc import Mapping
from dataclasses import replace

from headrace.core.files import canonical_json
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.audit_trail import Action, actions, scope_words


def overrides_in(ledger: Ledger, table: str, live: Mapping[str, str]) -> tuple[str, ...]:
    """Return the actions and mutes that the snapshot's rows depend on, as canonical JSON.

    Args:
        ledger: the ingest ledger.
        table: name of the table.
        live: {batch: path} of the snapshot.

    Returns:
        {"action", "at", "batches", "expires_at", "principal", "reason", "rules", "scope", "slot",
        "suite_hash", "table"} each, sorted; `batches` are the batches of the snapshot that the
        action affects.
    """
    verdicts = current_verdicts(ledger.judgements(table), live)
    bears_on: dict[int, list[str]] = {}
    for batch_id in sorted(live):
        for action_id in json.loads(verdicts[batch_id].action_ids) if batch_id in verdicts else ():
            bears_on.setdefault(action_id, []).append(batch_id)
    pinned = [action for action in actions(ledger, table) if action.id in bears_on]
    return tuple(sorted(_pinned(action, bears_on[action.id]) for action in pinned))


def _pinned(action: Action, batches: list[str]) -> str:
    document = replace(action, note="").document()
    for name in ("id", "batch", "allowed", "note"):
        del document[name]
    return canonical_json({**document, "batches": batches}).decode()


def override_sentence(override: str) -> str:
    """Return an override of `overrides_in` as a sentence."""
    action = json.loads(override)
    until = f" until {action['expires_at']}" if action.get("expires_at") else ""
    what = f"{action['table']} {action['slot']}".strip()
    of = scope_words(action["scope"])
    return (
        f"{action['action']} of {what} ({of}) by {action['principal']}{until}: {action['reason']}"
    )
