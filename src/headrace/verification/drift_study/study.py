"""Complete study: run every history without faults, then with every fault, and count results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.core.progress import report
from headrace.monitoring.decisions.policy import Policy
from headrace.verification.drift_study.engine import Prepared, prepare
from headrace.verification.drift_study.fault_catalogue import CATALOGUE, Planted
from headrace.verification.drift_study.replayed_history import ReplayedHistory
from headrace.verification.drift_study.scoring import (
    FaultOutcome,
    Natural,
    StudyPlan,
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
StudyInput = tuple[ReplayedHistory, Policy, Path]


class Witness(Protocol):
    """Observer of a study, so that other detectors can be tested on the same windows."""

    def see(self, prepared: Prepared) -> None:
        """Receive a history without faults."""

    def add(self, prepared: Prepared, planted: Planted, monitor_outcome: FaultOutcome) -> None:
        """Receive a history with a fault, and the outcome of Headrace's own monitor."""


@dataclass(frozen=True)
class Study:
    """Results of a study."""

    naturals: tuple[Natural, ...]
    outcomes: tuple[FaultOutcome, ...]
    plan: StudyPlan

    def part(self, *, tuning: bool) -> "Study":
        """Return the results on the tuning histories, or on the others."""
        naturals = tuple(
            history for history in self.naturals if (history.part == "tuning") == tuning
        )
        outcomes = tuple(trial for trial in self.outcomes if (trial.part == "tuning") == tuning)
        return Study(naturals, outcomes, self.plan)

    @property
    def reported(self) -> "Study":
        """Results without the tuning histories; all results if there are no other histories."""
        rest = self.part(tuning=False)
        return rest if rest.naturals else self

    def to_json(self) -> dict[str, Any]:
        """Return the reported results as JSON; key `tuning` has those on the tuning histories."""
        reported = self.reported
        tuning = self.part(tuning=True)
        extra = {"tuning": tuning.body()} if reported is not self and tuning.naturals else {}
        settings = {"seed": self.plan.seed, "repeats": self.plan.repeats}
        return {**settings, **reported.body(), **extra}

    def body(self) -> dict[str, Any]:
        missed = [
            trial.to_json() for trial in self.outcomes if not (trial.detected and trial.attributed)
        ]
        return {
            "natural": {
                **naturals_together(self.naturals),
                "histories": [history.to_json() for history in self.naturals],
            },
            "faults": by_fault(self.outcomes),
            "groups": groups(self.outcomes),
            "decisions": decisions(self),
            "missed": missed,
        }


def decisions(study: Study) -> dict[str, Any]:
    """Count retrainings caused by data faults (all are wrong), and retrainings without faults."""
    faulty = [trial for trial in study.outcomes if trial.fault.kind == "data"]
    rates = {
        history.history: history.retrainings / history.years
        for history in study.naturals
        if history.years
    }
    return {
        "data_faults": len(faulty),
        "retrained_on_data_faults": sum(trial.retrained for trial in faulty),
        "untouched_years": round(sum(history.years for history in study.naturals), 2),
        "untouched_retrainings": sum(history.retrainings for history in study.naturals),
        "most_retrainings_a_year": round(max(rates.values(), default=0.0), 2),
    }


def run_study(
    inputs: Sequence[StudyInput], plan: StudyPlan, witness: Witness | None = None
) -> Study:
    """Run every history without faults, then with each fault of the plan; it is reproducible."""
    naturals: list[Natural] = []
    outcomes: list[FaultOutcome] = []
    sizes = [len(plan.faults) * plan.repeats_in(history.part) for history, _, _ in inputs]
    total = sum(sizes)
    for at, (history, policy, path) in enumerate(inputs):
        completed = sum(sizes[:at])
        report("verify monitors", completed, total, f"{history.name}, untouched")
        prepared = prepare(history, policy, path)
        naturals.append(natural(prepared))
        if witness is not None:
            witness.see(prepared)
        for planted in plan_of(prepared, plan):
            outcomes.append(outcome(prepared, planted))
            if witness is not None:
                witness.add(prepared, planted, outcomes[-1])
            completed += 1
            report("verify monitors", completed, total, f"{history.name}, {planted.fault.name}")
    report("verify monitors", total, total)
    return Study(tuple(naturals), tuple(outcomes), plan)


def quick(seed: int) -> StudyPlan:
    """Return a short plan: the most obvious faults, twice in each history."""
    faults = tuple(fault for fault in CATALOGUE if fault.name in QUICK)
    return StudyPlan(faults, repeats=2, seed=seed)
