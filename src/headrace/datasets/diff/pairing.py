"""Which parts of two releases hold the same rows, and need not be read."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from headrace.datasets.manifest import Manifest, Part


@dataclass(frozen=True)
class Pairing:
    """Parts that are left to compare on either side, and those that both have."""

    only_a: tuple[Part, ...]
    only_b: tuple[Part, ...]
    shared: tuple[Part, ...]


def pairing(a: Manifest, b: Manifest) -> Pairing:
    """Parts of one object are the same; where the columns are, so are parts of one row sum.

    The sum says nothing of the names of columns, so that it is no proof where those differ.
    """
    left_a, left_b, shared = _paired(_parts(a), _parts(b), lambda part: part.object)
    if _schema(a) == _schema(b):
        left_a, left_b, more = _paired(left_a, left_b, lambda part: (part.rows, part.row_sum))
        shared += more
    return Pairing(tuple(left_a), tuple(left_b), tuple(shared))


def _parts(manifest: Manifest) -> list[Part]:
    return [part for split in manifest.splits.values() for part in split.parts]


def _schema(manifest: Manifest) -> set[tuple[str, str]]:
    return {(column.name, column.type) for column in manifest.columns}


def _paired(
    a: list[Part], b: list[Part], same: Callable[[Part], object]
) -> tuple[list[Part], list[Part], list[Part]]:
    """Parts of a only, of b only, and of both; each part pairs with one other."""
    waiting: dict[object, list[Part]] = defaultdict(list)
    for part in a:
        waiting[same(part)].append(part)
    only_b, shared = [], []
    for part in b:
        if waiting[same(part)]:
            shared.append(waiting[same(part)].pop())
        else:
            only_b.append(part)
    kept = {id(part) for parts in waiting.values() for part in parts}
    return [part for part in a if id(part) in kept], only_b, shared
