"""Sampling of topics: reads the first events without changing a position in the broker."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from urllib.parse import urlsplit

from headrace.core.clock import iso
from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.parsing.json_rows import ndjson_rows
from headrace.sources.sampling.sample import Limits, Sample
from headrace.streams.broker_port import Broker, BrokerDownError
from headrace.streams.events import Event, event_line
from headrace.streams.spec import KafkaTopic, NatsSubject, RedisStream

_AT_ONCE = 500
_PATIENCE = 10.0  # seconds after which sampling stops, even with fewer events than requested


def sample_topic(address: str, limits: Limits) -> Sample:
    """Sample `nats://host#subject`, `redis://host#stream` or `kafka://host#topic`, oldest first.

    Raises:
        DeclarationError: no topic is named, or the broker's library is not installed.
        SourceError: the broker does not answer, there is no such topic, or it is empty.
    """
    server, _, topic = address.partition("#")
    scheme = server.partition("://")[0].lower()
    safe_server = re.sub(r"//[^/@]*@", "//", server)
    if not topic:
        raise DeclarationError(
            "no topic is named", where=safe_server, fix="write #subject or #stream"
        )
    try:
        broker, place = _OPEN[scheme](server, topic)
    except SourceError as error:  # raise the same error without the password
        fix = "start the broker, or correct the address"
        down = isinstance(error, BrokerDownError) or not error.fix
        raise SourceError(
            error.what.replace(server, safe_server),
            where=safe_server,
            fix=fix if down else error.fix,
        ) from error
    with closing(broker):
        waiting = {lane: broker.waiting(lane, "").events for lane in broker.lanes()}
        events = _first(broker, waiting, limits)
    if not events:
        raise SourceError(
            f"there is no event in {topic}",
            where=safe_server,
            fix="check its name, or send an event first",
        )
    rows = ndjson_rows(b"".join(event_line(event.payload) + b"\n" for event in events))
    notes = [
        f"events that are not flat JSON objects, and would go to quarantine: {len(rows.malformed)},"
        f" such as {fault.text[:120]!r} ({fault.why})"
        for fault in rows.malformed[:1]
    ]
    total = sum(waiting.values())
    return Sample(
        address=f"{safe_server}#{topic}",
        kind="topic",
        format="events",
        name=topic,
        table=rows.table,
        complete=len(events) >= total,
        total=total,
        details={
            "place": place,
            "lanes": len(waiting),
            "oldest": iso(min(event.at for event in events)),
        },
        notes=tuple(notes),
    )


def _first(broker: Broker, waiting: Mapping[str, int], limits: Limits) -> list[Event]:
    """Read the oldest events of each lane in turn, until a limit or `_PATIENCE` is reached."""
    for lane in waiting:
        broker.seek(lane, "")
    remaining = {lane: min(n, -(-limits.rows // len(waiting))) for lane, n in waiting.items()}
    events: list[Event] = []
    stop = time.monotonic() + _PATIENCE
    while any(remaining.values()) and time.monotonic() < stop:
        for lane in [candidate for candidate, count in remaining.items() if count]:
            batch = broker.read(lane, min(_AT_ONCE, remaining[lane]), 0.5)
            remaining[lane] -= len(batch)
            events += batch
        if sum(len(event.payload) for event in events) > limits.bytes:
            break
    return events[: limits.rows]


Opened = tuple[Broker, str]


def _nats(server: str, topic: str) -> Opened:
    from headrace.streams.nats_jetstream import NatsBroker

    stream = _stream_of(server, topic)
    where = NatsSubject(stream, "" if stream == topic else topic)
    declaration = f'NatsSubject("{stream}"' + (f', "{topic}")' if where.subject else ")")
    return NatsBroker(where, address=server), declaration


def _stream_of(server: str, topic: str) -> str:
    """Return the JetStream stream of a subject, or `topic` itself if it is a stream."""
    try:
        import nats
        import nats.errors
        import nats.js.errors
    except ModuleNotFoundError as error:
        raise DeclarationError(
            "NATS needs the nats library", fix="pip install headrace[nats]"
        ) from error

    async def quiet(_: Exception) -> None:
        """Ignore connection errors here: the call that fails raises them."""

    async def ask() -> str:
        connection = await nats.connect(
            server,
            connect_timeout=5,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.1,
            error_cb=quiet,
        )
        try:
            jetstream = connection.jetstream(timeout=5)
            with suppress(nats.js.errors.NotFoundError):
                await jetstream.stream_info(topic)
                return topic
            return str(await jetstream.find_stream_name_by_subject(topic))
        finally:
            await connection.close()

    try:
        return asyncio.run(ask())
    except nats.js.errors.NotFoundError as error:
        raise SourceError(
            f"no JetStream stream stores {topic!r}",
            where=server,
            fix="name a JetStream stream, or a subject that a stream stores",
        ) from error
    except (OSError, nats.errors.Error) as error:
        raise SourceError(
            f"NATS does not answer: {error or type(error).__name__}",
            where=server,
            fix="start the broker, or correct the address",
        ) from error


def _redis(server: str, topic: str) -> Opened:
    from headrace.streams.redis_streams import RedisBroker

    broker = RedisBroker(RedisStream(topic), group="headrace-try", address=server)
    return broker, f'RedisStream("{topic}")'


def _kafka(server: str, topic: str) -> Opened:
    from headrace.streams.kafka_topics import KafkaBroker

    address = urlsplit(server).netloc
    return KafkaBroker(KafkaTopic(topic), group="headrace-try", address=address), (
        f'KafkaTopic("{topic}")'
    )


_OPEN: dict[str, Callable[[str, str], Opened]] = {
    "nats": _nats,
    "redis": _redis,
    "rediss": _redis,
    "kafka": _kafka,
}
