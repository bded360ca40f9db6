"""Figures of a batch that peers compare with those of earlier batches.

Every figure has a name, `statistic` of `column`; the names of a table are fixed after its first
days (`Layout`), so that the figures of a batch are one vector.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.gate_bank_peers.batches import EVENT_TIME, Batch
from headrace.contracts import Contract

Floats = NDArray[np.float64]
MOST_LEVELS = 1000  # distinct values of a column over the first days, to be a category
MOST_NUMBERS = 30  # the same of a column of integers
MOST_DIMENSIONS = 20  # values of a category that are counted one by one
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NUMERIC = ("min", "max", "average", "standard_deviation", "zero_percent", "zero_count", "sum",
           *(f"quantile_{int(q * 100):02d}" for q in QUANTILES))  # fmt: skip
TEXT = ("min_length", "max_length", "average_length", "missing_percent")
ANY = ("null_percent", "null_count", "distinct_count", "distinct_share")
BOOLEAN = ("true_share",)
# Distances of a category from the window: share of rows with new values, largest difference of the
# share of a value, and Kullback-Leibler divergence.
LEVELS = ("new_values", "infinity_norm", "divergence")
JENSEN_SHANNON = "jensen_shannon"
BINS = 10


@dataclass(frozen=True)
class Figure:
    """Name of a figure. `role` is number, key, time, text, category, boolean or table."""

    statistic: str
    column: str
    role: str

    @property
    def kind(self) -> str:
        """Kind of check: figures of a kind have one margin."""
        statistic = self.statistic.partition(":")[0]
        return f"{statistic} of {self.role}"


@dataclass(frozen=True)
class Layout:
    """Figures of a table.

    Attributes:
        key: columns of the primary key.
        categories: columns that have few distinct values, with the most frequent ones.
        figures: names of the figures, in order.
    """

    key: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    roles: dict[str, str]
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, contract: Contract, first: Sequence[Batch]) -> "Layout":
        """Choose the figures from the first batches of a table."""
        names = list(first[0].columns)
        key = tuple(c.name for c in contract.delivered if c.primary_key_position is not None)
        times = {c.name for c in contract.delivered if c.type == "timestamp"} | {EVENT_TIME}
        categories, roles = {}, {}
        for name in names:
            kind = first[0].columns[name].type
            whole = pa.concat_arrays([batch.columns[name] for batch in first])
            levels = _levels(whole) if name not in key and name not in times else Counter()
            if levels:
                categories[name] = tuple(v for v, _ in levels.most_common(MOST_DIMENSIONS))
            roles[name] = _role(name, kind, key, times, bool(levels))
        figures = [
            Figure("row_count", "", "table"),
            Figure("repeated_keys", "+".join(key), "table"),
        ]
        for name in names:
            figures += [Figure(s, name, roles[name]) for s in _statistics(first[0].columns[name])]
        for name, levels in categories.items():
            figures += [Figure(s, name, "category") for s in LEVELS]
            figures += [Figure(f"dimension:{level}", name, "category") for level in levels]
        figures += [
            Figure(JENSEN_SHANNON, name, roles[name])
            for name in names
            if _is_number(first[0], name)
        ]
        return cls(key, categories, roles, tuple(figures))


def _role(name: str, kind: pa.DataType, key: Sequence[str], times: set[str], category: bool) -> str:
    if name in times:
        return "time"
    if name in key and pa.types.is_integer(kind):
        return "key"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_string(kind):
        return "category" if category else "text"
    return "number"


def _is_number(batch: Batch, name: str) -> bool:
    kind = batch.columns[name].type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _statistics(values: pa.Array) -> tuple[str, ...]:
    if pa.types.is_string(values.type):
        return (*ANY, *TEXT)
    if pa.types.is_boolean(values.type):
        return (*ANY, *BOOLEAN)
    return (*ANY, *NUMERIC)


def _levels(whole: pa.Array) -> Counter[str]:
    """Return the values of a category with their counts; none if the column is not one."""
    if pa.types.is_floating(whole.type):
        return Counter()
    counts = counted(whole)
    most = MOST_NUMBERS if pa.types.is_integer(whole.type) else MOST_LEVELS
    few = 2 <= len(counts) <= min(most, len(whole) // 5)
    return counts if few else Counter()


def counted(values: pa.Array) -> Counter[str]:
    """Return the number of rows of each value as text, without nulls."""
    pairs = pc.value_counts(values.drop_null().cast(pa.string()))
    texts, counts = pairs.field("values").to_pylist(), pairs.field("counts").to_pylist()
    return Counter(dict(zip(texts, counts, strict=True)))


@dataclass
class Measured:
    """Figures of a batch in the order of the layout, and what distances need.

    Figures that are distances from the window are NaN until `with_distances`.
    """

    figures: Floats
    counts: dict[str, Counter[str]]
    numbers: dict[str, Floats]
    rows: int


def measure(layout: Layout, batch: Batch) -> Measured:
    """Compute the figures of a batch that need no other batch."""
    values: dict[tuple[str, str], float] = {("row_count", ""): batch.rows}
    key = "+".join(layout.key)
    values["repeated_keys", key] = _repeated(layout, batch) if layout.key else 0.0
    counts = {name: counted(batch.columns[name]) for name in layout.categories}
    numbers = {}
    for name, column in batch.columns.items():
        for statistic, value in _of_column(column).items():
            values[statistic, name] = value
        if _is_number(batch, name):
            cells = column.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            numbers[name] = np.sort(cells)
    for name, levels in layout.categories.items():
        for level in levels:
            values[f"dimension:{level}", name] = counts[name][level]
    vector = [values.get((f.statistic, f.column), np.nan) for f in layout.figures]
    return Measured(np.array(vector, float), counts, numbers, batch.rows)


def _repeated(layout: Layout, batch: Batch) -> float:
    """Return the share of rows whose key another row has."""
    table = pa.table({name: batch.columns[name] for name in layout.key})
    distinct = table.group_by(list(layout.key)).aggregate([]).num_rows
    return (table.num_rows - distinct) / max(1, table.num_rows)


def _of_column(column: pa.Array) -> dict[str, float]:
    valid = column.drop_null()
    rows, count = max(1, len(column)), len(valid)
    distinct = float(pc.count_distinct(valid).as_py())
    values = {
        "null_percent": column.null_count / rows,
        "null_count": float(column.null_count),
        "distinct_count": distinct,
    }
    if not count:
        return values
    values["distinct_share"] = distinct / count
    if pa.types.is_string(column.type):
        lengths = pc.utf8_length(valid).to_numpy()
        empty = column.null_count + (lengths == 0).sum()
        values |= {
            "min_length": lengths.min(), "max_length": lengths.max(),
            "average_length": lengths.mean(), "missing_percent": empty / rows,
        }  # fmt: skip
    elif pa.types.is_boolean(column.type):
        values["true_share"] = pc.mean(valid.cast(pa.int8())).as_py()
    else:
        cells = valid.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        zeros = float((cells == 0).sum())
        values |= {
            "min": cells.min(), "max": cells.max(), "average": cells.mean(), "sum": cells.sum(),
            "zero_percent": zeros / rows, "zero_count": zeros,
        }  # fmt: skip
        if count > 1:
            values["standard_deviation"] = cells.std(ddof=1)
        quantiles = np.quantile(cells, QUANTILES)
        names = (f"quantile_{int(q * 100):02d}" for q in QUANTILES)
        values |= dict(zip(names, quantiles, strict=True))
    return values


class Window:
    """Sliding window of clean batches, with pooled counts and numbers."""

    def __init__(self, layout: Layout, size: int) -> None:
        self.layout, self.size = layout, size
        self.batches: list[Measured] = []
        self.pooled: dict[str, Counter[str]] = {name: Counter() for name in layout.categories}
        self.place = {(f.statistic, f.column): at for at, f in enumerate(layout.figures)}

    def add(self, measured: Measured) -> None:
        self.batches.append(measured)
        for name, counts in measured.counts.items():
            self.pooled[name].update(counts)
        if len(self.batches) > self.size:
            for name, counts in self.batches.pop(0).counts.items():
                self.pooled[name].subtract(counts)

    def matrix(self) -> Floats:
        """Return the figures of the batches in the window, a row for each."""
        return np.stack([measured.figures for measured in self.batches])

    def bins(self) -> dict[str, tuple[Floats, Floats]]:
        """Return limits of bins with equally many numbers of the window, and the shares in them."""
        probabilities = np.linspace(0, 1, BINS + 1)[1:-1]
        found = {}
        for name in self.batches[0].numbers:
            whole = np.concatenate([b.numbers[name] for b in self.batches])
            if len(whole):
                limits = np.unique(np.quantile(whole, probabilities))
                found[name] = limits, _shares(whole, limits)
        return found

    def with_distances(
        self, measured: Measured, bins: dict[str, tuple[Floats, Floats]]
    ) -> Measured:
        """Set the figures that are distances from the window."""
        figures = measured.figures.copy()
        for name, pooled in self.pooled.items():
            distances = _distances(measured.counts[name], pooled)
            for statistic, value in zip(LEVELS, distances, strict=True):
                figures[self.place[statistic, name]] = value
        for name, (edges, usual) in bins.items():
            if len(measured.numbers[name]):
                distance = _jensen_shannon(_shares(measured.numbers[name], edges), usual)
                figures[self.place[JENSEN_SHANNON, name]] = distance
        return Measured(figures, measured.counts, measured.numbers, measured.rows)


def _shares(numbers: Floats, edges: Floats) -> Floats:
    """Return the share of numbers below, between, on and above the limits."""
    # A limit on which many numbers lie is a bin of its own, as for a column that is mostly zero.
    left = np.searchsorted(edges, numbers, "left") + np.searchsorted(edges, numbers, "right")
    return np.bincount(left, minlength=2 * len(edges) + 1) / len(numbers)


def _jensen_shannon(first: Floats, second: Floats) -> float:
    middle = (first + second) / 2
    return 0.5 * (_divergence(first, middle) + _divergence(second, middle))


def _divergence(first: Floats, second: Floats) -> float:
    some = first > 0
    return float((first[some] * np.log2(first[some] / second[some])).sum())


def _distances(now: Counter[str], pooled: Counter[str]) -> tuple[float, float, float]:
    rows, usual = sum(now.values()), sum(pooled.values())
    if not rows or not usual:
        return np.nan, np.nan, np.nan
    new = sum(count for level, count in now.items() if pooled[level] <= 0) / rows
    levels = [level for level in {**now, **pooled} if now[level] > 0 or pooled[level] > 0]
    first = np.array([now[level] for level in levels]) / rows
    second = np.array([pooled[level] for level in levels]) / usual
    largest = float(np.abs(first - second).max())
    # Great Expectations gives values that the partition lacks a small weight.
    weights = np.where(second > 0, second, 0.5 / (usual + 1))
    return new, largest, _divergence(first, weights / weights.sum())
