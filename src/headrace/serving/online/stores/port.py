"""Interface of a store: bytes by key, read snapshots, and one write transaction at a time.

Every backend stores the same bytes; the modules of `serving.online` encode and decode them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Reader(Protocol):
    """One consistent state of the store."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        """Return the concatenated values, and the size of each value (0 for a missing key)."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries whose key has this prefix, sorted by key."""
        ...


def joined(values: Sequence[bytes | None]) -> tuple[bytes, list[int]]:
    """Return the concatenated values, and the size of each value (0 for None)."""
    blobs = [value or b"" for value in values]
    return b"".join(blobs), [len(value) for value in blobs]


class Writer(Reader, Protocol):
    """Write transaction: committed when its `with` block ends, rolled back on an exception."""

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None: ...

    def delete_many(self, keys: Iterable[bytes]) -> None: ...


class Store(Protocol):
    """Store of one layout; any number of readers and one writer at a time."""

    def reading(self) -> AbstractContextManager[Reader]: ...

    def writing(self) -> AbstractContextManager[Writer]: ...

    def close(self) -> None: ...
