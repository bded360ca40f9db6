"""Planting the catalogue in one table's batches, day by day, and counting what the gate says.

The same functions judge as in a run; only the store is left out: each batch is held against the
clean ones before it, which are profiled as they go by.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

from headrace.contracts import Contract, conform
from headrace.contracts.drift import Baseline, BatchView, DriftFinding, examine, look_at
from headrace.contracts.drift.detect import LEAST_HISTORY
from headrace.contracts.drift.profile import profile_of
from headrace.contracts.drift.view_reader import delivered_texts
from headrace.gates.judge import judge
from headrace.gates.semantic_checks import results_of
from headrace.gates.suite import Suite
from headrace.gates.verdict import Judgement, Verdict
from headrace.sources.rows import RawRows
from headrace.verification.injected_faults.catalogue import Fault, faults_of
from headrace.verification.injected_faults.clean_batch import Day
from headrace.verification.injected_faults.injectors import renamed_to

Batches = Iterable[tuple[str, RawRows]]  # (slot, rows) in the order of slots
Told = Callable[[str], None]


@dataclass
class Count:
    """One fault of one table: on how many days planted, detected, and named right."""

    fault: Fault
    injected: int = 0
    detected: int = 0
    named: int = 0
    missed: list[str] = field(default_factory=list)

    def document(self, table: str) -> dict[str, Any]:
        return {
            "fault": self.fault.label,
            "kind": self.fault.kind,
            "table": table,
            "injected": self.injected,
            "detected": self.detected,
            "named": self.named,
            "keyed": self.fault.keyed,
            "missed": self.missed[:5],
        }


@dataclass
class Measured:
    """What one table's batches gave; `verdicts` of the clean ones by slot."""

    counts: list[Count]
    verdicts: dict[str, str] = field(default_factory=dict)
    evaluable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Seen:
    """A batch through contract, gate and detection."""

    look: BatchView
    judgement: Judgement
    findings: tuple[DriftFinding, ...]
    marks: Mapping[str, float]

    @property
    def told(self) -> set[str]:
        """What the gate says of it, to compare with what it says of the clean batch."""
        return {r.id for r in self.judgement.failed} | {f.sentence for f in self.findings}


def measure(
    suite: Suite, contract: Contract, batches: Batches, *, every: int = 1, whole: bool = False,
    told: Told | None = None,
) -> Measured:  # fmt: skip
    """Plant faults in every `every`-th batch that has enough history.

    Args:
        suite: of the table.
        contract: of the table.
        batches: clean ones.
        every: 1 for all of them.
        whole: every variant of a kind on every day; else each day has one of them, in turn.
        told: called with each slot that is done.
    """
    faults = faults_of(contract)
    result = Measured([Count(fault) for fault in faults])
    turns = _turns(result.counts)
    reference, before = Baseline(), None
    for number, (slot, delivered) in enumerate(batches):
        rows = declared_names(contract, delivered)
        clean = _look(suite, contract, reference, slot, rows)
        result.verdicts[slot] = clean.judgement.verdict.value
        if reference.batches >= LEAST_HISTORY and number % every == 0:
            result.evaluable.append(slot)
            conformed = conform(contract, rows, slot)
            day = Day(contract, slot, number, rows, conformed, clean.look, before)
            for count in result.counts if whole else _of_today(turns):
                _plant(suite, count, day, clean, reference)
        if clean.judgement.verdict.publishes:
            reference.add(replace(profile_of(clean.look, slot), marks=clean.marks))
        before = rows
        if told is not None:
            told(slot)
    return result


def declared_names(contract: Contract, rows: RawRows) -> RawRows:
    """The same rows with the contract's name for each column that came under an alias."""
    names = {alias: field.name for field in contract.delivered for alias in field.aliases}
    columns = tuple(names.get(name, name) for name in rows.table.column_names)
    if len(set(columns)) < len(columns):
        return rows  # one column came under two names, which the contract refuses
    return replace(rows, table=rows.table.rename_columns(list(columns)), columns=columns)


def _turns(counts: list[Count]) -> list[Iterator[Count]]:
    """The variants of each kind, those with and those without an explanation, for ever in turn."""
    groups: Mapping[tuple[str, bool], list[Count]] = defaultdict(list)
    for count in counts:
        groups[count.fault.kind, count.fault.keyed].append(count)
    return [cycle(group) for group in groups.values()]


def _of_today(turns: list[Iterator[Count]]) -> list[Count]:
    return [next(turn) for turn in turns]


def _look(suite: Suite, contract: Contract, reference: Baseline, slot: str, rows: RawRows) -> _Seen:
    conformed = conform(contract, rows, slot)
    judgement = judge(suite, contract, conformed)
    look = look_at(contract, rows, conformed, slot)
    refused = conformed.table is None or conformed.bad_rows
    found = examine(look, reference, delivered_texts(rows, look) if refused else {})
    whole = judgement.also(results_of(found.findings, suite, look))
    return _Seen(look, whole, found.findings, found.marks)


def _plant(suite: Suite, count: Count, day: Day, clean: _Seen, reference: Baseline) -> None:
    bad = count.fault.plant(day)
    if bad is None:
        return
    count.injected += 1
    seen = _look(suite, day.contract, reference, day.slot, bad)
    worse = seen.judgement.verdict.gravity > Verdict.PASS.gravity or bool(seen.findings)
    count.detected += worse and bool(seen.told - clean.told)
    if is_named(count.fault, day.contract, seen.findings):
        count.named += 1
    else:
        found = ", ".join(f"{f.kind} {'+'.join(f.columns)}" for f in seen.findings[:3])
        count.missed.append(f"{day.slot}: {found or 'nothing named'}")


def is_named(fault: Fault, contract: Contract, findings: Iterable[DriftFinding]) -> bool:
    """Whether the right name was given, for the right columns, with the right evidence."""
    if fault.kind == "rename":
        wanted = renamed_to(fault.columns or tuple(f.name for f in contract.delivered))
        found = {f.evidence["old"]: f.evidence["new"] for f in findings if f.kind == "rename"}
        return found == wanted
    return any(
        f.kind == fault.kind
        and set(fault.columns) <= set(f.columns)
        and all(f.evidence.get(key) == value for key, value in fault.evidence.items())
        for f in findings
    )
