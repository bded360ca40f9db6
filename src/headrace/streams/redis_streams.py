"""Broker adapter for Redis streams."""

import json
import os
from collections.abc import Callable
from typing import Any

from headrace.core.errors import DeclarationError, SourceError
from headrace.streams.broker_port import BrokerDownError, Waiting
from headrace.streams.events import Event, received_at
from headrace.streams.spec import RedisStream

ADDRESS = "HEADRACE_REDIS"
DEFAULT = "redis://127.0.0.1:6379/0"
_START = "0-0"
# A position is "<entry id>#<ordinal>". The ordinal is the number of entries that were ever added to
# the stream, up to and including this one. Redis counts all added entries (`entries-added`), so
# unread and deleted entries can be counted without scanning the stream.
_ORDINAL = "#"


class RedisBroker:
    """Adapter that reads a stream with XREAD from a given position, without acknowledgements.

    It does not read through its consumer group. It only sets the group's position to the last
    published event, so that Redis tools show the progress.
    """

    def __init__(
        self,
        where: RedisStream,
        *,
        group: str,
        trim: bool = False,
        address: str | None = None,
    ) -> None:
        try:
            import redis
        except ModuleNotFoundError as error:
            raise DeclarationError(
                "Redis streams need the redis library", fix="pip install headrace[redis]"
            ) from error
        self._errors = redis.exceptions
        self._where, self._group, self._trim = where, group, trim
        self._entry, self._ordinal = _START, 0
        self._client: Any = redis.Redis.from_url(
            address or os.environ.get(ADDRESS, DEFAULT), socket_timeout=30, socket_connect_timeout=5
        )
        self._ask("PING")

    @property
    def place(self) -> str:
        return f"redis:{self._where.key}"

    def lanes(self) -> list[str]:
        return [""]

    def waiting(self, lane: str, after: str) -> Waiting:  # noqa: ARG002 - there is one lane
        info = self._info()
        entry, ordinal = _split(after)
        self._require_same_stream(info, entry, ordinal)
        if info is None:
            return Waiting(0)
        missed = 0
        if after:
            missed = max(_deleted(info) - ordinal, int(_last_deleted(info) > _order(entry)))
        start = f"({entry}" if after else "-"
        oldest = self._ask("XRANGE", self._where.key, start, "+", "COUNT", 1)
        if not oldest:
            return Waiting(0, None, missed)
        waits = int(info["entries-added"]) - ordinal - missed if after else int(info["length"])
        return Waiting(waits, _at(oldest[0][0]), missed)

    def _require_same_stream(self, info: dict[str, Any] | None, entry: str, ordinal: int) -> None:
        """Raise SourceError if the stream was deleted and recreated since `entry` was read."""
        if info is None:
            other = bool(ordinal)
        else:
            first = _order(_text(info["recorded-first-entry-id"]))
            # If the stream no longer contains the entry, it must have deleted at least the
            # `ordinal` entries up to this one; otherwise it was recreated.
            missing = int(info["length"]) == 0 or first > _order(entry)
            other = (
                int(info["entries-added"]) < ordinal
                or _order(_text(info["last-generated-id"])) < _order(entry)
                or (missing and _deleted(info) < ordinal)
            )
        if other:
            raise SourceError(
                f"stream {self._where.key} was deleted and recreated since entry {entry} was read",
                where=self.place,
                fix="give the stream's declaration another name: reading then starts at the first"
                " event",
            )

    def seek(self, lane: str, after: str) -> None:  # noqa: ARG002
        self._entry, self._ordinal = _split(after)
        info = self._info()
        if not after and info is not None:
            self._ordinal = int(info["entries-added"]) - int(info["length"])

    def read(self, lane: str, limit: int, seconds: float) -> list[Event]:  # noqa: ARG002
        key, wait = self._where.key, max(int(seconds * 1000), 1)
        if not self._ask("XREAD", "COUNT", 1, "BLOCK", wait, "STREAMS", key, self._entry):
            return []
        # Both commands run in one transaction, so that the counts of deleted entries match the
        # entries that are read.
        info, reply = self._call(
            lambda: (
                self._client.pipeline(transaction=True)
                .xinfo_stream(key)
                .execute_command("XREAD", "COUNT", limit, "STREAMS", key, self._entry)
                .execute()
            )
        )
        self._require_same_stream(info, self._entry, self._ordinal)
        before = _order(self._entry)
        missed = max(_deleted(info) - self._ordinal, 0)
        self._ordinal += missed
        events = []
        for entry, fields in _entries(reply):
            if before < _last_deleted(info) < _order(_text(entry)):
                missed = max(missed, 1)
            self._entry, self._ordinal = _text(entry), self._ordinal + 1
            position = f"{self._entry}{_ORDINAL}{self._ordinal}"
            events.append(Event(position, _at(entry), self._payload(fields), missed))
            before, missed = _order(self._entry), 0
        return events

    def published(self, lane: str, last: str) -> None:  # noqa: ARG002
        key, (entry, ordinal) = self._where.key, _split(last)
        try:
            self._ask("XGROUP", "SETID", key, self._group, entry, "ENTRIESREAD", ordinal)
        except BrokerDownError:
            raise
        except SourceError:  # the group does not exist yet
            self._ask("XGROUP", "CREATE", key, self._group, entry, "ENTRIESREAD", ordinal)
        if self._trim:
            milliseconds, number = _order(entry)
            self._ask("XTRIM", key, "MINID", f"{milliseconds}-{number + 1}")

    def close(self) -> None:
        self._client.close()

    def _payload(self, fields: dict[bytes, bytes]) -> bytes:
        """Return the event; if the field is missing, a JSON string that goes to quarantine."""
        payload = fields.get(self._where.field.encode())
        if payload is not None:
            return payload
        decoded = {_text(name): _text(value) for name, value in fields.items()}
        return json.dumps(f"no field {self._where.field!r} in {decoded}").encode()

    def _info(self) -> dict[str, Any] | None:
        if not self._ask("EXISTS", self._where.key):
            return None  # the stream does not exist yet: no event was ever sent
        info: dict[str, Any] = self._call(lambda: self._client.xinfo_stream(self._where.key))
        if "entries-added" not in info:
            raise SourceError(
                "this version of Redis does not count the entries added to a stream",
                where=self.place,
                fix="use Redis 7 or later",
            )
        return info

    def _ask(self, *words: Any) -> Any:  # noqa: ANN401 - depends on the command
        return self._call(lambda: self._client.execute_command(*words))

    def _call(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401
        try:
            return ask()
        except (self._errors.ConnectionError, self._errors.TimeoutError) as error:
            raise _down(error) from error
        except self._errors.RedisError as error:
            raise SourceError(f"Redis refuses: {error}", where=self.place) from error


def _down(error: Exception) -> BrokerDownError:
    return BrokerDownError(
        f"Redis does not answer: {error}", fix=f"start it, or set {ADDRESS}: redis://host:port/0"
    )


def _split(position: str) -> tuple[str, int]:
    entry, _, ordinal = position.partition(_ORDINAL)
    return entry or _START, int(ordinal or 0)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401
    """Return the entries of one stream from the library's reply, which is a dict or a list."""
    if not reply:
        return []
    entries = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
    nested = bool(entries) and isinstance(entries[0], list)
    return list(entries[0] if nested else entries)


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)


def _deleted(info: dict[str, Any]) -> int:
    """Count the entries that were deleted so far, by trimming or by XDEL."""
    return int(info["entries-added"]) - int(info["length"])


def _last_deleted(info: dict[str, Any]) -> tuple[int, int]:
    """Return the greatest id that was deleted by XDEL."""
    return _order(_text(info["max-deleted-entry-id"]))


def _at(position: bytes | str) -> int:
    return received_at(_order(_text(position))[0])
