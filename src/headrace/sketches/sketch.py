"""Sketches of one column, one per partition: data, merging, statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from headrace.core.errors import DeclarationError
from headrace.sketches.arrays import Ints, Kind, Mask
from headrace.sketches.distinct import Registers, estimate
from headrace.sketches.histogram_cells import PREFIX, from_ordered, plainest

LEVELS = 4096  # a partition with more distinct strings counts only prefixes of tokens

# `low` and `high` of a partition without values: neutral under min and max.
NO_LOW = np.iinfo(np.int64).max
NO_HIGH = np.iinfo(np.int64).min
LIMB = 32
LIMB_MASK = (1 << LIMB) - 1


@dataclass(frozen=True, eq=False)
class Sketches:
    """Sketches of one column, one per partition. Arrays are int64 unless stated otherwise.

    Attributes:
        kind: integer, real or level (strings, counted by category).
        rows, nulls: number of rows and of nulls per partition.
        low, high: least and greatest value per partition; reals are converted by `ordered`.
        limbs: (partitions, 2), the sum of integers in units of 2^32, and the remainder.
        offsets: the cells of partition p are `cells[offsets[p]:offsets[p + 1]]`, ascending.
        cells, counts: the non-empty cells, and the number of values in each.
        registers: (partitions, REGISTERS) uint8, see `distinct`.
        coarse: bool per partition, True if it has more than `LEVELS` distinct strings; then its
            cells are prefixes of tokens.
        names: {token: string} of the partitions that are not coarse.
    """

    kind: Kind
    rows: Ints
    nulls: Ints
    low: Ints
    high: Ints
    limbs: Ints
    offsets: Ints
    cells: Ints
    counts: Ints
    registers: Registers
    coarse: Mask
    names: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def part(self) -> Ints:
        """Return the index of each cell's partition."""
        labels: Ints = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        return labels

    def between(self, first: int, end: int) -> "Sketches":
        """Return the sketches of partitions `first` to `end` - 1."""
        span, low, high = slice(first, end), self.offsets[first], self.offsets[end]
        per_part = ("rows", "nulls", "low", "high", "limbs", "registers", "coarse")
        return replace(
            self,
            **{name: getattr(self, name)[span] for name in per_part},
            offsets=self.offsets[first : end + 1] - low,
            cells=self.cells[low:high],
            counts=self.counts[low:high],
        )

    def selected(self, keep: Mask) -> "Sketches":
        """Return the sketches of the partitions that are True in `keep`."""
        cells = keep[self.part]
        sizes = np.diff(self.offsets)[keep]
        per_part = ("rows", "nulls", "low", "high", "limbs", "registers", "coarse")
        return replace(
            self,
            **{name: getattr(self, name)[keep] for name in per_part},
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            cells=self.cells[cells],
            counts=self.counts[cells],
        )

    # Statistics of a single partition

    def quantile(self, q: float) -> float | None:
        """Return the quantile `q`, which may be too near to zero by a relative error of `ERROR`.

        It is number floor(q (n - 1)) of n values in order; None for strings and without values.
        """
        if self.kind == "level" or not len(self.counts):
            return None
        total = int(self.counts.sum())
        at = int(np.searchsorted(np.cumsum(self.counts), int(q * (total - 1)), side="right"))
        value = float(plainest(self.cells[at : at + 1])[0])
        low, high = self.bounds()
        return min(max(value, low), high)

    def bounds(self) -> tuple[float, float]:
        """Return the exact least and greatest value; the partition must not be empty."""
        both = np.array([self.low[0], self.high[0]])
        low, high = (from_ordered(both) if self.kind == "real" else both).tolist()
        return low, high

    def total(self) -> int | None:
        """Return the exact sum of an integer column; None for other kinds."""
        if self.kind != "integer":
            return None
        return (int(self.limbs[0, 0]) << LIMB) + int(self.limbs[0, 1])

    def distinct(self) -> float:
        """Estimate the number of distinct values; it is exact for levels that are not coarse."""
        if self.kind == "level" and not self.coarse[0]:
            return float(len(self.cells))
        return estimate(self.registers[0])


def merged(parts: Sequence[Sketches]) -> Sketches:
    """Return one sketch of the rows of all partitions together."""
    return regrouped(joined(parts), None, 1)


def joined(parts: Sequence[Sketches]) -> Sketches:
    """Concatenate the partitions of sketches of the same kind."""
    kinds = {sketches.kind for sketches in parts}
    if len(kinds) != 1:
        raise DeclarationError(
            f"sketches of different kinds cannot be merged: {' and '.join(sorted(kinds))}",
            fix="sketch the rows again with one type",
        )
    return parts[0] if len(parts) == 1 else stacked(parts)


def stacked(parts: Sequence[Sketches]) -> Sketches:
    """Concatenate the partitions of sketches of any kind; the result has the first one's kind."""
    plain = ("rows", "nulls", "low", "high", "limbs", "cells", "counts", "registers", "coarse")
    ends = np.cumsum([sketches.offsets[-1] for sketches in parts])
    shifted = [
        part.offsets[1:] + before for part, before in zip(parts, [0, *ends[:-1]], strict=True)
    ]
    return Sketches(
        kind=parts[0].kind,
        **{name: np.concatenate([getattr(sketches, name) for sketches in parts]) for name in plain},
        offsets=np.concatenate([[0], *shifted]),
        names={key: text for sketches in parts for key, text in sketches.names.items()},
    )


def regrouped(sketches: Sketches, group: Ints | None, groups: int) -> Sketches:
    """Merge partitions into groups: partition p into `group[p]`, or all into one if None."""
    place = np.zeros(len(sketches), np.int64) if group is None else group
    rows, nulls = (np.zeros(groups, np.int64) for _ in range(2))
    low, high = np.full(groups, NO_LOW), np.full(groups, NO_HIGH)
    limbs, coarse = np.zeros((groups, 2), np.int64), np.zeros(groups, np.bool_)
    registers = np.zeros((groups, sketches.registers.shape[1]), np.uint8)
    for into, values, combine in (
        (rows, sketches.rows, np.add), (nulls, sketches.nulls, np.add),
        (limbs, sketches.limbs, np.add), (low, sketches.low, np.minimum),
        (high, sketches.high, np.maximum),
        (coarse, sketches.coarse, np.logical_or), (registers, sketches.registers, np.maximum),
    ):  # fmt: skip
        if groups == 1:
            into[0] = combine.reduce(values, axis=0, initial=into[0] if into.ndim == 1 else 0)
        else:
            combine.at(into, place, values)
    label = np.repeat(place, np.diff(sketches.offsets))
    summed = replace(
        sketches, rows=rows, nulls=nulls, low=low, high=high, limbs=carried(limbs),
        registers=registers, coarse=coarse,
    )  # fmt: skip
    return settled(summed, label, sketches.cells, sketches.counts)


def coarsened(sketches: Sketches) -> Sketches:
    """Return the sketches with token prefixes as cells, as if there were too many strings."""
    coarse = np.ones(len(sketches), np.bool_)
    return regrouped(replace(sketches, coarse=coarse), np.arange(len(sketches)), len(sketches))


def settled(sketches: Sketches, label: Ints, cells: Ints, counts: Ints) -> Sketches:
    """Return `sketches` with these cells, sorted and merged; coarse if there are too many."""
    ordered_, ordered_cells, counts = _together(label, cells, counts)
    sizes = np.bincount(ordered_, minlength=len(sketches))
    coarse = sketches.coarse | (sizes > LEVELS) if sketches.kind == "level" else sketches.coarse
    if coarse.any():
        prefixes = np.where(coarse[ordered_], ordered_cells & PREFIX, ordered_cells)
        ordered_, ordered_cells, counts = _together(ordered_, prefixes, counts)
        sizes = np.bincount(ordered_, minlength=len(sketches))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    names = sketches.names
    if names:
        exact = set(ordered_cells[~coarse[ordered_]].tolist())
        names = {key: text for key, text in names.items() if key in exact}
    return replace(
        sketches, offsets=offsets, cells=ordered_cells, counts=counts, coarse=coarse, names=names
    )


def _together(label: Ints, cells: Ints, counts: Ints) -> tuple[Ints, Ints, Ints]:
    """Sort by label and cell, and add up the counts of equal pairs."""
    if not len(cells):
        return label, cells, counts
    single = label[0] == label[-1] and not np.any(label != label[0])
    order = np.argsort(cells, kind="stable") if single else np.lexsort((cells, label))
    label, cells = label[order], cells[order]
    new = np.empty(len(cells), np.bool_)
    new[0] = True
    np.logical_or(cells[1:] != cells[:-1], label[1:] != label[:-1], out=new[1:])
    starts = np.flatnonzero(new)
    return label[starts], cells[starts], np.add.reduceat(counts[order], starts)


def carried(limbs: Ints) -> Ints:
    """Carry into the high limb, so that the low one has 32 bits and equal sums have equal bytes."""
    normalised = limbs.copy()
    normalised[..., 0] += limbs[..., 1] >> LIMB
    normalised[..., 1] &= LIMB_MASK
    return normalised
