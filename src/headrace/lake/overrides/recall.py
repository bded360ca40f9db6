"""Recall of a published batch that turned out to be bad, and its restoration.

First the ledger records the decision, then one snapshot changes the table. If a call is interrupted
in between, repeating the call completes it; the next ingest completes a recall as well.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from headrace.core.clock import now_us
from headrace.core.errors import RefusedError, StateError
from headrace.core.home import Home
from headrace.lake.conflicts.check import file_in_conflict
from headrace.lake.ingest.reconcile import reconcile
from headrace.lake.ingest.staging import StagedFile
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.row_counts import current_verdicts
from headrace.lake.overrides.audit_trail import Action, actions, record
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake


@dataclass(frozen=True)
class Withdrawal:
    """Outcome of a recall or a restoration.

    Attributes:
        action: the line in the audit trail, written by this call or by an earlier one.
        decided: True if this call made the decision; False if an earlier call did.
        snapshot_id: the table's snapshot after the call; None if nothing was ever published.
        committed: True if this call committed that snapshot.
    """

    action: Action
    decided: bool
    snapshot_id: int | None
    committed: bool


def recall(home: Home, action: Action) -> Withdrawal:
    """Remove the batch that `action` names from its table, until it is restored.

    Its state becomes `recalled`, and all its rows count as rejected. One snapshot removes its file
    and no other. Running it again changes nothing.

    Raises:
        RefusedError: the batch is not published.
        StateError: there is no such batch.
    """
    lake = Lake(home)
    with Ledger(home) as ledger:
        live = reconcile(ledger, lake, action.table)  # includes a commit of a crashed ingest
        with ledger.transaction():
            batch = _batch(ledger, action)
            decided = batch.state != "recalled"
            entry = _recalled_now(ledger, action, batch, live) if decided else None
        if entry is None:
            entry = last_action(ledger, action.table, batch.batch_id) or action
        snapshot = lake.withdraw(action.table, lambda: ledger.recalled(action.table))
        ledger.mark_unpublished(action.table, [batch.batch_id])
    return Withdrawal(entry, decided, snapshot.snapshot_id, bool(snapshot.withdrawn))


def _recalled_now(ledger: Ledger, action: Action, batch: Batch, live: dict[str, str]) -> Action:
    if batch.state != "published":
        raise RefusedError(
            f"batch {batch.batch_id[:12]} of {action.table} is {batch.state}, not published",
            where=f"slot {batch.slot}",
            fix="only a published batch can be recalled; reject a pending batch instead:"
            f" headrace gate reject {action.table} {batch.batch_id[:12]} --reason ...",
        )
    verdict = current_verdicts(ledger.judgements(action.table), live).get(batch.batch_id)
    rules = verdict.rule_hash if verdict else ""
    entry = record(ledger, replace(action, slot=batch.slot, rule_hash=rules))
    ledger.mark_recalled(action.table, batch.batch_id, f"recalled: {action.reason}")
    return entry


def restore(home: Home, table: Table, action: Action) -> Withdrawal:
    """Publish a recalled batch again with its last file; its rows are usable from this commit on.

    If conflicting rows were published meanwhile, the batch stays unpublished until the next ingest,
    which resolves the conflict. If the rules have changed, the next ingest also validates the batch
    again. Running it again changes nothing.

    Raises:
        RefusedError: the batch is not recalled.
        StateError: there is no such batch, or its file is gone.
    """
    lake = Lake(home)
    with Ledger(home) as ledger:
        live = reconcile(ledger, lake, table.name)
        with ledger.transaction():
            entry, decided = _restored_now(ledger, action)
        state = _batch(ledger, action).state  # another run may have validated it meanwhile
        verdict = _verdict_before_recall(ledger, action, entry)
        committed = verdict is not None and state == "judged" and action.batch_id not in live
        if verdict is not None and committed:
            _publish_again(home, ledger, lake, table, verdict)
    return Withdrawal(entry, decided, lake.snapshot_id(table.name), committed)


def _restored_now(ledger: Ledger, action: Action) -> tuple[Action, bool]:
    """Return the line of the audit trail, and True if it was written now."""
    batch = _batch(ledger, action)
    last = last_action(ledger, action.table, batch.batch_id)
    if batch.state != "recalled":
        if last is not None and last.action == "restore":
            return last, False
        raise RefusedError(
            f"batch {batch.batch_id[:12]} of {action.table} is {batch.state}, not recalled",
            where=f"slot {batch.slot}",
            fix=f"see what happened to it: headrace gate show {action.table} {batch.slot}",
        )
    verdict = _verdict_before_recall(ledger, action, last)
    rules = verdict.rule_hash if verdict else ""
    entry = record(ledger, replace(action, slot=batch.slot, rule_hash=rules))
    ledger.mark_restored(action.table, batch.batch_id)
    return entry, True


def _publish_again(
    home: Home, ledger: Ledger, lake: Lake, table: Table, verdict: JudgementRow
) -> None:
    path = Path(verdict.staged_path)
    if verdict.staged_path and file_in_conflict(home, table.contract, verdict.batch_id, path):
        return  # other values were published meanwhile: the next ingest resolves the conflict
    if verdict.staged_path:
        file = StagedFile(Path(verdict.staged_path), verdict.batch_id, verdict.passing, table.name)
        lake.publish(table.contract, [file], recalled=lambda: ledger.recalled(table.name))
        reconcile(ledger, lake, table.name)
    else:  # all its rows were quarantined
        snapshot = lake.snapshot_id(table.name) or 0
        ledger.mark_published(table.name, [(verdict.batch_id, "", now_us(), snapshot)])


def last_action(ledger: Ledger, table: str, batch_id: str) -> Action | None:
    """Return the latest recall or restoration of a batch that was allowed."""
    matches = [
        action
        for action in actions(ledger, table, batch_id)
        if action.allowed and action.action in ("recall", "restore")
    ]
    return matches[-1] if matches else None


def _batch(ledger: Ledger, action: Action) -> Batch:
    batch = ledger.batches(action.table).get(action.batch_id)
    if batch is None:
        raise StateError(
            f"table {action.table} has no batch {action.batch_id}",
            where=str(ledger.path),
            fix=f"see `headrace gate ls --table {action.table} --all` for batch ids",
        )
    return batch


def shown_before_recall(ledger: Ledger, action: Action) -> JudgementRow | None:
    """Return the verdict with which a restoration would publish the batch.

    Raises:
        StateError: the verdict's staged file is gone.
    """
    return _verdict_before_recall(
        ledger, action, last_action(ledger, action.table, action.batch_id)
    )


def _verdict_before_recall(
    ledger: Ledger, action: Action, last: Action | None
) -> JudgementRow | None:
    """Return the verdict under which the batch was published when it was recalled.

    Raises:
        StateError: the verdict's staged file is gone.
    """
    rules = last.rule_hash if last else ""
    verdict = ledger.judgements(action.table).get((action.batch_id, rules))
    if verdict is not None and verdict.staged_path and not Path(verdict.staged_path).exists():
        raise StateError(
            f"the file of batch {action.batch_id[:12]} is gone",
            where=verdict.staged_path,
            fix="restore it from a copy of the home, or deliver the slot again",
        )
    return verdict
