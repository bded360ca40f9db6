"""The write-audit-publish protocol: fetch, land, validate, stage, commit once, mark.

Every step can be repeated: after a crash, the same call ends in the same state.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.contracts.authoring.open_questions import must_be_decided
from headrace.core.clock import now_us
from headrace.core.errors import SourceError, StateError
from headrace.core.home import Home
from headrace.gates.exemptions import Exemptions
from headrace.lake.conflicts import conflicts_of
from headrace.lake.conflicts.check import find_conflicts, hold_conflicts
from headrace.lake.ingest.early_fetch import Fetched, fetch_slots
from headrace.lake.ingest.ingest_run import Run
from headrace.lake.ingest.landing import landed_delivery
from headrace.lake.ingest.partition_results import results
from headrace.lake.ingest.reconcile import reconcile
from headrace.lake.ingest.source_position import deliveries_of
from headrace.lake.ingest.staging import StagedFile
from headrace.lake.ingest.validator import BatchValidator, ValidatedBatch, table_rule, validator_for
from headrace.lake.ingest.validator_pool import Judges
from headrace.lake.ingest.write_lock import staging_lock
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.partition_state import (
    PUBLISHABLE,
    SEVERITY,
    Pick,
    SlotProgress,
    SlotResult,
    is_settled,
)
from headrace.lake.overrides.effective_verdict import Standing
from headrace.lake.overrides.exemptions import RecordedExemptions, day_of, exemptions_on_record
from headrace.lake.overrides.muted_checks import mutes_now, mutes_of
from headrace.lake.overrides.overrides import Case, derive
from headrace.lake.profiles import Baselines, StoredProfile, place_of
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.sources.base import Delivery, NoFiles

# Number of partitions per ledger transaction. A higher number needs fewer disk syncs; with a lower
# number, a crash loses less work.
_CHUNK = 16
# Maximum number of attempts. Another attempt follows only if conflicting rows were found and new
# verdicts recorded, or another run committed meanwhile.
_MOST_TURNS = 100


def ingest(
    table: Table,
    slots: Sequence[str],
    home: Home,
    *,
    on_slot: Callable[[SlotProgress], None] | None = None,
) -> list[SlotResult]:
    """Validate the deliveries that the source has for `slots`, and publish those that pass.

    At most one snapshot is committed. A partition whose source fails, or whose batch is blocked,
    does not stop the others. A repeated call changes nothing.

    Args:
        table: source, contract and gate.
        slots: partitions as ISO days, or "snapshot"; the results have the same order.
        home: where the state lives.
        on_slot: called after each partition is validated, before the commit.

    Raises:
        DeclarationError: the contract's status is `proposed`.
        StateError: the table's schema cannot be changed to the contract's, or stored state is
            damaged.
    """
    must_be_decided(table.contract)
    with staging_lock(home), Ledger(home) as ledger:
        lake = Lake(home)
        run = Run(table, home, ledger, lake, table_rule(table), len(slots), on_slot)
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        _judge_all(run, slots)
        run.reload()
        return _settle(run, slots)


def settle(table: Table, slots: Sequence[str], home: Home) -> list[SlotResult]:
    """Apply the overrides recorded for these partitions, and publish their batches that pass.

    Batches whose override has ended leave the table. The source is not read.

    Raises:
        StateError: in the same cases as `ingest`.
    """
    with staging_lock(home), Ledger(home) as ledger:
        lake = Lake(home)
        run = Run(table, home, ledger, lake, table_rule(table), len(slots), None)
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        return _settle(run, slots)


def rejudge(table: Table, batch: Batch, home: Home) -> list[SlotResult]:
    """Validate a batch again under the present checks and mutes, and publish the result.

    The stored bytes of the delivery are used; the source is not read.

    Raises:
        StateError: in the same cases as `ingest`.
    """
    must_be_decided(table.contract)
    table_without_source = replace(table, source=NoFiles(table.source.name))
    with staging_lock(home), Ledger(home) as ledger:
        lake = Lake(home)
        run = Run(table_without_source, home, ledger, lake, table_rule(table), 1, None)
        run.to_revalidate = frozenset({batch.batch_id})
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        _judge_all(run, [batch.slot])
        run.reload()
        return _settle(run, [batch.slot])


def _settle(run: Run, slots: Sequence[str]) -> list[SlotResult]:
    for _ in range(_MOST_TURNS):
        if any(run.due(slot) for slot in slots):
            _derive_all(run, slots)
        if hold_conflicts(run, slots):
            continue
        snapshot_id, is_current = _publish(run, slots)
        run.live = run.lake.live(run.name)
        run.reload()
        if is_current:
            return results(run, slots, snapshot_id)
    raise StateError(
        f"table {run.name} changed {_MOST_TURNS} times while this run compared the new rows with"
        " the published ones",
        where=str(run.home.root),
        fix="run it again when fewer other runs write to the table; nothing was lost",
    )


def outstanding(table: Table, slots: Sequence[str], home: Home, *, patience: int = 0) -> list[str]:
    """Return the partitions for which an ingest under the present rules has work to do.

    This function changes nothing. A partition whose source cannot be read counts as outstanding;
    its ingest reports the error.

    Args:
        table: its source is read.
        slots: partitions to check.
        home: where the state lives.
        patience: number of unreadable partitions in a row after which the source counts as down and
            the remaining partitions are skipped; 0 to check all.
    """
    with Ledger(home) as ledger:
        run = Run(table, home, ledger, Lake(home), table_rule(table), len(slots), None)
        run.origins = ledger.origins(table.name)
        run.live = run.lake.live(table.name)
        run.reload()
        open_slots: list[str] = []
        failed = 0
        for slot in slots:
            deliveries = _visible(run, slot)
            failed = failed + 1 if deliveries is None else 0
            if deliveries is None or not _is_done(run, slot, deliveries):
                open_slots.append(slot)
            if patience and failed == patience:
                break
        return open_slots


def _visible(run: Run, slot: str) -> list[Delivery] | None:
    """Return the deliveries that the source has for a partition; None if it cannot be read."""
    try:
        return deliveries_of(run.table.source, slot, run.home, run.name)
    except SourceError:
        return None


def _is_done(run: Run, slot: str, deliveries: Sequence[Delivery]) -> bool:
    batches = run.batches_by_id(slot)
    run.visible[slot] = [delivery.batch_id for delivery in deliveries]
    if run.due(slot) or run.pick(slot).withdrawn or run.pick(slot).superseded:
        return False
    if any(b.state == "recalled" and b.batch_id in run.live for b in batches.values()):
        return False
    return all(d.origin in run.origins.get(d.batch_id, ()) for d in deliveries) and all(
        is_settled(batch, run.verdicts.get(batch_id), run.live)
        for batch_id, batch in batches.items()
    )


# Record deliveries, validate them, record the verdicts


def _judge_all(run: Run, slots: Sequence[str]) -> None:
    stream = fetch_slots(run.table.source, slots, run.home, run.name)
    writes: list[Future[Any]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="headrace-stage") as pool:
        validator = validator_for(run.table, run.home, mutes_now(run.ledger, run.name, now_us()))
        past = Baselines(run.home, run.table.contract, run.ledger)
        with Judges(validator, partial(_submit, pool, writes), run.total) as judges:
            while chunk := list(islice(stream, _CHUNK)):
                _deliver(run, chunk)
                rows = _judge_chunk(run, chunk, judges, validator, past)
                while writes:
                    writes.pop().result()
                # Save the profiles before the verdicts, so that a recorded verdict always has its
                # profile.
                past.save()
                with run.ledger.transaction():
                    for row in rows:
                        run.ledger.judge(run.name, row, overwrite=row.batch_id in run.to_revalidate)


def _submit(pool: Executor, writes: list[Future[Any]], work: Callable[[], Any]) -> None:
    writes.append(pool.submit(work))


def _deliver(run: Run, chunk: Iterable[Fetched]) -> None:
    new = [
        (fetched.slot, landed)
        for fetched in chunk
        for landed in fetched.landed
        if landed.delivery.origin not in run.origins.get(landed.delivery.batch_id, ())
    ]
    if not new:
        return
    with run.ledger.transaction():
        for slot, landed in new:
            delivery = landed.delivery
            run.ledger.deliver(run.name, run.table.contract.owner, delivery, landed.raw_path)
            run.origins.setdefault(delivery.batch_id, set()).add(delivery.origin)
            run.changed.add(slot)


def _judge_chunk(
    run: Run, chunk: Sequence[Fetched], judges: Judges, validator: BatchValidator, past: Baselines
) -> list[JudgementRow]:
    """Validate a chunk of partitions, and compare each batch with earlier ones.

    Returns the rows for the ledger.
    """
    todo: list[Delivery] = []
    slots: list[Fetched] = []
    for fetched in chunk:
        if fetched.error is not None:
            run.errors[fetched.slot] = fetched.error
        run.visible[fetched.slot] = [landed.delivery.batch_id for landed in fetched.landed]
        deliveries = _unjudged(run, fetched)
        todo += deliveries
        slots += [fetched] * len(deliveries)
    validated = dict(judges.judge(todo))
    decisions = exemptions_on_record(run.ledger, run.name)
    rows = [
        _verdict_with_history(
            validator, past, delivery, validated[at], _exemptions(run, decisions, delivery)
        )
        for at, delivery in enumerate(todo)
    ]
    for fetched, row in zip(slots, rows, strict=True):
        before = run.verdicts.get(row.batch_id)
        if before is None or before.verdict != row.verdict:
            run.changed.add(fetched.slot)
    for fetched in chunk:
        _report(run, fetched, [r for f, r in zip(slots, rows, strict=True) if f is fetched])
    return rows


def _verdict_with_history(
    validator: BatchValidator,
    past: Baselines,
    delivery: Delivery,
    validated: ValidatedBatch,
    exemptions: Callable[[int], Exemptions],
) -> JudgementRow:
    """Return the verdict after a comparison with earlier batches.

    Batches of formats that are not compared, such as events, keep their verdict.
    """
    if validated.glance is None:
        return validated.row
    place = place_of(delivery.slot, delivery.arrived_at)
    weighed = validator.weigh(
        validated.row, validated.glance, past.before(place), exemptions(validated.row.judged_at)
    )
    good = weighed.row.verdict in PUBLISHABLE
    past.keep(StoredProfile(delivery.batch_id, place, weighed.profile), good=good)
    return weighed.row


def _exemptions(
    run: Run, decisions: RecordedExemptions, delivery: Delivery
) -> Callable[[int], Exemptions]:
    """Return the exemptions for a batch, as a function of the time when it is validated.

    A batch that is validated again because rules changed gets those of its last verdict's time, so
    that the same decisions apply to it. A person who has it validated again wants those of now.
    """
    by_person = delivery.batch_id in run.to_revalidate
    before = None if by_person else decisions.decided.get(delivery.batch_id)
    day = day_of(delivery.slot, delivery.arrived_at)
    return lambda now: decisions.at(before or now, day)


def _unjudged(run: Run, fetched: Fetched) -> list[Delivery]:
    """Return the deliveries to validate: without a verdict under the present rules, or with ERROR.

    Deliveries that the source no longer offers are included.
    """
    batches = run.batches_by_id(fetched.slot)
    visible = {landed.delivery.batch_id: landed.delivery for landed in fetched.landed}
    todo = [d for key, d in visible.items() if key not in batches]
    for batch_id, batch in batches.items():
        judgement = run.verdicts.get(batch_id)
        if batch_id in run.to_revalidate:
            todo.append(landed_delivery(run.home, batch))
            continue
        if judgement is not None and judgement.verdict != "ERROR":
            continue
        if not is_settled(batch, judgement, run.live):
            todo.append(visible.get(batch_id) or landed_delivery(run.home, batch))
    return todo


def _report(run: Run, fetched: Fetched, rows: Iterable[JudgementRow]) -> None:
    run.finished_slots += 1
    if run.on_slot is None:
        return
    old = [
        run.verdicts[key].verdict for key in run.batches_by_id(fetched.slot) if key in run.verdicts
    ]
    verdicts = [row.verdict for row in rows] or old
    most_severe = max(verdicts, key=SEVERITY.__getitem__, default="MISSING")
    run.on_slot(SlotProgress(run.name, fetched.slot, most_severe, run.finished_slots, run.total))


# Overrides: people's actions on batches


def _derive_all(run: Run, slots: Sequence[str]) -> None:
    """Apply the overrides that are not applied yet, and record the resulting verdicts."""
    rows = [(slot, _derived(run, slot, standing)) for slot in slots for standing in run.due(slot)]
    with run.ledger.transaction():
        for slot, row in rows:
            if row.derived_from:
                run.ledger.judge(run.name, row, overwrite=True)
                run.changed.add(slot)
    run.stuck = {row.batch_id: row for _, row in rows if not row.derived_from}
    run.reload()


def _derived(run: Run, slot: str, standing: Standing) -> JudgementRow:
    gate = standing.gate
    batch = run.batches_by_id(slot)[gate.batch_id]
    try:
        mutes = mutes_of(run.ledger, gate)
        report = run.ledger.report(run.name, gate.batch_id, gate.rule_hash)
        suite = mutes.suite(run.table.suite)
        delivery = landed_delivery(run.home, batch)
        conflicts = conflicts_of(run.ledger, run.name, gate.batch_id, gate.rule_hash)
        contract = run.table.contract
        return derive(Case(run.home, contract, suite, delivery, standing, report, conflicts))
    except Exception as error:  # noqa: BLE001 - fails closed, and holds up no other batch
        why = f"ERROR: the overrides of this batch could not be applied: {error}"
        return replace(gate, verdict="ERROR", summary=why, staged_path="")


# Select the files, commit once, mark the batches


def _refuse_other_home(run: Run) -> None:
    """Refuse to commit to a table that holds no batch of this home's ledger.

    After the loss of a ledger, an ingest of the earlier deliveries records their batches again.
    """
    if not run.live or run.live.keys() & run.ledger.batches(run.name).keys():
        return
    raise StateError(
        f"table {run.name} holds {len(run.live)} batches, and the ledger of this home has none of"
        " them: the warehouse or its catalog belongs to another home",
        where=str(run.ledger.path),
        fix="point HEADRACE_HOME and HEADRACE_CATALOG at one and the same home; if the ledger was"
        " lost, restore it from a backup, or first ingest the earlier deliveries again",
    )


def _publish(run: Run, slots: Sequence[str]) -> tuple[int | None, bool]:
    """Commit the changes selected for these partitions.

    Returns the snapshot id, and True if all changes were committed. The second value is False if
    another run has meanwhile published rows in conflict with some of the selected batches.
    """
    picks = {slot: run.pick(slot) for slot in slots}
    run.changed.update(slot for slot, p in picks.items() if p != Pick())
    add = [_file(run, row) for p in picks.values() for row in p.add if row.staged_path]
    exchange = [_file(run, row) for p in picks.values() for row in p.replace]
    if leaving := [batch_id for p in picks.values() for batch_id in p.withdrawn]:
        with run.ledger.transaction():
            run.ledger.mark_withdrawn(run.name, leaving)
        exchange += [StagedFile(Path(), batch_id, 0, run.name) for batch_id in leaving]
    # Recalled batches that are still in the table: an earlier recall was interrupted, and this run
    # completes it.
    left_over = run.ledger.recalled(run.name) & run.live.keys()
    late: set[str] = set()
    if add or exchange or left_over:
        _refuse_other_home(run)
        recalled = partial(run.ledger.recalled, run.name)

        def outdated() -> set[str]:
            late.update(_late_conflicts(run, picks))
            return run.moved_on([*add, *exchange]) | late

        run.lake.publish(run.table.contract, add, exchange, recalled=recalled, outdated=outdated)
        reconcile(run.ledger, run.lake, run.name)
    snapshot_id = run.lake.snapshot_id(run.name)
    # The table has no file of a batch whose rows are all in quarantine, so the time of publication
    # comes from the clock.
    empty = [
        (row.batch_id, "", now_us(), snapshot_id or 0)
        for p in picks.values()
        for row in (*p.add, *p.replace)
        if not row.staged_path
    ]
    superseded = [pair for p in picks.values() for pair in p.superseded]
    if empty or superseded:
        with run.ledger.transaction():
            run.ledger.mark_published(run.name, empty)
            run.ledger.mark_superseded(run.name, superseded)
    return snapshot_id, not late


def _late_conflicts(run: Run, picks: Mapping[str, Pick]) -> set[str]:
    """Return the batches in conflict with rows that another run published meanwhile."""
    if frozenset(run.lake.live(run.name).values()) == run.compared:
        return set()
    return set(find_conflicts(run, list(picks.values())))


def _file(run: Run, row: JudgementRow) -> StagedFile:
    return StagedFile(Path(row.staged_path), row.batch_id, row.passing, run.name)
