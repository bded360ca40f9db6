"""Scores of a batch: how far each check of a peer is beyond what the window allows.

A check alarms if its score is greater than its margin. Margins belong to kinds of checks, because
nobody sets one by hand for every column, and are chosen in `tuning`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.gate_bank_peers.figures import Figure, Floats

LEAST_BATCHES = 7  # earlier batches in which a figure must exist: Elementary's training set
MOST = 1e6  # greatest score: a change of what has never changed
# Statistics that are shares: a range of them is not narrower than one row in a hundred.
_SHARES = frozenset({
    "null_percent", "missing_percent", "zero_percent", "true_share", "distinct_share",
    "new_values", "repeated_keys", "infinity_norm", "divergence", "jensen_shannon",
})  # fmt: skip
# Statistics of which only more is a fault.
_UPWARD = frozenset({
    "null_percent", "missing_percent", "new_values", "repeated_keys", "infinity_norm",
    "divergence", "jensen_shannon",
})  # fmt: skip
_FLOOR = 0.01


@dataclass(frozen=True)
class Peer:
    """Checks of a peer.

    Attributes:
        name: of the peer.
        statistics: figures that its checks compare.
        score: of all figures, given the window and the batch.
        recommended: margin of each kind that its documentation recommends; None if there is none.
    """

    name: str
    statistics: frozenset[str]
    score: Callable[[Sequence[Figure], Floats, Floats], Floats]
    recommended: Callable[[str], float] | None = None

    def uses(self, figure: Figure) -> bool:
        return figure.statistic.partition(":")[0] in self.statistics


def ranges(figures: Sequence[Figure], window: Floats, now: Floats) -> Floats:
    """Return the distance from the range of the window, as a multiple of the width of the range."""
    low, high = np.fmin.reduce(window), np.fmax.reduce(window)  # NaN only if all are
    share = np.array([figure.statistic in _SHARES for figure in figures])
    upward = np.array([figure.statistic in _UPWARD for figure in figures])
    floor = np.where(share, _FLOOR, _FLOOR * np.maximum(np.abs(low), np.abs(high)))
    below = np.where(upward, 0.0, low - now)
    beyond = np.maximum(np.maximum(below, now - high), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(beyond > 0, beyond / (high - low + floor), 0.0)
    return _usable(scores, window)


def distances(_figures: Sequence[Figure], window: Floats, now: Floats) -> Floats:
    """Return the figures themselves, where fixed limits apply to them."""
    return _usable(np.nan_to_num(now), window)


def deviations(_figures: Sequence[Figure], window: Floats, now: Floats) -> Floats:
    """Return absolute z-scores; 0 if the figure never changed, as Elementary does."""
    return _usable(_z(window, now), window)


def deviations_with_own(_figures: Sequence[Figure], window: Floats, now: Floats) -> Floats:
    """Return absolute z-scores with the batch in its own training set, Elementary's default."""
    return _usable(_z(np.vstack([window, now]), now), window)


def _z(training: Floats, now: Floats) -> Floats:
    count = (~np.isnan(training)).sum(axis=0)
    mean = np.nansum(training, axis=0) / np.maximum(count, 1)
    squares = np.nansum((training - mean) ** 2, axis=0)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    # Sums of equal floats differ in the last digits: such a deviation is none.
    none = deviation <= 1e-9 * np.abs(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(none, 0.0, np.abs(now - mean) / deviation)


def deviations_and_tests(figures: Sequence[Figure], window: Floats, now: Floats) -> Floats:
    """Return z-scores, and for what dbt tests the distance from the range of the window.

    dbt tests columns that never had nulls, keys that were never repeated, accepted values, and the
    first and the last time of the rows.
    """
    never = np.fmax.reduce(window) <= 0
    tested = np.array([_tested(figure) for figure in figures])
    no_z = np.array([figure.statistic in _NO_Z for figure in figures])
    is_time = np.array([figure.role == "time" for figure in figures])
    z = np.where(no_z, 0.0, deviations(figures, window, now))
    return np.where(tested & (never | no_z | is_time), ranges(figures, window, now), z)


_NO_Z = frozenset({"repeated_keys", "new_values"})
_TESTED = frozenset({"null_percent", *_NO_Z})


def _tested(figure: Figure) -> bool:
    return figure.statistic in _TESTED or (
        figure.role == "time" and figure.statistic in {"min", "max"}
    )


def _usable(scores: Floats, window: Floats) -> Floats:
    enough = (~np.isnan(window)).sum(axis=0) >= LEAST_BATCHES
    return np.where(enough, np.minimum(np.nan_to_num(scores, nan=0.0, posinf=MOST), MOST), 0.0)


_QUANTILES = frozenset(f"quantile_{q:02d}" for q in (5, 25, 50, 75, 95))
GREAT_EXPECTATIONS = Peer(
    "Great Expectations",
    frozenset({
        "row_count", "repeated_keys", "null_percent", "distinct_count", "distinct_share", "min",
        "max", "average", "standard_deviation", "sum", "zero_percent", "min_length", "max_length",
        "missing_percent", "true_share", "new_values", "divergence",
    }) | _QUANTILES,
    ranges,
)  # fmt: skip
_MONITORS = frozenset({
    "row_count", "null_percent", "null_count", "missing_percent", "min_length", "max_length",
    "average_length", "min", "max", "average", "standard_deviation", "sum", "zero_percent",
    "zero_count", "true_share", "distinct_count",
})  # fmt: skip
ELEMENTARY = Peer("Elementary", _MONITORS, deviations_with_own, lambda _kind: 3.0)
ELEMENTARY_TUNED = Peer(
    "Elementary and dbt", _MONITORS | {"dimension"} | _TESTED, deviations_and_tests
)
