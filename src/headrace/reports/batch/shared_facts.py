"""Facts that the sections of a gate report share, and its history of verdicts and actions."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.gates import Judgement
from headrace.gates.compare import Comparison
from headrace.gates.contract_units import scales_of
from headrace.gates.exemptions.scopes import exemption_words
from headrace.gates.muted_checks import SEMANTIC
from headrace.lake.batch_comparison import BatchVerdict, JudgedBatches, judged_batches
from headrace.lake.ledger.batch_listing import find_batches
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.ledger.partition_state import SETTLED_STATES
from headrace.lake.overrides.audit_trail import actions
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline
from headrace.reports.batch.model import BatchHistory, LogEntry, RuleHistory

PAST = 30  # number of batches in the history
# Checks that record a result only if they fail; no result means that they passed.
_ONLY_FAILING = ("contract:", "quarantined_share", "accounting", f"{SEMANTIC}:")


@dataclass
class ReportFacts:
    """Facts that the sections of a report share; each is read once, on first use."""

    pipeline: Pipeline
    home: Home
    ledger: Ledger
    table: Table
    batch_id: str
    memory: MutableMapping[tuple[str, ...], Comparison] | None = None

    @cached_property
    def batch_history(self) -> JudgedBatches:
        return judged_batches(self.home, self.table.name, self.ledger)

    @cached_property
    def batch(self) -> Batch:
        if self.batch_id not in self.batch_history.batches:
            raise StateError(
                f"table {self.table.name} has no batch {self.batch_id}",
                where=str(self.ledger.path),
                fix=f"list what there is: headrace gate ls --table {self.table.name} --all",
            )
        return self.batch_history.batches[self.batch_id]

    @cached_property
    def judgement_row(self) -> JudgementRow:
        """Effective verdict, by which rows are published; the newest one for a blocked batch."""
        return self.batch_history.of(self.batch.batch_id)[1]

    @cached_property
    def judgement(self) -> Judgement:
        return self.judgement_of(self.judgement_row)

    def judgement_of(self, row: JudgementRow) -> Judgement:
        report = self.ledger.report(self.table.name, row.batch_id, row.rule_hash)
        return Judgement.from_json(report).readable(scales_of(self.table.contract))

    @cached_property
    def good(self) -> list[BatchVerdict]:
        return self.batch_history.good_before(self.batch)


def history(facts: ReportFacts, checks: Sequence[str]) -> BatchHistory:
    """Return the history of the last `PAST` batches including this one, in partition order."""
    batches = facts.batch_history.until(facts.batch)[-PAST:]
    past = [facts.judgement_of(row) for _, row in batches]
    return BatchHistory(
        slots=tuple(batch.slot for batch, _ in batches),
        verdicts=tuple(judgement.verdict.value for judgement in past),
        rules=tuple(RuleHistory(check, tuple(_verdicts(past, check))) for check in checks),
    )


def _verdicts(past: Sequence[Judgement], check: str) -> Iterator[str]:
    """Yield the check's verdict on each batch; "" if the check did not exist then."""
    implied = check.startswith(_ONLY_FAILING)
    for judgement in past:
        results = [result for result in judgement.results if result.id == check]
        yield results[0].would.value if results else "PASS" if implied else ""


def log(facts: ReportFacts) -> tuple[LogEntry, ...]:
    return tuple(
        LogEntry(
            at=action.at,
            principal=action.principal,
            action=action.action,
            scope="; ".join(exemption_words(action.scope))
            or canonical_json(dict(action.scope)).decode(),
            reason=action.reason,
            expires_at=action.expires_at,
            allowed=action.allowed,
            note=action.note,
        )
        for action in actions(facts.ledger, facts.table.name)
        if action.batch_id in {"", facts.batch.batch_id}
    )


def one_batch(home: Home, table: Table, selector: str) -> dict[str, Any]:
    """Return the batch of a partition, or the batch whose id starts with `selector`.

    Of several batches, pending ones come first, then those that are not closed, then the most
    severe, then the latest. See `find_batches`.
    """
    gravity = ("PASS", "WARN", "QUARANTINE", "UNJUDGED", "BLOCK", "ERROR")

    def order(row: dict[str, Any]) -> tuple[bool, bool, int, int]:
        pending, open_ = row["state"] == "pending", row["state"] not in SETTLED_STATES
        return pending, open_, gravity.index(row["verdict"]), row["arrived_at"]

    return max(find_batches(home, table, selector), key=order)


def pipeline_of(pipelines: Sequence[Pipeline], table: str) -> Pipeline:
    """Return the pipeline that declares a table.

    Raises:
        DeclarationError: no pipeline declares it.
    """
    for pipeline in pipelines:
        if any(candidate.name == table for candidate in pipeline.tables):
            return pipeline
    names = [table.name for pipeline in pipelines for table in pipeline.tables]
    raise DeclarationError(f"no table {table!r}", fix=f"one of {', '.join(names)}")
