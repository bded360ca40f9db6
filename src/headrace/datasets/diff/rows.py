"""Comparison of rows and cells of two releases, matched by key, out of core."""

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
from headrace.datasets.diff.unmatched_rows import Leftovers
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.reader import Dataset


@dataclass(frozen=True)
class RowComparison:
    """Counts of differing rows and cells, and distributions if they were requested."""

    tally: Tally
    distributions: Mapping[str, Distribution]


def compare_rows(
    a: Dataset, b: Dataset, parts: Pairing, key: Sequence[str] | None, types: Mapping[str, str],
    *, keep: int, distributions: bool,
) -> RowComparison:  # fmt: skip
    """Read and compare the parts that are not equal.

    Args:
        a: a whole release.
        b: another whole release.
        parts: pairing of their parts.
        key: the key of both; None if the keys differ, so that every row is added or removed.
        types: column -> canonical type of the columns to compare, `t` and `split` among them.
        keep: number of examples of each kind.
        distributions: also sample values to compare distributions.
    """
    tally = Tally(key or (), types, keep)
    sampler = Sampler(list(types), parts.rows) if distributions and parts.rows else None
    scans = (replace(a.scan, columns=tuple(types)), replace(b.scan, columns=tuple(types)))
    # Paired parts (twins) whose keys differ are compared like all other parts.
    unequal_twins = [
        twins
        for twins in parts.twins
        if key is None or not compare_twins(scans, twins, tally, sampler)
    ]
    remaining = [
        [*only, *(twins[side] for twins in unequal_twins)]
        for side, only in enumerate((parts.only_a, parts.only_b))
    ]
    with Side(scans[0], remaining[0]) as before, Side(scans[1], remaining[1]) as after:
        if key is None:
            for place, side in enumerate((before, after)):
                for table in side.tables():
                    _add_unmatched(tally, sampler, place, table)
        else:
            _join(tally, sampler, before, after)
    if sampler is None:
        return RowComparison(tally, {})
    changed_types = {
        name: kind
        for name, kind in types.items()
        if name not in tally.key and _may_have_changed(tally, name)
    }
    return RowComparison(tally, _distributions(scans[1], parts, sampler, changed_types))


def _join(tally: Tally, sampler: Sampler | None, a: Side, b: Side) -> None:
    with Leftovers(tally.key, a.rows + b.rows) as leftovers:
        for before, after in windows(a, b):
            _match(tally, sampler, before, after, leftovers)
        for before, after in leftovers.buckets():
            _match(tally, sampler, before, after, None)


def _match(
    tally: Tally, sampler: Sampler | None, a: pa.Table, b: pa.Table, leftovers: Leftovers | None
) -> None:
    """Compare rows with equal keys; add others to `leftovers`, or count them if it is None."""
    matches = match(a, b, tally.key)
    unmatched = (a.take(pa.array(matches.only_a)), b.take(pa.array(matches.only_b)))
    if matches.a is not None:
        a, b = a.take(pa.array(matches.a)), b.take(pa.array(matches.b))
    tally.matched(a, b)
    if sampler:
        sampler.pairs(a, b)
    for side, rows in enumerate(unmatched):
        if leftovers is not None:
            leftovers.add(side, rows)
        else:
            _add_unmatched(tally, sampler, side, rows)


def _add_unmatched(tally: Tally, sampler: Sampler | None, side: int, rows: pa.Table) -> None:
    tally.add_unmatched("added" if side else "removed", rows)
    if sampler:
        sampler.add_unmatched(side, rows)


def _may_have_changed(tally: Tally, name: str) -> bool:
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
    by_column = {}
    for name, kind in types.items():
        rows = shared + sampler.unread[name]
        weight = rows / common.num_rows if common.num_rows else 0.0
        samples = [
            weighted(
                [(common.column(name), weight)]
                + [(cells, float(sampler.stride)) for cells in sampler.of(side, name)]
            )
            for side in (0, 1)
        ]
        column_distribution = distribution(samples[0], samples[1], kind, name)
        if column_distribution is not None:
            by_column[name] = column_distribution
    return by_column
