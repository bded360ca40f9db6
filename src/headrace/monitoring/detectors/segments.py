"""How far the outcomes of a segment depart from what its scores say, and where that is new.

Two numbers say how scores relate to outcomes: the *level*, by how many log odds outcomes came more
often than scored at a middling score, and the *slope*, the log odds gained per log odds of score.
A calibrated model has level 0 and slope 1; where outcomes no longer depend on the inputs as they
did, the slope falls (to 0 when half of the labels are flipped). The level of everything follows
season and base rate, so a segment is held against the whole window, and its departure against its
own departures in windows before. Both come from logistic regression of outcomes on the score's log
odds (calibration intercept and slope: Cox, Biometrika 45 (1958) 562), fitted to binned sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION
from headrace.monitoring.profiles.labelled_scores import CLIP, FIXED, Floats

# How far a level and a slope may be from 0 and 1 before a handful of rows is believed.
LEVEL_PRIOR, SLOPE_PRIOR = 1.5, 0.7
ROUNDS = 8
LEAST_ROWS = 40  # rows of a segment in one window that say anything
YOUNG = 4  # what windows differ by is so uncertain from few of them: 1 + YOUNG / windows times it
OWN_WEIGHT = 6  # windows of a segment's own past that weigh as much as what segments have in common


@dataclass(frozen=True, eq=False)
class Fit:
    """Level and slope with their variances, and rows; float64 of one shape."""

    level: Floats
    slope: Floats
    level_variance: Floats
    slope_variance: Floats
    rows: Floats

    def at(self, place: int) -> "Fit":
        return self._taken(lambda array: array[place])

    def until(self, end: int) -> "Fit":
        return self._taken(lambda array: array[:end])

    def _taken(self, part: Callable[[Floats], Floats]) -> "Fit":
        return Fit(*(part(getattr(self, field.name)) for field in fields(self)))


def fit(cells: npt.NDArray[np.int64], center: float) -> Fit:
    """Level at the log odds `center` and slope of cells (..., score bins, 3).

    Newton's method on the binned log likelihood, with a normal prior on both.
    """
    n, ones = cells[..., 0].astype(np.float64), cells[..., 1].astype(np.float64)
    mean = np.clip(cells[..., 2] / FIXED / np.maximum(n, 1), CLIP, 1 - CLIP)
    x = np.where(n > 0, np.log(mean / (1 - mean)) - center, 0.0)
    level, slope = np.zeros(n.shape[:-1]), np.ones(n.shape[:-1])
    for _ in range(ROUNDS):
        odds = np.clip(level[..., None] + center + slope[..., None] * x, -30, 30)
        p = 1 / (1 + np.exp(-odds))
        rest, weight = ones - n * p, n * p * (1 - p)
        pull_level = rest.sum(-1) - level / LEVEL_PRIOR**2
        pull_slope = (rest * x).sum(-1) - (slope - 1) / SLOPE_PRIOR**2
        a = weight.sum(-1) + 1 / LEVEL_PRIOR**2
        b = (weight * x).sum(-1)
        d = (weight * x * x).sum(-1) + 1 / SLOPE_PRIOR**2
        det = a * d - b * b
        level = level + np.clip((d * pull_level - b * pull_slope) / det, -1, 1)
        slope = slope + np.clip((a * pull_slope - b * pull_level) / det, -1, 1)
    return Fit(level, slope, d / det, a / det, n.sum(-1))


def center_of(cells: npt.NDArray[np.int64]) -> float:
    """The log odds of the mean score of cells (..., segments, score bins, 3)."""
    rows, _, score = cells[..., 0, :, :].reshape(-1, 3).sum(axis=0).tolist()
    mean = min(max(score / FIXED / max(rows, 1), CLIP), 1 - CLIP)
    return float(np.log(mean / (1 - mean)))


@dataclass(frozen=True, eq=False)
class Scan:
    """Standardised departures (segments) of one window; nan where a segment is not judged.

    `fall` is how much flatter the slope is than usual, `shift` how much higher the level is.
    """

    fall: Floats
    shift: Floats

    @property
    def departure(self) -> Floats:
        """Both as one number: a steeper slope is no harm, a level counts either way. 0 for nan."""
        fall, shift = np.nan_to_num(self.fall), np.nan_to_num(self.shift)
        return np.hypot(np.maximum(fall, 0.0), shift)

    @property
    def judged(self) -> int:
        """How many segments were judged."""
        return int((~np.isnan(self.shift)).sum())

    def along(self, other: "Scan") -> Floats:
        """How far this one departs in the directions that `other` does."""
        fall, shift = np.nan_to_num(self.fall), np.nan_to_num(self.shift)
        same = np.maximum(shift * np.sign(np.nan_to_num(other.shift)), 0.0)
        return np.hypot(np.maximum(fall, 0.0), same)


def departures(one: Fit) -> tuple[Floats, Floats]:
    """Level and slope of segments (..., segments), relative to everything, which comes first."""
    return one.level - one.level[..., :1], one.slope - one.slope[..., :1]


def scan(now: Fit, past: Fit, settings: Detection) -> Scan:
    """Hold the segments (segments) of a window against their past (windows, segments)."""
    enough = (now.rows >= np.maximum(LEAST_ROWS, settings.segment_share * now.rows[0])) & (
        (past.rows >= LEAST_ROWS).sum(axis=0) >= settings.min_scored_windows
    )
    enough[0] = False  # everything is the yardstick
    known = past.rows[:, enough] >= LEAST_ROWS
    level, slope = departures(now)
    past_level, past_slope = departures(past)
    result = []
    for value, variance, before, noise, least in (
        (slope, now.slope_variance, past_slope, past.slope_variance, settings.slope_spread),
        (level, now.level_variance, past_level, past.level_variance, settings.level_spread),
    ):
        standard = np.full(len(enough), np.nan)
        if enough.any():
            usual = (
                np.where(known, before[:, enough], np.nan),
                np.where(known, noise[:, enough], np.nan),
            )
            standard[enough] = _standard(value[enough], variance[enough], *usual, least)
        result.append(standard)
    return Scan(-result[0], result[1])


def _standard(
    value: Floats, variance: Floats, past: Floats, past_variance: Floats, least: float
) -> Floats:
    """(value - its usual) / deviation, of segments; `past` (windows, segments) may have nan.

    The deviation has the noise of a finite window and what windows differ by beyond noise: robustly
    from the segment's own past, drawn towards what all segments have in common, at least `least`.
    """
    windows = np.sum(~np.isnan(past), axis=0)
    usual = _median(past)
    scatter = MAD_TO_DEVIATION * _median(np.abs(past - usual))
    own = np.maximum(0.0, scatter**2 - _median(past_variance))
    beyond = (OWN_WEIGHT * own.mean() + windows * own) / (OWN_WEIGHT + windows)
    beyond *= 1 + YOUNG / windows
    deviation = np.sqrt((variance + np.maximum(least**2, beyond)) * (1 + 1 / windows))
    score: Floats = (value - usual) / deviation
    return score


def _median(values: Floats) -> Floats:
    """Of each column, without its nans: the plain median is many times as fast."""
    rank = np.nanmedian if np.isnan(values).any() else np.median
    found: Floats = rank(values, axis=0)
    return found


def scan_limit(judged: int, past: Sequence[float], settings: Detection) -> float:
    """What the greatest departure of so many segments may be, given that of windows before.

    At least what chance alone reaches in `segment_error` of windows: two normal numbers are `z`
    from nothing with chance exp(-z²/2), and one of several is so with at most their sum.
    """
    least = float(np.sqrt(2 * np.log(max(judged, 1) / settings.segment_error)))
    if len(past) < settings.min_scored_windows:
        return least
    middle = float(np.median(past))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(np.array(past) - middle)))
    return max(least, middle + settings.segment_spread * deviation)
