"""Consumer: publishes the events of a stream to its table in micro-batches, exactly once.

First the bytes of a micro-batch are stored; then one ledger transaction records the micro-batch
with its offsets. From then on it is a delivery like any other: the ingest protocol publishes it,
and completes an interrupted publication. After a crash, events that were read but not recorded are
read again. The consumer informs the broker of published events, but never reads its position from
the broker.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO

from headrace.core.clock import now_us
from headrace.core.errors import StateError
from headrace.core.files import write_json
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.partition_state import BLOCKED, SlotProgress
from headrace.lake.table import Table
from headrace.sources.base import Delivery, NoFiles
from headrace.streams.broker_port import Broker, open_broker
from headrace.streams.buffer import Buffer
from headrace.streams.events import delivery_of
from headrace.streams.reader_thread import StreamReader
from headrace.streams.spec import Stream
from headrace.streams.status_file import beat_path, lock_path

_IDLE = 0.25  # seconds between two checks of the stop event
_BEAT = 1.0  # seconds between two heartbeats


@dataclass(frozen=True)
class PublishedBatch:
    """Validated micro-batch, with the duration of its ingest and the delay of its first event.

    Both are in seconds; `buffered` is the number of events that wait in the buffer.
    """

    stream: str
    events: int
    verdict: str
    seconds: float
    delay: float
    buffered: int


@dataclass(frozen=True)
class _FixedSource:
    """Source with fixed deliveries."""

    name: str
    contents: tuple[Delivery, ...]

    def deliveries(self, slot: str) -> list[Delivery]:
        return [delivery for delivery in self.contents if delivery.slot == slot]


@dataclass
class _Run:
    stream: Stream
    table: Table
    home: Home
    reader: StreamReader
    place: str
    on_batch: Callable[[PublishedBatch], None] | None
    events: int = 0
    batches: int = 0
    published_at: int | None = None
    beat: float = 0.0


def run_stream(
    stream: Stream,
    table: Table,
    home: Home,
    *,
    once: bool = False,
    stop: threading.Event | None = None,
    accept_lost: bool = False,
    on_batch: Callable[[PublishedBatch], None] | None = None,
    connect: Callable[[Stream], Broker] = open_broker,
) -> int:
    """Publish events to the table until `stop` is set, or with `once` until all are published.

    Batches that an interrupted run recorded are published first. If the broker goes down during the
    run, the connection is retried; with `once`, the run ends with an error instead.

    Args:
        stream: declaration of the stream.
        table: the table that the stream feeds.
        home: home with the ledger and the tables.
        once: end when all events are published.
        stop: event that ends the run after the current micro-batch.
        accept_lost: continue if the broker deleted unread events; their number is recorded.
        on_batch: called after each micro-batch.
        connect: opens the broker.

    Returns:
        Number of events recorded by this run.

    Raises:
        StateError: another consumer is running; events were deleted before they were read; or a
            check crashed and must be fixed before more events are read.
        SourceError: the broker is down at the start, or refuses a request.
    """
    stop_event = stop or threading.Event()
    with _only_consumer(home, stream):
        settle(stream, table, home)
        broker = connect(stream)
        try:
            lanes = broker.lanes()
            with Ledger(home) as ledger:
                at = {lane: ledger.position(table.name, stream.name, lane) for lane in lanes}
            buffers = {
                lane: Buffer(
                    max(stream.buffer_events // len(lanes), 1),
                    max(stream.buffer_bytes // len(lanes), 1),
                )
                for lane in lanes
            }
            reader = StreamReader(stream, connect, dict(at), buffers, once, accept_lost)
            reader.start(broker)
        except BaseException:
            broker.close()
            raise
        run = _Run(stream, table, home, reader, broker.place, on_batch)
        try:
            _consume(run, at, stop_event)
        finally:
            reader.stop()
            _beat(run, "stopped", force=True)
        if reader.error is not None and not stop_event.is_set():
            raise reader.error
        return run.events


def settle(stream: Stream, table: Table, home: Home) -> None:
    """Publish batches that an earlier run recorded; re-validate batches if rules have changed."""
    with Ledger(home) as ledger:
        slots = {b.slot for b in ledger.batches(table.name).values() if b.source == stream.name}
    sourceless = replace(table, source=NoFiles(stream.name))
    if todo := outstanding(sourceless, sorted(slots), home):
        for result in ingest(sourceless, todo, home):
            if result.verdict == "ERROR":
                raise _crashed(table, result.slot)


def _consume(run: _Run, at: dict[str, str], stop: threading.Event) -> None:
    buffers = run.reader.buffers
    wait = _IDLE / len(buffers)
    linger = 0.0 if run.reader.once else run.stream.linger_us / 1e6
    while not stop.is_set() and not all(buffer.drained for buffer in buffers.values()):
        for lane, buffer in buffers.items():
            events = buffer.take(run.stream.batch_events, run.stream.batch_bytes, linger, wait)
            if events and not stop.is_set():
                delivery = delivery_of(run.stream, run.place, lane, at[lane], events)
                _publish(run, delivery, buffer)
                at[lane] = events[-1].position
                run.reader.published(lane, at[lane])
            _beat(run, "disconnected" if run.reader.down else "running")


def _publish(run: _Run, delivery: Delivery, buffer: Buffer) -> None:
    verdicts: list[str] = []

    def record_verdict(progress: SlotProgress) -> None:
        verdicts.append(progress.verdict)

    started = time.perf_counter()
    source = _FixedSource(run.stream.name, (delivery,))
    ingest(replace(run.table, source=source), [delivery.slot], run.home, on_slot=record_verdict)
    offsets = delivery.offsets
    assert offsets is not None
    run.events += offsets.events
    run.batches += 1
    run.published_at = now_us()
    if run.on_batch is not None:
        run.on_batch(
            PublishedBatch(
                run.stream.name,
                offsets.events,
                verdicts[0],
                time.perf_counter() - started,
                (run.published_at - offsets.first_at) / 1e6,
                buffer.fill.events,
            )
        )
    if verdicts[0] in BLOCKED:
        raise _crashed(run.table, delivery.slot)


def _crashed(table: Table, slot: str) -> StateError:
    return StateError(
        f"a check of table {table.name} crashed, or could not validate events of {slot};"
        " these events are pending, and no more events are read",
        where=f"table {table.name}, slot {slot}",
        fix=f"see why: headrace gate ls --table {table.name}; fix it, and run the stream again:"
        " pending events are validated first",
    )


def _beat(run: _Run, state: str, *, force: bool = False) -> None:
    """Write the heartbeat of this run, which the status command reads."""
    if not force and time.monotonic() - run.beat < _BEAT:
        return
    run.beat = time.monotonic()
    fills = [buffer.fill for buffer in run.reader.buffers.values()]
    beat = {
        "format": 1,
        "pid": os.getpid(),
        "at": now_us(),
        "state": state,
        "error": run.reader.down,
        "events": run.events,
        "batches": run.batches,
        "published_at": run.published_at,
        "buffered": sum(fill.events for fill in fills),
        "buffered_bytes": sum(fill.bytes for fill in fills),
        "most_buffered": sum(fill.most_events for fill in fills),
        "most_buffered_bytes": sum(fill.most_bytes for fill in fills),
    }
    with suppress(OSError):  # if the disk is full, the ingest fails as well and reports it
        write_json(beat_path(run.home, run.stream), beat)


@contextmanager
def _only_consumer(home: Home, stream: Stream) -> Iterator[None]:
    """Hold the stream's lock, so that only one consumer per home runs.

    The ledger also refuses the events of a second consumer.
    """
    path = lock_path(home, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle: IO[bytes]
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(
                f"stream {stream.name} is being consumed already",
                where=str(path),
                fix="stop the other consumer first; find it: headrace stream status",
            ) from error
        yield
