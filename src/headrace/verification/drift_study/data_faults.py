"""Faults of data: what deliveries, sensors and joins do to columns and rows. Labels stay as are.

Each takes `Rows`, a size and a generator, and returns other rows and the columns that it touched.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.verification.drift_study.row_edits import (
    Floats,
    Mask,
    Rows,
    numbers_of,
    numeric,
    texts_of,
    textual,
)

Touched = tuple[Rows, tuple[str, ...]]
Change = Callable[[Rows, float, np.random.Generator], Touched]
# Minutes for hours, metres for kilometres, feet for metres, kilometres for miles, and back.
FACTORS = (60.0, 1 / 60, 1000.0, 1 / 1000, 3.2808, 1 / 3.2808, 1.6093, 1 / 1.6093, 2.54, 100.0)
MANY = 8  # distinct values from which a column of numbers is a measurement
SENTINELS = (-999.0, 9999.0, -1e6)
ALONE = 0.35  # a level whose share is off by no more, relative to it, is a segment by itself
UNLIKE = 0.5  # Kolmogorov-Smirnov distance of two columns whose swap is a gross fault


def measurements(rows: Rows) -> list[str]:
    """Columns of numbers that measure something: mostly there, mostly not zero, of many values."""
    return [name for name in numeric(rows.history) if _measures(rows, name)]


def _measures(rows: Rows, name: str) -> bool:
    values, there = numbers_of(rows.before, name)
    some = values[there]
    known = len(some) >= len(values) / 2
    return known and len(np.unique(some)) >= MANY and int(np.count_nonzero(some)) >= len(some) / 2


def present(rows: Rows) -> list[str]:
    """Columns that are mostly there."""
    return [n for n in rows.history.watched if rows.before[n].null_count <= len(rows.before) / 2]


def _one(names: list[str], rng: np.random.Generator, what: str) -> str:
    if not names:
        raise DeclarationError(f"there is no column {what}", where="fault")
    return str(rng.choice(names))


def unit(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """One measurement in another unit; in a share `size` of the rows, those of some sources."""
    name = _one(measurements(rows), rng, "that measures")
    values, there = numbers_of(rows.table, name)
    other = values * float(rng.choice(FACTORS))
    return _set(rows, name, np.where(_some(rows, size, rng), other, values), there)


def vanished(rows: Rows, _size: float, rng: np.random.Generator) -> Touched:
    """A column that was renamed at its source: null from then on."""
    name = _one(present(rows), rng, "that is there")
    nothing = pa.nulls(rows.table.num_rows, rows.table.schema.field(name).type)
    return rows.with_columns({name: nothing}), (name,)


def swapped(rows: Rows, _size: float, rng: np.random.Generator) -> Touched:
    """Two unlike measurements under each other's name."""
    first, second = _unlike(rows, rng)
    one, other = (numbers_of(rows.table, name) for name in (first, second))
    done, _ = _set(rows, first, *other)
    done, _ = _set(done, second, *one)
    return done, (first, second)


def _unlike(rows: Rows, rng: np.random.Generator) -> tuple[str, str]:
    names = measurements(rows)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    for at in rng.permutation(len(pairs)):
        a, b = pairs[at]
        if distance(*(_known(rows, name) for name in (a, b))) >= UNLIKE:
            return a, b
    raise DeclarationError("no two measurements are unlike each other", where="fault")


def _known(rows: Rows, name: str) -> Floats:
    values, there = numbers_of(rows.before, name)
    return values[there]


def distance(a: Floats, b: Floats) -> float:
    """Kolmogorov-Smirnov: the greatest difference of two empirical distributions."""
    both = np.sort(np.concatenate([a, b]))
    low, high = (np.searchsorted(np.sort(one), both, side="right") / len(one) for one in (a, b))
    return float(np.abs(low - high).max())


def missing(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A share `size` of one column's values is null, here and there."""
    name = _one(present(rows), rng, "that is there")
    gone = pa.array(rng.random(rows.table.num_rows) < size)
    column = rows.table[name].combine_chunks()
    nothing = pa.scalar(None, column.type)
    return rows.with_columns({name: pa.compute.if_else(gone, nothing, column)}), (name,)


def unseen(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A share `size` of the rows of a text column has codes that never were."""
    name = _one(textual(rows.history), rng, "of text")
    new = rng.random(rows.table.num_rows) < size
    values = texts_of(rows.table, name)
    values[new] = [f"new {code}" for code in rng.integers(0, 3, int(new.sum()))]
    return rows.with_columns({name: pa.array(values, pa.string())}), (name,)


def frozen(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A measurement repeats its last value: everywhere, or for the sources of a share `size`."""
    name = _one(measurements(rows), rng, "that measures")
    values, there = numbers_of(rows.table, name)
    last = _known(rows, name)[-1]
    stuck = _some(rows, size, rng)
    return _set(rows, name, np.where(stuck, last, values), there | stuck)


def bias(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A sensor reads `size` of its usual standard deviations too much, or too little."""
    name = _one(measurements(rows), rng, "that measures")
    values, there = numbers_of(rows.table, name)
    usual = float(np.std(_known(rows, name)))
    return _set(rows, name, values + float(rng.choice([-1, 1])) * size * usual, there)


def sentinel(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A share `size` of a measurement is a number that stands for no value."""
    name = _one(measurements(rows), rng, "that measures")
    values, there = numbers_of(rows.table, name)
    mark = float(rng.choice(SENTINELS))
    marked = rng.random(len(values)) < size
    return _set(rows, name, np.where(marked, mark, values), there | marked)


def doubled(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """A share `size` of the rows comes twice."""
    count = rows.table.num_rows
    again = np.flatnonzero(rng.random(count) < size)
    return rows.take(np.concatenate([np.arange(count), again])), ("rows",)


def truncated(rows: Rows, size: float, _rng: np.random.Generator) -> Touched:
    """The last share `size` of each day's rows never came."""
    day = (rows.table["t"].to_numpy() - rows.history.t[0]) // DAY
    starts, counts = np.unique(day, return_index=True, return_counts=True)[1:]
    kept = [
        np.arange(first, first + max(1, round(n * (1 - size))))
        for first, n in zip(starts, counts, strict=True)
    ]
    if len(starts) == rows.table.num_rows:  # a row a day: the days themselves did not come
        kept = [np.arange(round(rows.table.num_rows * (1 - size)))]
    return rows.take(np.concatenate(kept)), ("rows",)


def lost(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """The rows of some sources, a share `size` of all, never came."""
    gone = _some(rows, size, rng)
    return rows.take(np.flatnonzero(~gone)), ("rows", *rows.history.segments)


def misjoined(rows: Rows, _size: float, rng: np.random.Generator) -> Touched:
    """The values of one measurement went to other rows of the same days: a join on a wrong key."""
    name = _one(measurements(rows), rng, "that measures")
    order = rng.permutation(rows.table.num_rows)
    return rows.with_columns({name: rows.table[name].combine_chunks().take(pa.array(order))}), (
        name,
    )


def covariate(rows: Rows, size: float, rng: np.random.Generator) -> Touched:
    """Other rows than usual, of the same relation: drawn again, weighted by one measurement.

    Whole rows are drawn, with weights exp(size * z), where z is the measurement's normal score: of
    rows with equal inputs the share of each label is what it was. Its mean moves by about `size`
    standard deviations.
    """
    name = _one(measurements(rows), rng, "that measures")
    values, there = numbers_of(rows.table, name)
    z = normal_scores(np.where(there, values, np.median(values[there]) if there.any() else 0.0))
    weight = np.exp(float(rng.choice([-1, 1])) * size * z)
    drawn = rng.choice(len(z), len(z), p=weight / weight.sum())
    return rows.take(drawn), (name,)


def normal_scores(values: Floats) -> Floats:
    """Ranks, ties in order, as quantiles of the standard normal (Blom's positions)."""
    from statistics import NormalDist

    n = len(values)
    quantile = NormalDist().inv_cdf
    table = np.array([quantile((k + 0.625) / (n + 0.25)) for k in range(n)])
    place = np.empty(n, np.int64)
    place[np.argsort(values, kind="stable")] = np.arange(n)
    return table[place]


def _some(rows: Rows, size: float, rng: np.random.Generator) -> Mask:
    """All rows for a size of 1, else those of levels of a segment, about that share of the rows."""
    if size >= 1:
        return np.ones(rows.table.num_rows, np.bool_)
    return segment(rows, size, rng)[0]


def segment(
    rows: Rows, share: float, rng: np.random.Generator
) -> tuple[Mask, dict[str, tuple[str, ...]]]:
    """Rows of levels of one segment column, about this share of the rows, and which levels.

    One level, where one has about that share; else levels are added in an order of chance while
    that comes nearer. Where even the least level is much larger, chance takes some of its rows.
    """
    found = [_levels(rows, name, share, rng) for name in rows.history.segments]
    if not found:
        raise DeclarationError("no segments are declared", where=rows.history.name)
    near = [one for one in found if one[0] <= share / 2] or [min(found, key=lambda one: one[0])]
    _, name, levels, total = near[int(rng.integers(len(near)))]
    mask = np.isin(texts_of(rows.table, name).astype(str), levels)
    if total > 1.5 * share:
        mask &= rng.random(len(mask)) < share / total
    return mask, {name: levels}


def _levels(
    rows: Rows, name: str, share: float, rng: np.random.Generator
) -> tuple[float, str, tuple[str, ...], float]:
    """Levels of one column: how far off the share they are, the column, they, and their share."""
    usual = texts_of(rows.before, name).astype(str)
    levels, counts = np.unique(usual, return_counts=True)
    near = np.flatnonzero(np.abs(counts / len(usual) - share) <= share * ALONE)
    if len(near):
        at = int(rng.choice(near))
        return 0.0, name, (str(levels[at]),), float(counts[at] / len(usual))
    chosen: list[str] = []
    total = 0.0
    for at in rng.permutation(len(levels)):
        more = counts[at] / len(usual)
        if abs(total + more - share) < abs(total - share):
            chosen.append(str(levels[at]))
            total += more
    if not chosen:
        least = int(np.argmin(counts))
        chosen, total = [str(levels[least])], counts[least] / len(usual)
    return abs(total - share), name, tuple(chosen), float(total)


def _set(rows: Rows, name: str, values: Floats, there: Mask) -> Touched:
    """The rows with these numbers in a column; integers stay integers."""
    field = rows.table.schema.field(name).type
    limit = 2.0**53
    whole = not pa.types.is_floating(field)
    values = np.where(there, values, 0.0)
    values = np.clip(np.rint(values), -limit, limit) if whole else values
    if whole and field.bit_width < 64:
        bound = np.iinfo(field.to_pandas_dtype())
        values = np.clip(values, bound.min, bound.max)
    numbers = pa.array(values.astype(np.int64) if whole else values, mask=~there)
    return rows.with_columns({name: numbers}), (name,)
