"""Reconciliation of the ledger with the table, whose files show which batches are published."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from headrace.core.clock import now_us
from headrace.gates.verdict import Verdict
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.tables import relocation
from headrace.lake.tables.decimals import before_rewrite
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import LiveFile


def reconcile(ledger: Ledger, lake: Lake, table: str) -> dict[str, str]:
    """Mark the batches whose files are in the table as published, and unmark the others.

    A batch whose rows are all in quarantine has no file; its mark does not change.

    Returns:
        {batch: path of its file in the table}
    """
    plan = lake.plan(table)
    files = plan.files if plan else ()
    times = plan.committed_at if plan else {}
    verdicts = ledger.judgements(table).values()
    if renamed := _renamed(files, {row.staged_path for row in verdicts}):
        rename_files(ledger, table, renamed)
        verdicts = ledger.judgements(table).values()
    by_path = {row.staged_path: row for row in verdicts if row.staged_path}
    # Commit times are rounded down to milliseconds, so use the time of validation if it is later.
    unmarked = [
        (f.batch_id, f.path, max(times.get(f.snapshot_id, now_us()), row.judged_at), f.snapshot_id)
        for f in files
        if (row := by_path.get(f.path)) is not None and row.published_at is None
    ]
    live = {file.batch_id: file.path for file in files}
    # The verdicts are sorted by time, so the newest published one of each batch remains.
    published = {row.batch_id: row for row in verdicts if row.published_at is not None}
    newest = {row.batch_id: row for row in verdicts}
    # If all rows of a batch were quarantined after its publication, its absence is intended.
    emptied = {
        key
        for key, row in newest.items()
        if row.verdict == Verdict.QUARANTINE.value and not row.staged_path
    }
    absent = [
        key
        for key, row in published.items()
        if row.passing and key not in live and key not in emptied
    ]
    states = ledger.batches(table) if absent else {}
    missing = [key for key in absent if states[key].state == "published"]
    returned = _returned(ledger, table, [f for f in files if f.path in by_path], verdicts, times)
    withdrawn = [
        (row, file.snapshot_id, times.get(file.snapshot_id, 0))
        for file in files
        if (row := by_path.get(file.path)) is not None and row.withdrawn_at is not None
    ]
    if unmarked or missing or returned or withdrawn:
        with ledger.transaction():
            _readmit(ledger, table, withdrawn)
            ledger.mark_published(table, unmarked)
            ledger.mark_returned(table, returned)
            ledger.mark_unpublished(table, missing)
    return live


def _readmit(ledger: Ledger, table: str, rows: Iterable[tuple[JudgementRow, int, int]]) -> None:
    """Correct the ledger for files that it marks as withdrawn although the table holds them.

    If a file was committed after its withdrawal, its batch was absent in between. Otherwise the run
    that recorded the withdrawal was killed before its commit, so the file never left the table.

    Args:
        ledger: ledger to correct.
        table: name of the table with the files.
        rows: verdict, snapshot id and commit time (us) of each file.
    """
    for row, snapshot_id, at in rows:
        key = (table, row.batch_id, relocation.below(row.staged_path) or row.staged_path)
        ledger.connection.execute(
            "UPDATE judgements SET withdrawn_at = NULL"
            " WHERE tbl = ? AND batch_id = ? AND staged_path = ?",
            key,
        )
        if row.withdrawn_at is not None and at > row.withdrawn_at:
            withdrawal = (row.batch_id, "", row.withdrawn_at)
            ledger.mark_returned(table, [withdrawal, (row.batch_id, row.staged_path, at)])
            ledger.mark_published(table, [(row.batch_id, row.staged_path, at, snapshot_id)])


def rename_files(ledger: Ledger, table: str, names: Mapping[str, str]) -> None:
    """Replace the file names in verdicts by the names of rewritten files with the same rows.

    Publication times do not change.

    Args:
        ledger: ledger of the files' home.
        table: the table of the verdicts.
        names: {present path: new path} of the staged files.
    """
    pairs = [
        (relocation.below(new) or new, table, relocation.below(old) or old)
        for old, new in names.items()
        if old != new
    ]
    with ledger.transaction():
        for name in ("judgements", "returns"):
            ledger.connection.executemany(
                f"UPDATE {name} SET staged_path = ? WHERE tbl = ? AND staged_path = ?",  # noqa: S608
                pairs,
            )


def _renamed(files: Iterable[LiveFile], ledger_paths: set[str]) -> dict[str, str]:
    """Return {old path: new path} of rewritten files that the ledger has under the old path.

    This happens if the rewrite was killed between its commit and the update of the ledger.
    """
    before = {
        before_rewrite(file.path): file.path for file in files if file.path not in ledger_paths
    }
    return {old: new for old, new in before.items() if old != new and old in ledger_paths}


def _returned(
    ledger: Ledger,
    table: str,
    files: Sequence[LiveFile],
    verdicts: Iterable[JudgementRow],
    times: Mapping[int, int],
) -> list[tuple[str, str, int]]:
    """Return (batch, path, time) of each file published again after another file of its batch."""
    published = Counter(row.batch_id for row in verdicts if row.published_at is not None)
    several = [file for file in files if published[file.batch_id] > 1]
    showings = ledger.showings(table) if several else {}
    return [
        (f.batch_id, f.path, max(times.get(f.snapshot_id, now_us()), between + 1))
        for f in several
        if (between := _shown_since(f, showings.get(f.batch_id, ()))) is not None
    ]


def _shown_since(file: LiveFile, showings: Sequence[tuple[int, str]]) -> int | None:
    """Return the time at which another file of the batch was last published after this one.

    Returns None if there is no such file.
    """
    moments = [at for at, path in showings if path == file.path]
    other_moments = [
        at for at, path in showings if path != file.path and moments and at > moments[-1]
    ]
    return other_moments[-1] if other_moments else None
