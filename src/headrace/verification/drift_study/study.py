"""A whole study: every history untouched, then every fault in it, and what that comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.core.progress import report
from headrace.monitoring.decisions.policy import Policy
from headrace.verification.drift_study.engine import Prepared, prepare
from headrace.verification.drift_study.fault_catalogue import CATALOGUE, Planted
from headrace.verification.drift_study.replayed_history import History
from headrace.verification.drift_study.scoring import (
    Natural,
    Outcome,
    Plan,
    by_fault,
    groups,
    natural,
    naturals_together,
    outcome,
    plan_of,
)

QUICK = ("unit changed", "column renamed", "30% missing", "30% unseen levels", "sensor frozen",
         "sensor bias of 2 sd", "half of the rows lost", "covariate shift of 1 sd",
         "half of all labels flipped", "30% segment, all flipped", "relation reversed",
         "covariate shift and labels flipped")  # fmt: skip
Given = tuple[History, Policy, Path]


class Witness(Protocol):
    """Is shown what a study looks at, for others to be held against the same."""

    def see(self, prepared: Prepared) -> None:
        """An untouched history."""

    def add(self, prepared: Prepared, planted: Planted, ours: Outcome) -> None:
        """One with a fault in it, and what our monitor made of it."""


@dataclass(frozen=True)
class Study:
    """What came out. Settings may have been chosen on `tuning` histories: those count apart."""

    naturals: tuple[Natural, ...]
    outcomes: tuple[Outcome, ...]
    plan: Plan

    def part(self, *, tuning: bool) -> "Study":
        """The tuning histories, or the others."""
        naturals = tuple(one for one in self.naturals if (one.part == "tuning") == tuning)
        outcomes = tuple(one for one in self.outcomes if (one.part == "tuning") == tuning)
        return Study(naturals, outcomes, self.plan)

    @property
    def reported(self) -> "Study":
        """What may be reported: all but the tuning histories; those, if there are no others."""
        others = self.part(tuning=False)
        return others if others.naturals else self

    def to_json(self) -> dict[str, Any]:
        """`natural`, `faults`, `groups` and `decisions` of what is reported; `tuning` beside it."""
        others = self.reported
        tuning = self.part(tuning=True)
        extra = {"tuning": tuning.body()} if others is not self and tuning.naturals else {}
        about = {"seed": self.plan.seed, "repeats": self.plan.repeats}
        return {**about, **others.body(), **extra}

    def body(self) -> dict[str, Any]:
        missed = [one.to_json() for one in self.outcomes if not (one.detected and one.attributed)]
        return {
            "natural": {
                **naturals_together(self.naturals),
                "histories": [one.to_json() for one in self.naturals],
            },
            "faults": by_fault(self.outcomes),
            "groups": groups(self.outcomes),
            "decisions": decisions(self),
            "missed": missed,
        }


def decisions(study: Study) -> dict[str, Any]:
    """Retrainings: of faults of data (there may be none), and of untouched histories a year."""
    faulty = [one for one in study.outcomes if one.fault.kind == "data"]
    rates = {one.history: one.retrainings / one.years for one in study.naturals if one.years}
    return {
        "data_faults": len(faulty),
        "retrained_on_data_faults": sum(one.retrained for one in faulty),
        "untouched_years": round(sum(one.years for one in study.naturals), 2),
        "untouched_retrainings": sum(one.retrainings for one in study.naturals),
        "most_retrainings_a_year": round(max(rates.values(), default=0.0), 2),
    }


def run_study(given: Sequence[Given], plan: Plan, witness: Witness | None = None) -> Study:
    """Every history of `given`, untouched and with the faults of the plan; the same every time."""
    naturals: list[Natural] = []
    outcomes: list[Outcome] = []
    sizes = [len(plan.faults) * plan.repeats_in(history.part) for history, _, _ in given]
    total = sum(sizes)
    for at, (history, policy, path) in enumerate(given):
        done = sum(sizes[:at])
        report("verify monitors", done, total, f"{history.name}, untouched")
        prepared = prepare(history, policy, path)
        naturals.append(natural(prepared))
        if witness is not None:
            witness.see(prepared)
        for planted in plan_of(prepared, plan):
            outcomes.append(outcome(prepared, planted))
            if witness is not None:
                witness.add(prepared, planted, outcomes[-1])
            done += 1
            report("verify monitors", done, total, f"{history.name}, {planted.fault.name}")
    report("verify monitors", total, total)
    return Study(tuple(naturals), tuple(outcomes), plan)


def quick(seed: int) -> Plan:
    """A first impression: the plainest faults, once or twice in each history."""
    chosen = tuple(fault for fault in CATALOGUE if fault.name in QUICK)
    return Plan(chosen, repeats=2, seed=seed)
