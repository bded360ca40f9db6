"""Verdicts of the gate on a table of the bank: its clean days, and faults planted in some of them.

Each day is validated as ingestion does it, against the days before. The suite has no checks but
that a day has rows, so what is measured is the contract and the detection of semantic changes.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts import Contract
from headrace.contracts.drift import Baseline
from headrace.gates.suite import Suite
from headrace.gates.suite_reader import parse_suite
from headrace.gates.verdict import Result
from headrace.lake.ingest.validator import judge_day
from headrace.verification.gate_bank.faults import FAULTS, BankFault, CleanDay, plantings
from headrace.verification.gate_bank.scoring import outcome_of
from headrace.verification.gate_bank.tables import BankTable, csv_bytes

WARM_UP = 30  # days before verdicts on clean days are counted
PLANTED_FROM = 44  # first day in which faults are planted: the window is full
PLANTED_DAYS = 12  # days of a table in which faults are planted, evenly spread


@dataclass
class FaultTally:
    """Outcome of one fault in one table."""

    fault: BankFault
    injected: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    heads: Counter[str] = field(default_factory=Counter)
    headlines: Counter[str] = field(default_factory=Counter)


@dataclass
class TableOutcome:
    """Outcome of a table: verdicts of its clean days after the warm-up, and of planted faults."""

    table: BankTable
    clean: Counter[str] = field(default_factory=Counter)
    false_alarms: list[tuple[str, str, list[str]]] = field(default_factory=list)
    planted_days: int = 0
    faults: dict[str, FaultTally] = field(default_factory=dict)

    def as_json(self, *, unseen: bool = False) -> dict[str, Any]:
        """Return the figures as JSON values; `eligible` counts the days in which a fault fits."""
        return {
            "clean": {
                "source": self.table.name,
                "left_out": unseen,
                "days": self.clean.total(),
                "block_days": self.clean["BLOCK"] + self.clean["ERROR"],
                "warn_days": self.clean["WARN"] + self.clean["QUARANTINE"],
                "alarms": self.false_alarms,
            },
            "faults": [
                {
                    "fault": count.fault.name,
                    "scope": count.fault.scope,
                    "source": self.table.name,
                    "left_out": unseen,
                    "eligible": self.planted_days,
                    "injected": count.injected,
                    "detected": count.stops["stopped"],
                    "warned": count.stops["warned"],
                    "headline_right": count.heads["right"],
                    "headline_wrong": count.heads["wrong"],
                    "headlines": dict(count.headlines.most_common()),
                }
                for count in self.faults.values()
            ],
        }


def evaluate(
    table: BankTable, *, planted: int = PLANTED_DAYS, last: int | None = None
) -> TableOutcome:
    """Validate the days of a table in order; plant all faults in `planted` of them."""
    outcome = TableOutcome(table, faults={fault.name: FaultTally(fault) for fault in FAULTS})
    contract, reference = table.contract, Baseline()
    suite = bare_suite(contract)
    days = table.rows_by_day()
    names = list(days)[:last]
    step = max(1, (len(names) - PLANTED_FROM) // planted) if planted else 0
    for number, name in enumerate(names):
        judgement, profile = judge_day(suite, contract, reference, name, csv_bytes(days[name]))
        if number >= WARM_UP:
            outcome.clean[judgement.verdict.value] += 1
            if judgement.verdict.value != "PASS":
                headlines = [headline(result) for result in judgement.failed[:3]]
                outcome.false_alarms.append((name, judgement.verdict.value, headlines))
        if step and number >= PLANTED_FROM and (number - PLANTED_FROM) % step == step // 2:
            day = CleanDay(table, name, days[name], days[names[number - 1]], number)
            _plant(outcome, suite, reference, day)
        # A clean day is good for later ones, whatever the gate made of it.
        reference.add(profile)
    return outcome


def _plant(outcome: TableOutcome, suite: Suite, reference: Baseline, day: CleanDay) -> None:
    outcome.planted_days += 1
    contract = day.table.contract
    names = {alias: f.name for f in contract.delivered for alias in f.aliases}
    for fault, planted in plantings(day):
        count = outcome.faults[fault.name]
        judgement, _ = judge_day(suite, contract, reference, day.name, planted.payload)
        rejected = judgement.quarantined["_line"].to_pylist() if judgement.quarantined_count else []
        places = places_of(planted.payload, set(rejected)) if rejected else frozenset()
        columns = tuple(
            names.get(name, name) for joined in planted.columns for name in joined.split(",")
        )
        score = outcome_of(judgement, places, planted.places, fault.family, columns)
        first = next(iter(judgement.failed), None)
        count.injected += 1
        count.stops[score.stop] += 1
        count.heads[score.head] += 1
        count.headlines[headline(first) if first else "none"] += 1


def places_of(payload: bytes, lines: set[int]) -> frozenset[int]:
    """Return the places of the rows of a CSV file that begin on these lines; row 0 is on line 2."""
    reader = csv.reader(io.StringIO(payload.decode()))
    next(reader)
    places, start = set(), reader.line_num + 1
    for place, _ in enumerate(reader):
        if start in lines:
            places.add(place)
        start = reader.line_num + 1
    return frozenset(places)


def headline(result: Result) -> str:
    """Return kind, type and columns of a result."""
    return ":".join((result.kind, result.type, "+".join(result.columns)))


def bare_suite(contract: Contract) -> Suite:
    """Return a suite that only demands rows."""
    check = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    document = {
        "name": f"bank.{contract.table}",
        "meta": {"table": contract.table, "version": 1, "units": "contract"},
        "expectations": [{**check, "meta": {"id": "row_count"}}],
    }
    return parse_suite(document).stored(contract)
