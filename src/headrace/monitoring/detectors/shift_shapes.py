"""Counts of a column in its frozen bins before and after a shift, for plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from headrace.monitoring.profiles.bins import Bins
from headrace.monitoring.profiles.profiles import Ints


@dataclass(frozen=True)
class Shape:
    """Counts of one column in one window (`after`) and in its baseline windows (`before`).

    `labels` name the bins in order: the levels, or "12 to 15.5" for numbers; then "null". The first
    and the last bin of numbers have only one edge. All three tuples have the same length.
    """

    labels: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def shape(bins: Bins, before: Ints, after: Ints) -> Shape:
    """Return the shape of a column from its counts per bin (int64), nulls last."""
    labels = _levels(bins) if bins.kind == "level" else _ranges(bins.edges)
    return Shape((*labels, "null"), tuple(before.tolist()), tuple(after.tolist()))


def _levels(bins: Bins) -> list[str]:
    return [*bins.levels, "rarer", "unknown"]


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["any"]
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *inner, f"{edges[-1]:g} and more"]
