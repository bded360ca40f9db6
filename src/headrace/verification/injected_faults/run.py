"""Injection of the fault catalogue in one table's batches, day by day, and counts of detections.

Batches are validated by the same functions as in an ingest, but nothing is stored: each batch is
compared with the profiles of the earlier clean batches.
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
from headrace.verification.fault_scores import family_of, outcome_of, published_as_clean
from headrace.verification.injected_faults.catalogue import InjectedFault, faults_of
from headrace.verification.injected_faults.clean_batch import Day
from headrace.verification.injected_faults.injectors import renamed_to

Batches = Iterable[tuple[str, RawRows]]  # (partition, rows), in order of partitions
SlotCallback = Callable[[str], None]


@dataclass
class FaultCount:
    """Numbers of days on which one fault of one table was injected, stopped and identified.

    Attributes:
        attempts: days on which its injection was tried.
        injected: those on which it altered something.
        stopped: the batch was blocked, or exactly the clean rows without the altered ones are
            published.
        reported: a check failed or a change was found that the clean batch did not have.
        identified: a finding has the fault's kind, columns and evidence.
        right, wrong: days on which the first failed result names the fault, or another one.
    """

    fault: InjectedFault
    attempts: int = 0
    injected: int = 0
    stopped: int = 0
    reported: int = 0
    identified: int = 0
    right: int = 0
    wrong: int = 0
    missed: list[str] = field(default_factory=list)

    def document(self, source: str, table: str) -> dict[str, Any]:
        return {
            "fault": self.fault.label,
            "kind": self.fault.kind,
            "scope": self.fault.scope,
            "source": source,
            "table": table,
            "left_out": False,
            "own": True,
            "eligible": self.attempts,
            "injected": self.injected,
            "detected": self.stopped,
            "headline_right": self.right,
            "headline_wrong": self.wrong,
            "reported": self.reported,
            "named": self.identified,
            "keyed": self.fault.keyed,
            "missed": self.missed[:5],
        }


@dataclass
class Measured:
    """Results for one table: fault counts, and the verdicts on clean batches by partition.

    `evaluable` are the partitions in which faults were injected.
    """

    counts: list[FaultCount]
    verdicts: dict[str, str] = field(default_factory=dict)
    evaluable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _GateOutcome:
    """Results of contract, suite and semantic change detection for one batch."""

    look: BatchView
    judgement: Judgement
    findings: tuple[DriftFinding, ...]
    marks: Mapping[str, float]

    @property
    def reports(self) -> set[str]:
        """Ids of failed checks and sentences of findings, to compare with the clean batch."""
        return {r.id for r in self.judgement.failed} | {f.sentence for f in self.findings}


def measure(
    suite: Suite,
    contract: Contract,
    batches: Batches,
    *,
    stride: int = 1,
    all_variants: bool = False,
    on_slot: SlotCallback | None = None,
) -> Measured:
    """Inject faults in every `stride`-th batch that has enough history.

    Args:
        suite: suite of the table.
        contract: contract of the table.
        batches: clean batches.
        stride: 1 injects faults in all batches.
        all_variants: True to inject all variants on each day; else one variant of each kind, in
            turn.
        on_slot: called with each finished partition.
    """
    faults = faults_of(contract)
    result = Measured([FaultCount(fault) for fault in faults])
    turns = _turns(result.counts)
    reference, before = Baseline(), None
    for number, (slot, delivered) in enumerate(batches):
        rows = declared_names(contract, delivered)
        clean = _look(suite, contract, reference, slot, rows)
        result.verdicts[slot] = clean.judgement.verdict.value
        if reference.batches >= LEAST_HISTORY and number % stride == 0:
            result.evaluable.append(slot)
            conformed = conform(contract, rows, slot)
            day = Day(contract, slot, number, rows, conformed, clean.look, before)
            for count in result.counts if all_variants else _of_today(turns):
                _plant(suite, count, day, clean, reference)
        if clean.judgement.verdict.publishes:
            reference.add(replace(profile_of(clean.look, slot), marks=clean.marks))
        before = rows
        if on_slot is not None:
            on_slot(slot)
    return result


def declared_names(contract: Contract, rows: RawRows) -> RawRows:
    """Rename columns that were delivered under an alias to the contract's names."""
    names = {alias: field.name for field in contract.delivered for alias in field.aliases}
    columns = tuple(names.get(name, name) for name in rows.table.column_names)
    if len(set(columns)) < len(columns):
        return rows  # a column was delivered under two names; the contract refuses this later
    return replace(rows, table=rows.table.rename_columns(list(columns)), columns=columns)


def _turns(counts: list[FaultCount]) -> list[Iterator[FaultCount]]:
    """Return an endless cycle through the variants of each kind, with a separate cycle if keyed."""
    groups: Mapping[tuple[str, bool], list[FaultCount]] = defaultdict(list)
    for count in counts:
        groups[count.fault.kind, count.fault.keyed].append(count)
    return [cycle(group) for group in groups.values()]


def _of_today(turns: list[Iterator[FaultCount]]) -> list[FaultCount]:
    return [next(turn) for turn in turns]


def _look(
    suite: Suite, contract: Contract, reference: Baseline, slot: str, rows: RawRows
) -> _GateOutcome:
    conformed = conform(contract, rows, slot)
    judgement = judge(suite, contract, conformed)
    look = look_at(contract, rows, conformed, slot)
    refused = conformed.table is None or conformed.bad_rows
    drift = examine(look, reference, delivered_texts(rows, look) if refused else {})
    combined = judgement.also(results_of(drift.findings, suite, look))
    return _GateOutcome(look, combined, drift.findings, drift.marks)


def _plant(
    suite: Suite, count: FaultCount, day: Day, clean: _GateOutcome, reference: Baseline
) -> None:
    count.attempts += 1
    bad = count.fault.plant(day)
    if bad is None:
        return
    count.injected += 1
    faulty = _look(suite, day.contract, reference, day.slot, bad)
    worse = faulty.judgement.verdict.gravity > Verdict.PASS.gravity or bool(faulty.findings)
    count.reported += worse and bool(faulty.reports - clean.reports)
    repaired = count.fault.scope == "part" and published_as_clean(
        faulty.judgement, clean.judgement, unaltered_lines(day.rows, bad)
    )
    family = family_of(count.fault.kind)
    score = outcome_of(faulty.judgement, count.fault.columns, family, repaired=repaired)
    count.stopped += score.stop == "stopped"
    count.right += score.head == "right"
    count.wrong += score.head == "wrong"
    if is_named(count.fault, day.contract, faulty.findings):
        count.identified += 1
    else:
        summary = ", ".join(f"{f.kind} {'+'.join(f.columns)}" for f in faulty.findings[:3])
        count.missed.append(f"{day.slot}: {summary or 'nothing named'}")


def unaltered_lines(clean: RawRows, faulty: RawRows) -> set[int]:
    """Return the lines of the clean rows that the fault did not alter; all if it added rows."""
    lines: list[int] = clean.lines.tolist()
    if faulty.table.num_rows != clean.table.num_rows:
        return set(lines)
    pairs = zip(clean.table.to_pylist(), faulty.table.to_pylist(), strict=True)
    return {line for line, (row, new) in zip(lines, pairs, strict=True) if row == new}


def is_named(fault: InjectedFault, contract: Contract, findings: Iterable[DriftFinding]) -> bool:
    """Return True if a finding has the fault's kind, columns and evidence."""
    if fault.kind == "rename":
        expected = renamed_to(fault.columns or tuple(f.name for f in contract.delivered))
        renames = {f.evidence["old"]: f.evidence["new"] for f in findings if f.kind == "rename"}
        return renames == expected
    return any(
        f.kind == fault.kind
        and set(fault.columns) <= set(f.columns)
        and all(f.evidence.get(key) == value for key, value in fault.evidence.items())
        for f in findings
    )
