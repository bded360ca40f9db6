"""Events, and the micro-batch of them that is one delivery."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.core.clock import iso, parse_iso
from headrace.sources.base import Delivery, Offsets
from headrace.streams.spec import Stream

_BOM = b"\xef\xbb\xbf"
_LATEST = parse_iso("9999-12-31") // 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the broker holds it.

    Attributes:
        position: its place in the lane, as the broker writes it.
        at: when the broker received it, int64 microseconds UTC; it never changes.
        payload: the bytes, as they came.
        missed: events just before this one that the broker had deleted before they were read.
    """

    position: str
    at: int
    payload: bytes
    missed: int = 0

    @property
    def slot(self) -> str:
        """The ISO day, UTC, on which the broker received it."""
        return iso(self.at)[:10]


def received_at(milliseconds: int) -> int:
    """The broker's clock as int64 microseconds UTC, within what a calendar can say.

    Redis and Kafka let a producer set it: one that makes no sense must not stop the others.
    """
    return min(max(milliseconds, 0), _LATEST) * 1000


def event_line(payload: bytes) -> bytes:
    """The event as one line that is never blank.

    JSON spread over lines is joined: outside of texts, which hold no raw line breaks, they have no
    meaning. Bytes that cannot be one line become a JSON text, which is not a row of any table: it
    goes to quarantine with all its bytes.
    """
    if payload.strip() and b"\n" not in payload and not payload.startswith(_BOM):
        return payload
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return json.dumps(payload.decode(errors="surrogateescape")).encode()
    return payload.replace(b"\r", b" ").replace(b"\n", b" ").removeprefix(_BOM)


def delivery_of(
    stream: Stream, place: str, lane: str, after: str, events: Sequence[Event]
) -> Delivery:
    """A micro-batch as a delivery: the events of one lane and one slot, one a line, in order.

    Args:
        stream: its declaration.
        place: where the events are, for people.
        lane: the partition; "" if the broker has one order only.
        after: the position taken before these.
        events: at least one; all of one slot.
    """
    first, last = events[0], events[-1]
    return Delivery(
        source=stream.name,
        slot=first.slot,
        payload=b"\n".join(event_line(event.payload) for event in events) + b"\n",
        format="events",
        origin=f"{place}{f'/{lane}' if lane else ''}@{first.position}..{last.position}",
        arrived_at=last.at,
        producer=stream.producer,
        offsets=Offsets(
            stream=stream.name,
            lane=lane,
            after=after,
            first=first.position,
            last=last.position,
            events=len(events),
            first_at=first.at,
            last_at=last.at,
            missed=sum(event.missed for event in events),
        ),
    )
