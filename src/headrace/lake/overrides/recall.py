"""Recall: a published batch that was found bad leaves its table; and its restoration.

The ledger decides first, the table follows in one snapshot. What was cut short between the two is
brought to its end by the same call again, and of a recall also by the next ingest.
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
    """What a recall or a restoration did.

    Attributes:
        action: the line of the audit trail that stands, of this call or of an earlier one.
        decided: whether this call decided it; False where it was decided before.
        snapshot_id: the table's snapshot after it; None where nothing was ever published.
        moved: whether this call committed that snapshot.
    """

    action: Action
    decided: bool
    snapshot_id: int | None
    moved: bool


def recall(home: Home, action: Action) -> Withdrawal:
    """Take the batch that `action` names out of its table, and keep it from coming back by itself.

    Its state becomes `recalled`, and all its rows count as rejected. One snapshot removes its file
    and no other. Running it again changes nothing.

    Raises:
        RefusedError: it is not published.
        StateError: there is no such batch.
    """
    lake = Lake(home)
    with Ledger(home) as ledger:
        live = reconcile(ledger, lake, action.table)  # what a crashed ingest had committed, too
        with ledger.transaction():
            batch = _batch(ledger, action)
            decided = batch.state != "recalled"
            done = _recalled_now(ledger, action, batch, live) if decided else None
        if done is None:
            done = last_action(ledger, action.table, batch.batch_id) or action
        taken = lake.withdraw(action.table, lambda: ledger.recalled(action.table))
        ledger.mark_unpublished(action.table, [batch.batch_id])
    return Withdrawal(done, decided, taken.snapshot_id, bool(taken.withdrawn))


def _recalled_now(ledger: Ledger, action: Action, batch: Batch, live: dict[str, str]) -> Action:
    if batch.state != "published":
        raise RefusedError(
            f"batch {batch.batch_id[:12]} of {action.table} is {batch.state}, not published",
            where=f"slot {batch.slot}",
            fix="only what is published can be recalled; a pending batch is rejected:"
            f" headrace gate reject {action.table} {batch.batch_id[:12]} --reason ...",
        )
    shown = current_verdicts(ledger.judgements(action.table), live).get(batch.batch_id)
    rules = shown.rule_hash if shown else ""
    done = record(ledger, replace(action, slot=batch.slot, rule_hash=rules))
    ledger.mark_recalled(action.table, batch.batch_id, f"recalled: {action.reason}")
    return done


def restore(home: Home, table: Table, action: Action) -> Withdrawal:
    """Show a recalled batch again as it was shown last; its rows are usable from this commit on.

    Where the rules have changed meanwhile, or other versions of its rows were published, the next
    ingest judges it again, as any other batch.
    Running it again changes nothing.

    Raises:
        RefusedError: it is not recalled.
        StateError: there is no such batch, or its file is gone.
    """
    lake = Lake(home)
    with Ledger(home) as ledger:
        live = reconcile(ledger, lake, table.name)
        with ledger.transaction():
            done, decided = _restored_now(ledger, action)
        state = _batch(ledger, action).state  # another run may have judged it meanwhile
        shown = _judged_by(ledger, action, done)
        moved = shown is not None and state == "judged" and action.batch_id not in live
        if shown is not None and moved:
            _show_again(home, ledger, lake, table, shown)
    return Withdrawal(done, decided, lake.snapshot_id(table.name), moved)


def _restored_now(ledger: Ledger, action: Action) -> tuple[Action, bool]:
    """The line of the audit trail that stands, and whether it was written now."""
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
    shown = _judged_by(ledger, action, last)
    rules = shown.rule_hash if shown else ""
    done = record(ledger, replace(action, slot=batch.slot, rule_hash=rules))
    ledger.mark_restored(action.table, batch.batch_id)
    return done, True


def _show_again(home: Home, ledger: Ledger, lake: Lake, table: Table, shown: JudgementRow) -> None:
    path = Path(shown.staged_path)
    if shown.staged_path and file_in_conflict(home, table.contract, shown.batch_id, path):
        return  # other values came meanwhile: the next ingest holds these rows, and adds the others
    if shown.staged_path:
        file = StagedFile(Path(shown.staged_path), shown.batch_id, shown.passing, table.name)
        lake.publish(table.contract, [file], recalled=lambda: ledger.recalled(table.name))
        reconcile(ledger, lake, table.name)
    else:  # every row of it was quarantined
        snapshot = lake.snapshot_id(table.name) or 0
        ledger.mark_published(table.name, [(shown.batch_id, "", now_us(), snapshot)])


def last_action(ledger: Ledger, table: str, batch_id: str) -> Action | None:
    """The latest recall or restoration of a batch that was allowed."""
    found = [
        action
        for action in actions(ledger, table, batch_id)
        if action.allowed and action.action in ("recall", "restore")
    ]
    return found[-1] if found else None


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
    """Return the verdict by which a restoration would show the batch again.

    Raises:
        StateError: the file it staged is gone.
    """
    return _judged_by(ledger, action, last_action(ledger, action.table, action.batch_id))


def _judged_by(ledger: Ledger, action: Action, last: Action | None) -> JudgementRow | None:
    """The verdict that the batch was shown by when it was recalled.

    Raises:
        StateError: the file it staged is gone.
    """
    rules = last.rule_hash if last else ""
    found = ledger.judgements(action.table).get((action.batch_id, rules))
    if found is not None and found.staged_path and not Path(found.staged_path).exists():
        raise StateError(
            f"the file of batch {action.batch_id[:12]} is gone",
            where=found.staged_path,
            fix="bring it back from a copy of the home, or deliver the slot anew",
        )
    return found
