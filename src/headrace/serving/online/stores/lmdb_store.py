"""Embedded store: LMDB, one file, many reading processes, one writing process."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.core.errors import StateError
from headrace.serving.online.stores.port import joined

# Reserved address space, not disk space: the file grows as needed.
MAP_SIZE = 2**40


class LmdbStore:
    """Store of one layout in a folder.

    Args:
        folder: folder of the store; created if it does not exist.
        durable: fsync every transaction. Without it a power cut may lose the last transactions,
            but a killed process loses none.
        map_size: maximum size of the file in bytes.

    Raises:
        StateError: the lmdb package is missing, or the file cannot be opened.
    """

    def __init__(self, folder: Path, *, durable: bool = True, map_size: int = MAP_SIZE) -> None:
        lmdb = _lmdb()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._env: Any = lmdb.open(
                os.fspath(folder),
                map_size=map_size,
                sync=durable,
                metasync=durable,
                max_readers=512,
            )
        except lmdb.Error as error:
            raise _unusable(folder, f"cannot be opened: {error}") from error

    @contextmanager
    def reading(self) -> Iterator["_Snapshot"]:
        with self._env.begin(buffers=True) as transaction:
            yield _Snapshot(transaction)

    @contextmanager
    def writing(self) -> Iterator["_Transaction"]:
        with self._env.begin(write=True) as transaction:
            yield _Transaction(transaction)

    @property
    def used(self) -> int:
        """Bytes in use. The file does not shrink; freed pages are reused."""
        stat = self._env.stat()
        pages = sum(stat[kind] for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
        return int(pages * stat["psize"])

    def close(self) -> None:
        self._env.close()


class _Snapshot:
    """Read transaction. LMDB returns views of the file; the methods copy each value once."""

    def __init__(self, transaction: Any) -> None:  # noqa: ANN401 - lmdb carries no types
        self._transaction = transaction

    def get(self, key: bytes) -> bytes | None:
        value = self._transaction.get(key)
        return None if value is None else bytes(value)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        get = self._transaction.get
        return [None if (value := get(key)) is None else bytes(value) for key in keys]

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        get = self._transaction.get
        views = [get(key, b"") for key in keys]
        return b"".join(views), [len(view) for view in views]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._transaction.cursor() as cursor:
            positioned = cursor.set_range(prefix)
            while positioned and bytes(cursor.key()).startswith(prefix):
                key, value = cursor.item()
                yield bytes(key), bytes(value)
                positioned = cursor.next()


class _Transaction:
    def __init__(self, transaction: Any) -> None:  # noqa: ANN401 - lmdb carries no types
        self._transaction = transaction
        self.get = transaction.get

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        get = self._transaction.get
        return [get(key) for key in keys]

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        return joined(self.get_many(keys))

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._transaction.cursor() as cursor:
            positioned = cursor.set_range(prefix)
            while positioned and cursor.key().startswith(prefix):
                yield cursor.item()
                positioned = cursor.next()

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        with self._transaction.cursor() as cursor:
            cursor.putmulti(sorted(entries))

    def delete_many(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._transaction.delete(key)


def _unusable(folder: Path, why: str) -> StateError:
    return StateError(
        f"the online store {why}",
        where=str(folder),
        fix="check the disk; or delete the store, then run headrace online sync",
    )


def _lmdb() -> Any:  # noqa: ANN401 - lmdb carries no types
    try:
        import lmdb
    except ModuleNotFoundError as error:
        raise StateError(
            "the embedded online store needs the lmdb package",
            where="online store",
            fix='pip install "headrace[online]"',
        ) from error
    return lmdb
