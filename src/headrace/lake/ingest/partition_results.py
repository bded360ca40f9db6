"""Result of each partition after a run, computed from the table and the ledger."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.lake.ingest.ingest_run import Run
from headrace.lake.ledger.ledger import Batch, JudgementRow
from headrace.lake.ledger.partition_state import (
    BLOCKED,
    SETTLED_STATES,
    SlotResult,
    State,
    decisive_batch,
)
from headrace.lake.ledger.row_counts import account, current_verdicts, total
from headrace.lake.tables.snapshot_files import LiveFile


def results(run: Run, slots: Sequence[str], snapshot_id: int | None) -> list[SlotResult]:
    files = {file.batch_id: file for file in run.lake.files(run.name, snapshot_id)}
    live = {key: file.path for key, file in files.items()}
    counted = current_verdicts(run.ledger.judgements(run.name), live)
    return [_result(run, slot, snapshot_id, counted, files) for slot in slots]


def _result(
    run: Run,
    slot: str,
    snapshot_id: int | None,
    counted: Mapping[str, JudgementRow],
    files: Mapping[str, LiveFile],
) -> SlotResult:
    batches = run.batches.get(slot, [])
    rows = total(
        account(b, counted[b.batch_id], files.get(b.batch_id))
        for b in batches
        if b.batch_id in counted
    )
    state, verdict, reasons, judgement = _verdict(run, slot, batches, files)
    return SlotResult(
        table=run.name,
        slot=slot,
        state=state,
        verdict=verdict,
        delivered=rows.delivered - rows.rejected,
        published=rows.published,
        quarantined=rows.quarantined,
        pending=rows.pending,
        repeated=rows.repeated,
        batches=tuple(b.batch_id for b in batches),
        batch=top[0].batch_id if (top := decisive_batch(batches, run.verdicts)) else "",
        reasons=reasons,
        judgement=judgement,
        changed=slot in run.changed,
        snapshot_id=snapshot_id,
    )


def _verdict(
    run: Run, slot: str, batches: Sequence[Batch], files: Mapping[str, LiveFile]
) -> tuple[State, str, tuple[str, ...], dict[str, Any] | None]:
    """Return the state, verdict, reasons and report of a partition."""
    top = decisive_batch(batches, run.verdicts)
    if slot in run.errors:
        return "failed", "ERROR", (str(run.errors[slot]),), None
    if top is None and batches:
        return "missing", "MISSING", ("all deliveries were rejected or recalled",), None
    if top is None and run.table.expects(slot):
        return "missing", "MISSING", ("a delivery was expected, but none has arrived",), None
    if top is None:
        return "not_expected", "MISSING", (), None
    state: State = "pending" if top[1].verdict in BLOCKED else "published"
    judgement = _report(run, top[1])
    return state, top[1].verdict, tuple(_reasons(run, batches, files)), judgement


def _report(run: Run, row: JudgementRow) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run.ledger.report(run.name, row.batch_id, row.rule_hash))
    return report


def _reasons(run: Run, batches: Sequence[Batch], files: Mapping[str, LiveFile]) -> Iterator[str]:
    for batch in batches:
        row = run.verdicts.get(batch.batch_id)
        if row is None or row.verdict == "PASS" or batch.state in SETTLED_STATES:
            continue
        yield row.summary
        if row.verdict in BLOCKED and batch.batch_id in files:
            yield "The batch was published under earlier rules; its last good file stays published."
