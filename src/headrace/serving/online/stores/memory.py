"""Store in a dictionary; tests compare the other stores with it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from headrace.serving.online.stores.port import joined


@dataclass
class MemoryStore:
    """Store in memory, for tests. A transaction that fails changes nothing."""

    entries: dict[bytes, bytes] = field(default_factory=dict)

    @contextmanager
    def reading(self) -> Iterator["Overlay"]:
        yield Overlay(self.entries)

    @contextmanager
    def writing(self) -> Iterator["Overlay"]:
        overlay = Overlay(self.entries)
        yield overlay
        entries = dict(self.entries)  # a copy, because readers keep the state from when they began
        for key, value in overlay.changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        self.entries = entries

    def close(self) -> None:
        """Do nothing, because there is nothing to close."""


@dataclass
class Overlay:
    """View of a state with uncommitted changes; None marks a deleted key."""

    base: dict[bytes, bytes]
    changes: dict[bytes, bytes | None] = field(default_factory=dict)

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self.base.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        return joined(self.get_many(keys))

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = {key for key in (*self.base, *self.changes) if key.startswith(prefix)}
        for key in sorted(keys):
            value = self.get(key)
            if value is not None:
                yield key, value

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        self.changes.update(entries)

    def delete_many(self, keys: Iterable[bytes]) -> None:
        self.changes.update(dict.fromkeys(keys))
