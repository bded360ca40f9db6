"""Scores ("marks") of a batch against earlier batches, and the rows that do not fit.

A mark is a share from 0 to 1. Sharp marks test single rows: the value occurred before (support),
equals the key's last value (keyed), satisfies a declared relation, or falls in a usual hour of the
partition. Blunt marks test whole columns: their nulls, and the shape and location of their
distribution.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from headrace.contracts.drift.baseline import Baseline, Pool
from headrace.contracts.drift.batch_view import (
    HOUR,
    MINUTES_A_DAY,
    BatchView,
    Bools,
    Floats,
    ViewColumn,
)
from headrace.contracts.drift.dependencies import label, with_values
from headrace.contracts.drift.row_rules import delivered_inputs, time_names
from headrace.contracts.drift.statistics import STATISTICS

SOFT = 5  # fitting rows added to each sharp mark, so that few rows prove little
LEAST_BATCHES = 7  # least earlier batches with a mark for it to be compared
# Loss of a blunt mark that is tolerated beyond the usual loss.
FLOOR = {"shape": 0.15, "level": 0.25, "present": 0.05, "covered": 0.1, "pace": 0.01}
# Marks that are measures, not shares of fitting rows.
RAW = frozenset({"at", "off", "run", "still"}) | STATISTICS
_WIDE = 0.5  # values may lie outside the window's range by this multiple of the range
_FAR = 3.0  # ratio to the key's last value, or its inverse, from which a value is far
_BAND = 0.8  # quantile of a batch's residuals that sets the tolerance of a keyed mark
_CLOCK_BAND = 10.0  # greatest tolerance in minutes, so that a shift by an hour is noticed


@dataclass
class FitScores:
    """Marks of a batch; for each sharp mark also masks of its tested and its misfitting rows."""

    marks: dict[str, float] = field(default_factory=dict)
    tested: dict[str, Bools] = field(default_factory=dict)
    misfit: dict[str, Bools] = field(default_factory=dict)

    def sharp(self, mark: str, tested: Bools, misfit: Bools) -> None:
        count = int(tested.sum())
        if count:
            self.tested[mark], self.misfit[mark] = tested, misfit
            self.marks[mark] = 1 - int(misfit.sum()) / (count + SOFT)


Slack = Mapping[str, float]  # {column: tolerated rounding error of its values}


def fit(
    look: BatchView,
    reference: Baseline,
    columns: Iterable[str] | None = None,
    slack: Slack | None = None,
) -> FitScores:
    """Return the marks of `look`; with `columns`, only the marks that depend on those columns."""
    result = fit_columns(look, reference, columns, slack)
    fit_rules(result, look, reference, columns)
    return result


def fit_columns(
    look: BatchView,
    reference: Baseline,
    columns: Iterable[str] | None = None,
    slack: Slack | None = None,
) -> FitScores:
    """Return the marks of single columns and of columns by key, which are cheap to compute."""
    selected = set(look.columns if columns is None else columns)
    slack = slack or {}
    result = FitScores()
    for name in look.columns:
        if name in selected and name in reference.pools:
            _add_column_marks(result, look.columns[name], reference, slack.get(name, 0.0))
    for name, key in with_values(look, reference.last):
        if selected & {name, *key}:
            _add_keyed_marks(result, look, reference, (name, key), slack.get(name, 0.0))
    return result


def fit_rules(
    result: FitScores, look: BatchView, reference: Baseline, columns: Iterable[str] | None = None
) -> None:
    """Add the marks of relations, invariants and hours to `result`."""
    selected = set(look.columns if columns is None else columns)
    everywhere = np.ones(look.rows, bool)
    for name, broken in look.broken.items():
        if selected & look.rule_inputs[name]:
            result.sharp(f"relation:{name}", everywhere, broken)
    if columns is None or selected & time_inputs(look):
        for what, moments in (("event", look.event), ("known", look.known_at)):
            if moments is not None and look.start is not None:
                add_hour_marks(result, what, moments, look.start, reference)


def time_inputs(look: BatchView) -> frozenset[str]:
    """Return the delivered columns from which event time and known-at are computed."""
    return delivered_inputs(look.contract, time_names(look.contract))


# A column compared with its own values in earlier batches


def _add_column_marks(
    result: FitScores, column: ViewColumn, reference: Baseline, slack: float
) -> None:
    pool = reference.pools[column.name]
    name, rows = column.name, len(column.present)
    if rows:
        result.marks[f"present:{name}"] = float(column.present.mean())
    if not pool.total or not column.present.any():
        return
    if not pool.coarse:
        result.sharp(
            f"support:{name}", column.present, column.present & ~member(column, pool, slack)
        )
    if column.is_number:
        result.sharp(f"range:{name}", column.present, out_of_range(column, pool))
        values = column.values[column.present]
        result.marks[f"shape:{name}"] = 1 - distance(values, pool)
        middle = 2 * float(np.median(values / 2))  # halved: the sum of two values may overflow
        result.marks[f"at:{name}"] = middle
        level = _level_score(middle, reference.marks(f"at:{name}"))
        if level is not None:
            result.marks[f"level:{name}"] = level
    else:
        result.marks[f"shape:{name}"] = 1 - _total_variation(column, pool)


def member(column: ViewColumn, pool: Pool, slack: float = 0.0) -> Bools:
    """Return a mask of the rows whose value occurs in the window."""
    values_ = column.values if column.is_number else column.tokens
    if not column.is_number:
        return _is_exact_member(values_, pool)
    near = np.zeros(len(values_), bool)
    last = len(pool.values) - 1
    places = np.searchsorted(pool.values, values_)
    with np.errstate(invalid="ignore"):
        for shift in (-1, 0):
            closest = pool.values[np.clip(places + shift, 0, last)]
            near |= np.abs(closest - values_) <= slack + 1e-9 * np.abs(values_)
    return near


def out_of_range(column: ViewColumn, pool: Pool) -> Bools:
    """Return a mask of values far outside the window's range and of impossible clock times."""
    values = column.values
    low, high = float(pool.values[0]), float(pool.values[-1])
    room = _WIDE * (high - low)
    with np.errstate(invalid="ignore"):
        far: Bools = (values > high + room) | (values < low - room)
        if low > 0:
            far |= values < low / 2
        if column.kind == "clock":
            far |= (values < 0) | (values > MINUTES_A_DAY)
    return far


def _is_exact_member(values_: np.ndarray, pool: Pool) -> Bools:
    places = np.minimum(np.searchsorted(pool.values, values_), len(pool.values) - 1)
    matches: Bools = pool.values[places] == values_
    return matches


def distance(values: Floats, pool: Pool) -> float:
    """Return the Kolmogorov-Smirnov distance between the values and the pooled values."""
    at, counts = np.unique(values, return_counts=True)
    cumulative = np.cumsum(counts) / len(values)
    pooled = np.concatenate([[0], np.cumsum(pool.counts)]) / pool.total
    upto = pooled[np.searchsorted(pool.values, at, side="right")]
    below = pooled[np.searchsorted(pool.values, at, side="left")]
    return float(
        max(
            np.abs(cumulative - upto).max(), np.abs(cumulative - counts / len(values) - below).max()
        )
    )


def _total_variation(column: ViewColumn, pool: Pool) -> float:
    """Return the total variation distance between the batch's categories and the usual ones."""
    at, counts = np.unique(column.tokens[column.present], return_counts=True)
    share = counts / counts.sum()
    places = np.minimum(np.searchsorted(pool.values, at), len(pool.values) - 1)
    usual = np.where(pool.values[places] == at, pool.counts[places] / pool.total, 0.0)
    return float(np.maximum(share - usual, 0).sum())


def _level_score(middle: float, earlier: Floats) -> float | None:
    """Return 1 for a median within the range of earlier medians, less outside it, at least 0."""
    if len(earlier) < LEAST_BATCHES:
        return None
    low, high = float(earlier.min()), float(earlier.max())
    room = (high - low) + 0.1 * max(abs(low), abs(high)) + 1e-12
    outside = max(low - middle, middle - high, 0.0)
    return max(0.0, 1 - outside / room)


# A column compared with the last values of its keys


def _add_keyed_marks(
    result: FitScores,
    look: BatchView,
    reference: Baseline,
    pair: tuple[str, tuple[str, ...]],
    slack: float,
) -> None:
    name, key = pair
    mark = label(name, key)
    last = reference.last.get(mark)
    if last is None or not len(last.hashes):
        return
    column = look.columns[name]
    hashes, complete = look.key(key)
    places = np.minimum(np.searchsorted(last.hashes, hashes), len(last.hashes) - 1)
    tested = complete & column.present & (last.hashes[places] == hashes)
    expected = last.values[places]
    if not column.is_number:
        result.sharp(f"keyed:{mark}", tested, tested & (expected != column.tokens))
        return
    off = residual(column, expected)
    band = band_of(column, reference.marks(f"off:{mark}"))
    if tested.any():
        result.marks[f"off:{mark}"] = float(np.quantile(off[tested], _BAND))
    with np.errstate(invalid="ignore"):
        bound = slack if column.kind == "clock" else slack / np.maximum(np.abs(expected), 1e-9)
        result.sharp(f"keyed:{mark}", tested, tested & (off > band + bound + 1e-9))
    if column.kind == "number":
        _add_far_mark(result, mark, column.values, expected, tested)


def _add_far_mark(
    result: FitScores, mark: str, values: Floats, expected: Floats, tested: Bools
) -> None:
    """Add the mark of values far from their key's last value, by ratio, if both are positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        tested = tested & (values > 0) & (expected > 0)
        ratio = values / expected
        result.sharp(f"far:{mark}", tested, tested & ((ratio > _FAR) | (ratio < 1 / _FAR)))


def band_of(column: ViewColumn, earlier: Floats) -> float:
    """Return the usual distance of a value from its key's last value."""
    if not len(earlier):
        return _CLOCK_BAND if column.kind == "clock" else 0.1
    band = float(np.median(earlier))
    return min(band, _CLOCK_BAND) if column.kind == "clock" else band


def residual(column: ViewColumn, expected: Floats) -> Floats:
    """Return the distance from `expected`: minutes for clock times, otherwise relative to it."""
    with np.errstate(invalid="ignore"):
        off = np.abs(column.values - expected)
        if column.kind == "clock":
            off = off % MINUTES_A_DAY
            round_the_clock: Floats = np.minimum(off, MINUTES_A_DAY - off)
            return round_the_clock
        result: Floats = off / np.maximum(np.abs(expected), 1e-9)
    return result


# Hours of the partition


def add_hour_marks(
    result: FitScores, what: str, moments: Floats, start: int, reference: Baseline
) -> None:
    past = reference.hours(what)
    if not past.batches:
        return
    with np.errstate(invalid="ignore"):
        hours = np.floor((moments - start) / HOUR)
    usual = np.isin(hours, np.array(sorted(past.batches), np.float64))
    result.sharp(f"inside:{what}", np.ones(len(hours), bool), ~usual)
    if reference.batches >= LEAST_BATCHES:
        result.marks[f"pace:{what}"] = 1 - _hour_distance(hours[usual], past.shares)
    always = [hour for hour, times in past.batches.items() if times == reference.batches]
    if always and reference.batches >= LEAST_BATCHES:
        hours_ = set(hours[usual].tolist())
        result.marks[f"covered:{what}"] = sum(hour in hours_ for hour in always) / len(always)


def _hour_distance(hours: Floats, usual: Mapping[int, float]) -> float:
    """Return the share of rows that would have to change hour to match the usual distribution."""
    if not len(hours):
        return 1.0
    at, counts = np.unique(hours, return_counts=True)
    shares = dict(zip(at.astype(int).tolist(), (counts / len(hours)).tolist(), strict=True))
    return math.fsum(max(share - usual.get(hour, 0.0), 0.0) for hour, share in shares.items())


# Misfits beyond the usual, in rows


def badness(scores: FitScores, reference: Baseline, rows: int) -> dict[str, float]:
    """Return {mark: excess misfits in rows}; marks within the usual are omitted.

    For a sharp mark: the misfitting rows beyond the worst share in the window. For a blunt mark:
    its loss below the window's lowest value times the rows, if that loss exceeds half the window's
    range plus the mark's `FLOOR`.
    """
    excess_by_mark: dict[str, float] = {}
    for mark, value in scores.marks.items():
        kind = mark.partition(":")[0]
        if kind in RAW:
            continue
        earlier = reference.marks(mark)
        if len(earlier) < LEAST_BATCHES:
            continue
        low, high = float(earlier.min()), float(earlier.max())
        if mark in scores.tested:
            count = int(scores.tested[mark].sum()) + SOFT
            excess = (low - value) * count
            if excess > 0.5:
                excess_by_mark[mark] = excess
        else:
            loss = low - 0.5 * (high - low) - FLOOR[kind] - value
            if loss > 0:
                excess_by_mark[mark] = (low - value) * rows
    return excess_by_mark
