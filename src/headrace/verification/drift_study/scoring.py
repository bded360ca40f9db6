"""What the monitor said of histories, untouched and with faults, and whether it was right."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.monitoring.decisions.decide import shifts
from headrace.monitoring.spec import WindowResult
from headrace.verification.drift_study.engine import Prepared, quiet, replay
from headrace.verification.drift_study.fault_catalogue import CATALOGUE, Fault, Kind, Planted, plant
from headrace.verification.drift_study.intervals import wilson
from headrace.verification.drift_study.replayed_history import Part

YEAR = 365 * DAY
TRIES = 4  # seeds that are tried where a history has nothing that a fault could touch


@dataclass(frozen=True)
class Natural:
    """An untouched history. `windows` are those that could have alarmed, `scored` by their scores.

    `drifted_after` says how many windows went by until a drift that is known was alarmed as one of
    concept, this one included; None where none is known or it was never seen.
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
class Outcome:
    """What became of one planted fault.

    `cause` is that of its first loud window, "none" if there was none; `named` whether a column or
    segment that it touched was told; `retrained` how many retrainings its evidence started, which
    leaves out those for the model's age.
    """

    fault: Fault
    history: str
    part: Part
    window: str
    seed: int
    touched: tuple[str, ...]
    cause: str
    waited: int
    named: bool
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
            "named": self.named,
            "retrained": self.retrained,
        }


def natural(prepared: Prepared) -> Natural:
    """Count the alarms of the untouched history, up to the drift that is known."""
    history = prepared.history
    calm = [one for one in judged(prepared) if not _drifted(prepared, one)]
    scored = [one for one in calm if one.scored is not None]
    closes = [prepared.spec.closes(one.window) for one in calm]
    return Natural(
        history=history.name,
        part=history.part,
        windows=len(calm),
        data_alarms=sum(data_alarm(one, prepared) for one in calm),
        scored=len(scored),
        concept_alarms=sum(one.attribution.cause in {"concept", "both"} for one in scored),
        years=(closes[-1] - closes[0]) / YEAR if closes else 0.0,
        retrainings=sum(one.decision.action == "retrain" for one in calm),
        drift_known=history.drift_from is not None,
        drifted_after=_until_seen(prepared),
    )


def judged(prepared: Prepared) -> list[WindowResult]:
    """The windows after those that the bins were frozen from."""
    first = min((bins.frozen_until for bins in prepared.profiles.whole.bins), default=0)
    return [one for one in prepared.natural if one.window.first >= first]


def _drifted(prepared: Prepared, one: WindowResult) -> bool:
    since = prepared.history.drift_from
    return since is not None and prepared.spec.closes(one.window) > since


def data_alarm(one: WindowResult, prepared: Prepared) -> bool:
    """Whether somebody would look: a cause in the data, or as many notices as the policy counts."""
    moved = one.attribution.cause == "none" and bool(shifts(one.evidence, prepared.policy))
    return moved or one.attribution.cause in {"data", "both"}


def _until_seen(prepared: Prepared) -> int | None:
    drifted = [one for one in prepared.natural if _drifted(prepared, one)]
    for at, one in enumerate(drifted):
        if one.attribution.cause in {"concept", "both"}:
            return at + 1
    return None


@dataclass(frozen=True)
class Plan:
    """Which faults are planted how often in each history; `seed` decides the windows as well.

    Tuning histories, which nothing is reported of, get a quarter.
    """

    faults: tuple[Fault, ...] = CATALOGUE
    repeats: int = 16
    seed: int = 0

    def repeats_in(self, part: Part) -> int:
        return -(-self.repeats // 4) if part == "tuning" else self.repeats


def plan_of(prepared: Prepared, plan: Plan) -> Iterator[Planted]:
    """The faults of a plan, planted in windows that are quiet while they are untouched.

    A window that alarms anyway would be taken for one where the fault was found.
    """
    for place, fault in enumerate(plan.faults):
        starts = [at for at in range(len(prepared.natural)) if _fits(prepared, at, fault.lasts)]
        rng = np.random.default_rng([plan.seed, place])
        order = rng.permutation(len(starts))
        for turn in range(plan.repeats_in(prepared.history.part) if starts else 0):
            start = starts[order[turn % len(order)]]
            windows = prepared.windows[start : start + fault.lasts]
            found = _planted(fault, prepared, windows, plan.seed + 1000 * turn)
            if found is None:
                break
            yield found


def _planted(fault: Fault, prepared: Prepared, windows: Sequence[Any], seed: int) -> Planted | None:
    for attempt in range(TRIES):
        try:
            return plant(fault, prepared.history, windows, seed + attempt)
        except DeclarationError:
            continue
    return None


def _fits(prepared: Prepared, start: int, lasts: int) -> bool:
    """Whether `lasts` windows from here are calm, and come after enough windows with scores."""
    history = prepared.history
    known = prepared.policy.detection.min_scored_windows
    settled = start - known
    part = prepared.natural[start : start + lasts]
    if settled < 0 or len(part) < lasts or not quiet(part):
        return False
    first = int(history.day[history.first_scored])
    able = prepared.natural[settled].window.first >= first
    return able and not any(_drifted(prepared, one) for one in part)


def outcome(prepared: Prepared, planted: Planted) -> Outcome:
    """Replay a planted fault and hold the answer to the truth."""
    results = replay(prepared, planted)
    start = len(results) - len(planted.windows)
    told = results[start:]
    loud = next((at for at, one in enumerate(told) if one.attribution.cause != "none"), None)
    first = told[loud] if loud is not None else None
    return Outcome(
        fault=planted.fault,
        history=prepared.history.name,
        part=prepared.history.part,
        window=planted.windows[0].text,
        seed=planted.seed,
        touched=planted.touched,
        cause=first.attribution.cause if first else "none",
        waited=loud + 1 if loud is not None else 0,
        named=first is not None and _named(first, planted.touched),
        # for age it is due anyway, once the windows after a fault are quiet
        retrained=sum(
            one.decision.action == "retrain" and one.attribution.cause != "none" for one in told
        ),
    )


def _named(one: WindowResult, touched: tuple[str, ...]) -> bool:
    cause = one.attribution
    segments = {f"{column}={level}" for segment in cause.segments for column, level in segment}
    subjects = {found.subject for found in one.evidence}
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


def naturals_together(found: Iterable[Natural]) -> dict[str, Any]:
    """The counts of several histories as one."""
    ones = list(found)
    sums = [
        sum(getattr(one, name) for one in ones)
        for name in ("windows", "data_alarms", "scored", "concept_alarms")
    ]
    return _rates(*sums)


def by_fault(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """One line a fault, in the order of the catalogue."""
    ones = list(outcomes)
    names = dict.fromkeys(one.fault for one in ones)
    ordered = sorted(names, key=CATALOGUE.index) if set(names) <= set(CATALOGUE) else list(names)
    return [_line(fault, [one for one in ones if one.fault == fault]) for fault in ordered]


def _line(fault: Fault, ones: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "fault": fault.name,
        "kind": fault.kind,
        "grade": fault.grade,
        "windows": fault.lasts,
        **counted(ones),
    }


def counted(ones: Sequence[Outcome]) -> dict[str, Any]:
    """How many were injected, detected, attributed among those, named among those."""
    found = [one for one in ones if one.detected]
    right = sum(one.attributed for one in found)
    return {
        "injected": len(ones),
        "detected": len(found),
        "attributed": right,
        "named": sum(one.named for one in found),
        "retrained": sum(one.retrained for one in ones),
        "detected_interval": _rounded(wilson(len(found), len(ones))),
        "attributed_interval": _rounded(wilson(right, len(found))),
    }


def groups(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The same by kind and grade: how surely each kind of fault is found."""
    ones = list(outcomes)
    keys = dict.fromkeys((one.fault.kind, one.fault.grade) for one in ones)
    kinds: dict[Kind, None] = dict.fromkeys(one.fault.kind for one in ones)
    lines = [
        {"kind": kind, "grade": grade}
        | counted([one for one in ones if (one.fault.kind, one.fault.grade) == (kind, grade)])
        for kind, grade in keys
    ]
    every = [
        {"kind": kind, "grade": "all"} | counted([one for one in ones if one.fault.kind == kind])
        for kind in kinds
    ]
    return [*lines, *every]
