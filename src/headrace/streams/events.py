"""Events, and the conversion of a micro-batch of events to a delivery."""

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
    """Event as the broker stores it.

    Attributes:
        position: position of the event in its lane (broker partition), in the format of the
            broker's adapter.
        at: when the broker received the event, int64 microseconds UTC; it never changes.
        payload: the unchanged bytes.
        missed: number of events directly before this one that the broker deleted before they were
            read.
    """

    position: str
    at: int
    payload: bytes
    missed: int = 0

    @property
    def slot(self) -> str:
        """ISO day (UTC) on which the broker received the event."""
        return iso(self.at)[:10]


def received_at(milliseconds: int) -> int:
    """Return the broker's timestamp as microseconds UTC, limited to the years 1970 to 9999.

    In Redis and Kafka, producers may set the timestamp. An invalid one must not block other events.
    """
    return min(max(milliseconds, 0), _LATEST) * 1000


def event_line(payload: bytes) -> bytes:
    """Return the event as one line that is not blank.

    If the payload is JSON on several lines, spaces replace its line breaks: JSON strings contain no
    raw line breaks, and between values a line break is only whitespace. If the payload is neither
    JSON nor exactly one line, it becomes a JSON string. A string is not a valid row, so it goes to
    quarantine with all its bytes.
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
    """Return a micro-batch as a delivery: events of one lane and slot, one per line, in order.

    Args:
        stream: declaration of the stream.
        place: readable address of the stream.
        lane: the broker partition; "" if the stream is not partitioned.
        after: position of the last event before these.
        events: at least one event; all belong to one slot.
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
