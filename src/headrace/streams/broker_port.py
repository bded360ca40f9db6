"""Broker port: the operations that the adapter of each broker implements.

Headrace reads the events after a given position. It stores that position in its own ledger,
together with the data, so the broker does not have to remember a position. A lane is a broker
partition.
"""

from dataclasses import dataclass
from typing import Protocol

from headrace.core.errors import SourceError
from headrace.streams.events import Event
from headrace.streams.spec import KafkaTopic, NatsSubject, RedisStream, Stream


class BrokerDownError(SourceError):
    """Raised if the broker does not answer. Events already read are safe; reading is retried."""


@dataclass(frozen=True)
class Waiting:
    """Unread events of a lane after a position.

    Attributes:
        events: number of events.
        oldest_at: when the broker received the first of these events, microseconds UTC; None if
            there are none.
        missed: number of events after the position that were deleted before they were read, as
            far as the broker shows it.
    """

    events: int
    oldest_at: int | None = None
    missed: int = 0


class Broker(Protocol):
    """A connection to one stream. All calls come from one thread."""

    @property
    def place(self) -> str:
        """Readable address of the stream, without credentials."""
        ...

    def lanes(self) -> list[str]:
        """Return the broker partitions, each ordered; `[""]` if the stream is not partitioned."""
        ...

    def waiting(self, lane: str, after: str) -> Waiting:
        """Count the events after a position; "" is the position before the first event.

        Raises:
            SourceError: the position belongs to an earlier stream of the same name, which has been
                deleted.
        """
        ...

    def seek(self, lane: str, after: str) -> None:
        """Make the next `read` of this lane start after this position."""
        ...

    def read(self, lane: str, limit: int, seconds: float) -> list[Event]:
        """Return the next events in order; empty if none came within `seconds`.

        Raises:
            SourceError: the stream has been deleted and created again.
        """
        ...

    def published(self, lane: str, last: str) -> None:
        """Record in the broker that events up to `last` are published; `trim` deletes them."""
        ...

    def close(self) -> None:
        """Close the connection; `contextlib.closing` calls this."""
        ...


def open_broker(stream: Stream) -> Broker:
    """Connect to the stream's broker.

    Raises:
        BrokerDownError: the broker does not answer.
        SourceError: the stream does not exist, or its retention deletes events that were read.
        DeclarationError: the broker's library is not installed.
    """
    place = stream.place
    if isinstance(place, NatsSubject):
        from headrace.streams.nats_jetstream import NatsBroker

        return NatsBroker(place, trim=stream.trim)
    if isinstance(place, RedisStream):
        from headrace.streams.redis_streams import RedisBroker

        return RedisBroker(place, group=f"headrace-{stream.name}", trim=stream.trim)
    assert isinstance(place, KafkaTopic)
    from headrace.streams.kafka_topics import KafkaBroker

    return KafkaBroker(place, group=f"headrace-{stream.name}")
