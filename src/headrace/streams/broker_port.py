"""The port to a broker: the operations that every broker must support.

A broker is asked for the events after a position. It need not remember who has read what: the
position is in the ledger, beside the data.
"""

from dataclasses import dataclass
from typing import Protocol

from headrace.core.errors import SourceError
from headrace.streams.events import Event
from headrace.streams.spec import KafkaTopic, NatsSubject, RedisStream, Stream


class BrokerDownError(SourceError):
    """The broker does not answer; what was read is safe, and reading goes on when it does again."""


@dataclass(frozen=True)
class Waiting:
    """Events of a lane after a position.

    Attributes:
        events: how many wait.
        oldest_at: when the broker received the first of them, microseconds UTC; None if none waits.
        missed: events after the position that were deleted before they were read, as far as the
            broker knows.
    """

    events: int
    oldest_at: int | None = None
    missed: int = 0


class Broker(Protocol):
    """A connection to one stream. All calls come from one thread."""

    @property
    def place(self) -> str:
        """Address of the events, for people; without credentials."""
        ...

    def lanes(self) -> list[str]:
        """The partitions, each with an order of its own; `[""]` where there is one order only."""
        ...

    def waiting(self, lane: str, after: str) -> Waiting:
        """Return the number of events after this position ("" is before the first event).

        Raises:
            SourceError: it is a position of another stream, which had the same name.
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
        """Everything up to `last` is published: the broker may show that, and trim if declared."""
        ...

    def close(self) -> None:
        """`contextlib.closing` calls it at the end of a `with`."""
        ...


def open_broker(stream: Stream) -> Broker:
    """A connection to the stream's broker.

    Raises:
        BrokerDownError: nobody answers.
        SourceError: the stream is not there, or is kept in a way that loses events.
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
