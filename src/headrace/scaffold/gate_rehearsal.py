"""Rehearsal of the gate: every day of a file, in order, judged as the first run will judge it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.contracts import Contract, conform
from headrace.contracts.drift import Baseline, BatchProfile, examine, glance_at
from headrace.core.progress import report
from headrace.gates.judge import judge
from headrace.gates.semantic_checks import KIND, results_of
from headrace.gates.suite import Suite
from headrace.gates.verdict import Judgement, Result
from headrace.lake.ingest.validator import delivered_rows
from headrace.sources.base import Delivery

WARNED_SHARE = 0.01  # of the days of a file that nothing is known to be wrong with


@dataclass
class Trial:
    """Verdicts of the gate on clean days.

    Attributes:
        days: how many there were.
        checks: days on which each check of the suite failed, by its id.
        changes: days on which each change of meaning was reported, by kind or `kind:column`.
        other: days on which the contract warned or refused, by what it said.
        blocking: the keys of `changes` that block.
    """

    days: int = 0
    checks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    changes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    other: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    blocking: set[str] = field(default_factory=set)

    def note(self, slot: str, result: Result) -> None:
        if result.kind == "expectation":
            self.checks[result.id].append(slot)
        elif result.kind == KIND:
            key = ":".join([result.type, *result.columns[:1]])
            self.changes[key].append(slot)
            if result.action == "block":
                self.blocking.add(key)
        else:
            self.other[result.reason].append(slot)

    def actions(self) -> dict[str, str]:
        """The actions under which no day is blocked and few are warned of, by change of meaning.

        Rare ones warn, until at most `WARNED_SHARE` of the days are warned of; the others are off.
        """
        allowed = int(WARNED_SHARE * self.days)
        warned: set[str] = set()
        actions = {}
        for key, days in sorted(self.changes.items(), key=lambda item: (len(item[1]), item[0])):
            if len(warned | set(days)) > allowed:
                actions[key] = "off"
                continue
            warned |= set(days)
            if key in self.blocking:
                actions[key] = "warn"
        return actions

    def warned(self, actions: Mapping[str, str]) -> int:
        """The number of days that the first run will warn of under `actions`."""
        loud = [days for key, days in self.changes.items() if actions.get(key) != "off"]
        return len({day for days in (*loud, *self.other.values()) for day in days})


def rehearse(suite: Suite, contract: Contract, days: Mapping[str, bytes]) -> Trial:
    """Judge `days` ({slot: CSV}, in order) with contract, suite and the detectors of meaning.

    Each batch counts as good for the batches after it, as it will once what failed here is dropped
    or muted: one pass is then what the first run does.
    """
    trial, reference = Trial(), Baseline()
    for slot, payload in days.items():
        trial.days += 1
        report("rehearse", trial.days, len(days), slot)
        judgement, profile = judge_day(suite, contract, reference, slot, payload)
        for result in _failed(judgement.results):
            trial.note(slot, result)
        reference.add(profile)
    return trial


def judge_day(
    suite: Suite, contract: Contract, reference: Baseline, slot: str, payload: bytes
) -> tuple[Judgement, BatchProfile]:
    """Judge the CSV of a day as ingestion does after the batches in `reference`.

    The profile is what a later day is compared with: add it to `reference`.
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


def _failed(results: Sequence[Result]) -> Iterator[Result]:
    return (result for result in results if result.status != "pass" and not result.shadow)
