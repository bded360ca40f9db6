"""Repeated runs of the monitor on a history: only windows that a fault changed are recomputed.

`monitor` itself runs once, on the original history. A run on the history with a fault reuses the
bins, and the profiles of all days outside of the fault's windows. It collects the evidence up to
the last of these windows, with the same function that `monitor` uses.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headrace.core.clock import duration
from headrace.core.home import Home
from headrace.monitoring.decisions.history import decide_all
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.detectors.measures import MeasuredWindow
from headrace.monitoring.evidence.collection import gather
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.labelled_scores import NO_ANSWERS, Joining, answers_of
from headrace.monitoring.profiles.profiles import Profile, Profiles, profile_days
from headrace.monitoring.profiles.row_facts import RowFacts, row_facts, terms_for
from headrace.monitoring.profiles.store import daily_of, frozen_bins
from headrace.monitoring.run import monitor
from headrace.monitoring.spec import MonitorSpec, WindowResult
from headrace.verification.drift_study.fault_catalogue import Planted
from headrace.verification.drift_study.replayed_history import ReplayedHistory

_ARRAYS = ("rows", "nulls", "low", "high", "limbs", "counts")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Results of the monitor on a history without faults.

    `natural` are the results of its windows. The training rows of the history's model end at
    `trained_at` (microseconds UTC).
    """

    history: ReplayedHistory
    spec: MonitorSpec
    policy: Policy
    profiles: Profiles
    facts: tuple[RowFacts, ...]
    measures: tuple[MeasuredWindow, ...]
    natural: tuple[WindowResult, ...]
    trained_at: int

    @property
    def windows(self) -> list[Window]:
        return [result.window for result in self.natural]


def prepare(history: ReplayedHistory, policy: Policy, policy_path: Path) -> Prepared:
    """Run the monitor over the original history, in a temporary home.

    The bins are computed from the warm-up days: the policy's or the history's, whichever are more.
    """
    warmup = max(policy.detection.warmup_days, history.warmup_days)
    policy = replace(policy, detection=replace(policy.detection, warmup_days=warmup))
    spec = history.spec(policy_path)
    trained_at = int(history.t[history.first_scored])
    with tempfile.TemporaryDirectory(prefix="headrace-study-") as folder:
        home = Home(Path(folder))
        daily = daily_of(home, spec.name, history.frame, history.day, history.watched)
        bins, _ = frozen_bins(home, spec.name, daily, warmup=warmup)
        run = monitor(
            spec, history.frame, history.scores, [], home, history.until,
            policy=policy, trained_at=trained_at,
        )  # fmt: skip
    profiles = daily.binned(bins)
    laid = [result.window for result in run.results]
    facts = row_facts(history.frame, history.day, laid, terms_for(profiles))
    _, measures = gather(spec, laid, profiles, facts, slots=[], answers=NO_ANSWERS, policy=policy)
    return Prepared(
        history, spec, policy, profiles, tuple(facts), tuple(measures), run.results, trained_at
    )


def replay(prepared: Prepared, planted: Planted, *, after: int = 0) -> list[WindowResult]:
    """Return the monitor's results from the start until `after` windows after the fault."""
    at = prepared.windows.index(planted.windows[-1]) + 1 + after
    laid = prepared.windows[:at]
    scores = planted.history.scores
    settings = prepared.policy.detection
    maturity, offset = (duration(getattr(prepared.spec, n)) for n in ("maturity", "offset"))
    answers = answers_of(scores, Joining(maturity, offset, settings.warmup_days))
    first = prepared.windows.index(planted.windows[0])
    profiles = profiles_with_fault(prepared, planted)
    facts = list(prepared.facts[:at])
    if not planted.fault.moves_labels_only:
        terms = terms_for(prepared.profiles)
        history = planted.history
        count = len(planted.windows)
        facts[first : first + count] = row_facts(history.frame, history.day, planted.windows, terms)
    results, _ = gather(
        prepared.spec, laid, profiles, facts, slots=[], answers=answers, policy=prepared.policy,
        previous=prepared.measures[:first],
    )  # fmt: skip
    results = [*prepared.natural[:first], *results]
    return decide_all(prepared.spec, results, [], prepared.policy, prepared.trained_at)


def profiles_with_fault(prepared: Prepared, planted: Planted) -> Profiles:
    """Return the profiles of a history with a fault; recompute only days in the fault's windows."""
    if planted.fault.moves_labels_only:
        return prepared.profiles
    history = planted.history
    profiles = prepared.profiles
    for window in planted.windows:
        first, last = np.searchsorted(history.day, [window.first, window.end]).tolist()
        part = history.frame.slice(first, last - first)
        new = profile_days(part, history.day[first:last], profiles.whole.bins)
        profiles = _spliced(profiles, window, new)
    return profiles


def _spliced(old: Profiles, window: Window, new: Profiles) -> Profiles:
    start, end = np.searchsorted(old.days, [window.first, window.end]).tolist()
    arrays = {
        name: np.concatenate(
            [
                getattr(old.whole, name)[:start],
                getattr(new.whole, name),
                getattr(old.whole, name)[end:],
            ]
        )
        for name in _ARRAYS
    }
    days = np.concatenate([old.days[:start], new.days, old.days[end:]])
    return Profiles(days, Profile(old.whole.bins, **arrays))


def quiet(results: Sequence[WindowResult]) -> bool:
    """Return True if none of these windows has an attributed cause."""
    return all(result.attribution.cause == "none" for result in results)
