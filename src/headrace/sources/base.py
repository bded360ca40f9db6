"""`Delivery`, the unit that a source delivers, and the protocol that every reader follows."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

from headrace.core.errors import SourceError
from headrace.core.files import sha256

Format = Literal["csv", "ndjson", "pages", "events", "changes", "parquet", "objects"]
# Formats whose deliveries hold other rows than those before: none is a correction of another.
STANDALONE = ("events", "changes", "objects")


@dataclass(frozen=True)
class Offsets:
    """Part of a stream that a delivery holds; recorded in the same transaction as the delivery.

    A stream is the events of a broker, or a source that is read on from where reading stopped.

    Attributes:
        stream: name of the stream.
        lane: partition of the stream; "" where it has one order only.
        after: the position that was taken last before these, "" at the start of the lane.
        first, last: positions of the first and the last event, as the broker writes them.
        events: how many there are.
        first_at, last_at: when the broker received them, int64 microseconds UTC.
        missed: events before these that the broker had deleted unread; the loss was accepted.
    """

    stream: str
    lane: str
    after: str
    first: str
    last: str
    events: int
    first_at: int
    last_at: int
    missed: int = 0


@dataclass(frozen=True)
class Delivery:
    """One delivery of one source for one partition, with its bytes as they came.

    Attributes:
        source: name of the source; part of the batch id.
        slot: the partition that it is for, such as an ISO day; part of the batch id.
        payload: the bytes. "csv": the file. "ndjson": one JSON object a line.
            "pages": one API page a line, each a JSON object with a list "records".
            "events": one event of a stream a line. Events are independent: a bad one is
            quarantined, while a bad line of a file breaks the whole batch.
            "parquet": a whole Parquet file. "objects": not the bytes but a reference to a Parquet
            object, `headrace.sources.delivery_reference`; `origin` is where it lies.
            "changes": rows that changed since the delivery before, one JSON object a line.
        format: how `headrace.sources.parse.read_rows` reads the payload.
        origin: path or address it was read from, for people; not part of the batch id.
        arrived_at: microseconds since the epoch, UTC; not part of the batch id.
        producer: team or system that is responsible for the content.
        sequence: place among the deliveries now visible for the slot, oldest first.
        offsets: the events of a stream that this is; None for everything else.
    """

    source: str
    slot: str
    payload: bytes
    format: Format
    origin: str
    arrived_at: int
    producer: str
    sequence: int = 0
    offsets: Offsets | None = None

    @cached_property
    def content_sha(self) -> str:
        """sha256 of the payload alone."""
        return sha256(self.payload)

    @cached_property
    def batch_id(self) -> str:
        """sha256 of source, slot and payload: the same bytes delivered twice are one batch."""
        hasher = hashlib.sha256(f"{self.source}\0{self.slot}\0".encode())
        hasher.update(self.payload)
        return hasher.hexdigest()


class Past(Protocol):
    """Deliveries of a source that a table has recorded so far, from the ledger."""

    def position(self, lane: str = "") -> str:
        """Return the position at which the last recorded delivery ends; "" if there is none."""
        ...

    def deliveries(self, lane: str = "") -> Iterator[tuple[str, bytes]]:
        """(position at its end, payload) of each recorded delivery, the latest first."""
        ...

    def positions(self) -> Mapping[str, str]:
        """The position of every lane."""
        ...

    def is_published(self, lane: str = "") -> bool:
        """Return True if the last recorded delivery is in the table."""
        ...

    @property
    def hint(self) -> str:
        """Hint that was last passed to `remember`; "" if there is none, or it was lost."""
        ...

    def remember(self, hint: str) -> None:
        """Store a hint that saves work. It may get lost, so nothing may depend on it."""
        ...


class Source(Protocol):
    """Protocol of sources: gives the deliveries of a partition, any number of times."""

    @property
    def name(self) -> str:
        """Stable name; renaming it makes new batches of all its deliveries."""
        ...

    def deliveries(self, slot: str) -> list[Delivery]:
        """All deliveries now visible for `slot`, in order of arrival; none is an empty list.

        Raises:
            SourceError: the source could not be read; nothing was recorded.
        """
        ...


@dataclass(frozen=True)
class NoFiles:
    """A source without deliveries.

    For tables that only streams feed, and for validating bytes that were delivered before.
    """

    name: str

    def deliveries(self, slot: str) -> list[Delivery]:  # noqa: ARG002 - as every source is asked
        return []


class IncompleteError(SourceError):
    """A source could deliver only a part of a partition; `deliveries` holds that part."""

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", deliveries: tuple[Delivery, ...] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.deliveries = deliveries


@runtime_checkable
class Resuming(Protocol):
    """A source that reads on from where the ledger says it stopped."""

    @property
    def name(self) -> str: ...

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """Return the deliveries of `slot` after `past`; their offsets continue its positions.

        Raises:
            SourceError: the source could not be read; nothing was recorded.
        """
        ...
