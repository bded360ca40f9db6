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
        position: its position in the lane, in the notation of the broker's adapter.
        at: when the broker received it, int64 microseconds UTC; it never changes.
        payload: the unchanged bytes.
        missed: number of unread events just before this one that the broker had deleted.
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

    Redis and Kafka let a producer set it: an invalid one must not block other events.
    """
    return min(max(milliseconds, 0), _LATEST) * 1000


def event_line(payload: bytes) -> bytes:
    """Return the event as one line that is not blank.

    JSON on several lines is joined: strings contain no raw line breaks, and elsewhere these have no
    meaning. Other bytes that are not one line become a JSON string, which is not a valid row: it
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
    """Return a micro-batch as a delivery: events of one lane and slot, one per line, in order.

    Args:
        stream: declaration of the stream.
        place: readable address of the stream.
        lane: the broker partition; "" if there is only one order.
        after: position of the last event before these.
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
