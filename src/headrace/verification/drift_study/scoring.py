"""Results of the monitor on histories with and without faults: alarms, detections, causes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.monitoring.decisions.retraining_decision import shifts
from headrace.monitoring.spec import WindowResult
from headrace.verification.drift_study.engine import Prepared, quiet, replay
from headrace.verification.drift_study.fault_catalogue import (
    CATALOGUE,
    Kind,
    Planted,
    StudyFault,
    plant,
)
from headrace.verification.drift_study.intervals import wilson
from headrace.verification.drift_study.replayed_history import Part

YEAR = 365 * DAY
TRIES = 4  # number of seeds to try if a fault cannot be injected


@dataclass(frozen=True)
class Natural:
    """Numbers of alarms and retrainings on a history without injected faults.

    `windows` counts the evaluated windows, `scored` those of them that have scores. `drifted_after`
    is the number of windows until the monitor detected a known concept drift, including the window
    of the alarm; None if no drift is known or detected.
    """

    history: str
    part: Part
    windows: int
    data_alarms: int
    scored: int
    concept_alarms: int
    years: float
    retrainings: int
    drift_known: bool = False
    drifted_after: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "part": self.part,
            **_rates(self.windows, self.data_alarms, self.scored, self.concept_alarms),
            "years": round(self.years, 2),
            "retrainings": self.retrainings,
            "drift_known": self.drift_known,
            "drift_found_in_windows": self.drifted_after,
        }


@dataclass(frozen=True)
class FaultOutcome:
    """Outcome of one injected fault.

    `cause` is the attributed cause in the first window with an alarm, "none" without an alarm.
    `waited` is the number of windows until the alarm, 0 without an alarm. `located` is True if the
    monitor named a touched column or segment. `retrained` counts the retrainings that the fault
    caused, not those due to the model's age.
    """

    fault: StudyFault
    history: str
    part: Part
    window: str
    seed: int
    touched: tuple[str, ...]
    cause: str
    waited: int
    located: bool
    retrained: int

    @property
    def detected(self) -> bool:
        return self.cause != "none"

    @property
    def attributed(self) -> bool:
        return self.cause == self.fault.kind

    def to_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault.name,
            "history": self.history,
            "window": self.window,
            "seed": self.seed,
            "touched": list(self.touched),
            "cause": self.cause,
            "windows": self.waited,
            "named": self.located,
            "retrained": self.retrained,
        }


def natural(prepared: Prepared) -> Natural:
    """Count the alarms on the original history; windows after a known drift are not counted."""
    history = prepared.history
    calm = [result for result in evaluated_windows(prepared) if not _drifted(prepared, result)]
    scored = [result for result in calm if result.scored is not None]
    closes = [prepared.spec.closes(result.window) for result in calm]
    return Natural(
        history=history.name,
        part=history.part,
        windows=len(calm),
        data_alarms=sum(data_alarm(result, prepared) for result in calm),
        scored=len(scored),
        concept_alarms=sum(result.attribution.cause in {"concept", "both"} for result in scored),
        years=(closes[-1] - closes[0]) / YEAR if closes else 0.0,
        retrainings=sum(result.decision.action == "retrain" for result in calm),
        drift_known=history.drift_from is not None,
        drifted_after=_until_seen(prepared),
    )


def evaluated_windows(prepared: Prepared) -> list[WindowResult]:
    """Return the results of the windows after the warm-up, from which the bins were computed."""
    first = min((bins.frozen_until for bins in prepared.profiles.whole.bins), default=0)
    return [result for result in prepared.natural if result.window.first >= first]


def _drifted(prepared: Prepared, result: WindowResult) -> bool:
    since = prepared.history.drift_from
    return since is not None and prepared.spec.closes(result.window) > since


def data_alarm(result: WindowResult, prepared: Prepared) -> bool:
    """Return True if the attributed cause is in the data, or if a population shift is found."""
    shifted = result.attribution.cause == "none" and bool(shifts(result.evidence, prepared.policy))
    return shifted or result.attribution.cause in {"data", "both"}


def _until_seen(prepared: Prepared) -> int | None:
    drifted = [result for result in prepared.natural if _drifted(prepared, result)]
    for at, result in enumerate(drifted):
        if result.attribution.cause in {"concept", "both"}:
            return at + 1
    return None


@dataclass(frozen=True)
class StudyPlan:
    """Faults to inject, how often in each history, and the seed of all random choices.

    Tuning histories, which are not reported, get a quarter of the repeats.
    """

    faults: tuple[StudyFault, ...] = CATALOGUE
    repeats: int = 16
    seed: int = 0

    def repeats_in(self, part: Part) -> int:
        return -(-self.repeats // 4) if part == "tuning" else self.repeats


def plan_of(prepared: Prepared, plan: StudyPlan) -> Iterator[Planted]:
    """Yield the faults of a plan, injected in windows that have no alarm without the fault.

    Otherwise an alarm for another reason would count as a detection.
    """
    for place, fault in enumerate(plan.faults):
        starts = [at for at in range(len(prepared.natural)) if _fits(prepared, at, fault.lasts)]
        rng = np.random.default_rng([plan.seed, place])
        order = rng.permutation(len(starts))
        for turn in range(plan.repeats_in(prepared.history.part) if starts else 0):
            start = starts[order[turn % len(order)]]
            windows = prepared.windows[start : start + fault.lasts]
            planted = _planted(fault, prepared, windows, plan.seed + 1000 * turn)
            if planted is None:
                break
            yield planted


def _planted(
    fault: StudyFault, prepared: Prepared, windows: Sequence[Any], seed: int
) -> Planted | None:
    for attempt in range(TRIES):
        try:
            return plant(fault, prepared.history, windows, seed + attempt)
        except DeclarationError:
            continue
    return None


def _fits(prepared: Prepared, start: int, lasts: int) -> bool:
    """Return True if `lasts` windows from `start` have no alarm and follow enough scored ones."""
    history = prepared.history
    required = prepared.policy.detection.min_scored_windows
    settled = start - required
    part = prepared.natural[start : start + lasts]
    if settled < 0 or len(part) < lasts or not quiet(part):
        return False
    first = int(history.day[history.first_scored])
    able = prepared.natural[settled].window.first >= first
    return able and not any(_drifted(prepared, result) for result in part)


def outcome(prepared: Prepared, planted: Planted) -> FaultOutcome:
    """Replay an injected fault, and compare the monitor's result with the fault."""
    results = replay(prepared, planted)
    start = len(results) - len(planted.windows)
    replayed = results[start:]
    loud = next(
        (at for at, result in enumerate(replayed) if result.attribution.cause != "none"), None
    )
    first = replayed[loud] if loud is not None else None
    return FaultOutcome(
        fault=planted.fault,
        history=prepared.history.name,
        part=prepared.history.part,
        window=planted.windows[0].text,
        seed=planted.seed,
        touched=planted.touched,
        cause=first.attribution.cause if first else "none",
        waited=loud + 1 if loud is not None else 0,
        located=first is not None and _is_located(first, planted.touched),
        # Not counted: a retraining due to the model's age, which happens without an alarm.
        retrained=sum(
            result.decision.action == "retrain" and result.attribution.cause != "none"
            for result in replayed
        ),
    )


def _is_located(result: WindowResult, touched: tuple[str, ...]) -> bool:
    cause = result.attribution
    segments = {f"{column}={level}" for segment in cause.segments for column, level in segment}
    subjects = {finding.subject for finding in result.evidence}
    return bool({*cause.columns, *segments, *subjects} & set(touched))


def _rates(windows: int, data: int, scored: int, concept: int) -> dict[str, Any]:
    return {
        "windows": windows,
        "data_alarms": data,
        "scored_windows": scored,
        "concept_alarms": concept,
        "data_interval": _rounded(wilson(data, windows)),
        "concept_interval": _rounded(wilson(concept, scored)),
    }


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(end, 4) for end in interval]


def naturals_together(naturals: Iterable[Natural]) -> dict[str, Any]:
    """Return the summed counts of several histories."""
    histories = list(naturals)
    sums = [
        sum(getattr(history, name) for history in histories)
        for name in ("windows", "data_alarms", "scored", "concept_alarms")
    ]
    return _rates(*sums)


def by_fault(outcomes: Iterable[FaultOutcome]) -> list[dict[str, Any]]:
    """Return one line per fault, in the order of the catalogue."""
    trials = list(outcomes)
    names = dict.fromkeys(trial.fault for trial in trials)
    ordered = sorted(names, key=CATALOGUE.index) if set(names) <= set(CATALOGUE) else list(names)
    return [_line(fault, [trial for trial in trials if trial.fault == fault]) for fault in ordered]


def _line(fault: StudyFault, trials: Sequence[FaultOutcome]) -> dict[str, Any]:
    return {
        "fault": fault.name,
        "kind": fault.kind,
        "grade": fault.grade,
        "windows": fault.lasts,
        **counted(trials),
    }


def counted(trials: Sequence[FaultOutcome]) -> dict[str, Any]:
    """Count the injected and the detected faults, and how many were attributed and located."""
    detected = [trial for trial in trials if trial.detected]
    right = sum(trial.attributed for trial in detected)
    return {
        "injected": len(trials),
        "detected": len(detected),
        "attributed": right,
        "named": sum(trial.located for trial in detected),
        "retrained": sum(trial.retrained for trial in trials),
        "detected_interval": _rounded(wilson(len(detected), len(trials))),
        "attributed_interval": _rounded(wilson(right, len(detected))),
    }


def groups(outcomes: Iterable[FaultOutcome]) -> list[dict[str, Any]]:
    """Return the counts by kind and grade of fault."""
    trials = list(outcomes)
    keys = dict.fromkeys((trial.fault.kind, trial.fault.grade) for trial in trials)
    kinds: dict[Kind, None] = dict.fromkeys(trial.fault.kind for trial in trials)
    lines = [
        {"kind": kind, "grade": grade}
        | counted(
            [trial for trial in trials if (trial.fault.kind, trial.fault.grade) == (kind, grade)]
        )
        for kind, grade in keys
    ]
    totals = [
        {"kind": kind, "grade": "all"}
        | counted([trial for trial in trials if trial.fault.kind == kind])
        for kind in kinds
    ]
    return [*lines, *totals]
