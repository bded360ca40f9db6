"""Reader thread of a consumer: reads events from the broker into the buffers."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from headrace.core.errors import StateError
from headrace.streams.broker_port import Broker, BrokerDownError
from headrace.streams.buffer import Buffer
from headrace.streams.events import Event
from headrace.streams.spec import Stream

_WAIT = 0.5  # seconds that a read waits if there are no events
_LIMIT = 500  # events per read
_GUESS = 1 << 16  # assumed bytes of an event, before the first one is read
_LONGEST_PAUSE = 15.0  # seconds between two attempts to reach a broker that is down


@dataclass
class StreamReader:
    """Reads lanes (broker partitions) from the positions in the ledger, until it is stopped.

    Attributes:
        positions: {lane: the position after which reading starts}.
        once: stop when all events have been read.
        accept_lost: continue if the broker has deleted unread events.
        down: why the broker cannot be reached now; "" if it can.
        error: the error that ended the reading; None if there was none.
    """

    stream: Stream
    connect: Callable[[Stream], Broker]
    positions: dict[str, str]
    buffers: Mapping[str, Buffer]
    once: bool = False
    accept_lost: bool = False
    down: str = ""
    error: Exception | None = None
    _published: dict[str, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _largest: int = 0

    def start(self, broker: Broker) -> None:
        """Start reading; the thread takes over the connection."""
        self._seek(broker)
        self._thread = threading.Thread(target=self._work, args=(broker,), name="headrace-read")
        self._thread.start()

    def published(self, lane: str, last: str) -> None:
        """Note that events up to `last` are published; the thread informs the broker later."""
        self._published[lane] = last

    def stop(self) -> None:
        """Stop reading, inform the broker of the published events, and close the connection."""
        self._stop.set()
        for buffer in self.buffers.values():
            buffer.end()
        if self._thread is not None:
            self._thread.join()

    def _seek(self, broker: Broker) -> None:
        for lane, after in self.positions.items():
            self._accept(broker, broker.waiting(lane, after).missed, after)
        for lane, after in self.positions.items():
            broker.seek(lane, after)

    def _accept(self, broker: Broker, missed: int, after: str) -> None:
        if missed and not self.accept_lost:
            raise StateError(
                f"{missed} events after {after} were deleted before they were read",
                where=broker.place,
                fix="make the broker keep events longer than a consumer may be stopped; to continue"
                " without these events and record the loss: headrace stream run ... --accept-lost",
            )

    def _work(self, broker: Broker) -> None:
        try:
            self._read_all(broker)
        except Exception as error:  # noqa: BLE001 - `run_stream` raises it
            self.error = error
        finally:
            for buffer in self.buffers.values():
                buffer.end()

    def _read_all(self, first: Broker) -> None:
        broker: Broker | None = first
        pause = 0.5
        while True:
            try:
                self._read_on(broker)
            except BrokerDownError as error:
                if self.once or self._stop.is_set():
                    raise
                pause = 0.5 if not self.down else min(2 * pause, _LONGEST_PAUSE)
                broker, self.down = None, error.what
                if self._stop.wait(pause):
                    return
            else:
                return

    def _read_on(self, broker: Broker | None) -> None:
        """Read until the stream is drained or a stop is requested; close the connection."""
        if broker is None:
            broker = self.connect(self.stream)
            self._seek(broker)
        try:
            self.down = ""
            self._read(broker)
            for buffer in self.buffers.values():
                buffer.end()
            # Stay connected until `stop` is called, to inform the broker of the last published
            # events.
            self._stop.wait()
            with suppress(BrokerDownError):
                self._report_published(broker)
        finally:
            broker.close()

    def _read(self, broker: Broker) -> None:
        wait = _WAIT / len(self.buffers)
        while not self._stop.is_set():
            idle = True
            for lane, buffer in self.buffers.items():
                events, size = buffer.room(wait)
                if not events:
                    idle = False
                    continue
                limit = min(events, _LIMIT, max(1, size // (self._largest or _GUESS)))
                batch = broker.read(lane, limit, 0.05 if self.once else wait)
                if batch:
                    idle = False
                    self._take(broker, lane, batch)
            self._report_published(broker)
            if self.once and idle and self._at_the_end(broker):
                return

    def _take(self, broker: Broker, lane: str, batch: Sequence[Event]) -> None:
        """Add events to the buffer.

        Raises StateError at the first event that follows missed events, unless `accept_lost`.
        """
        for number, event in enumerate(batch):
            if event.missed and not self.accept_lost:
                self._add_to_buffer(lane, batch[:number])
                self._accept(broker, event.missed, self.positions[lane])
        self._add_to_buffer(lane, batch)

    def _add_to_buffer(self, lane: str, events: Sequence[Event]) -> None:
        if events:
            self._largest = max(self._largest, *(len(event.payload) for event in events))
            self.buffers[lane].add(events)
            self.positions[lane] = events[-1].position

    def _at_the_end(self, broker: Broker) -> bool:
        return not any(broker.waiting(lane, at).events for lane, at in self.positions.items())

    def _report_published(self, broker: Broker) -> None:
        while self._published:
            broker.published(*self._published.popitem())
