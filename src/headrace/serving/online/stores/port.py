"""The port of a store: bytes by key, snapshots to read from, one transaction at a time to write.

Meaning is in the modules above it; every backend holds the same bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Reader(Protocol):
    """One consistent state of the store."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        """The values one after the other, and the size of each; 0 where there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries whose key begins so, by key."""
        ...


def joined(values: Sequence[bytes | None]) -> tuple[bytes, list[int]]:
    """Values one after the other, and the size of each."""
    found = [value or b"" for value in values]
    return b"".join(found), [len(value) for value in found]


class Writer(Reader, Protocol):
    """A transaction: whole if the block that opened it ends without an error, else undone."""

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None: ...

    def delete_many(self, keys: Iterable[bytes]) -> None: ...


class Store(Protocol):
    """A store of one layout. Several may read at once, one writes."""

    def reading(self) -> AbstractContextManager[Reader]: ...

    def writing(self) -> AbstractContextManager[Writer]: ...

    def close(self) -> None: ...
