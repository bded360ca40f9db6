"""Validation of a delivery: parse it, apply contract and gate, stage rows, return a ledger row."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import call
from typing import Any

import pyarrow as pa

from headrace.contracts import Conformed, Contract, conform
from headrace.contracts.drift import (
    Baseline,
    BatchProfile,
    BatchSummary,
    DriftFinding,
    examine,
    glance_at,
)
from headrace.core.clock import now_us
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.gates import Judgement, Result, Suite, Verdict, judge
from headrace.gates.event_gate import judge_events
from headrace.gates.exemptions import NO_EXEMPTIONS, Exemptions
from headrace.gates.muted_checks import NO_MUTES, Mutes
from headrace.gates.semantic_checks import crashed, notes_of, results_of
from headrace.lake.ingest.object_batches import conformed_file, judged_file, keep_file, stage_file
from headrace.lake.ingest.staging import quarantine, quarantine_path, rule_hash, stage, staged_path
from headrace.lake.ledger.ledger import JudgementRow
from headrace.lake.ledger.partition_state import PUBLISHABLE
from headrace.lake.table import Table
from headrace.sources.base import STANDALONE, Delivery
from headrace.sources.delivery_reference import Reference as ObjectReference
from headrace.sources.parse import read_rows
from headrace.sources.rows import RawRows

# Increment if a change makes the parser or `conform` read the same bytes differently. All batches
# are then validated again.
PARSER_VERSION = 1


def table_rule(table: Table) -> str:
    """Return the rule hash under which a table's batches are validated now."""
    return rule_hash(table.contract, table.suite, PARSER_VERSION)


def delivered_rows(contract: Contract, delivery: Delivery) -> RawRows:
    """Return the delivery's rows as text, parsed with the contract's columns and null tokens."""
    column_names = [name for field in contract.delivered for name in (field.name, *field.aliases)]
    return read_rows(delivery, null_tokens=contract.null_tokens, known=column_names)


def judge_day(
    suite: Suite, contract: Contract, reference: Baseline, slot: str, payload: bytes
) -> tuple[Judgement, BatchProfile]:
    """Validate a day's CSV as the ingestion does, with `reference` as the baseline.

    Returns the verdict and the day's profile; add the profile to `reference` for later days.
    """
    delivery = Delivery(contract.table, slot, payload, "csv", "draft", 0, "draft")
    rows = delivered_rows(contract, delivery)
    conformed = conform(contract, rows, delivery.batch_id)
    judgement = judge(suite, contract, conformed)
    glance = glance_at(contract, rows, conformed, slot)
    look = glance.look(contract)
    changes = examine(look, reference, glance.text)
    profile = replace(glance.profile, marks=changes.marks)
    return judgement.also(results_of(changes.findings, suite, look)), profile


def validator_for(table: Table, home: Home, mutes: Mutes = NO_MUTES) -> "BatchValidator":
    """Return a validator of the table's deliveries under the present rules."""
    suite, base = mutes.suite(table.suite), table_rule(table)
    muted = digest([base, sorted(mutes.checks)])[:16] if mutes.checks else base
    return BatchValidator(table.contract, suite, muted, home, base=base, mutes=mutes)


Write = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True)
class ValidatedBatch:
    """Verdict on one batch alone; `glance` is the summary to compare with earlier batches."""

    row: JudgementRow
    glance: BatchSummary | None = None


@dataclass(frozen=True)
class VerdictWithHistory:
    """Verdict after comparison with earlier batches, and the profile for later comparisons."""

    row: JudgementRow
    profile: BatchProfile


@dataclass(frozen=True)
class BatchValidator:
    """Validator of one table's deliveries.

    Attributes:
        rule: hash of the rules in use: the contract, and the suite with its mutes.
        base: hash of the table's present contract and suite; empty if it equals `rule`.
        mutes: the checks that people muted; they are already applied to `suite`.
        write: calls a function that writes a file, at once or in another thread. A verdict must be
            recorded only after its files are written.
    """

    contract: Contract
    suite: Suite
    rule: str
    home: Home
    write: Write = call
    base: str = ""
    mutes: Mutes = NO_MUTES

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.contract.table

    def judge(self, delivery: Delivery) -> ValidatedBatch:
        """Validate a delivery and write its rows. A crash gives the verdict ERROR."""
        glance = None
        if delivery.format == "objects":
            return ValidatedBatch(self._judge_in_place(delivery))
        try:
            rows = delivered_rows(self.contract, delivery)
            if delivery.format == "events":
                judgement = judge_events(self.suite, self.contract, rows, delivery)
            else:
                conformed = conform(self.contract, rows, delivery.batch_id)
                judgement = judge(self.suite, self.contract, conformed)
                # A standalone batch (events, changes, objects) cannot be compared with earlier
                # batches.
                if delivery.format not in STANDALONE:
                    glance, judgement = self._glance(delivery, rows, conformed, judgement)
        except Exception as error:  # noqa: BLE001  # fails closed: the batch stays pending, others continue
            return ValidatedBatch(self._row(delivery, self._crashed(delivery, error)))
        return ValidatedBatch(self._staged(delivery, _accounted(self.mutes.of(judgement))), glance)

    def _glance(
        self, delivery: Delivery, rows: RawRows, conformed: Conformed, judgement: Judgement
    ) -> tuple[BatchSummary | None, Judgement]:
        """Return the summary to compare with earlier batches, and the verdict.

        If the computation of the summary crashes, it is None, and the verdict has a note about it.
        """
        try:
            return glance_at(self.contract, rows, conformed, delivery.slot), judgement
        except Exception as error:  # noqa: BLE001  # a crash here says nothing about the data
            return None, judgement.also([crashed(error)])

    def weigh(
        self,
        row: JudgementRow,
        glance: BatchSummary,
        reference: Baseline,
        exemptions: Exemptions = NO_EXEMPTIONS,
    ) -> VerdictWithHistory:
        """Compare the batch with earlier ones; add semantic changes to its verdict.

        Changes that `exemptions` cover are added without effect on the verdict.
        """
        look = glance.look(self.contract)
        profile = glance.profile

        def exempt(finding: DriftFinding) -> bool:
            return exemptions.of(finding, look.rows) is not None

        try:
            examination = examine(look, reference, glance.text, exempt)
            profile = replace(profile, marks=examination.marks)
            results = [
                *results_of(
                    examination.findings, self.suite, look, exemptions, examination.explained
                ),
                *notes_of(examination.notes),
            ]
        except Exception as error:  # noqa: BLE001  # a crash here says nothing about the data
            results = [crashed(error)]
        if not results:
            return VerdictWithHistory(row, profile)
        return VerdictWithHistory(self._with(row, results), profile)

    def _with(self, row: JudgementRow, results: list[Result]) -> JudgementRow:
        judgement = self.mutes.of(Judgement.from_json(row.judgement).also(results))
        publishes = judgement.verdict.value in PUBLISHABLE
        decisions = sorted({result.decision for result in judgement.exempted})
        by_decision = publishes and any(not r.would.publishes for r in judgement.exempted)
        return replace(
            row,
            # A verdict by decisions of people is kept beside one without them, so that a batch
            # which no decision admits any more leaves the table.
            rule_hash=digest([row.rule_hash, decisions])[:16] if decisions else row.rule_hash,
            verdict=judgement.verdict.value,
            staged_path=row.staged_path if publishes else "",
            summary=judgement.summary(),
            judgement=judgement.to_json(),
            action_ids=json.dumps([*self.mutes.actions, *decisions]),
            forced=int(by_decision or self.mutes.forced(judgement)),
        )

    def _judge_in_place(self, delivery: Delivery) -> JudgementRow:
        """Validate an object that stays in its bucket, some rows at a time."""
        at = (self.home, self.name, delivery.batch_id, self.rule)
        staged, quarantine_file = staged_path(*at), quarantine_path(*at)
        try:
            with conformed_file(self.contract, delivery, staged) as (conformed, path):
                judgement = judged_file(self.suite, self.contract, conformed, path, quarantine_file)
                judgement = self.mutes.of(judgement)
                failed = quarantine_file if judgement.quarantined_count else None
                passing = judgement.conformed - judgement.quarantined_count
                publishes = judgement.verdict.value in PUBLISHABLE and passing > 0
                if publishes:
                    stage_file(self.contract, path, failed, staged, passing)
                if failed:
                    keep_file(self.contract, failed)
        except Exception as error:  # noqa: BLE001  # fails closed: the batch stays pending, others continue
            return self._row(delivery, self._crashed(delivery, error))
        files = str(staged) if publishes else "", str(failed) if failed else ""
        return replace(self._row(delivery, judgement, *files), passing=passing)

    def _staged(self, delivery: Delivery, judgement: Judgement) -> JudgementRow:
        batch_id = delivery.batch_id
        at = (self.home, self.name, batch_id, self.rule)
        staged = quarantine_file = ""
        if judgement.verdict.value in PUBLISHABLE and _count(judgement.passing):
            passing = judgement.passing
            self.write(partial(stage, self.home, self.contract, batch_id, self.rule, passing))
            staged = str(staged_path(*at))
        if _count(judgement.quarantined):
            args = self.home, self.contract, batch_id, self.rule, judgement.quarantined
            self.write(partial(quarantine, *args))
            quarantine_file = str(quarantine_path(*at))
        return self._row(delivery, judgement, staged, quarantine_file)

    def _row(
        self, delivery: Delivery, judgement: Judgement, staged: str = "", quarantine_file: str = ""
    ) -> JudgementRow:
        return JudgementRow(
            batch_id=delivery.batch_id,
            rule_hash=self.rule,
            verdict=judgement.verdict.value,
            delivered=judgement.delivered - judgement.repeated,
            passing=_count(judgement.passing),
            quarantined=judgement.quarantined_count,
            repeated=judgement.repeated,
            staged_path=staged,
            quarantine_path=quarantine_file,
            judged_at=now_us(),
            summary=judgement.summary(),
            judgement=judgement.to_json(),
            base_hash=self.base or self.rule,
            action_ids=self.mutes.ids,
            forced=int(self.mutes.forced(judgement)),
        )

    def _crashed(self, delivery: Delivery, error: Exception) -> Judgement:
        empty = Judgement(
            verdict=Verdict.ERROR,
            results=(),
            suite=self.suite.name,
            suite_hash=self.suite.hash,
            contract_hash=self.contract.hash,
            delivered=_countable(delivery),
        )
        return _error(empty, f"judging {delivery.origin} crashed: {type(error).__name__}: {error}")


def _count(rows: pa.Table | None) -> int:
    return 0 if rows is None else rows.num_rows


def _accounted(judgement: Judgement) -> Judgement:
    """Return the verdict, or ERROR if rows were lost or added in the gate."""
    unique = judgement.delivered - judgement.repeated
    accounted = _count(judgement.passing) + _count(judgement.quarantined)
    if judgement.verdict.value not in PUBLISHABLE or unique == accounted:
        return judgement
    return _error(
        judgement,
        f"{unique} rows were delivered and {accounted} came out of the gate; none may get lost",
    )


def _error(judgement: Judgement, reason: str) -> Judgement:
    result = Result(id="accounting", kind="contract", type="crash", status="error", reason=reason)
    return replace(judgement, verdict=Verdict.ERROR, results=(result, *judgement.results))


def _countable(delivery: Delivery) -> int:
    """Count the rows of a delivery whose validation crashed."""
    if delivery.format == "objects":
        return ObjectReference.of(delivery.payload).rows
    try:
        return read_rows(delivery).delivered
    except Exception:  # noqa: BLE001  # the parser itself crashed, so count lines
        return delivery.payload.count(b"\n")
