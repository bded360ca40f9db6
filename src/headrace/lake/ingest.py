"""The write-audit-publish protocol over many slots: deliver, land, judge, stage, commit once, mark.

Every step may be repeated: after a crash at any moment, the same call ends in the same state.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.clock import now_us
from headrace.contracts.undecided import must_be_decided
from headrace.errors import SourceError
from headrace.home import Home
from headrace.lake.account import account, current_verdicts, total
from headrace.lake.actions import actions
from headrace.lake.fetch import Fetched, fetch_slots
from headrace.lake.judges import Judges
from headrace.lake.judging import Desk, Judged, desk_for, table_rule
from headrace.lake.landing import landed_delivery
from headrace.lake.ledger import Batch, JudgementRow, Ledger
from headrace.lake.muting import mutes_now, mutes_of
from headrace.lake.overrides import Case, derive
from headrace.lake.plans import LiveFile
from headrace.lake.profiles import Kept, Past, place_of
from headrace.lake.reconcile import reconcile
from headrace.lake.resume import deliveries_of
from headrace.lake.slots import (
    BLOCKED,
    PUBLISHABLE,
    SETTLED_STATES,
    SEVERITY,
    Pick,
    SlotProgress,
    SlotResult,
    State,
    is_settled,
    is_shown,
    pick,
    shown,
)
from headrace.lake.staging import StagedFile
from headrace.lake.standing import Standing, lapsed, standings
from headrace.lake.table import Table
from headrace.lake.tables import Lake
from headrace.sources.base import Delivery, NoFiles

# Slots whose ledger rows share a transaction: a year costs few syncs, a crash repeats few slots.
_CHUNK = 16


@dataclass
class _Run:
    """One ingest of one table: what it works with, and what it knows so far."""

    table: Table
    home: Home
    ledger: Ledger
    lake: Lake
    rule: str
    total: int
    on_slot: Callable[[SlotProgress], None] | None
    errors: dict[str, SourceError] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    batches: dict[str, list[Batch]] = field(default_factory=dict)
    judged: dict[str, JudgementRow] = field(default_factory=dict)
    origins: dict[str, set[str]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    lapsed: dict[str, JudgementRow | None] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    visible: dict[str, list[str]] = field(default_factory=dict)
    again: frozenset[str] = frozenset()
    done: int = 0

    @property
    def name(self) -> str:
        return self.table.name

    def reload(self) -> None:
        """Read the ledger again: another run may have written meanwhile."""
        self.batches = {}
        for batch in self.ledger.batches(self.name).values():
            self.batches.setdefault(batch.slot, []).append(batch)
        self.standings = standings(self.ledger, self.name, self.rule, now_us())
        # Where the verdict is still to be derived, the gate's own stands meanwhile.
        self.judged = {key: one.row or one.gate for key, one in self.standings.items()}
        blocked = any(row.verdict in BLOCKED for row in self.judged.values())
        rows = self.ledger.judgements(self.name) if blocked else {}
        if self.table.suite.broken:
            # A suite that cannot be read says nothing against what was published before it broke.
            before = current_verdicts(rows, self.live)
            self.judged |= {key: row for key, row in before.items() if is_shown(row, self.live)}
        self.lapsed = lapsed(rows.values(), self.judged, self.live)

    def pick(self, slot: str) -> Pick:
        visible = self.visible.get(slot, ())
        return pick(self.batches.get(slot, []), self.judged, self.live, visible, self.lapsed)

    def due(self, slot: str) -> list[Standing]:
        """Standings of a slot's batches whose verdict is still to be derived."""
        open_ones = [b for b in self.batches.get(slot, []) if b.state not in SETTLED_STATES]
        found = [self.standings[b.batch_id] for b in open_ones if b.batch_id in self.standings]
        return [one for one in found if one.row is None]

    def moved_on(self, files: Sequence[StagedFile]) -> set[str]:
        """Batches for which the ledger meanwhile wants something else than these files."""
        if not actions(self.ledger, self.name):
            return set()
        now = standings(self.ledger, self.name, self.rule, now_us())
        wanted = {key: one.row and one.row.staged_path for key, one in now.items()}
        wanted |= {key: good.staged_path for key, good in self.lapsed.items() if good is not None}
        return {f.batch_id for f in files if wanted[f.batch_id] != (str(f.path) if f.rows else "")}

    def known(self, slot: str) -> dict[str, Batch]:
        return {batch.batch_id: batch for batch in self.batches.get(slot, [])}


def ingest(
    table: Table,
    slots: Sequence[str],
    home: Home,
    *,
    on_slot: Callable[[SlotProgress], None] | None = None,
) -> list[SlotResult]:
    """Bring `slots` up to date: what their source shows now is judged, and published if it may be.

    One snapshot at most is committed. A slot whose source fails, or whose batch is blocked, does
    not hold up the others. Running it again changes nothing.

    Args:
        table: source, contract and gate.
        slots: ISO days, or "snapshot"; results come in this order.
        home: where the state lives.
        on_slot: called when a slot was judged, before the commit.

    Raises:
        DeclarationError: the contract is only proposed.
        StateError: the table's schema cannot follow the contract, or stored state is damaged.
    """
    must_be_decided(table.contract)
    with Ledger(home) as ledger:
        lake = Lake(home)
        run = _Run(table, home, ledger, lake, table_rule(table), len(slots), on_slot)
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        _judge_all(run, slots)
        run.reload()
        return _settle(run, slots)


def settle(table: Table, slots: Sequence[str], home: Home) -> list[SlotResult]:
    """Bring the table up to what the ledger holds of these slots; no source is asked.

    What people did about batches is taken into account, and published.

    Raises:
        StateError: as `ingest`.
    """
    with Ledger(home) as ledger:
        lake = Lake(home)
        run = _Run(table, home, ledger, lake, table_rule(table), len(slots), None)
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        return _settle(run, slots)


def rejudge(table: Table, batch: Batch, home: Home) -> list[SlotResult]:
    """Judge a batch again from its delivered bytes, whatever was found before, and settle its slot.

    The source is not asked. Its checks are those of now, and muted are those that are muted now.

    Raises:
        StateError: as `ingest`.
    """
    must_be_decided(table.contract)
    alone = replace(table, source=NoFiles(table.source.name))
    with Ledger(home) as ledger:
        lake = Lake(home)
        run = _Run(alone, home, ledger, lake, table_rule(table), 1, None)
        run.again = frozenset({batch.batch_id})
        run.live = reconcile(ledger, lake, table.name)
        run.origins = ledger.origins(table.name)
        run.reload()
        _judge_all(run, [batch.slot])
        run.reload()
        return _settle(run, [batch.slot])


def _settle(run: _Run, slots: Sequence[str]) -> list[SlotResult]:
    if any(run.due(slot) for slot in slots):
        _derive_all(run, slots)
    snapshot_id = _publish(run, slots)
    run.reload()
    return _results(run, slots, snapshot_id)


def outstanding(table: Table, slots: Sequence[str], home: Home) -> list[str]:
    """Slots with a delivery that is not settled under the present rules; reads and hashes only.

    A slot whose source cannot be read counts as outstanding: ingesting it will say why.
    """
    with Ledger(home) as ledger:
        run = _Run(table, home, ledger, Lake(home), table_rule(table), len(slots), None)
        run.origins = ledger.origins(table.name)
        run.live = run.lake.live(table.name)
        run.reload()
        return [slot for slot in slots if not _is_done(run, slot)]


def _is_done(run: _Run, slot: str) -> bool:
    try:
        deliveries = deliveries_of(run.table.source, slot, run.home, run.name)
    except SourceError:
        return False
    known = run.known(slot)
    run.visible[slot] = [delivery.batch_id for delivery in deliveries]
    if run.due(slot) or run.pick(slot).withdrawn or run.pick(slot).superseded:
        return False
    if any(b.state == "recalled" and b.batch_id in run.live for b in known.values()):
        return False
    return all(d.origin in run.origins.get(d.batch_id, ()) for d in deliveries) and all(
        is_settled(batch, run.judged.get(batch_id), run.live) for batch_id, batch in known.items()
    )


# Steps 1 to 3: deliver, judge, record


def _judge_all(run: _Run, slots: Sequence[str]) -> None:
    stream = fetch_slots(run.table.source, slots, run.home, run.name)
    writes: list[Future[Any]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="headrace-stage") as pool:
        desk = desk_for(run.table, run.home, mutes_now(run.ledger, run.name, now_us()))
        past = Past(run.home, run.table.contract, run.ledger)
        with Judges(desk, partial(_submit, pool, writes), run.total) as judges:
            while chunk := list(islice(stream, _CHUNK)):
                _deliver(run, chunk)
                rows = _judge_chunk(run, chunk, judges, desk, past)
                while writes:
                    writes.pop().result()
                # First, so that a verdict on record has its profile.
                past.save()
                with run.ledger.transaction():
                    for row in rows:
                        run.ledger.judge(run.name, row, again=row.batch_id in run.again)


def _submit(pool: Executor, writes: list[Future[Any]], work: Callable[[], Any]) -> None:
    writes.append(pool.submit(work))


def _deliver(run: _Run, chunk: Iterable[Fetched]) -> None:
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
    run: _Run, chunk: Sequence[Fetched], judges: Judges, desk: Desk, past: Past
) -> list[JudgementRow]:
    """Rows for the ledger, each verdict with what its batch is like beside the ones before."""
    todo: list[Delivery] = []
    slots: list[Fetched] = []
    for fetched in chunk:
        if fetched.error is not None:
            run.errors[fetched.slot] = fetched.error
        run.visible[fetched.slot] = [landed.delivery.batch_id for landed in fetched.landed]
        deliveries = _unjudged(run, fetched)
        todo += deliveries
        slots += [fetched] * len(deliveries)
    judged = dict(judges.judge(todo))
    rows = [_weighed(desk, past, delivery, judged[at]) for at, delivery in enumerate(todo)]
    for fetched, row in zip(slots, rows, strict=True):
        before = run.judged.get(row.batch_id)
        if before is None or before.verdict != row.verdict:
            run.changed.add(fetched.slot)
    for fetched in chunk:
        _report(run, fetched, [r for f, r in zip(slots, rows, strict=True) if f is fetched])
    return rows


def _weighed(desk: Desk, past: Past, delivery: Delivery, judged: Judged) -> JudgementRow:
    """The verdict beside the batches before; what stands alone, such as an event, keeps its own."""
    if judged.glance is None:
        return judged.row
    place = place_of(delivery.slot, delivery.arrived_at)
    weighed = desk.weigh(judged.row, judged.glance, past.before(place))
    good = weighed.row.verdict in PUBLISHABLE
    past.keep(Kept(delivery.batch_id, place, weighed.profile), good=good)
    return weighed.row


def _unjudged(run: _Run, fetched: Fetched) -> list[Delivery]:
    """Deliveries without a verdict under these rules, also those the source no longer shows."""
    known = run.known(fetched.slot)
    visible = {landed.delivery.batch_id: landed.delivery for landed in fetched.landed}
    todo = [d for key, d in visible.items() if key not in known]
    for batch_id, batch in known.items():
        judged = run.judged.get(batch_id)
        if batch_id in run.again:
            todo.append(landed_delivery(run.home, batch))
            continue
        if judged is not None and judged.verdict != "ERROR":
            continue
        if not is_settled(batch, judged, run.live):
            todo.append(visible.get(batch_id) or landed_delivery(run.home, batch))
    return todo


def _report(run: _Run, fetched: Fetched, rows: Iterable[JudgementRow]) -> None:
    run.done += 1
    if run.on_slot is None:
        return
    old = [run.judged[key].verdict for key in run.known(fetched.slot) if key in run.judged]
    verdicts = [row.verdict for row in rows] or old
    gravest = max(verdicts, key=SEVERITY.__getitem__, default="MISSING")
    run.on_slot(SlotProgress(run.name, fetched.slot, gravest, run.done, run.total))


# Between: what people did about batches


def _derive_all(run: _Run, slots: Sequence[str]) -> None:
    """Judge anew, with what people did, where that has not been done under these rules."""
    rows = [(slot, _derived(run, slot, one)) for slot in slots for one in run.due(slot)]
    with run.ledger.transaction():
        for slot, row in rows:
            if row.derived_from:
                run.ledger.judge(run.name, row, again=True)
                run.changed.add(slot)
    run.reload()
    # What could not be derived stays as it is, and is shown as an error.
    run.judged |= {row.batch_id: row for _, row in rows if not row.derived_from}


def _derived(run: _Run, slot: str, standing: Standing) -> JudgementRow:
    gate = standing.gate
    batch = run.known(slot)[gate.batch_id]
    try:
        mutes = mutes_of(run.ledger, gate)
        report = run.ledger.report(run.name, gate.batch_id, gate.rule_hash)
        suite = mutes.suite(run.table.suite)
        delivery = landed_delivery(run.home, batch)
        return derive(Case(run.home, run.table.contract, suite, delivery, standing, report))
    except Exception as error:  # noqa: BLE001 - fails closed, and holds up no other batch
        why = f"ERROR: what people did about it could not be carried out: {error}"
        return replace(gate, verdict="ERROR", summary=why, staged_path="")


# Steps 4 to 8: pick, commit once, mark


def _publish(run: _Run, slots: Sequence[str]) -> int | None:
    picks = {slot: run.pick(slot) for slot in slots}
    run.changed.update(slot for slot, p in picks.items() if p != Pick())
    add = [_file(run, row) for p in picks.values() for row in p.add if row.staged_path]
    exchange = [_file(run, row) for p in picks.values() for row in p.replace]
    if leaving := [batch_id for p in picks.values() for batch_id in p.withdrawn]:
        with run.ledger.transaction():
            run.ledger.mark_withdrawn(run.name, leaving)
        exchange += [StagedFile(Path(), batch_id, 0, run.name) for batch_id in leaving]
    # A recall that was cut short is brought to its end by whoever comes next.
    left_over = run.ledger.recalled(run.name) & run.live.keys()
    if add or exchange or left_over:
        recalled = partial(run.ledger.recalled, run.name)
        outdated = partial(run.moved_on, [*add, *exchange])
        run.lake.publish(run.table.contract, add, exchange, recalled=recalled, outdated=outdated)
        reconcile(run.ledger, run.lake, run.name)
    snapshot_id = run.lake.snapshot_id(run.name)
    # A batch of which every row was quarantined has no file that could tell when it was published.
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
    return snapshot_id


def _file(run: _Run, row: JudgementRow) -> StagedFile:
    return StagedFile(Path(row.staged_path), row.batch_id, row.passing, run.name)


# What to say


def _results(run: _Run, slots: Sequence[str], snapshot_id: int | None) -> list[SlotResult]:
    files = {file.batch_id: file for file in run.lake.files(run.name, snapshot_id)}
    live = {key: file.path for key, file in files.items()}
    counted = current_verdicts(run.ledger.judgements(run.name), live)
    return [_result(run, slot, snapshot_id, counted, files) for slot in slots]


def _result(
    run: _Run,
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
        batch=top[0].batch_id if (top := shown(batches, run.judged)) else "",
        reasons=reasons,
        judgement=judgement,
        changed=slot in run.changed,
        snapshot_id=snapshot_id,
    )


def _verdict(
    run: _Run, slot: str, batches: Sequence[Batch], files: Mapping[str, LiveFile]
) -> tuple[State, str, tuple[str, ...], dict[str, Any] | None]:
    """State, verdict, reasons and report of a slot."""
    top = shown(batches, run.judged)
    if slot in run.errors:
        return "failed", "ERROR", (str(run.errors[slot]),), None
    if top is None and batches:
        return "missing", "MISSING", ("every delivery of this slot was rejected or recalled",), None
    if top is None and run.table.expects(slot):
        return "missing", "MISSING", ("expected, and no delivery has come",), None
    if top is None:
        return "not_expected", "MISSING", (), None
    state: State = "pending" if top[1].verdict in BLOCKED else "published"
    judgement = _told(run, top[1])
    return state, top[1].verdict, tuple(_reasons(run, batches, files)), judgement


def _told(run: _Run, row: JudgementRow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.ledger.report(run.name, row.batch_id, row.rule_hash))
    return found


def _reasons(run: _Run, batches: Sequence[Batch], files: Mapping[str, LiveFile]) -> Iterator[str]:
    for batch in batches:
        row = run.judged.get(batch.batch_id)
        if row is None or row.verdict == "PASS" or batch.state in SETTLED_STATES:
            continue
        yield row.summary
        if row.verdict in BLOCKED and batch.batch_id in files:
            yield "It was published under earlier rules; its last good file keeps serving."
