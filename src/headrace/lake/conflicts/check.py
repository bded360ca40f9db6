"""Conflict check of the rows that a run is about to publish, and the resulting verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.contracts import Contract
from headrace.core.home import Home
from headrace.gates import Judgement
from headrace.lake.conflicts.hold import ConflictHold
from headrace.lake.conflicts.records import Conflict, conflicts_of, record_conflicts
from headrace.lake.conflicts.resolve import Loser, Place, resolve
from headrace.lake.conflicts.search import Arriving, published_lines, versions
from headrace.lake.conflicts.survey import note_survey
from headrace.lake.ingest.ingest_run import Run
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ledger.ledger import JudgementRow, Ledger
from headrace.lake.ledger.partition_state import Pick
from headrace.lake.overrides.effective_verdict import releases_batch
from headrace.lake.overrides.muted_checks import mutes_of
from headrace.lake.tables.lake import Lake


def hold_conflicts(run: Run, slots: Sequence[str]) -> bool:
    """Record new verdicts for the batches of these partitions that have rows in conflict.

    Returns:
        False if there are no conflicts.
    """
    picks = [run.pick(slot) for slot in slots]
    rows = staged_rows(picks)
    losers = find_conflicts(run, picks)
    if not losers:
        return False
    paths = {batch: Path(path) for batch, path in run.live.items()}
    paths |= {row.batch_id: Path(row.staged_path) for row in rows}
    verdicts = [
        _verdict(run, row, losers[row.batch_id], paths) for row in rows if row.batch_id in losers
    ]
    with run.ledger.transaction():
        for verdict, conflicts in verdicts:
            if verdict is None:
                continue
            record_conflicts(run.ledger, run.name, verdict, conflicts)
            run.ledger.judge(run.name, verdict, overwrite=True)
    run.changed |= {run.slot_of(batch) for batch in losers}
    run.reload()
    return True


def staged_rows(picks: Iterable[Pick]) -> list[JudgementRow]:
    """Return those verdicts of the picks whose rows are to enter the table."""
    return [row for pick in picks for row in (*pick.add, *pick.replace) if row.staged_path]


def leaving(picks: Iterable[Pick]) -> set[str]:
    """Return the batches that these picks remove from the table with all their rows."""
    empty = {row.batch_id for pick in picks for row in pick.replace if not row.staged_path}
    return empty.union(*(pick.withdrawn for pick in picks))


def find_conflicts(run: Run, picks: Sequence[Pick]) -> dict[str, list[Loser]]:
    """Return {batch: its rows in conflict that must be held} for the batches in these picks.

    A held row is quarantined, or blocked with its batch. Sets `run.compared` to the published files
    with which the rows were compared.
    """
    contract, rows = run.table.contract, staged_rows(picks)
    if not rows or not contract.identity:
        return {}
    plan = run.lake.ranged_plan(run.name)
    note_survey(run.ledger, contract, plan)
    live = {file.batch_id: file for file in plan.files} if plan else {}
    run.compared = frozenset(file.path for file in live.values())
    batches = {batch.batch_id: batch for slot in run.batches.values() for batch in slot}
    arriving = [
        Arriving(
            row.batch_id,
            Path(row.staged_path),
            live[row.batch_id].path if row.batch_id in live else None,
            by_row=batches[row.batch_id].format == "events",
        )
        for row in rows
    ]
    excluded = {file.batch_id for file in arriving} | run.ledger.recalled(run.name) | leaving(picks)
    published = [file for batch, file in live.items() if batch not in excluded]
    clashing = versions(contract, plan, arriving, published)
    if not clashing:
        return {}
    involved = {version.batch for version in clashing}
    involved_files = [file for file in arriving if file.batch_id in involved]
    verdicts = {file.batch_id: _hold(run, file.batch_id) for file in involved_files}

    def blocks(batch_id: str, count: int) -> bool:
        actions = run.standings[batch_id].actions
        return not any(map(releases_batch, actions)) and verdicts[batch_id].blocked_by(count)

    order = sorted(verdicts, key=lambda batch_id: batches[batch_id].order)
    return resolve(clashing, order, published_lines(involved_files), blocks)


def rows_in_conflict(home: Home, contract: Contract, rows: pa.Table) -> dict[int, Place]:
    """Return {line: place of the published row in conflict} for the typed rows of one batch."""
    if not rows.num_rows:
        return {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(rows, path, store_schema=False)
        return file_in_conflict(home, contract, str(rows["_batch"][0].as_py()), path)


def file_in_conflict(home: Home, contract: Contract, batch_id: str, path: Path) -> dict[int, Place]:
    """Return {line: place of the published row in conflict} for the rows in a batch's file.

    Args:
        home: where the state lives.
        contract: contract of the table.
        batch_id: batch of the file; the rows of this batch in the table are not compared.
        path: file with the rows to publish.
    """
    if not contract.identity:
        return {}
    with Ledger(home) as ledger:
        excluded = {batch_id, *ledger.recalled(contract.table)}
    plan = Lake(home).ranged_plan(contract.table)
    published = [file for file in plan.files if file.batch_id not in excluded] if plan else []
    clashing = versions(contract, plan, [Arriving(batch_id, path)], published)
    losers = resolve(clashing, [batch_id], (), lambda *_: False)
    return {loser.line: loser.earlier for loser in losers.get(batch_id, ())}


def _hold(run: Run, batch_id: str) -> ConflictHold:
    gate = run.standings[batch_id].gate
    return ConflictHold(
        home=run.home,
        contract=run.table.contract,
        mutes=mutes_of(run.ledger, gate),
        delivery=landed_delivery(run.home, run.batch(batch_id)),
        gate=gate,
        report=Judgement.from_json(run.ledger.report(run.name, batch_id, gate.rule_hash)),
    )


def _verdict(
    run: Run, row: JudgementRow, losers: Sequence[Loser], paths: Mapping[str, Path]
) -> tuple[JudgementRow | None, list[Conflict]]:
    """Return the verdict on a batch, and its conflicts: those recorded earlier and the new ones."""
    standing = run.standings[row.batch_id]
    if row.rule_hash not in {standing.gate.rule_hash, standing.rule}:
        run.barred.add(row.batch_id)  # its last good file is in conflict now
        return None, []
    after = max((action.id for action in standing.actions), default=0)
    by_line = conflicts_of(run.ledger, run.name, row.batch_id, standing.gate.rule_hash)
    by_line |= {loser.line: Conflict(loser.line, *loser.earlier, after) for loser in losers}
    conflicts = [by_line[line] for line in sorted(by_line)]
    hold = _hold(run, row.batch_id)
    return hold.verdict(conflicts, Path(row.staged_path), paths), conflicts
