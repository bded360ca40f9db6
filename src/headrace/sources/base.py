"""`Delivery`, the unit that a source delivers, and the protocols that sources implement."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

from headrace.core.errors import SourceError
from headrace.core.files import sha256

Format = Literal["csv", "ndjson", "pages", "events", "changes", "parquet", "objects"]
# Formats in which each delivery adds rows, and never corrects rows of an earlier delivery.
STANDALONE = ("events", "changes", "objects")


@dataclass(frozen=True)
class Offsets:
    """Section of a stream that a delivery holds.

    The ledger records the section and the delivery in one transaction. A stream is a stream of a
    broker, or another source that each read continues at the last recorded position.

    Attributes:
        stream: name of the stream.
        lane: broker partition; "" if the stream has only one.
        after: the last recorded position before this section; "" at the start of the lane.
        first, last: positions of the first and the last event, in the format of the adapter.
        events: number of events.
        first_at, last_at: when the broker received the first and the last event, int64
            microseconds UTC.
        missed: number of events before or within this section that the broker deleted before they
            were read, and whose loss was accepted.
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
    """One delivery of a source for one partition, with its bytes as received.

    Attributes:
        source: name of the source; part of the batch id.
        slot: the partition, such as an ISO day; part of the batch id.
        payload: the bytes, depending on `format`:
            "csv": the file. "ndjson": one JSON object per line. "parquet": the whole file.
            "pages": one API page per line, each a JSON object with a list "records".
            "events": one event of a stream per line. Events are independent: a bad event is
            quarantined, while a bad line of a file blocks the whole batch.
            "changes": one JSON object per line, for each row that changed since the last delivery.
            "objects": a reference to the Parquet object at `origin`, instead of its bytes; see
            `headrace.sources.delivery_reference`.
        format: how `headrace.sources.parse.read_rows` reads the payload.
        origin: path or address that the bytes were read from; not part of the batch id.
        arrived_at: arrival time, int64 microseconds UTC; not part of the batch id.
        producer: team or system that is responsible for the content.
        sequence: position among the partition's visible deliveries, oldest first, from 0.
        offsets: section of the stream that the delivery holds; None if it is not from a stream.
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
        """sha256 of the payload."""
        return sha256(self.payload)

    @cached_property
    def batch_id(self) -> str:
        """sha256 of source, slot and payload: the same bytes delivered twice are one batch."""
        hasher = hashlib.sha256(f"{self.source}\0{self.slot}\0".encode())
        hasher.update(self.payload)
        return hasher.hexdigest()


class Past(Protocol):
    """Protocol of the deliveries of one source that the ledger has recorded for one table."""

    def position(self, lane: str = "") -> str:
        """Return the end position of the last recorded delivery; "" if there is none."""
        ...

    def deliveries(self, lane: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield (end position, payload) of each recorded delivery, latest first."""
        ...

    def positions(self) -> Mapping[str, str]:
        """Return {lane: end position of its last recorded delivery}."""
        ...

    def is_published(self, lane: str = "") -> bool:
        """Return True if the last recorded delivery has been published to the table."""
        ...

    @property
    def hint(self) -> str:
        """The hint last passed to `remember`; "" if there is none or it was lost."""
        ...

    def remember(self, hint: str) -> None:
        """Store a hint that speeds up the next read; it may get lost without harm."""
        ...


class Source(Protocol):
    """Protocol of sources that can list a partition's deliveries repeatedly."""

    @property
    def name(self) -> str:
        """Stable name; if it changes, all deliveries become new batches."""
        ...

    def deliveries(self, slot: str) -> list[Delivery]:
        """Return all deliveries now visible for the partition `slot`, in order of arrival.

        Raises:
            SourceError: if the source could not be read; nothing was recorded.
        """
        ...


@dataclass(frozen=True)
class NoFiles:
    """Source without deliveries: for tables fed only by streams, and for re-validating batches."""

    name: str

    def deliveries(self, slot: str) -> list[Delivery]:  # noqa: ARG002 - the signature of `Source`
        return []


class IncompleteError(SourceError):
    """Error of a source that read only some of a partition's deliveries; `deliveries` has these."""

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", deliveries: tuple[Delivery, ...] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.deliveries = deliveries


@runtime_checkable
class Resuming(Protocol):
    """Protocol of sources that continue reading at the position recorded in the ledger."""

    @property
    def name(self) -> str: ...

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """Return the deliveries of `slot` that follow `past`; their offsets continue its positions.

        Raises:
            SourceError: if the source could not be read; nothing was recorded.
        """
        ...
