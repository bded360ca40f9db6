"""What was delivered of a table, by key, and how the table now differs from it."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from headrace.sources.base import Past
from headrace.sources.relational.change_cursor import Position
from headrace.sources.relational.json_values import Row, Value

_OURS = ("noticed_at", "deleted")
Key = tuple[Value, ...]
Content = tuple[tuple[str, ...], tuple[Value, ...]]  # names in order, and values


@dataclass
class Known:
    """The last delivered content of each key; None where it was deleted."""

    key: tuple[str, ...]
    rows: dict[Key, Content | None] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        return sum(row is not None for row in self.rows.values())

    def differs(self, row: Row) -> bool:
        """Whether it is new, or other than when it was last delivered."""
        known = self.rows.get(key_of(row, self.key))
        return known is None or not _same(known, _content(row))

    def missing(self, rows: Iterable[Row]) -> list[Row]:
        """Rows that were delivered, were not deleted, and are not among `rows` any more."""
        there = {key_of(row, self.key) for row in rows}
        return [
            dict(zip(*row, strict=True))
            for key, row in self.rows.items()
            if row is not None and key not in there
        ]

    def put(self, row: Row) -> None:
        """Hold the content that is delivered now."""
        self.rows[key_of(row, self.key)] = _content(row)

    def drop(self, row: Row) -> None:
        """Hold that the key is deleted."""
        self.rows[key_of(row, self.key)] = None

    def take(self, line: bytes, wanted: Collection[Key] | None) -> None:
        """A delivered row, unless a later one of its key is known, or nobody wants its key."""
        row = json.loads(line)
        key = key_of(row, self.key)
        if key in self.rows or (wanted is not None and key not in wanted):
            return
        bare = {name: value for name, value in row.items() if name not in _OURS}
        self.rows[key] = None if row.get("deleted") else _content(bare)


def key_of(row: Row, names: Sequence[str]) -> Key:
    return tuple([row[name] for name in names])


def _content(row: Row) -> Content:
    names = tuple(sorted(row))
    return names, tuple([row[name] for name in names])


def _same(one: Content, other: Content) -> bool:
    """Equal also in type: 1, 1.0 and true are other texts."""
    return one == other and all(map(_is_like, one[1], other[1]))


def _is_like(one: Value, other: Value) -> bool:
    return type(one) is type(other)


def known_rows(past: Past, key: Sequence[str], rows: Iterable[Row], since: int | None) -> Known:
    """The last content of the keys of `rows`, of deliveries that may hold a cursor from `since` on.

    Of all keys and all deliveries, if `since` is None. The greatest cursor of deliveries never
    falls, so the first one that ends below it is the last one to look at.
    """
    known = Known(tuple(key))
    wanted = None if since is None else {key_of(row, known.key) for row in rows}
    for position, payload in past.deliveries() if wanted is None or wanted else ():
        high = Position.read(position).high
        if since is not None and high is not None and high < since:
            break
        for line in payload.splitlines():
            known.take(line, wanted)
    return known
