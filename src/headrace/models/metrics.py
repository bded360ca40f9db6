"""Metrics of a probability forecast.

`y` is 0 or 1 (float64), `p` the forecast probability of 1 (float64); both have the same length,
which is not 0.
"""

import math
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from headrace.core.clock import DAY

Floats = npt.NDArray[np.float64]
CLIP = 1e-15


class Interval(TypedDict):
    """Mean difference, the ends of its bootstrap interval, and the number of resampled blocks."""

    difference: float
    low: float
    high: float
    blocks: int


class Bin(TypedDict):
    """One bin of a reliability curve; means are None if it is empty."""

    low: float
    high: float
    rows: int
    mean_prediction: float | None
    observed: float | None


def losses(y: Floats, p: Floats) -> Floats:
    """Return the log loss of each row (natural logarithm), float64."""
    clipped = np.clip(p, CLIP, 1 - CLIP)
    row_losses: Floats = -(y * np.log(clipped) + (1 - y) * np.log1p(-clipped))
    return row_losses


def log_loss(y: Floats, p: Floats) -> float:
    return float(losses(y, p).mean())


def brier(y: Floats, p: Floats) -> float:
    """Mean squared error of the probability (Brier 1950, two-class form)."""
    return float(np.square(p - y).mean())


def auc(y: Floats, p: Floats) -> float | None:
    """Area under the ROC curve, by Mann-Whitney U (Hanley and McNeil 1982); None with one class."""
    positives = float(y.sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(midranks[place][y == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(y: Floats, p: Floats) -> float | None:
    """Average precision: sum of (recall step) x precision over distinct thresholds."""
    positives = float(y.sum())
    if not positives:
        return None
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order])
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    precision = hits[ends] / (ends + 1)
    steps = np.diff(hits[ends], prepend=0.0)
    return float((steps * precision).sum() / positives)


def calibration(y: Floats, p: Floats, bins: int = 10) -> list[Bin]:
    """Return the forecast and the observed rate in `bins` bins of equal forecast width.

    The forecast 1.0 is in the last bin.
    """
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    rows = np.bincount(place, minlength=bins)
    forecast, observed = (np.bincount(place, values, minlength=bins) for values in (p, y))
    return [
        Bin(
            low=n / bins,
            high=(n + 1) / bins,
            rows=int(rows[n]),
            mean_prediction=float(forecast[n] / rows[n]) if rows[n] else None,
            observed=float(observed[n] / rows[n]) if rows[n] else None,
        )
        for n in range(bins)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: mean gap between forecast and observed rate, weighted by rows."""
    total = sum(bin_["rows"] for bin_ in bins)
    gaps = [
        bin_["rows"] * abs(bin_["mean_prediction"] - bin_["observed"])
        for bin_ in bins
        if bin_["mean_prediction"] is not None and bin_["observed"] is not None
    ]
    return math.fsum(gaps) / total


def day_block_interval(
    t: npt.NDArray[np.int64], difference: Floats, rounds: int, seed: int, level: float = 0.95
) -> Interval:
    """Return the mean of `difference` and its bootstrap interval, resampling UTC days of `t`.

    Rows of one day are correlated, so resampling single rows would give a far too narrow interval.
    """
    _, day = np.unique(t // DAY, return_inverse=True)
    sums, rows = np.bincount(day, difference), np.bincount(day)
    drawn = np.random.default_rng(seed).integers(0, len(rows), (rounds, len(rows)))
    means = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    tail = round((1 - level) / 2, 12)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(
        difference=float(difference.mean()), low=float(low), high=float(high), blocks=len(rows)
    )
