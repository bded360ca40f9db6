"""Declaration of an event stream in a pipeline: its broker, its table, and its limits."""

from dataclasses import dataclass

from headrace.contracts import Contract
from headrace.core.clock import duration
from headrace.core.errors import DeclarationError


@dataclass(frozen=True)
class NatsSubject:
    """NATS JetStream stream, or one `subject` of it.

    The environment variable `HEADRACE_NATS` holds the server's address.
    """

    stream: str
    subject: str = ""


@dataclass(frozen=True)
class RedisStream:
    """Redis stream whose entries carry the event as JSON in `field`.

    The environment variable `HEADRACE_REDIS` holds the server's address.
    """

    key: str
    field: str = "event"


@dataclass(frozen=True)
class KafkaTopic:
    """Kafka topic, read partition by partition.

    The environment variable `HEADRACE_KAFKA` holds the brokers' addresses.
    """

    topic: str


Place = NatsSubject | RedisStream | KafkaTopic


@dataclass(frozen=True)
class Stream:
    """Events that become rows of a table.

    Attributes:
        table: the table that the events feed; its contract must have a primary key.
        place: the stream or topic in the broker.
        producer: team or system that is responsible for the content.
        name: part of batch ids and of the recorded position; under a new name the stream is read
            from the start. Default: the table's name.
        linger: how long a micro-batch stays open for more events after its first one, such as
            "2s". A longer time delays publication, but gives fewer commits.
        batch_events, batch_bytes: maximum size of a micro-batch. Each micro-batch becomes one file
            of the table.
        buffer_events, buffer_bytes: maximum number of events and bytes that are read ahead of the
            current micro-batch; further events stay in the broker.
        max_lag: the status reports a problem if the oldest unread event is older than this, such
            as "5m".
        trim: delete events from the broker once they are published; set it only if the stream has
            no other reader.
    """

    table: str
    place: Place
    producer: str
    name: str = ""
    linger: str = "2s"
    batch_events: int = 20_000
    batch_bytes: int = 8 << 20
    buffer_events: int = 40_000
    buffer_bytes: int = 16 << 20
    max_lag: str = "5m"
    trim: bool = False

    def __post_init__(self) -> None:
        where = f"stream {self.name or self.table}"
        if not self.name:
            object.__setattr__(self, "name", self.table)
        sizes = ("batch_events", "batch_bytes", "buffer_events", "buffer_bytes")
        for size in sizes:
            if getattr(self, size) < 1:
                raise DeclarationError(
                    f"{size} is {getattr(self, size)}", where=where, fix="set 1 or more"
                )
        for text in (self.linger, self.max_lag):
            if duration(text) < 0:
                raise DeclarationError(
                    f"{text!r} is negative", where=where, fix="write it as in '2s'"
                )

    @property
    def linger_us(self) -> int:
        return duration(self.linger)

    @property
    def max_lag_us(self) -> int:
        return duration(self.max_lag)


def check_streams(streams: tuple[Stream, ...], contracts: dict[str, Contract], where: str) -> None:
    """Check that each stream has a unique name and feeds a table with a primary key.

    Raises:
        DeclarationError: a table is unknown or has no primary key, or a name is used twice.
    """
    for stream in streams:
        contract = contracts.get(stream.table)
        if contract is None:
            raise DeclarationError(
                f"stream {stream.name} feeds {stream.table!r}, not a table of the pipeline",
                where=where,
                fix=f"one of {', '.join(contracts)}",
            )
        if not contract.primary_key:
            raise DeclarationError(
                f"stream {stream.name} feeds {stream.table}, which has no primary key",
                where=where,
                fix="declare a primaryKey in the contract: without one a repeated event cannot be"
                " distinguished from a new one",
            )
    names = [stream.name for stream in streams]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DeclarationError(f"streams declared twice: {', '.join(repeated)}", where=where)
