"""Delivered rows of a table by key, and the differences of the current table from them."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from headrace.sources.base import Past
from headrace.sources.relational.change_cursor import Position
from headrace.sources.relational.json_values import Row, Value

_ADDED_COLUMNS = ("noticed_at", "deleted")
Key = tuple[Value, ...]
Content = tuple[tuple[str, ...], tuple[Value, ...]]  # (sorted column names, their values)


@dataclass
class DeliveredRows:
    """Last delivered content of each key; None if the key was deleted."""

    key: tuple[str, ...]
    rows: dict[Key, Content | None] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        return sum(row is not None for row in self.rows.values())

    def differs(self, row: Row) -> bool:
        """Return True if the row is new or has changed since it was last delivered."""
        delivered = self.rows.get(key_of(row, self.key))
        return delivered is None or not _is_identical(delivered, _content(row))

    def missing(self, rows: Iterable[Row]) -> list[Row]:
        """Return the delivered rows, except deleted ones, whose keys are missing from `rows`."""
        keys = {key_of(row, self.key) for row in rows}
        return [
            dict(zip(*row, strict=True))
            for key, row in self.rows.items()
            if row is not None and key not in keys
        ]

    def update(self, row: Row) -> None:
        """Store a row's new content."""
        self.rows[key_of(row, self.key)] = _content(row)

    def drop(self, row: Row) -> None:
        """Mark the row's key as deleted."""
        self.rows[key_of(row, self.key)] = None

    def take(self, line: bytes, keys: Collection[Key] | None) -> None:
        """Store a row of an earlier delivery, unless its key is already stored or not in `keys`."""
        row = json.loads(line)
        key = key_of(row, self.key)
        if key in self.rows or (keys is not None and key not in keys):
            return
        bare = {name: value for name, value in row.items() if name not in _ADDED_COLUMNS}
        self.rows[key] = None if row.get("deleted") else _content(bare)


def key_of(row: Row, names: Sequence[str]) -> Key:
    return tuple([row[name] for name in names])


def _content(row: Row) -> Content:
    names = tuple(sorted(row))
    return names, tuple([row[name] for name in names])


def _is_identical(content: Content, other: Content) -> bool:
    """Return True if values and types are equal.

    Python treats 1, 1.0 and True as equal, but their delivered texts differ.
    """
    return content == other and all(map(_is_like, content[1], other[1]))


def _is_like(value: Value, other: Value) -> bool:
    return type(value) is type(other)


def delivered_rows(
    past: Past, key: Sequence[str], rows: Iterable[Row], since: int | None
) -> DeliveredRows:
    """Return the last delivered content of the keys of `rows`, or of all keys if `since` is None.

    With `since` (a cursor, microseconds UTC), deliveries are read from the latest backwards, until
    the high-water mark of one is below `since`. High-water marks never fall. Therefore this
    delivery and all earlier ones contain only cursors below `since`.
    """
    delivered = DeliveredRows(tuple(key))
    keys = None if since is None else {key_of(row, delivered.key) for row in rows}
    for position, payload in past.deliveries() if keys is None or keys else ():
        high = Position.read(position).high
        if since is not None and high is not None and high < since:
            break
        for line in payload.splitlines():
            delivered.take(line, keys)
    return delivered
