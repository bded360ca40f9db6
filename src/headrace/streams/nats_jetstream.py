"""Broker adapter for NATS JetStream."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from headrace.core.clock import to_us
from headrace.core.errors import DeclarationError, SourceError
from headrace.streams.broker_port import BrokerDownError, Waiting
from headrace.streams.events import Event
from headrace.streams.spec import NatsSubject

ADDRESS = "HEADRACE_NATS"
DEFAULT = "nats://127.0.0.1:4222"
_TIMEOUT = 10.0
_IDLE = 300.0  # seconds after which the server deletes an inactive reader
# A position is "<sequence number>#<time>", with the time at which the server received the event.
# The time shows whether the stream was deleted and recreated: numbers then start at one again, and
# another event has that number.
_RECEIVED = "#"
_ROUNDING = 1_000  # microseconds by which the library's rounding may change a time
# Error code of a request that the server ended, because the reader was deleted or has a new leader.
_READER_DELETED = 409

T = TypeVar("T")


class NatsBroker:
    """Adapter that reads with a JetStream consumer (the reader), without acknowledgements.

    Each reader starts at the position in the ledger, so the server need not remember a position. A
    gap in the consumer's sequence numbers means that a message was lost in transit: it is read
    again. A gap in the stream's sequence numbers means that unread events were deleted, unless only
    one subject of the stream is read: then events of other subjects cause gaps, too.
    """

    def __init__(
        self, where: NatsSubject, *, trim: bool = False, address: str | None = None
    ) -> None:
        try:
            import nats
            import nats.errors
            import nats.js.errors
        except ModuleNotFoundError as error:
            raise DeclarationError(
                "NATS needs the nats library", fix="pip install headrace[nats]"
            ) from error
        self._nats: Any = nats
        self._where, self._trim = where, trim
        self._address = address or os.environ.get(ADDRESS, DEFAULT)
        self._reader: Any = None
        self._after, self._expected, self._passed = "", 1, 0
        self._dense = not where.subject
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: Any = None
        try:
            self._run(self._connect())
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> None:
        async def quiet(_: Exception) -> None:
            """Ignore connection errors here: the call that fails raises them."""

        # Do not reconnect here: `StreamReader` does, and reports "disconnected" meanwhile.
        self._connection = await self._nats.connect(
            self._address,
            connect_timeout=5,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.1,
            error_cb=quiet,
        )
        self._jetstream = self._connection.jetstream(timeout=_TIMEOUT)
        info = await self._jetstream.stream_info(self._where.stream)
        retention = info.config.retention
        if retention is not None and str(getattr(retention, "value", retention)) != "limits":
            raise SourceError(
                f"stream {self._where.stream} has retention {retention}, which deletes"
                " events that were read",
                where=self.place,
                fix="create it with retention=limits; to delete published events, set `trim` in the"
                " stream's declaration",
            )
        if info.config.mirror is not None:  # a mirror that filters events has gaps in its sequence
            self._dense = False

    @property
    def place(self) -> str:
        subject = f":{self._where.subject}" if self._where.subject else ""
        return f"nats:{self._where.stream}{subject}"

    def lanes(self) -> list[str]:
        return [""]

    def waiting(self, lane: str, after: str) -> Waiting:  # noqa: ARG002 - there is one lane
        return self._run(self._waiting(after))

    async def _waiting(self, position: str) -> Waiting:
        after, _ = _split(position)
        state = await self._verified_state(position)
        consumer = await self._consumer(after, name=None)
        pending = int(consumer.num_pending)
        await self._jetstream.delete_consumer(self._where.stream, consumer.name)
        missed = _deleted_from_front(state, after)
        if after and self._dense:
            # Counts deletions anywhere after the position. Events that arrived since `state` was
            # read make the number too low, never too high.
            missed = max(missed, state.last_seq - after - pending)
        if not pending:
            return Waiting(0, None, missed)
        return Waiting(pending, await self._oldest(after), missed)

    async def _verified_state(self, position: str) -> Any:  # noqa: ANN401
        """Return the stream's state; raise SourceError if the stream was deleted and recreated."""
        state = (await self._jetstream.stream_info(self._where.stream)).state
        after, received = _split(position)
        other = state.last_seq < after
        if after and received and not other:
            with suppress(self._nats.js.errors.NotFoundError):
                message = await self._jetstream.get_msg(self._where.stream, after)
                other = bool(message.time) and abs(to_us(message.time) - received) > _ROUNDING
        if other:
            raise SourceError(
                f"event {after} of stream {self._where.stream} is another event than was read, or"
                f" does not exist (the stream ends at {state.last_seq}): the stream was deleted and"
                " recreated",
                where=self.place,
                fix="give the stream's declaration another name: reading then starts at the first"
                " event",
            )
        return state

    async def _oldest(self, after: int) -> int | None:
        """Return the time of receipt of the next event, which may be of another subject."""
        info = await self._jetstream.stream_info(self._where.stream)
        sequence = max(after + 1, info.state.first_seq)
        for candidate in range(sequence, min(sequence + 100, info.state.last_seq + 1)):
            try:
                message = await self._jetstream.get_msg(self._where.stream, candidate)
            except self._nats.js.errors.NotFoundError:
                continue
            return to_us(message.time) if message.time else None
        return None

    def seek(self, lane: str, after: str) -> None:  # noqa: ARG002
        self._after = after
        self._reader = None  # the server deletes the old one when it is idle

    def read(self, lane: str, limit: int, seconds: float) -> list[Event]:  # noqa: ARG002
        try:
            return self._run(self._read(limit, seconds), _TIMEOUT + seconds)
        except BrokerDownError:
            self._reader = None
            raise

    async def _read(self, limit: int, seconds: float) -> list[Event]:
        if self._reader is None:
            await self._begin()
        try:
            messages = await self._reader.fetch(limit, timeout=max(seconds, 0.05))
        except (TimeoutError, self._nats.errors.TimeoutError):
            if self._connection.is_closed:
                raise
            await self._look_after_reader()
            return []
        except self._nats.js.errors.APIError as error:
            if error.code != _READER_DELETED:
                raise
            self._reader = None
            return []
        events = []
        after, _ = _split(self._after)
        for message in messages:
            place = message.metadata.sequence
            if place.consumer != self._expected:
                self._reader = None  # a message before this one was lost: read again
                break
            self._expected += 1
            missed = place.stream - after - 1 if after and self._dense else self._passed
            after, self._passed = place.stream, 0
            at = to_us(message.metadata.timestamp)
            self._after = f"{after}{_RECEIVED}{at}"
            events.append(Event(self._after, at, message.data, missed))
        return events

    async def _begin(self) -> None:
        """Create a reader that starts after the current position, and count missed events.

        These are the unread events that were deleted from the front of the stream. If each gap in
        the sequence means a deletion (`_dense`), `_read` counts deletions from the gaps instead.
        """
        state = await self._verified_state(self._after)
        after, _ = _split(self._after)
        self._passed = 0 if self._dense else _deleted_from_front(state, after)
        consumer = await self._consumer(after, name=None)
        self._reader = await self._jetstream.pull_subscribe_bind(
            consumer=consumer.name, stream=self._where.stream
        )
        self._expected = 1

    async def _look_after_reader(self) -> None:
        """Drop the reader if the server has deleted it: it would receive no event and no error."""
        try:
            await self._reader.consumer_info()
        except self._nats.js.errors.NotFoundError:
            self._reader = None

    async def _consumer(self, after: int, name: str | None) -> Any:  # noqa: ANN401
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE,
            filter_subject=self._where.subject or None,
            inactive_threshold=_IDLE,
            mem_storage=True,
            num_replicas=1,
        )
        return await self._jetstream.add_consumer(self._where.stream, config)

    def published(self, lane: str, last: str) -> None:  # noqa: ARG002
        if self._trim:
            purge = self._jetstream.purge_stream(
                self._where.stream,
                seq=_split(last)[0] + 1,
                subject=self._where.subject or None,
            )
            self._run(purge)

    def close(self) -> None:
        with suppress(TimeoutError, self._nats.errors.Error):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._loop.is_running():
            self._loop.close()

    async def _end(self) -> None:
        if self._connection is not None and not self._connection.is_closed:
            await self._connection.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T], timeout: float = 2 * _TIMEOUT) -> T:
        errors, api = self._nats.errors, self._nats.js.errors
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except api.NotFoundError as error:
            raise SourceError(
                f"there is no stream {self._where.stream}",
                where="NATS JetStream",
                fix=f"create it there: nats stream add {self._where.stream}",
            ) from error
        except (errors.Error, OSError, TimeoutError) as error:
            future.cancel()
            if isinstance(error, api.APIError) and not isinstance(
                error, api.ServiceUnavailableError
            ):
                raise SourceError(f"NATS refuses: {error}", where=self.place) from error
            raise BrokerDownError(
                f"NATS does not answer: {type(error).__name__} {error}".rstrip(),
                where=self.place,
                fix=f"start it with JetStream, or set {ADDRESS}: nats://host:port",
            ) from error


def _split(position: str) -> tuple[int, int]:
    """Return (sequence number, time of receipt); the time is 0 if an old position has none."""
    sequence, _, received = position.partition(_RECEIVED)
    return int(sequence or 0), int(received or 0)


def _deleted_from_front(state: Any, after: int) -> int:  # noqa: ANN401
    """Count the events after a position that were deleted from the front of the stream."""
    return max(state.first_seq - after - 1, 0) if after and state.last_seq > after else 0
