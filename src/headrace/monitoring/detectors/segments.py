"""Departures of a segment's outcomes from its scores, compared with earlier windows.

Two numbers relate scores to outcomes. The *level* is the difference in log odds between the outcome
rate and the score, at a medium score. The *slope* is the rise of log odds per log odds of score. A
calibrated model has level 0 and slope 1. If outcomes no longer depend on the inputs as before, the
slope falls (to 0 if half of the labels are flipped). The level over all rows follows season and
base rate, so a segment is compared with the whole window, and its departure with its own departures
in earlier windows. Both numbers come from logistic regression of outcomes on the log odds of scores
(calibration intercept and slope: Cox, Biometrika 45 (1958) 562), fitted to binned sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION
from headrace.monitoring.profiles.labelled_scores import CLIP, FIXED, Floats

# Standard deviations of the normal priors of level (mean 0) and slope (mean 1).
LEVEL_PRIOR, SLOPE_PRIOR = 1.5, 0.7
ROUNDS = 8
LEAST_ROWS = 40  # a segment with fewer rows in a window is not evaluated
YOUNG = 4  # the variance between few windows is uncertain: it is multiplied by 1 + YOUNG / windows
OWN_WEIGHT = 6  # weight, in windows, of the variance between windows averaged over all segments


@dataclass(frozen=True, eq=False)
class Fit:
    """Level and slope, their variances, and the number of rows: float64 arrays of one shape."""

    level: Floats
    slope: Floats
    level_variance: Floats
    slope_variance: Floats
    rows: Floats

    def at(self, place: int) -> "Fit":
        return self._select(lambda array: array[place])

    def until(self, end: int) -> "Fit":
        return self._select(lambda array: array[:end])

    def _select(self, part: Callable[[Floats], Floats]) -> "Fit":
        return Fit(*(part(getattr(self, field.name)) for field in fields(self)))


def fit(cells: npt.NDArray[np.int64], center: float) -> Fit:
    """Fit the level at the log odds `center`, and the slope, of cells (..., score bins, 3).

    Newton's method on the binned log likelihood, with a normal prior on both.
    """
    n, positives = cells[..., 0].astype(np.float64), cells[..., 1].astype(np.float64)
    mean = np.clip(cells[..., 2] / FIXED / np.maximum(n, 1), CLIP, 1 - CLIP)
    x = np.where(n > 0, np.log(mean / (1 - mean)) - center, 0.0)
    level, slope = np.zeros(n.shape[:-1]), np.ones(n.shape[:-1])
    for _ in range(ROUNDS):
        odds = np.clip(level[..., None] + center + slope[..., None] * x, -30, 30)
        p = 1 / (1 + np.exp(-odds))
        rest, weight = positives - n * p, n * p * (1 - p)
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
    """Return the log odds of the mean score of cells (..., segments, score bins, 3)."""
    rows, _, score = cells[..., 0, :, :].reshape(-1, 3).sum(axis=0).tolist()
    mean = min(max(score / FIXED / max(rows, 1), CLIP), 1 - CLIP)
    return float(np.log(mean / (1 - mean)))


@dataclass(frozen=True, eq=False)
class SegmentScan:
    """Standardised departures (segments) of one window; nan where a segment is not evaluated.

    `fall` is how far the slope is below its usual value, `shift` how far the level is above it.
    """

    fall: Floats
    shift: Floats

    @property
    def departure(self) -> Floats:
        """Fall and shift as one number (segments); a steeper slope does not count.

        The number is 0 for segments that are not evaluated.
        """
        fall, shift = np.nan_to_num(self.fall), np.nan_to_num(self.shift)
        return np.hypot(np.maximum(fall, 0.0), shift)

    @property
    def segment_count(self) -> int:
        """Number of evaluated segments."""
        return int((~np.isnan(self.shift)).sum())

    def along(self, other: "SegmentScan") -> Floats:
        """Return the departures in the direction in which `other` departs."""
        fall, shift = np.nan_to_num(self.fall), np.nan_to_num(self.shift)
        aligned = np.maximum(shift * np.sign(np.nan_to_num(other.shift)), 0.0)
        return np.hypot(np.maximum(fall, 0.0), aligned)


def departures(fitted: Fit) -> tuple[Floats, Floats]:
    """Return level and slope (..., segments) minus those of segment 0, which has all rows."""
    return fitted.level - fitted.level[..., :1], fitted.slope - fitted.slope[..., :1]


def scan(now: Fit, past: Fit, settings: Detection) -> SegmentScan:
    """Compare a window's fit (segments) with the fit of earlier windows (windows, segments)."""
    enough = (now.rows >= np.maximum(LEAST_ROWS, settings.segment_share * now.rows[0])) & (
        (past.rows >= LEAST_ROWS).sum(axis=0) >= settings.min_scored_windows
    )
    enough[0] = False  # segment 0 has all rows; the other segments are compared with it
    has_rows = past.rows[:, enough] >= LEAST_ROWS
    level, slope = departures(now)
    past_level, past_slope = departures(past)
    result = []
    for value, variance, before, noise, floor in (
        (slope, now.slope_variance, past_slope, past.slope_variance, settings.slope_spread),
        (level, now.level_variance, past_level, past.level_variance, settings.level_spread),
    ):
        standard = np.full(len(enough), np.nan)
        if enough.any():
            usual = (
                np.where(has_rows, before[:, enough], np.nan),
                np.where(has_rows, noise[:, enough], np.nan),
            )
            standard[enough] = _standard(value[enough], variance[enough], *usual, floor)
        result.append(standard)
    return SegmentScan(-result[0], result[1])


def _standard(
    value: Floats, variance: Floats, past: Floats, past_variance: Floats, floor: float
) -> Floats:
    """Return (value - usual value) / deviation of segments; `past` (windows, segments) may be nan.

    The variance has two parts: the noise of a finite window, and the variance between windows that
    exceeds this noise. The second part is a robust estimate from the segment's own past, shrunk
    towards the mean of all segments. Its standard deviation is at least `floor`.
    """
    windows = np.sum(~np.isnan(past), axis=0)
    usual = _median(past)
    scatter = MAD_TO_DEVIATION * _median(np.abs(past - usual))
    own_variance = np.maximum(0.0, scatter**2 - _median(past_variance))
    beyond = (OWN_WEIGHT * own_variance.mean() + windows * own_variance) / (OWN_WEIGHT + windows)
    beyond *= 1 + YOUNG / windows
    deviation = np.sqrt((variance + np.maximum(floor**2, beyond)) * (1 + 1 / windows))
    score: Floats = (value - usual) / deviation
    return score


def _median(values: Floats) -> Floats:
    """Return the median of each column without its nans; np.median is faster if there are none."""
    rank = np.nanmedian if np.isnan(values).any() else np.median
    medians: Floats = rank(values, axis=0)
    return medians


def scan_limit(segment_count: int, past: Sequence[float], settings: Detection) -> float:
    """Return the limit of the largest departure among segments; `past` has the earlier ones.

    The limit is at least the departure that chance alone reaches in `segment_error` of windows. Two
    standard normal numbers have a norm above z with probability exp(-z²/2); for several segments,
    the probability is at most the sum of theirs.
    """
    chance_limit = float(np.sqrt(2 * np.log(max(segment_count, 1) / settings.segment_error)))
    if len(past) < settings.min_scored_windows:
        return chance_limit
    middle = float(np.median(past))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(np.array(past) - middle)))
    return max(chance_limit, middle + settings.segment_spread * deviation)
