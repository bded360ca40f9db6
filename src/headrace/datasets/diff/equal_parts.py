"""Which parts of two releases hold the same rows, and need not be read."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from headrace.datasets.manifest import Manifest, Part


@dataclass(frozen=True)
class Pairing:
    """Parts that are left to compare on either side, and those that both have.

    `twins` are parts that both releases have in some form: as many rows, from one row to another.
    """

    only_a: tuple[Part, ...]
    only_b: tuple[Part, ...]
    shared: tuple[Part, ...]
    twins: tuple[tuple[Part, Part], ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the larger side that are left to compare."""
        sides = (self.only_a, self.only_b)
        left = max(sum(part.rows for part in side) for side in sides)
        return left + sum(part.rows for part, _ in self.twins)


def pairing(a: Manifest, b: Manifest) -> Pairing:
    """Parts of one object are the same; where the columns are, so are parts of one row sum.

    The sum says nothing of the names of columns, so that it is no proof where those differ.
    """
    left_a, left_b, pairs = _paired(_parts(a), _parts(b), lambda part: part.object)
    if _schema(a) == _schema(b):
        left_a, left_b, more = _paired(left_a, left_b, lambda part: (part.rows, part.row_sum))
        pairs += more
    left_a, left_b, twins = _paired(left_a, left_b, _ends)
    shared = tuple(part for _, part in pairs)
    return Pairing(tuple(left_a), tuple(left_b), shared, tuple(twins))


def _ends(part: Part) -> object:
    """Of releases that do not state the ends of parts, a part has no twin."""
    return (part.rows, part.first, part.last) if part.first else object()


def _parts(manifest: Manifest) -> list[Part]:
    return [part for split in manifest.splits.values() for part in split.parts]


def _schema(manifest: Manifest) -> set[tuple[str, str]]:
    return {(column.name, column.type) for column in manifest.columns}


def _paired(
    a: list[Part], b: list[Part], same: Callable[[Part], object]
) -> tuple[list[Part], list[Part], list[tuple[Part, Part]]]:
    """Parts of a only, of b only, and of both in pairs; each part pairs with one other."""
    waiting: dict[object, list[Part]] = defaultdict(list)
    for part in a:
        waiting[same(part)].append(part)
    only_b, pairs = [], []
    for part in b:
        alike = waiting.get(same(part))
        if alike:
            pairs.append((alike.pop(0), part))
        else:
            only_b.append(part)
    kept = {id(part) for parts in waiting.values() for part in parts}
    return [part for part in a if id(part) in kept], only_b, pairs
