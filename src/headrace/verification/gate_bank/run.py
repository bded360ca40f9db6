"""Verdicts of the gate on a table of the bank: its clean days, and faults planted in some of them.

Each day is validated as ingestion does it, against the days before. The suite has no checks but
that a day has rows, so what is measured is the contract and the detection of semantic changes.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from headrace.contracts import Contract
from headrace.contracts.drift import Baseline
from headrace.core.progress import report
from headrace.gates.suite import Suite
from headrace.gates.suite_reader import parse_suite
from headrace.gates.verdict import Judgement, Result
from headrace.lake.ingest.validator import judge_day
from headrace.verification.fault_scores import outcome_of, published_as_clean
from headrace.verification.gate_bank.faults import (
    FAULTS,
    AlteredDelivery,
    BankFault,
    CleanDay,
    plantings,
)
from headrace.verification.gate_bank.hints import Hints, without_hints
from headrace.verification.gate_bank.summary import CLEAN
from headrace.verification.gate_bank.tables import BankTable, csv_bytes

WARM_UP = 30  # days before verdicts on clean days are counted
PLANTED_FROM = 44  # first day in which faults are injected: the window is full
PLANTED_DAYS = 12  # days of a table in which faults are injected, evenly spread
# Where histories of clean days begin, as shares of the days: the first n are used.
STARTS = (0.0, 1 / 3, 1 / 2, 1 / 6, 2 / 3, 1 / 4)
DEFAULT_STARTS = 3


@dataclass
class FaultTally:
    """Outcome of one fault in one table."""

    fault: BankFault
    injected: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    heads: Counter[str] = field(default_factory=Counter)
    headlines: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {
            "injected": self.injected,
            "detected": self.stops["stopped"],
            "warned": self.stops["warned"],
            "headline_right": self.heads["right"],
            "headline_wrong": self.heads["wrong"],
            "headlines": dict(self.headlines.most_common()),
        }


@dataclass
class CleanHistory:
    """Verdicts on clean days, which were compared with the days since `first`."""

    first: str
    verdicts: Counter[str] = field(default_factory=Counter)
    alarms: list[dict[str, str]] = field(default_factory=list)

    def note(self, day: str, judgement: Judgement) -> None:
        verdict = judgement.verdict.value
        self.verdicts[verdict] += 1
        if verdict != "PASS":
            worst = judgement.failed[0]
            self.alarms.append(
                {
                    "day": day,
                    "since": self.first,
                    "verdict": verdict,
                    "headline": headline(worst),
                    "reason": worst.reason,
                }
            )

    def document(self) -> dict[str, int]:
        return {
            "days": self.verdicts.total(),
            "block_days": self.verdicts["BLOCK"] + self.verdicts["ERROR"],
            "warn_days": self.verdicts["WARN"] + self.verdicts["QUARANTINE"],
        }


@dataclass
class TableOutcome:
    """Outcome of a table: verdicts of its clean days after the warm-up, and of injected faults."""

    table: BankTable
    rows_a_day: float = 0.0
    clean: list[CleanHistory] = field(default_factory=list)
    planted_days: int = 0
    faults: dict[str, FaultTally] = field(default_factory=dict)

    def as_json(self, *, unseen: bool = False) -> dict[str, Any]:
        """Return {"faults": [...], "clean": {...}}.

        `eligible` is the number of days in which the injection of a fault was tried. It is injected
        in those where the table has the columns for it, and where it alters something. Clean days
        count once for each start of the history.
        """
        origin = {"source": self.table.name, "left_out": unseen}
        starts = [{"first_day": history.first, **history.document()} for history in self.clean]
        return {
            "clean": {
                **origin,
                "about": self.table.subject,
                "origin": self.table.origin,
                "rows_a_day": self.rows_a_day,
                **{name: sum(start[name] for start in starts) for name in CLEAN},
                "starts": starts,
                "alarms": [alarm for history in self.clean for alarm in history.alarms],
            },
            "faults": [
                {
                    "fault": tally.fault.name,
                    "scope": tally.fault.scope,
                    **origin,
                    "eligible": self.planted_days,
                    **tally.document(),
                }
                for tally in self.faults.values()
            ],
        }


def evaluate(
    table: BankTable,
    *,
    planted: int = PLANTED_DAYS,
    starts: int = DEFAULT_STARTS,
    hints: Hints = "full",
    last: int | None = None,
) -> TableOutcome:
    """Validate the days of a table in order, and inject all faults in some of them.

    Args:
        table: table of the bank.
        planted: number of days in which faults are injected.
        starts: number of histories with which clean days are compared; each begins at another day.
        hints: "stripped" to validate with `without_hints(table.contract)`.
        last: only the first days of the table.
    """
    outcome = TableOutcome(table, faults={fault.name: FaultTally(fault) for fault in FAULTS})
    contract = table.contract if hints == "full" else without_hints(table.contract)
    suite = bare_suite(contract)
    days = table.rows_by_day()
    names = list(days)[:last]
    outcome.rows_a_day = float(median(len(days[name]) for name in names))
    firsts = [int(share * len(names)) for share in STARTS[:starts]]
    total, finished = sum(len(names) - first for first in firsts), 0
    places = places_to_plant(len(names), planted)
    for first in firsts:
        history, reference = CleanHistory(names[first]), Baseline()
        outcome.clean.append(history)
        for number, name in enumerate(names[first:]):
            judgement, profile = judge_day(suite, contract, reference, name, csv_bytes(days[name]))
            if number >= WARM_UP:
                history.note(name, judgement)
            if not first and number in places:
                day = CleanDay(table, name, days[name], days[names[number - 1]], number)
                _plant(outcome, contract, reference, day, judgement)
            # A clean day is good for later ones, whatever the gate made of it.
            reference.add(profile)
            finished += 1
            report(table.name, finished, total, name)
    return outcome


def places_to_plant(days: int, planted: int) -> frozenset[int]:
    """Return the places of the days of a table in which faults are injected, evenly spread."""
    if not planted:
        return frozenset()
    step = max(1, (days - PLANTED_FROM) // planted)
    return frozenset(range(PLANTED_FROM + step // 2, days, step))


def altered_columns(contract: Contract, planted: AlteredDelivery) -> tuple[str, ...]:
    """Return the altered columns by their names in the contract."""
    names = {alias: f.name for f in contract.delivered for alias in f.aliases}
    return tuple(names.get(name, name) for joined in planted.columns for name in joined.split(","))


def _plant(
    outcome: TableOutcome,
    contract: Contract,
    reference: Baseline,
    day: CleanDay,
    clean: Judgement,
) -> None:
    outcome.planted_days += 1
    suite = bare_suite(contract)
    for fault, planted in plantings(day):
        tally = outcome.faults[fault.name]
        judgement, _ = judge_day(suite, contract, reference, day.name, planted.payload)
        columns = altered_columns(contract, planted)
        repaired = is_repaired(judgement, clean, planted)
        score = outcome_of(judgement, columns, fault.family, repaired=repaired)
        worst = next(iter(judgement.failed), None)
        tally.injected += 1
        tally.stops[score.stop] += 1
        tally.heads[score.head] += 1
        tally.headlines[headline(worst) if worst else "none"] += 1


def is_repaired(judgement: Judgement, clean: Judgement, planted: AlteredDelivery) -> bool:
    """Return True if exactly the altered rows, or exact repetitions, are not published."""
    if planted.repeats:
        return published_as_clean(judgement, clean)
    if planted.places is None or not judgement.quarantined_count:
        return False
    lines = set(judgement.quarantined["_line"].to_pylist())
    return places_of(planted.payload, lines) == planted.places


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
