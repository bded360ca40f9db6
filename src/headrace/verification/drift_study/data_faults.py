"""Data faults: deliveries, sensors and joins that damage columns and rows; labels stay the same.

Each fault takes `HistoryRows`, a size and a random generator, and returns the changed rows and the
names of the touched columns.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.verification.drift_study.row_edits import (
    Floats,
    HistoryRows,
    Mask,
    numbers_of,
    numeric,
    texts_of,
    textual,
)

Touched = tuple[HistoryRows, tuple[str, ...]]
Change = Callable[[HistoryRows, float, np.random.Generator], Touched]
# Unit factors in both directions: minute/hour, metre/km, foot/metre, km/mile, and others.
FACTORS = (60.0, 1 / 60, 1000.0, 1 / 1000, 3.2808, 1 / 3.2808, 1.6093, 1 / 1.6093, 2.54, 100.0)
MANY = 8  # minimum number of distinct values of a measurement
SENTINELS = (-999.0, 9999.0, -1e6)
# A single category is used as a segment if its share differs from the required share by at most
# this fraction of it.
SHARE_TOLERANCE = 0.35
UNLIKE = 0.5  # minimum Kolmogorov-Smirnov distance between two columns to be swapped


def measurements(rows: HistoryRows) -> list[str]:
    """Return measurement columns: numeric, mostly not null and not zero, with many values."""
    return [name for name in numeric(rows.history) if _measures(rows, name)]


def _measures(rows: HistoryRows, name: str) -> bool:
    values, valid = numbers_of(rows.before, name)
    valid_values = values[valid]
    mostly_valid = len(valid_values) >= len(values) / 2
    return (
        mostly_valid
        and len(np.unique(valid_values)) >= MANY
        and int(np.count_nonzero(valid_values)) >= len(valid_values) / 2
    )


def present(rows: HistoryRows) -> list[str]:
    """Return columns that are mostly not null."""
    return [n for n in rows.history.watched if rows.before[n].null_count <= len(rows.before) / 2]


def _random_column(names: list[str], rng: np.random.Generator, what: str) -> str:
    if not names:
        raise DeclarationError(f"there is no column {what}", where="fault")
    return str(rng.choice(names))


def unit(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Change the unit of one measurement in a segment with a share `size` of the rows."""
    name = _random_column(measurements(rows), rng, "that measures")
    values, valid = numbers_of(rows.table, name)
    other = values * float(rng.choice(FACTORS))
    return _set(rows, name, np.where(_affected_rows(rows, size, rng), other, values), valid)


def vanished(rows: HistoryRows, _size: float, rng: np.random.Generator) -> Touched:
    """Set a column to null, as if it had been renamed at its source."""
    name = _random_column(present(rows), rng, "that is there")
    nulls = pa.nulls(rows.table.num_rows, rows.table.schema.field(name).type)
    return rows.with_columns({name: nulls}), (name,)


def swapped(rows: HistoryRows, _size: float, rng: np.random.Generator) -> Touched:
    """Exchange the names of two measurements with different distributions."""
    first, second = _unlike(rows, rng)
    first_values, second_values = (numbers_of(rows.table, name) for name in (first, second))
    changed, _ = _set(rows, first, *second_values)
    changed, _ = _set(changed, second, *first_values)
    return changed, (first, second)


def _unlike(rows: HistoryRows, rng: np.random.Generator) -> tuple[str, str]:
    names = measurements(rows)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    for at in rng.permutation(len(pairs)):
        a, b = pairs[at]
        if distance(*(_usual_values(rows, name) for name in (a, b))) >= UNLIKE:
            return a, b
    raise DeclarationError("no two measurements have different distributions", where="fault")


def _usual_values(rows: HistoryRows, name: str) -> Floats:
    values, valid = numbers_of(rows.before, name)
    return values[valid]


def distance(a: Floats, b: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of two empirical distributions."""
    both = np.sort(np.concatenate([a, b]))
    low, high = (
        np.searchsorted(np.sort(sample), both, side="right") / len(sample) for sample in (a, b)
    )
    return float(np.abs(low - high).max())


def missing(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Set a random share `size` of one column's values to null."""
    name = _random_column(present(rows), rng, "that is there")
    null_mask = pa.array(rng.random(rows.table.num_rows) < size)
    column = rows.table[name].combine_chunks()
    null = pa.scalar(None, column.type)
    return rows.with_columns({name: pa.compute.if_else(null_mask, null, column)}), (name,)


def unseen(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Replace a share `size` of a text column's values by codes that never occurred before."""
    name = _random_column(textual(rows.history), rng, "of text")
    new = rng.random(rows.table.num_rows) < size
    values = texts_of(rows.table, name)
    values[new] = [f"new {code}" for code in rng.integers(0, 3, int(new.sum()))]
    return rows.with_columns({name: pa.array(values, pa.string())}), (name,)


def frozen(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Repeat a measurement's last earlier value in a segment with a share `size` of the rows."""
    name = _random_column(measurements(rows), rng, "that measures")
    values, valid = numbers_of(rows.table, name)
    last = _usual_values(rows, name)[-1]
    stuck = _affected_rows(rows, size, rng)
    return _set(rows, name, np.where(stuck, last, values), valid | stuck)


def bias(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Shift a measurement by `size` of its usual standard deviations, up or down."""
    name = _random_column(measurements(rows), rng, "that measures")
    values, valid = numbers_of(rows.table, name)
    usual = float(np.std(_usual_values(rows, name)))
    return _set(rows, name, values + float(rng.choice([-1, 1])) * size * usual, valid)


def sentinel(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Replace a share `size` of a measurement's values by a number that means "no value"."""
    name = _random_column(measurements(rows), rng, "that measures")
    values, valid = numbers_of(rows.table, name)
    mark = float(rng.choice(SENTINELS))
    marked = rng.random(len(values)) < size
    return _set(rows, name, np.where(marked, mark, values), valid | marked)


def doubled(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Deliver a share `size` of the rows twice."""
    count = rows.table.num_rows
    repeats = np.flatnonzero(rng.random(count) < size)
    return rows.take(np.concatenate([np.arange(count), repeats])), ("rows",)


def truncated(rows: HistoryRows, size: float, _rng: np.random.Generator) -> Touched:
    """Drop the last share `size` of each day's rows."""
    day = (rows.table["t"].to_numpy() - rows.history.t[0]) // DAY
    starts, counts = np.unique(day, return_index=True, return_counts=True)[1:]
    places = [
        np.arange(first, first + max(1, round(n * (1 - size))))
        for first, n in zip(starts, counts, strict=True)
    ]
    if len(starts) == rows.table.num_rows:  # one row per day: drop whole days
        places = [np.arange(round(rows.table.num_rows * (1 - size)))]
    return rows.take(np.concatenate(places)), ("rows",)


def segment_missing(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Drop all rows of a segment with a share `size` of the rows."""
    dropped = _affected_rows(rows, size, rng)
    return rows.take(np.flatnonzero(~dropped)), ("rows", *rows.history.segments)


def misjoined(rows: HistoryRows, _size: float, rng: np.random.Generator) -> Touched:
    """Shuffle one measurement's values between the rows of the window, like a wrong join key."""
    name = _random_column(measurements(rows), rng, "that measures")
    order = rng.permutation(rows.table.num_rows)
    return rows.with_columns({name: rows.table[name].combine_chunks().take(pa.array(order))}), (
        name,
    )


def covariate(rows: HistoryRows, size: float, rng: np.random.Generator) -> Touched:
    """Shift the inputs, but not the relation of labels to inputs: resample whole rows.

    Rows are drawn with weights exp(size * z), where z is the normal score of one measurement.
    Among rows with equal inputs the share of each label stays the same. The measurement's mean
    moves by about `size` standard deviations.
    """
    name = _random_column(measurements(rows), rng, "that measures")
    values, valid = numbers_of(rows.table, name)
    z = normal_scores(np.where(valid, values, np.median(values[valid]) if valid.any() else 0.0))
    weight = np.exp(float(rng.choice([-1, 1])) * size * z)
    drawn = rng.choice(len(z), len(z), p=weight / weight.sum())
    return rows.take(drawn), (name,)


def normal_scores(values: Floats) -> Floats:
    """Convert values to normal scores by their ranks (Blom's formula); ties by position."""
    from statistics import NormalDist

    n = len(values)
    quantile = NormalDist().inv_cdf
    table = np.array([quantile((k + 0.625) / (n + 0.25)) for k in range(n)])
    place = np.empty(n, np.int64)
    place[np.argsort(values, kind="stable")] = np.arange(n)
    return table[place]


def _affected_rows(rows: HistoryRows, size: float, rng: np.random.Generator) -> Mask:
    """Return a mask of all rows if `size` is 1, else of a segment with about that share of rows."""
    if size >= 1:
        return np.ones(rows.table.num_rows, np.bool_)
    return segment(rows, size, rng)[0]


def segment(
    rows: HistoryRows, share: float, rng: np.random.Generator
) -> tuple[Mask, dict[str, tuple[str, ...]]]:
    """Select about `share` of the rows, by categories of a segment column.

    If a single category has about that share, it is used. Otherwise the categories are tried in
    random order, and each one is added that brings the total closer to `share`. If even the rarest
    category is much larger, a random part of its rows is used.

    Returns:
        The mask of the rows, and {segment column: selected categories}.
    """
    candidates = [_levels(rows, name, share, rng) for name in rows.history.segments]
    if not candidates:
        raise DeclarationError("no segments are declared", where=rows.history.name)
    near = [candidate for candidate in candidates if candidate[0] <= share / 2] or [
        min(candidates, key=lambda candidate: candidate[0])
    ]
    _, name, levels, total = near[int(rng.integers(len(near)))]
    mask = np.isin(texts_of(rows.table, name).astype(str), levels)
    if total > 1.5 * share:
        mask &= rng.random(len(mask)) < share / total
    return mask, {name: levels}


def _levels(
    rows: HistoryRows, name: str, share: float, rng: np.random.Generator
) -> tuple[float, str, tuple[str, ...], float]:
    """Return (distance from the share, column, selected categories, their total share)."""
    usual = texts_of(rows.before, name).astype(str)
    levels, counts = np.unique(usual, return_counts=True)
    near = np.flatnonzero(np.abs(counts / len(usual) - share) <= share * SHARE_TOLERANCE)
    if len(near):
        at = int(rng.choice(near))
        return 0.0, name, (str(levels[at]),), float(counts[at] / len(usual))
    subset: list[str] = []
    total = 0.0
    for at in rng.permutation(len(levels)):
        level_share = counts[at] / len(usual)
        if abs(total + level_share - share) < abs(total - share):
            subset.append(str(levels[at]))
            total += level_share
    if not subset:
        rarest = int(np.argmin(counts))
        subset, total = [str(levels[rarest])], counts[rarest] / len(usual)
    return abs(total - share), name, tuple(subset), float(total)


def _set(rows: HistoryRows, name: str, values: Floats, valid: Mask) -> Touched:
    """Set the numbers of a column; integer columns are rounded and clipped to their type."""
    field = rows.table.schema.field(name).type
    limit = 2.0**53
    integral = not pa.types.is_floating(field)
    values = np.where(valid, values, 0.0)
    values = np.clip(np.rint(values), -limit, limit) if integral else values
    if integral and field.bit_width < 64:
        bound = np.iinfo(field.to_pandas_dtype())
        values = np.clip(values, bound.min, bound.max)
    numbers = pa.array(values.astype(np.int64) if integral else values, mask=~valid)
    return rows.with_columns({name: numbers}), (name,)
