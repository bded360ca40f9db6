"""What a model says, before anybody knows whether it is right: the distribution of its scores.

A score moves with its inputs, with the season, and when something broke on the way to the model, so
this is a word in advance and never an alarm: it is on record while the labels are awaited.
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
    """Windows whose scores are further from those before than has been usual, of the same model.

    A window holds the answers given in it. It is held against the `reference_windows` before it.
    """
    found: dict[Window, tuple[Evidence, ...]] = {}
    for name, profiles in sorted(answers.profiles.items()):
        mine = [window for window in windows if _model(answers, window) == name]
        moved = _moved(profiles, windows, settings)
        found.update({one: moved[one] for one in mine if one in moved})
    return found


def _model(answers: Answers, window: Window) -> str | None:
    """Who serves, or where no label is mature yet, who gave most answers, the later name first."""
    served = answers.model_of(window)
    if served is not None:
        return served
    given = {
        name: int(one.given_within(window.first, window.end).sum())
        for name, one in sorted(answers.profiles.items())
    }
    return max(reversed(given), key=given.__getitem__, default=None)


def _moved(
    profiles: ScoreProfiles, windows: Sequence[Window], settings: Detection
) -> dict[Window, tuple[Evidence, ...]]:
    found: dict[Window, tuple[Evidence, ...]] = {}
    before: list[Ints] = []
    past: list[float] = []
    for window in windows:
        now = profiles.given_within(window.first, window.end)
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
            one = Evidence("population", window, SCORE, distance, limit, "notice", sentence)
            found[window] = (one,)
    return found


def _mean(answers: Ints) -> float:
    return float((answers * _MIDDLES).sum() / answers.sum())
