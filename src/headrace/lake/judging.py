"""One delivery through parser, contract and gate, to staged files and a row for the ledger."""

from dataclasses import replace

import pyarrow as pa

from headrace.clock import now_us
from headrace.contracts import conform
from headrace.gates import Judgement, Result, Verdict, judge
from headrace.home import Home
from headrace.lake.ledger import JudgementRow
from headrace.lake.slots import PUBLISHABLE
from headrace.lake.staging import quarantine, rule_hash, stage
from headrace.lake.table import Table
from headrace.sources.base import Delivery
from headrace.sources.parse import read_rows

# Raise it when the parser or `conform` reads the same bytes differently: batches are judged again.
PARSER_VERSION = 1


def table_rule(table: Table) -> str:
    """The rule hash that a table's batches are judged under now."""
    return rule_hash(table.contract, table.suite, PARSER_VERSION)


def judge_delivery(table: Table, delivery: Delivery, rule: str, home: Home) -> JudgementRow:
    """Judge, then write the rows. Whatever crashes is an ERROR, never a pass."""
    try:
        rows = read_rows(delivery, null_tokens=table.contract.null_tokens)
        conformed = conform(table.contract, rows, delivery.batch_id)
        judgement = judge(table.suite, table.contract, conformed)
    except Exception as error:  # noqa: BLE001  # fails closed: the batch stays pending, others go on
        return _row(delivery, rule, _crashed(table, delivery, error))
    return _staged(table, delivery, rule, home, _accounted(judgement))


def _staged(
    table: Table, delivery: Delivery, rule: str, home: Home, judgement: Judgement
) -> JudgementRow:
    staged = kept = ""
    batch_id = delivery.batch_id
    if judgement.verdict.value in PUBLISHABLE and judgement.passing.num_rows:
        staged = str(stage(home, table.contract, batch_id, rule, judgement.passing).path)
    if judgement.quarantined is not None and judgement.quarantined.num_rows:
        kept = str(quarantine(home, table.name, batch_id, rule, judgement.quarantined))
    return _row(delivery, rule, judgement, staged, kept)


def _row(
    delivery: Delivery, rule: str, judgement: Judgement, staged: str = "", kept: str = ""
) -> JudgementRow:
    return JudgementRow(
        batch_id=delivery.batch_id,
        rule_hash=rule,
        verdict=judgement.verdict.value,
        delivered=judgement.delivered - judgement.repeated,
        passing=_count(judgement.passing),
        quarantined=judgement.quarantined_count,
        repeated=judgement.repeated,
        staged_path=staged,
        quarantine_path=kept,
        judged_at=now_us(),
        summary=judgement.summary(),
        judgement=judgement.to_json(),
    )


def _count(rows: pa.Table | None) -> int:
    return 0 if rows is None else rows.num_rows


def _accounted(judgement: Judgement) -> Judgement:
    """The same, or an ERROR if a row got lost: what is not accounted for is not published."""
    unique = judgement.delivered - judgement.repeated
    seen = _count(judgement.passing) + _count(judgement.quarantined)
    if judgement.verdict.value not in PUBLISHABLE or unique == seen:
        return judgement
    return _error(
        judgement,
        f"{unique} rows were delivered and {seen} came out of the gate; none may get lost",
    )


def _crashed(table: Table, delivery: Delivery, error: Exception) -> Judgement:
    empty = Judgement(
        verdict=Verdict.ERROR,
        results=(),
        suite=table.suite.name,
        suite_hash=table.suite.hash,
        contract_hash=table.contract.hash,
        delivered=_countable(delivery),
    )
    return _error(empty, f"judging {delivery.origin} crashed: {type(error).__name__}: {error}")


def _error(judgement: Judgement, reason: str) -> Judgement:
    result = Result(id="accounting", kind="contract", type="crash", status="error", reason=reason)
    return replace(judgement, verdict=Verdict.ERROR, results=(result, *judgement.results))


def _countable(delivery: Delivery) -> int:
    """Rows of a delivery, for the books, when judging it crashed."""
    try:
        return read_rows(delivery).delivered
    except Exception:  # noqa: BLE001  # the parser itself crashed; lines are all there is to count
        return delivery.payload.count(b"\n")
