"""Redis streams behind the broker port."""

import json
import os
from typing import Any

from headrace.errors import DeclarationError, SourceError
from headrace.streams.events import Event
from headrace.streams.port import BrokerDownError, Waiting
from headrace.streams.spec import RedisStream

ADDRESS = "HEADRACE_REDIS"
DEFAULT = "redis://127.0.0.1:6379/0"
_START = "0-0"
# A position is an entry's id and how many entries were added up to it: Redis counts what was added
# and not what was read, and so what waits and what got lost need no walk over the stream.
_ORDINAL = "#"


class RedisBroker:
    """Reads with XREAD from a position, so nothing has to be acknowledged to go on.

    A consumer group only marks what is published, for whoever looks at Redis itself.
    """

    def __init__(self, where: RedisStream, *, group: str, trim: bool = False) -> None:
        try:
            import redis
        except ModuleNotFoundError as error:
            raise DeclarationError(
                "Redis streams need the redis library", fix="pip install headrace[redis]"
            ) from error
        self._errors = redis.exceptions
        self._where, self._group, self._trim = where, group, trim
        self._entry, self._taken = _START, 0
        self._client: Any = redis.Redis.from_url(
            os.environ.get(ADDRESS, DEFAULT), socket_timeout=30, socket_connect_timeout=5
        )
        self._ask("PING")

    @property
    def place(self) -> str:
        return f"redis:{self._where.key}"

    def lanes(self) -> list[str]:
        return [""]

    def waiting(self, lane: str, after: str) -> Waiting:  # noqa: ARG002 - there is one lane
        info = self._info()
        entry, taken = _split(after)
        if info is None:
            return self._nothing_but(entry)
        last = _text(info["last-generated-id"])
        added, length = int(info["entries-added"]), int(info["length"])
        if added < taken or _order(last) < _order(entry):
            return self._nothing_but(entry)
        lost = 0
        if after:
            deleted = _order(_text(info["max-deleted-entry-id"])) > _order(entry)
            lost = max(added - length - taken, int(deleted))
        start = f"({entry}" if after else "-"
        oldest = self._ask("XRANGE", self._where.key, start, "+", "COUNT", 1)
        if not oldest:
            return Waiting(0, None, lost)
        return Waiting(added - taken - lost if after else length, _at(oldest[0][0]), lost)

    def _nothing_but(self, entry: str) -> Waiting:
        """Nothing waits in a stream without events, unless some were taken of it before."""
        if entry == _START:
            return Waiting(0)
        raise SourceError(
            f"stream {self._where.key} ends before {entry}, which was taken of it: it was made"
            " anew",
            where=self.place,
            fix="give the stream's declaration another name, so that it starts again",
        )

    def seek(self, lane: str, after: str) -> None:  # noqa: ARG002
        self._entry, self._taken = _split(after)
        info = self._info()
        if not after and info is not None:
            self._taken = int(info["entries-added"]) - int(info["length"])

    def read(self, lane: str, most: int, seconds: float) -> list[Event]:  # noqa: ARG002
        key, wait = self._where.key, max(int(seconds * 1000), 1)
        reply = self._ask("XREAD", "COUNT", most, "BLOCK", wait, "STREAMS", key, self._entry)
        events = []
        for entry, fields in _entries(reply):
            self._entry, self._taken = _text(entry), self._taken + 1
            position = f"{self._entry}{_ORDINAL}{self._taken}"
            events.append(Event(position, _at(entry), self._payload(fields)))
        return events

    def published(self, lane: str, last: str) -> None:  # noqa: ARG002
        key, (entry, taken) = self._where.key, _split(last)
        try:
            self._ask("XGROUP", "SETID", key, self._group, entry, "ENTRIESREAD", taken)
        except BrokerDownError:
            raise
        except SourceError:  # there is no such group yet
            self._ask("XGROUP", "CREATE", key, self._group, entry, "ENTRIESREAD", taken)
        if self._trim:
            milliseconds, number = _order(entry)
            self._ask("XTRIM", key, "MINID", f"{milliseconds}-{number + 1}")

    def close(self) -> None:
        self._client.close()

    def _payload(self, fields: dict[bytes, bytes]) -> bytes:
        """The event; of an entry without one, a text that quarantine shows."""
        found = fields.get(self._where.field.encode())
        if found is not None:
            return found
        shown = {_text(name): _text(value) for name, value in fields.items()}
        return json.dumps(f"no field {self._where.field!r} in {shown}").encode()

    def _info(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.xinfo_stream(self._where.key)
        except self._errors.ConnectionError as error:
            raise _down(error) from error
        except self._errors.ResponseError:
            return None  # no event was ever sent
        if "entries-added" not in found:
            raise SourceError(
                "this Redis does not count a stream's entries",
                where=self.place,
                fix="Redis 7 or later",
            )
        return found

    def _ask(self, *words: Any) -> Any:  # noqa: ANN401 - whatever Redis answers
        try:
            return self._client.execute_command(*words)
        except (self._errors.ConnectionError, self._errors.TimeoutError) as error:
            raise _down(error) from error
        except self._errors.RedisError as error:
            raise SourceError(f"Redis refuses: {error}", where=self.place) from error


def _down(error: Exception) -> BrokerDownError:
    return BrokerDownError(
        f"Redis does not answer: {error}", fix=f"start it, or set {ADDRESS}: redis://host:port/0"
    )


def _split(position: str) -> tuple[str, int]:
    entry, _, taken = position.partition(_ORDINAL)
    return entry or _START, int(taken or 0)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401
    """The entries of one stream, in either form in which the library gives them."""
    if not reply:
        return []
    found = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
    nested = bool(found) and isinstance(found[0], list)
    return list(found[0] if nested else found)


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)


def _at(position: bytes | str) -> int:
    return _order(_text(position))[0] * 1000
