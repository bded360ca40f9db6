"""What was delivered of a table, by key, and how the table now differs from it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headrace.files import canonical_json
from headrace.sources.base import Past
from headrace.sources.plain import Row
from headrace.sources.sql_cursor import Position

_OURS = ("noticed_at", "deleted")


@dataclass
class Known:
    """The last delivered row of each key: its canonical bytes, None where it was deleted."""

    key: tuple[str, ...]
    rows: dict[bytes, bytes | None] = field(default_factory=dict)

    @property
    def alive(self) -> int:
        return sum(row is not None for row in self.rows.values())

    def differs(self, row: Row) -> bool:
        return self.rows.get(self._key(row)) != canonical_json(row)

    def missing(self, rows: Iterable[Row]) -> list[Row]:
        """Rows that were delivered, were not deleted, and are not among `rows` any more."""
        there = {self._key(row) for row in rows}
        return [
            json.loads(row)
            for key, row in self.rows.items()
            if row is not None and key not in there
        ]

    def _key(self, row: Row) -> bytes:
        return canonical_json([row[name] for name in self.key])

    def take(self, row: Row) -> None:
        """A delivered row, unless a later one of its key is known."""
        mark = bool(row.get("deleted"))
        bare = {name: value for name, value in row.items() if name not in _OURS}
        self.rows.setdefault(self._key(bare), None if mark else canonical_json(bare))


def known_rows(past: Past, key: Sequence[str], *, since: int | None) -> Known:
    """The last row of each key among the deliveries that may hold a cursor from `since` on.

    All of them, if `since` is None. The greatest cursor of deliveries never falls, so the first
    one that ends below it is the last one to look at.
    """
    known = Known(tuple(key))
    for position, payload in past.deliveries():
        high = Position.read(position).high
        if since is not None and high is not None and high < since:
            break
        for line in payload.splitlines():
            known.take(json.loads(line))
    return known
