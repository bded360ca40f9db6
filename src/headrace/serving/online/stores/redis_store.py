"""Store on Redis: one hash holds the same bytes as the embedded store."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from headrace.core.errors import StateError
from headrace.serving.online.stores.memory import Overlay
from headrace.serving.online.stores.port import joined

_FENCE = b"fence"
_BATCH_SIZE = 5000


class RedisStore:
    """Store of one layout under `name`, on a dedicated or shared server.

    A transaction is one MULTI; if another writer commits first, it fails and changes nothing. A
    reader has no snapshot: each read returns the current state. An entity with one leaf needs one
    read. A larger entity needs several reads, so if a commit comes between them, the answer may
    mix rows from before and after the commit.

    Args:
        client: `redis.Redis` that returns bytes (`decode_responses=False`, the default).
        name: key of the Redis hash; include the layout's name.
    """

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - redis is an extra
        self._client, self.name = client, name.encode()
        self._fence = self.name + b":" + _FENCE

    @contextmanager
    def reading(self) -> Iterator["_Remote"]:
        with self._answering():
            yield _Remote(self._client, self.name)

    @contextmanager
    def writing(self) -> Iterator[Overlay]:
        import redis

        with self._answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.watch(self._fence, self.name)  # the hash too: it may be evicted or flushed
            base = _Remote(self._client, self.name)
            overlay = RemoteOverlay(base)
            yield overlay
            pipe.multi()
            _queue(pipe, self.name, overlay.changes)
            pipe.set(self._fence, secrets.token_bytes(16))
            try:
                pipe.execute()
            except redis.WatchError as error:
                raise StateError(
                    "another writer committed first; nothing was changed",
                    where=f"online store {self.name.decode()}",
                    fix="apply the rows again; let only one writer change a store",
                ) from error

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import redis

        try:
            yield
        except redis.RedisError as error:
            raise StateError(
                f"the Redis server failed: {type(error).__name__}; nothing was changed",
                where=f"online store {self.name.decode()}",
                fix="check that the server runs and has free memory, then repeat the command",
            ) from error

    @property
    def used(self) -> int:
        """Bytes in use, as the server reports them."""
        return int(self._client.memory_usage(self.name) or 0)

    def remove(self) -> None:
        """Delete the hash and its fence."""
        self._client.delete(self.name, self._fence)

    def close(self) -> None:
        self._client.close()


def _queue(pipe: Any, name: bytes, changes: dict[bytes, bytes | None]) -> None:  # noqa: ANN401
    entries = [(key, value) for key, value in changes.items() if value is not None]
    removed = [key for key, value in changes.items() if value is None]
    for i in range(0, len(entries), _BATCH_SIZE):
        pipe.hset(name, mapping=dict(entries[i : i + _BATCH_SIZE]))
    for i in range(0, len(removed), _BATCH_SIZE):
        pipe.hdel(name, *removed[i : i + _BATCH_SIZE])


class _Remote:
    """Reader of the hash's current state."""

    def __init__(self, client: Any, name: bytes) -> None:  # noqa: ANN401
        self._client, self._name = client, name

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._client.hget(self._name, key)
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = []
        for i in range(0, len(keys), _BATCH_SIZE):
            values += self._client.hmget(self._name, keys[i : i + _BATCH_SIZE])
        return values

    def get_joined(self, keys: Sequence[bytes]) -> tuple[bytes, list[int]]:
        return joined(self.get_many(keys))

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        pattern = b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^" else bytes([c]) for c in prefix)
        yield from sorted(dict(self._client.hscan_iter(self._name, pattern + b"*", 1000)).items())


class RemoteOverlay(Overlay):
    """View of the hash with uncommitted changes, which are sent when the transaction ends."""

    def __init__(self, base: _Remote) -> None:
        super().__init__({})
        self._remote = base

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self._remote.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        missing = [key for key in keys if key not in self.changes]
        stored = dict(zip(missing, self._remote.get_many(missing), strict=True))
        return [self.changes[key] if key in self.changes else stored[key] for key in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        entries: dict[bytes, bytes | None] = dict(self._remote.scan(prefix))
        entries |= {key: v for key, v in self.changes.items() if key.startswith(prefix)}
        yield from ((key, v) for key, v in sorted(entries.items()) if v is not None)

    def put_many(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        self.changes.update(entries)
