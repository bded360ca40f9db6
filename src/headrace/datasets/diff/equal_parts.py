"""Pairing of the parts of two releases, so that equal parts are not read."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from headrace.datasets.manifest import Manifest, Part


@dataclass(frozen=True)
class Pairing:
    """Parts that only one release has, and parts that both have.

    `twins` are pairs of different parts with the same row count and the same first and last key.
    """

    only_a: tuple[Part, ...]
    only_b: tuple[Part, ...]
    shared: tuple[Part, ...]
    twins: tuple[tuple[Part, Part], ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows to compare, counted on the side that has more."""
        sides = (self.only_a, self.only_b)
        larger = max(sum(part.rows for part in side) for side in sides)
        return larger + sum(part.rows for part, _ in self.twins)


def pairing(a: Manifest, b: Manifest) -> Pairing:
    """Pair equal parts by object digest or by row sum, then find twins among the other parts.

    Row sums do not cover column names, so they are compared only if both releases have the same
    columns.
    """
    left_a, left_b, pairs = _paired(_parts(a), _parts(b), lambda part: part.object)
    if _schema(a) == _schema(b):
        left_a, left_b, same_rows = _paired(left_a, left_b, lambda part: (part.rows, part.row_sum))
        pairs += same_rows
    left_a, left_b, twins = _paired(left_a, left_b, _ends)
    shared = tuple(part for _, part in pairs)
    return Pairing(tuple(left_a), tuple(left_b), shared, tuple(twins))


def _ends(part: Part) -> object:
    """Row count, first and last row of a part; a unique object if the manifest lacks them."""
    return (part.rows, part.first, part.last) if part.first else object()


def _parts(manifest: Manifest) -> list[Part]:
    return [part for split in manifest.splits.values() for part in split.parts]


def _schema(manifest: Manifest) -> set[tuple[str, str]]:
    return {(column.name, column.type) for column in manifest.columns}


def _paired(
    a: list[Part], b: list[Part], identity: Callable[[Part], object]
) -> tuple[list[Part], list[Part], list[tuple[Part, Part]]]:
    """(Parts only in `a`, parts only in `b`, pairs); each part is in at most one pair."""
    waiting: dict[object, list[Part]] = defaultdict(list)
    for part in a:
        waiting[identity(part)].append(part)
    only_b, pairs = [], []
    for part in b:
        alike = waiting.get(identity(part))
        if alike:
            pairs.append((alike.pop(0), part))
        else:
            only_b.append(part)
    unpaired = {id(part) for parts in waiting.values() for part in parts}
    return [part for part in a if id(part) in unpaired], only_b, pairs
