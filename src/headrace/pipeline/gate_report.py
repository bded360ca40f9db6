"""The facts of a gate report, from the ledger, the lake and the pipeline's declaration.

A batch is reported from what the gate recorded when it judged, so that its page says the same years
later, under other rules. What it needs: the ledger; for the columns' comparison the staged or the
delivered files, or what was kept of them. Without either the page says so.
"""

import shlex
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headrace.clock import now_us
from headrace.contracts.support import support_channels
from headrace.errors import DeclarationError, HeadraceError, StateError
from headrace.files import canonical_json
from headrace.gates import Judgement
from headrace.gates.compare import Comparison
from headrace.gates.mutes import SEMANTIC
from headrace.gates.report import words
from headrace.gates.report.failing import failing_rows
from headrace.gates.report.model import (
    History,
    LastGood,
    LogEntry,
    Origin,
    Reach,
    Report,
    RuleHistory,
    Rules,
)
from headrace.gates.report.steps import Case, Link, no_link, steps
from headrace.home import Home
from headrace.lake.actions import actions
from headrace.lake.compare import (
    Judged,
    JudgedBatches,
    compare_batches,
    judged_batches,
    keep,
    kept,
    kept_path,
)
from headrace.lake.inspect import find_batches
from headrace.lake.judging import table_rule
from headrace.lake.ledger import Batch, JudgementRow, Ledger
from headrace.lake.slots import SETTLED_STATES
from headrace.lake.table import Table
from headrace.pipeline.blast import blast_radius
from headrace.pipeline.declare import Pipeline

PAST = 30  # batches of a rule's history
# Checks that leave a result only where they fail: where there is none, they passed.
_ONLY_FAILING = ("contract:", "quarantined_share", "accounting", f"{SEMANTIC}:")


def gate_report(
    pipeline: Pipeline,
    home: Home,
    table: str,
    batch_id: str,
    *,
    link: Link = no_link,
    keeping: bool = False,
    memory: MutableMapping[tuple[str, ...], Comparison] | None = None,
) -> Report:
    """Every fact about one batch.

    Args:
        pipeline: the one that declares the table.
        home: where the state lives.
        table: a table of the pipeline.
        batch_id: whole, as the ledger has it.
        link: the page where an action can be done in a browser.
        keeping: write the comparison down, so that the report outlives the rows.
        memory: comparisons that need not be made again.

    Raises:
        StateError: no such batch, or it was not judged yet.
    """
    with Ledger(home) as ledger:
        facts = _Facts(pipeline, home, ledger, pipeline.table(table), batch_id, memory)
        return _report(facts, link, keeping=keeping)


@dataclass
class _Facts:
    """What the parts of a report share, read once."""

    pipeline: Pipeline
    home: Home
    ledger: Ledger
    table: Table
    batch_id: str
    memory: MutableMapping[tuple[str, ...], Comparison] | None = None

    @cached_property
    def known(self) -> JudgedBatches:
        return judged_batches(self.home, self.table.name, self.ledger)

    @cached_property
    def batch(self) -> Batch:
        if self.batch_id not in self.known.batches:
            raise StateError(
                f"table {self.table.name} has no batch {self.batch_id}",
                where=str(self.ledger.path),
                fix=f"list what there is: headrace gate ls --table {self.table.name} --all",
            )
        return self.known.batches[self.batch_id]

    @cached_property
    def judged(self) -> JudgementRow:
        """The verdict that decides what is shown of the batch; of a blocked one the newest."""
        return self.known.of(self.batch.batch_id)[1]

    @cached_property
    def judgement(self) -> Judgement:
        return self.judgement_of(self.judged)

    def judgement_of(self, row: JudgementRow) -> Judgement:
        return Judgement.from_json(self.ledger.report(self.table.name, row.batch_id, row.rule_hash))

    @cached_property
    def good(self) -> list[Judged]:
        return self.known.good_before(self.batch)


def _report(facts: _Facts, link: Link, *, keeping: bool) -> Report:
    batch, judged, judgement = facts.batch, facts.judged, facts.judgement
    name, failed = facts.table.name, judgement.failed
    comparison, why_not = _compared(facts, keeping=keeping)
    last = facts.good[-1] if facts.good else None
    return Report(
        table=name,
        slot=batch.slot,
        batch_id=batch.batch_id,
        state=batch.state,
        judgement=judgement,
        passing=judged.passing,
        origin=_origin(facts),
        rules=_rules(facts),
        reach=_reach(facts),
        rendered_at=now_us(),
        published_at=batch.published_at,
        note=batch.note,
        successor=_successor(batch),
        last_good=_last_good(*last) if last else None,
        corrects=last is not None and last[0].slot == batch.slot,
        rows=failing_rows(
            judgement,
            shlex.join(["headrace", "gate", "rows", name, batch.batch_id[:12]]),
            facts.table.contract.primary_key,
        ),
        comparison=comparison,
        not_compared=why_not,
        units=tuple((f.name, f.unit) for f in facts.table.contract.fields if f.unit),
        history=_history(facts, [result.id for result in failed if result.kind != "override"]),
        log=_log(facts),
        steps=steps(
            Case(
                name,
                batch.slot,
                batch.batch_id,
                batch.state,
                judgement,
                now_us(),
                _contact(facts),
                link,
            )
        ),
    )


def _successor(batch: Batch) -> str:
    """The batch that took its place, as the ledger's note says."""
    return batch.note.removeprefix("superseded by ") if batch.state == "superseded" else ""


def _origin(facts: _Facts) -> Origin:
    batch = facts.batch
    others = facts.ledger.origins(facts.table.name).get(batch.batch_id, set()) - {batch.origin}
    return Origin(
        origin=batch.origin,
        producer=batch.producer,
        source=batch.source,
        format=batch.format,
        sha256=batch.sha256,
        bytes=batch.bytes,
        arrived_at=batch.arrived_at,
        received_at=batch.received_at,
        raw_path=batch.raw_path,
        origins=tuple(sorted(others)),
    )


def _rules(facts: _Facts) -> Rules:
    judgement, contract = facts.judgement, facts.table.contract
    same = judgement.contract_hash == contract.hash
    return Rules(
        owner=facts.batch.owner,
        suite=judgement.suite,
        suite_hash=judgement.suite_hash,
        contract_version=contract.version if same else f"before today's {contract.version}",
        contract_hash=judgement.contract_hash,
        rule_hash=facts.judged.rule_hash,
        judged_at=facts.judged.judged_at,
        current=(facts.judged.base_hash or facts.judged.rule_hash) == table_rule(facts.table),
        support=support_channels(contract),
    )


def _contact(facts: _Facts) -> str:
    """Who delivers, who owns, and where the owner is reached."""
    owner, channels = facts.batch.owner, support_channels(facts.table.contract)
    where = words.listed([channel for channel, _ in channels])
    owned = f"{owner} ({where})" if owner and where else owner
    return words.listed(dict.fromkeys(one for one in (facts.batch.producer, owned) if one))


def _reach(facts: _Facts) -> Reach:
    shown = facts.batch.published_at is not None
    return blast_radius(
        facts.pipeline, facts.home, facts.table.name, facts.batch.batch_id, published=shown
    )


def _last_good(batch: Batch, row: JudgementRow) -> LastGood:
    published = row.published_at or batch.published_at or 0
    return LastGood(batch.batch_id, batch.slot, row.passing, published, row.verdict)


def _compared(facts: _Facts, *, keeping: bool) -> tuple[Comparison | None, str]:
    """The comparison with the last good batch, or why there is none."""
    if not facts.good:
        return None, "There is no good batch before this one."
    other = facts.good[-1][0]
    path = kept_path(facts.home, facts.table.name, facts.batch_id, facts.judged.rule_hash)
    key = (facts.table.name, facts.batch_id, facts.judged.rule_hash, other.batch_id)
    found = (facts.memory or {}).get(key) or kept(path, other.batch_id)
    if found is None:
        pair = (facts.batch, facts.judged), facts.good[-1]
        try:
            found = compare_batches(facts.home, facts.table, *pair, facts.good)
        except HeadraceError as error:
            return None, f"The columns cannot be compared: {words.parted(error.what)[0]}."
    if keeping:
        keep(path, other.batch_id, found)
    if facts.memory is not None:
        facts.memory[key] = found
    return found, ""


# The past


def _history(facts: _Facts, checks: Sequence[str]) -> History:
    """Up to `PAST` batches that end with this one, in order of slot and arrival."""
    judged = facts.known.until(facts.batch)[-PAST:]
    past = [facts.judgement_of(row) for _, row in judged]
    return History(
        slots=tuple(batch.slot for batch, _ in judged),
        whole=tuple(judgement.verdict.value for judgement in past),
        rules=tuple(RuleHistory(check, tuple(_verdicts(past, check))) for check in checks),
    )


def _verdicts(past: Sequence[Judgement], check: str) -> Iterator[str]:
    """What the check said of each batch; "" where it did not exist."""
    implied = check.startswith(_ONLY_FAILING)
    for judgement in past:
        found = [result for result in judgement.results if result.id == check]
        yield found[0].would.value if found else "PASS" if implied else ""


def _log(facts: _Facts) -> tuple[LogEntry, ...]:
    return tuple(
        LogEntry(
            at=one.at,
            principal=one.principal,
            action=one.action,
            scope=canonical_json(dict(one.scope)).decode(),
            reason=one.reason,
            expires_at=one.expires_at,
            allowed=one.allowed,
            note=one.note,
        )
        for one in actions(facts.ledger, facts.table.name)
        if one.batch_id in {"", facts.batch.batch_id}
    )


# By name


def one_batch(home: Home, table: Table, which: str) -> dict[str, Any]:
    """The batch of a slot, or whose id starts with `which`, as `find_batches` tells it.

    Of several it is the one that waits, or else the gravest that is not closed, or the last.
    """
    gravity = ("PASS", "WARN", "QUARANTINE", "UNJUDGED", "BLOCK", "ERROR")

    def order(row: dict[str, Any]) -> tuple[bool, bool, int, int]:
        held, open_ = row["state"] == "pending", row["state"] not in SETTLED_STATES
        return held, open_, gravity.index(row["verdict"]), row["arrived_at"]

    return max(find_batches(home, table, which), key=order)


def pipeline_of(pipelines: Sequence[Pipeline], table: str) -> Pipeline:
    """The pipeline that declares a table.

    Raises:
        DeclarationError: none does.
    """
    for pipeline in pipelines:
        if any(one.name == table for one in pipeline.tables):
            return pipeline
    known = [one.name for pipeline in pipelines for one in pipeline.tables]
    raise DeclarationError(f"no table {table!r}", fix=f"one of {', '.join(known)}")
