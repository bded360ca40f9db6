"""Interface of a store: bytes by key, snapshots for reading, one transaction at a time for writing.

Every backend has the same bytes; the modules above give them their meaning.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Reader(Protocol):
    """One consistent state of the store."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        """Return the concatenated values, and the size of each; 0 if there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entries whose key has this prefix, by key."""
        ...


def joined(values: Sequence[bytes | None]) -> tuple[bytes, list[int]]:
    """Return concatenated values, and the size of each."""
    blobs = [value or b"" for value in values]
    return b"".join(blobs), [len(value) for value in blobs]


class Writer(Reader, Protocol):
    """Transaction: committed if the block that opened it ends without an error, else undone."""

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None: ...

    def delete_many(self, keys: Iterable[bytes]) -> None: ...


class Store(Protocol):
    """Store of one layout. Several may read at once, one writes."""

    def reading(self) -> AbstractContextManager[Reader]: ...

    def writing(self) -> AbstractContextManager[Writer]: ...

    def close(self) -> None: ...
