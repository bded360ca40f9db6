"""Statistics of a batch that later batches are compared with, and their prediction from the past.

A statistic is a number such as the median of a column, a share of zeros, or the number of rows.
It is surprising if it lies further from its prediction than past batches did from theirs.
"""

import math

import numpy as np

from headrace.contracts.drift.batch_view import (
    HOUR,
    BatchView,
    Floats,
    ViewColumn,
    once_a_batch,
)
from headrace.contracts.drift.row_rules import delivered_inputs, time_names

LEAST_ROWS = 5  # least values of a column for its statistics
LEAST_PAST = 14  # least earlier batches with a statistic for a prediction
_SEASON = 7  # batches; a week if they are daily
GRAINS = (10.0, 1.0, 0.1, 0.01)  # multiples that rounded numbers are tested for, in the unit
# Statistics from 0 to 1, compared as angles, whose sampling error does not depend on the share.
SHARES = frozenset({"zero", "negative", "filled", "top", "roof", "floor"})
STATISTICS = SHARES | {"middle", "low", "high", "rows", "twice", "key", "end"}


@once_a_batch
def statistics_of(look: BatchView) -> dict[str, float]:
    """Return {"kind:column": statistic}; see `STATISTICS` for the kinds."""
    if not look.rows:
        return {}
    result = {"rows:": float(look.rows), "twice:": _share_of_copies(look)}
    if look.event is not None and look.start is not None and not np.isnan(look.event).all():
        result["end:"] = float(np.nanmax(look.event) - look.start) / HOUR
    for column in look.columns.values():
        result[f"filled:{column.name}"] = float(column.present.mean())
        if int(column.present.sum()) < LEAST_ROWS:
            continue
        if column.kind == "text":
            _, counts = np.unique(column.tokens[column.present], return_counts=True)
            result[f"top:{column.name}"] = float(counts.max() / counts.sum())
        elif column.kind == "number":
            result |= _of_numbers(column)
    for column in counters(look):
        result[f"key:{column.name}"] = float(np.median(column.values[column.present]))
    return result


@once_a_batch
def counters(look: BatchView) -> list[ViewColumn]:
    """Return the whole numbers in the primary key that number the rows, such as of an order."""
    return [
        column
        for name in look.contract.primary_key
        if (column := look.columns.get(name)) is not None
        and column.kind == "number"
        and look.contract.field(name).type == "integer"
        and name not in delivered_inputs(look.contract, time_names(look.contract))
        and column.present.any()
        and len(np.unique(column.values[column.present])) == int(column.present.sum())
    ]


def _of_numbers(column: ViewColumn) -> dict[str, float]:
    values, name = column.values[column.present], column.name
    low, middle, high = levels_of(values)
    return {
        f"low:{name}": low,
        f"middle:{name}": middle,
        f"high:{name}": high,
        f"zero:{name}": float((values == 0).mean()),
        f"negative:{name}": float((values < 0).mean()),
        f"roof:{name}": float((values == values.max()).mean()),
        f"floor:{name}": float((values == values.min()).mean()),
    }


_LEVELS = np.arange(0.05, 0.951, 0.05)


def levels_of(values: Floats) -> tuple[float, float, float]:
    """Return the mean of the lower, of all, and of the upper of 19 quantiles from 5 to 95 %.

    Unlike single quantiles, means of quantiles move little if few rows of a column of small whole
    numbers change.
    """
    quantiles = np.quantile(values, _LEVELS)
    return float(quantiles[:5].mean()), float(quantiles.mean()), float(quantiles[-5:].mean())


def share_finer(values: Floats, grain: float) -> float:
    """Return the share of values that are not multiples of `grain`."""
    parts = values / grain
    return float((np.abs(parts - np.rint(parts)) > 1e-6).mean())


@once_a_batch
def copies(look: BatchView) -> np.ndarray:
    """Return a mask of the rows that repeat an earlier row in all columns but whole-number keys."""
    aside = {column.name for column in counters(look)}
    names = tuple(name for name in look.columns if name not in aside)
    if not names:
        return np.zeros(look.rows, bool)
    hashes, _ = look.key(names)
    _, first = np.unique(hashes, return_index=True)
    repeats = np.ones(look.rows, bool)
    repeats[first] = False
    return repeats


def _share_of_copies(look: BatchView) -> float:
    return float(copies(look).mean())


def chance_of(count: int, rows: int, rate: float) -> float:
    """Return the binomial probability that at least `count` of `rows` have a property of a rate."""
    if count <= 0 or count > rows or rate <= 0 or rate >= 1:
        return float(count <= 0 or (count <= rows and rate >= 1))
    terms = (
        math.lgamma(rows + 1)
        - math.lgamma(n + 1)
        - math.lgamma(rows - n + 1)
        + n * math.log(rate)
        + (rows - n) * math.log1p(-rate)
        for n in range(count)
    )
    return max(0.0, 1.0 - math.fsum(map(math.exp, terms)))


def surprise(kind: str, past: Floats, now: float, rows: int) -> float:
    """Return how far `now` lies from its prediction, in units of the worst past error.

    `past` is the statistic in the window's batches, oldest first. A batch is predicted by the
    batch before, by the one a week before, and by the median of two weeks; the nearest counts. A
    value within the range of the past is not surprising. Up to 1 is usual.
    """
    if len(past) < LEAST_PAST or past.min() <= now <= past.max():
        return 0.0
    scale = max(float(np.median(np.abs(past))), 0.25 * float(np.abs(past).max())) or 1.0
    series = _scaled(kind, np.append(past, now), scale)
    errors = _errors(series)
    last, low, high = series[-1], series[:-1].min(), series[:-1].max()
    outside = max(low - last, last - high, 0.0)
    floor = 2.0 / np.sqrt(max(rows, 1)) if kind in SHARES else 0.05
    worst = max(float(errors[:-1].max()), 0.25 * float(high - low), floor)
    return float(min(errors[-1], outside) / worst)


def _errors(series: Floats) -> Floats:
    """Return the error of each value's prediction, from the eighth value on."""
    at = np.arange(_SEASON, len(series))
    first = [np.median(series[:end]) for end in range(_SEASON, 2 * _SEASON)]
    windows = np.lib.stride_tricks.sliding_window_view(series[:-1], 2 * _SEASON)
    medians = np.concatenate([first, np.median(windows, axis=1)])[: len(at)]
    guesses = np.stack([series[at - 1], series[at - _SEASON], medians])
    errors: Floats = np.abs(guesses - series[at]).min(axis=0)
    return errors


def _scaled(kind: str, values: Floats, scale: float) -> Floats:
    """Return shares as angles, and other statistics on a scale that is logarithmic far from 0."""
    if kind in SHARES:
        angles: Floats = np.arcsin(np.sqrt(np.clip(values, 0, 1)))
        return angles
    logarithms: Floats = np.log1p(values) if kind == "rows" else np.arcsinh(values / scale)
    return logarithms
