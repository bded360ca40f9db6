"""Rehearsal of the gate: validate each day of a file in order, as the first run will."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.contracts import Contract
from headrace.contracts.drift import Baseline
from headrace.core.progress import report
from headrace.gates.semantic_checks import KIND
from headrace.gates.suite import Suite
from headrace.gates.verdict import Result
from headrace.lake.ingest.validator import judge_day

WARNED_SHARE = 0.01  # greatest share of days with a warning, for a file presumed clean


@dataclass
class Trial:
    """Results of the gate on days that are presumed clean.

    Attributes:
        days: number of days validated.
        checks: {id of a check: days on which it failed}.
        changes: {kind or `kind:column` of a semantic change: days on which it was reported}.
        other: {reason: days with this warning or violation of the contract}.
        blocking: keys of `changes` whose action is block.
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
        """Return actions for semantic changes so that no day is blocked and few get a warning.

        The rarest changes warn, as long as at most `WARNED_SHARE` of the days get a warning; the
        others are switched off.
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
        """Return the number of days with a warning in the first run, given `actions`."""
        loud = [days for key, days in self.changes.items() if actions.get(key) != "off"]
        return len({day for days in (*loud, *self.other.values()) for day in days})


def rehearse(suite: Suite, contract: Contract, days: Mapping[str, bytes]) -> Trial:
    """Validate `days` ({partition: CSV}, in order) with contract, suite and drift detectors.

    Every day joins the baseline of later days, even if checks fail on it. The final draft drops or
    mutes these checks, so the day would pass; one pass therefore gives the results of the first
    run.
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


def _failed(results: Sequence[Result]) -> Iterator[Result]:
    return (result for result in results if result.status != "pass" and not result.shadow)
