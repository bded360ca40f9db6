"""Frozen bins: the edges of a column's histogram, chosen once from its first days.

The bins of numbers are cut at quantiles of those days and, beyond the quantiles, at growing steps,
so that values of another season still fall into several bins. The outermost bins lie far outside
the range of the first days. Every edge is also an edge of a sketch cell, so bins are filled from
sketches alone. Strings have a bin for each of the most frequent categories (levels), one for rare
levels and one for levels that were unknown when the bins were frozen.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.sketches import Kind, Sketches, cells_of, least_value, token

Ints = npt.NDArray[np.int64]

QUANTILES = 16
LEVELS = 32
TAIL_STEPS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
EXACT = 2**53  # float64 holds all integers up to this one exactly


@dataclass(frozen=True)
class Bins:
    """Bins of one column.

    `edges` cut numbers: bin i holds `edges[i-1] <= v < edges[i]`. Each of the `levels` has a bin,
    followed by one bin for all `rare` levels and one for unknown levels. If the first days had too
    many levels to count separately, `prefixes` is True, and `levels` and `rare` are prefixes of
    the levels' tokens (hashes), written as "#0a1".
    `frozen_until` is the first epoch day (UTC) that did not contribute to the bins.
    """

    column: str
    kind: Kind
    frozen_until: int
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    prefixes: bool = False

    @property
    def size(self) -> int:
        return len(self.levels) + 2 if self.kind == "level" else len(self.edges) + 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Bins":
        lists = {name: tuple(value[name]) for name in ("edges", "levels", "rare")}
        return cls(**{**value, **lists})


def freeze(column: str, first_days: Sketches, frozen_until: int) -> Bins:
    """Return the bins of one column, from the sketch (one partition) of its first days."""
    if first_days.kind == "level":
        coarse = bool(first_days.coarse[0])
        levels, rare = _levels(first_days, coarse=coarse)
        return Bins(column, "level", frozen_until, levels=levels, rare=rare, prefixes=coarse)
    return Bins(column, first_days.kind, frozen_until, edges=_edges(first_days))


def frozen_again(old: Bins, days: Sketches, until: int) -> Bins:
    """Return new bins of the same column from these days; known levels stay known.

    Return the old bins if the days have no values or count levels differently (by prefix or not).
    """
    new = freeze(old.column, days, until)
    if new.kind != old.kind or new.prefixes != old.prefixes or not (new.edges or new.levels):
        return old
    rare = {*old.levels, *old.rare, *new.rare}.difference(new.levels)
    return replace(new, rare=tuple(sorted(rare)))


def _levels(first_days: Sketches, *, coarse: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = {cell: _prefix_text(cell) for cell in first_days.cells.tolist()}
    texts: Mapping[int, str] = names if coarse else first_days.names
    counted = zip(first_days.counts.tolist(), first_days.cells.tolist(), strict=True)
    order = [
        texts[cell] for _, cell in sorted(counted, key=lambda entry: (-entry[0], texts[entry[1]]))
    ]
    return tuple(order[:LEVELS]), tuple(sorted(order[LEVELS:]))


_PREFIX_BITS = 52


def _prefix_text(cell: int) -> str:
    return f"#{(cell >> _PREFIX_BITS) & 0xFFF:03x}"


def _prefix_cell(text: str) -> int:
    value = int(text[1:], 16)
    return (value - (1 << 12 if value >= 1 << 11 else 0)) << _PREFIX_BITS


def _edges(first_days: Sketches) -> tuple[float, ...]:
    """Return edges at the quantiles' cells, after the last one, and at growing steps outside."""
    finite = np.abs(first_days.cells) < int(cells_of(np.inf))
    cells, counts = first_days.cells[finite], first_days.counts[finite]
    if not len(cells):
        return ()
    inner = cells
    if len(cells) > QUANTILES + 1:
        total = int(counts.sum())
        ranks = np.arange(QUANTILES + 1) * (total - 1) // QUANTILES
        at = np.searchsorted(np.cumsum(counts), ranks, side="right")
        inner = np.unique(cells[at])
    low, high = least_value(inner[[0, -1]]).tolist()
    span = high - low or abs(high) or 1.0
    if first_days.kind == "integer":
        low, high = np.ceil(low), np.ceil(high)
        span = max(span, 1.0)
    after = inner[-1] + 1
    steps = [step * span if first_days.kind == "real" else max(1.0, step * span // 1)
             for step in TAIL_STEPS]  # fmt: skip
    tails = [high + step for step in steps] + [low - step for step in steps]
    cut_cells = np.unique(np.concatenate([inner, [after], cells_of(tails)]))
    cuts = least_value(cut_cells)
    cuts = cuts[np.isfinite(cuts)]
    if first_days.kind == "real":
        return tuple(cuts.tolist())
    integers = np.unique(np.ceil(cuts))
    return tuple(int(v) for v in integers.tolist() if abs(v) <= EXACT)


def filled(bins: Bins, sketches: Sketches) -> Ints:
    """Return the number of values of each partition in each bin (partitions, bins)."""
    counts = np.zeros((len(sketches), bins.size), np.int64)
    place = (
        _level_places(bins, sketches)
        if bins.kind == "level"
        else _number_places(bins, sketches.cells)
    )
    np.add.at(counts.reshape(-1), sketches.part * bins.size + place, sketches.counts)
    return counts


def _number_places(bins: Bins, cells: Ints) -> Ints:
    places: Ints = np.searchsorted(cells_of(bins.edges), cells, side="right")
    return places


def _level_places(bins: Bins, sketches: Sketches) -> Ints:
    exact = _of_tokens(bins, sketches.cells)
    if bins.prefixes or not sketches.coarse.any():
        return exact
    return np.where(
        sketches.coarse[sketches.part], _of_tokens(bins, sketches.cells, coarse=True), exact
    )


def _of_tokens(bins: Bins, tokens: Ints, *, coarse: bool = False) -> Ints:
    """Return the bin of each token; a prefix has the bin of its most frequent level."""
    read = _prefix_cell if bins.prefixes else token
    level_keys = [read(text) for text in (*bins.levels, *bins.rare)]
    place = np.minimum(np.arange(len(level_keys)), len(bins.levels))
    unseen = len(bins.levels) + 1
    keys = np.array(level_keys, np.int64)
    if coarse or bins.prefixes:
        keys, tokens = _prefix(keys), _prefix(tokens)
    return _lookup(keys, place, tokens, unseen)


def _prefix(tokens: Ints) -> Ints:
    prefixes: Ints = tokens >> _PREFIX_BITS << _PREFIX_BITS
    return prefixes


def _lookup(keys: Ints, place: Ints, tokens: Ints, otherwise: int) -> Ints:
    """Return, for each token, `place` of the first equal key, or `otherwise`."""
    if not len(keys):
        return np.full(len(tokens), otherwise)
    unique, first = np.unique(keys, return_index=True)
    at = np.minimum(np.searchsorted(unique, tokens), len(unique) - 1)
    places: Ints = np.where(unique[at] == tokens, place[first[at]], otherwise)
    return places
