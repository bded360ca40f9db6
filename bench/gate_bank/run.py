"""Verdicts of the gate on a table of the bank: its clean days, and faults planted in some of them.

Each day is validated as ingestion does it, against the days before. The suite is drafted from the
first `WARM_UP` days, as `headrace gate suggest` does.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from bench.gate_bank.faults import FAULTS, Day, Fault, Planted, plantings
from bench.gate_bank.tables import BankTable, csv_bytes
from headrace.contracts import Contract, conform
from headrace.contracts.drift import Baseline
from headrace.gates.drafting import DraftOptions, Measure, draft_checks
from headrace.gates.suite import Suite
from headrace.gates.suite_reader import parse_suite
from headrace.gates.verdict import Judgement, Result
from headrace.lake.ingest.validator import delivered_rows
from headrace.scaffold.gate_rehearsal import judge_day
from headrace.sources.base import Delivery

WARM_UP = 30


@dataclass
class FaultCount:
    """Outcome of one fault in one table."""

    fault: Fault
    injected: int = 0
    stopped: int = 0
    warned: int = 0
    headlines: Counter[str] = field(default_factory=Counter)


@dataclass
class TableOutcome:
    """Outcome of a table: verdicts of its clean days after the warm-up, and of planted faults."""

    table: BankTable
    clean: Counter[str] = field(default_factory=Counter)
    false_alarms: list[tuple[str, str, list[str]]] = field(default_factory=list)
    faults: dict[str, FaultCount] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.table.name,
            "clean": {
                "days": self.clean.total(),
                "block_days": self.clean["BLOCK"] + self.clean["ERROR"],
                "warn_days": self.clean["WARN"],
                "quarantine_days": self.clean["QUARANTINE"],
                "alarms": self.false_alarms,
            },
            "faults": [
                {
                    "fault": count.fault.name,
                    "scope": count.fault.scope,
                    "injected": count.injected,
                    "detected": count.stopped,
                    "warned": count.warned,
                    "headlines": dict(count.headlines.most_common()),
                }
                for count in self.faults.values()
            ],
        }


def evaluate(table: BankTable, *, every: int = 0, last: int | None = None) -> TableOutcome:
    """Validate the days of a table in order; plant all faults in every n-th one (0: in none)."""
    outcome = TableOutcome(table, faults={fault.name: FaultCount(fault) for fault in FAULTS})
    contract, reference = table.contract, Baseline()
    days = table.rows_by_day()
    names = list(days)[:last]
    suite = _empty(contract)
    for number, name in enumerate(names):
        if number == WARM_UP:
            first = [(day, csv_bytes(days[day])) for day in names[:WARM_UP]]
            suite = drafted(contract, first)
        judgement, profile = judge_day(suite, contract, reference, name, csv_bytes(days[name]))
        if number >= WARM_UP:
            outcome.clean[judgement.verdict.value] += 1
            if judgement.verdict.value != "PASS":
                headlines = [headline(result) for result in judgement.failed[:3]]
                outcome.false_alarms.append((name, judgement.verdict.value, headlines))
            if every and number % every == 0:
                day = Day(table, name, days[name], days[names[number - 1]], number)
                _plant(outcome, suite, contract, reference, day)
        # A clean day is good for later ones, whatever the gate made of it.
        reference.add(profile)
    return outcome


def _plant(
    outcome: TableOutcome, suite: Suite, contract: Contract, reference: Baseline, day: Day
) -> None:
    for fault, planted in plantings(day):
        count = outcome.faults[fault.name]
        judgement, _ = judge_day(suite, contract, reference, day.name, planted.payload)
        count.injected += 1
        stopped = is_stopped(judgement, planted)
        count.stopped += stopped
        count.warned += not stopped and judgement.verdict.value != "PASS"
        first = next(iter(judgement.failed), None)
        count.headlines[headline(first) if first else "none"] += 1


def is_stopped(judgement: Judgement, planted: Planted) -> bool:
    """Return True if the batch is held, or exactly the altered rows are in quarantine."""
    if not judgement.verdict.publishes:
        return True
    if planted.altered is None or not judgement.quarantined_count:
        return False
    # The header is line 1.
    return {line - 2 for line in judgement.quarantined["_line"].to_pylist()} == planted.altered


def headline(result: Result) -> str:
    """Return kind, type and columns of a result."""
    return ":".join((result.kind, result.type, "+".join(result.columns)))


def drafted(contract: Contract, days: list[tuple[str, bytes]]) -> Suite:
    """Return the suite that these days suggest."""
    tables = dict(_conformed(contract, days))
    schema = next(iter(tables.values())).schema
    names = [c.name for c in contract.columns if c.name in schema.names]
    measure = Measure(pa.schema([schema.field(name) for name in names]), contract.primary_key)
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for day, rows in tables.items():
            db.register("rows_of_day", rows.select(names))
            measure.add(db, "rows_of_day", "1", {1: day})
            db.unregister("rows_of_day")
    fields = [contract.field(name) for name in names]
    options = DraftOptions(
        key=contract.primary_key,
        required=frozenset(f.name for f in fields if f.required),
        scales={f.name: f.scale for f in fields if f.scale},
    )
    checks = [draft.document() for draft in draft_checks(measure.statistics, options).accepted]
    return _suite(contract, checks)


def _conformed(contract: Contract, days: list[tuple[str, bytes]]) -> Iterator[tuple[str, pa.Table]]:
    for day, payload in days:
        delivery = Delivery(contract.table, day, payload, "csv", "bank", 0, "bank")
        conformed = conform(contract, delivered_rows(contract, delivery), delivery.batch_id)
        if conformed.table is not None and conformed.table.num_rows:
            yield day, conformed.table


def _empty(contract: Contract) -> Suite:
    check = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    return _suite(contract, [{**check, "meta": {"id": "row_count"}}])


def _suite(contract: Contract, checks: list[dict[str, Any]]) -> Suite:
    document = {
        "name": f"bank.{contract.table}",
        "meta": {"table": contract.table, "version": 1, "units": "contract"},
        "expectations": checks,
    }
    return parse_suite(document).stored(contract)
