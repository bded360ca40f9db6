"""Distance between a column's distributions in two releases, from weighted samples of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.diff.json_values import json_value
from headrace.datasets.diff.model import Distribution
from headrace.datasets.hashing.cell_encoding import words_of

Floats = npt.NDArray[np.float64]

_TEXT = ("string", "binary")
_BARS, _LEVELS, _BINS = 24, 6, 10
_FLOOR = 1e-4  # minimum share in the PSI, since log(0) is undefined
_EDGES = (0.005, 0.995)  # quantiles that limit the range of the bars


@dataclass(frozen=True)
class Weighted:
    """Sampled cells (NaN as null), and the number of rows that each cell represents."""

    cells: pa.Array
    weights: Floats

    @property
    def nulls(self) -> float:
        """Share of rows without a value."""
        total = float(self.weights.sum())
        missing = self.cells.is_null().to_numpy(zero_copy_only=False)
        return float(self.weights[missing].sum()) / total if total else 0.0

    def values(self) -> tuple[pa.Array, Floats]:
        """Non-null cells, and their weights, which sum to one."""
        valid = self.cells.is_valid().to_numpy(zero_copy_only=False)
        weights = self.weights[valid]
        return self.cells.drop_null(), weights / max(float(weights.sum()), 1e-300)


def weighted(parts: Sequence[tuple[pa.ChunkedArray, float]]) -> Weighted:
    """Join samples of one column; each is (cells, number of rows that one cell represents)."""
    columns = [column for column, _ in parts]
    chunks = [chunk for column in columns for chunk in column.chunks]
    cells = pa.chunked_array(chunks, type=columns[0].type).combine_chunks()
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    weights = np.concatenate([np.full(len(column), weight) for column, weight in parts])
    return Weighted(cells, weights)


def distribution(before: Weighted, after: Weighted, kind: str, name: str) -> Distribution | None:
    """Distribution of column `name` in two samples; None if neither has a value.

    `kind` is the column's canonical type.
    """
    nulls = abs(before.nulls - after.nulls)
    (a, of_a), (b, of_b) = before.values(), after.values()
    if not len(a) and not len(b):
        return None
    if not len(a) or not len(b):
        return Distribution(round(max(nulls, float(bool(len(a)) != bool(len(b)))), 6), 0.0)
    if kind in _TEXT:
        return _of_levels(a, of_a, b, of_b, nulls)
    numbers = [_WeightedNumbers(_floats(x, kind, name), of) for x, of in ((a, of_a), (b, of_b))]
    return _of_numbers(numbers[0], numbers[1], nulls, a.type)


def _floats(cells: pa.Array, kind: str, name: str) -> Floats:
    if kind == "float64":
        floats: Floats = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return floats
    return words_of(cells, kind, name).astype(np.float64)


@dataclass(frozen=True)
class _WeightedNumbers:
    """Numbers, and the share of rows that each number represents."""

    values: Floats
    shares: Floats


def _of_numbers(
    a: _WeightedNumbers, b: _WeightedNumbers, nulls: float, kind: pa.DataType
) -> Distribution:
    values = np.concatenate([a.values, b.values])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    last_of_equals = np.r_[ordered[1:] != ordered[:-1], True]
    before, after = (
        np.cumsum(np.concatenate(pair)[order])[last_of_equals]
        for pair in (
            (a.shares, np.zeros(len(b.values))),
            (np.zeros(len(a.values)), b.shares),
        )
    )
    distance = float(np.abs(before - after).max())
    # Ten bins of equal share in the first release; equal values share a bin.
    places = np.searchsorted(before, np.linspace(0, 1, _BINS + 1)[1:-1] - 1e-12)
    cuts = np.unique(np.minimum(places, len(before) - 1))
    shares = [np.diff(np.r_[0.0, below[cuts], 1.0]) for below in (before, after)]
    low, high = _range(ordered[np.isfinite(ordered)])
    edges = np.linspace(low, high, _BARS + 1)
    bars = [
        np.histogram(np.clip(side.values[ok], low, high), edges, weights=side.shares[ok])[0]
        for side, ok in ((side, np.isfinite(side.values)) for side in (a, b))
    ]
    return Distribution(
        round(max(nulls, distance), 6),
        _psi(*shares),
        _rounded(bars[0]),
        _rounded(bars[1]),
        (),
        _end(low, kind),
        _end(high, kind),
    )


def _range(ordered: Floats) -> tuple[float, float]:
    if not len(ordered):
        return 0.0, 1.0
    low, high = float(ordered[0]), float(ordered[-1])
    inner = np.quantile(ordered, _EDGES)
    room = 0.25 * float(inner[1] - inner[0])
    if room > 0:
        low, high = max(low, float(inner[0]) - room), min(high, float(inner[1]) + room)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _end(value: float, kind: pa.DataType) -> object:
    if pa.types.is_timestamp(kind):
        return json_value(pa.scalar(round(value), pa.int64()).cast(kind).as_py())
    if pa.types.is_date(kind):
        return json_value(pa.scalar(round(value), pa.int32()).cast(kind).as_py())
    return float(f"{value:.6g}")


def _of_levels(a: pa.Array, of_a: Floats, b: pa.Array, of_b: Floats, nulls: float) -> Distribution:
    encoded = pa.chunked_array([a, b]).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    size = len(encoded.dictionary)
    before = np.bincount(codes[: len(a)], of_a, size)
    after = np.bincount(codes[len(a) :], of_b, size)
    # With many categories, show those whose share changed most, not the most frequent.
    weight = np.maximum(before, after) if size <= _LEVELS else np.abs(before - after)
    heaviest = _heaviest(encoded.dictionary, weight.round(9))
    rest = np.setdiff1d(np.arange(size), heaviest)
    names = [str(json_value(encoded.dictionary[n].as_py())) for n in heaviest]
    bars = [[float(of[n]) for n in heaviest] for of in (before, after)]
    if len(rest):
        bars = [
            [*row, float(of[rest].sum())] for row, of in zip(bars, (before, after), strict=True)
        ]
    return Distribution(
        round(max(nulls, float(np.abs(before - after).sum()) / 2), 6),
        # Logarithms amplify noise of rare values, so the PSI pools the rest in one bar.
        _psi(*(np.array(row) for row in bars)),
        _rounded(bars[0]),
        _rounded(bars[1]),
        (*names, *([f"{len(rest)} more"] if len(rest) else [])),
    )


def _heaviest(levels: pa.Array, weights: Floats) -> list[int]:
    """Indices of the categories with the largest weights, ties ordered by name."""
    threshold = np.sort(weights)[-_LEVELS:][0]
    places = np.flatnonzero(weights >= threshold)
    candidates = pa.table({"weight": weights[places], "name": levels.take(pa.array(places))})
    order = pc.sort_indices(candidates, [("weight", "descending"), ("name", "ascending")])
    heaviest: list[int] = places[order.to_numpy()[:_LEVELS]].tolist()
    return heaviest


def _psi(before: Floats, after: Floats) -> float:
    a, b = np.maximum(before, _FLOOR), np.maximum(after, _FLOOR)
    return round(float(((b - a) * np.log(b / a)).sum()), 6)


def _rounded(shares: Sequence[float] | Floats) -> tuple[float, ...]:
    return tuple(round(float(share), 5) for share in shares)
