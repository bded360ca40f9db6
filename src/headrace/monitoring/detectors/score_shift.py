"""Shifts of the distribution of a model's scores, before labels are known.

Scores shift when the inputs shift, when the season changes, and when an input breaks. So a shift of
the scores is only an early notice, recorded before the labels arrive, and never an alarm.
"""

from collections.abc import Sequence

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import js_distance, upper_limit
from headrace.monitoring.evidence.model import SCORE, Evidence, Window
from headrace.monitoring.profiles.labelled_scores import SCORE_EDGES, Answers, ScoreProfiles
from headrace.monitoring.profiles.profiles import Ints

_LOW = np.concatenate([[0.0], SCORE_EDGES])
_MIDDLES = (_LOW + np.concatenate([SCORE_EDGES, [1.0]])) / 2


def output_evidence(
    answers: Answers, windows: Sequence[Window], settings: Detection
) -> dict[Window, tuple[Evidence, ...]]:
    """Return notices of windows whose scores differ unusually much from earlier scores.

    The answers given in a window are compared with the same model's answers in the
    `reference_windows` before it.
    """
    findings: dict[Window, tuple[Evidence, ...]] = {}
    for name, profiles in sorted(answers.profiles.items()):
        model_windows = [window for window in windows if _model(answers, window) == name]
        shifts = _shifts(profiles, windows, settings)
        findings.update({window: shifts[window] for window in model_windows if window in shifts})
    return findings


def _model(answers: Answers, window: Window) -> str | None:
    """Return the model that served the window.

    If no labels are mature yet, this is the model with most answers; in a tie, the last by name.
    """
    served = answers.model_of(window)
    if served is not None:
        return served
    answer_counts = {
        name: int(profile.answers_within(window.first, window.end).sum())
        for name, profile in sorted(answers.profiles.items())
    }
    return max(reversed(answer_counts), key=answer_counts.__getitem__, default=None)


def _shifts(
    profiles: ScoreProfiles, windows: Sequence[Window], settings: Detection
) -> dict[Window, tuple[Evidence, ...]]:
    findings: dict[Window, tuple[Evidence, ...]] = {}
    before: list[Ints] = []
    past: list[float] = []
    for window in windows:
        now = profiles.answers_within(window.first, window.end)
        if now.sum() < settings.min_labelled:
            continue
        reference = np.sum(before[-settings.reference_windows :], axis=0)
        before.append(now)
        if len(before) <= settings.reference_windows:
            continue
        distance = js_distance(now, reference)
        limit = upper_limit(past, settings.cold_distance, settings.score_floor, settings)
        past.append(distance)
        if distance > limit:
            sentence = (
                f"The scores moved: {_mean(reference):.1%} on average in the windows before, "
                f"{_mean(now):.1%} now; their distribution is {distance:.2f} from then (0 same, 1 "
                f"disjoint), its own past allows {limit:.2f}. Labels will tell."
            )
            finding = Evidence("population", window, SCORE, distance, limit, "notice", sentence)
            findings[window] = (finding,)
    return findings


def _mean(answers: Ints) -> float:
    return float((answers * _MIDDLES).sum() / answers.sum())
