"""Rows and cells of two releases, compared by key out of core."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from headrace.datasets.diff.aligned_parts import compare_twins
from headrace.datasets.diff.counts import Tally
from headrace.datasets.diff.distribution import distribution, weighted
from headrace.datasets.diff.equal_parts import Pairing
from headrace.datasets.diff.merge_join import Side, windows
from headrace.datasets.diff.model import Distribution
from headrace.datasets.diff.row_matching import match
from headrace.datasets.diff.sample import Sampler, spread
from headrace.datasets.diff.unmatched import Leftovers
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.reader import Dataset


@dataclass(frozen=True)
class Compared:
    """What rows and cells differ, and, if it was asked for, how far each column's values moved."""

    tally: Tally
    distributions: Mapping[str, Distribution]


def compare_rows(
    a: Dataset, b: Dataset, parts: Pairing, key: Sequence[str] | None, types: Mapping[str, str],
    *, keep: int, distributions: bool,
) -> Compared:  # fmt: skip
    """Read what is not the same and compare it.

    Args:
        a: a whole release.
        b: another one.
        parts: which of their parts are to be read.
        key: the key of both; None if they differ, then every row was added or removed.
        types: column -> canonical type of the columns to compare, `t` and `split` among them.
        keep: examples of each kind.
        distributions: whether to sample values as well.
    """
    tally = Tally(key or (), types, keep)
    sampler = Sampler(list(types), parts.rows) if distributions and parts.rows else None
    scans = (replace(a.scan, columns=tuple(types)), replace(b.scan, columns=tuple(types)))
    # Twins of which even the keys differ are compared as the rest is.
    others = [
        twins
        for twins in parts.twins
        if key is None or not compare_twins(scans, twins, tally, sampler)
    ]
    left = [
        [*only, *(twins[side] for twins in others)]
        for side, only in enumerate((parts.only_a, parts.only_b))
    ]
    with Side(scans[0], left[0]) as one, Side(scans[1], left[1]) as other:
        if key is None:
            for place, side in enumerate((one, other)):
                for table in side.tables():
                    _alone(tally, sampler, place, table)
        else:
            _join(tally, sampler, one, other)
    if sampler is None:
        return Compared(tally, {})
    moved = {
        name: kind
        for name, kind in types.items()
        if name not in tally.key and _may_have_moved(tally, name)
    }
    return Compared(tally, _distributions(scans[1], parts, sampler, moved))


def _join(tally: Tally, sampler: Sampler | None, a: Side, b: Side) -> None:
    with Leftovers(tally.key, a.rows + b.rows) as left:
        for one, other in windows(a, b):
            _match(tally, sampler, one, other, left)
        for one, other in left.buckets():
            _match(tally, sampler, one, other, None)


def _match(
    tally: Tally, sampler: Sampler | None, a: pa.Table, b: pa.Table, left: Leftovers | None
) -> None:
    """Compare rows with one key; the others wait in `left`, or have no partner if it is None."""
    found = match(a, b, tally.key)
    alone = (a.take(pa.array(found.only_a)), b.take(pa.array(found.only_b)))
    if found.a is not None:
        a, b = a.take(pa.array(found.a)), b.take(pa.array(found.b))
    tally.matched(a, b)
    if sampler:
        sampler.pairs(a, b)
    for side, rows in enumerate(alone):
        if left is not None:
            left.add(side, rows)
        else:
            _alone(tally, sampler, side, rows)


def _alone(tally: Tally, sampler: Sampler | None, side: int, rows: pa.Table) -> None:
    tally.alone("added" if side else "removed", rows)
    if sampler:
        sampler.alone(side, rows)


def _may_have_moved(tally: Tally, name: str) -> bool:
    came_or_went = tally.rows["added"] or tally.rows["removed"]
    touched = tally.rows["moved"] if name == "split" else tally.cells[name]
    return bool(came_or_went or touched)


def _distributions(
    scan: Scan, parts: Pairing, sampler: Sampler, types: Mapping[str, str]
) -> dict[str, Distribution]:
    if not types:
        return {}
    alike = [*parts.shared, *(part for _, part in parts.twins)]
    common = spread(replace(scan, columns=tuple(types)), alike)
    shared = sum(part.rows for part in parts.shared)
    found = {}
    for name, kind in types.items():
        rows = shared + sampler.unread[name]
        weight = rows / common.num_rows if common.num_rows else 0.0
        samples = [
            weighted(
                [(common.column(name), weight)]
                + [(cells, float(sampler.every)) for cells in sampler.of(side, name)]
            )
            for side in (0, 1)
        ]
        told = distribution(samples[0], samples[1], kind, name)
        if told is not None:
            found[name] = told
    return found
