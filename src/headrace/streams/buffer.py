"""Bounded buffer between the broker and the table: when it is full, reading stops."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.streams.events import Event


@dataclass(frozen=True)
class Fill:
    """Fill level of a buffer: its current and its greatest number of events and bytes."""

    events: int
    bytes: int
    most_events: int
    most_bytes: int


class Buffer:
    """Queue of events in order, with at most `events` events and `size` bytes of payload.

    An event larger than `size` is accepted when the buffer is empty; otherwise it would block the
    stream.
    """

    def __init__(self, events: int, size: int) -> None:
        self._limits = (events, size)
        self._events: deque[Event] = deque()
        self._bytes = self._most_events = self._most_bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._first_at = 0.0  # monotonic time since when the first event has been waiting

    def room(self, timeout: float) -> tuple[int, int]:
        """Return how many events and bytes may be added; (0, 0) if still full after `timeout`."""
        with self._changed:
            self._changed.wait_for(lambda: min(self._room()) > 0 or self._ended, timeout)
            room = self._room()
            return (0, 0) if self._ended or min(room) <= 0 else room

    def _room(self) -> tuple[int, int]:
        return self._limits[0] - len(self._events), self._limits[1] - self._bytes

    def add(self, events: Sequence[Event]) -> None:
        with self._changed:
            if not self._events:
                self._first_at = time.monotonic()
            self._events.extend(events)
            self._bytes += sum(len(event.payload) for event in events)
            self._most_events = max(self._most_events, len(self._events))
            self._most_bytes = max(self._most_bytes, self._bytes)
            self._changed.notify_all()

    def take(self, limit: int, size: int, linger: float, timeout: float) -> list[Event]:
        """Remove and return the next events of one slot, at most `limit` events and `size` bytes.

        Waits until one of these limits is reached, an event of another slot follows, the first
        event has waited for `linger` seconds, or the buffer is closed. Returns an empty list if
        none of that happens within `timeout` seconds. A first event larger than `size` is returned
        alone.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while not self._due(limit, size, linger):
                remaining = end - time.monotonic()
                if remaining <= 0 or self._ended:
                    return []
                if self._events:
                    remaining = min(remaining, self._first_at + linger - time.monotonic())
                self._changed.wait(max(remaining, 0))
            events = self._pop(limit, size)
            self._first_at = time.monotonic()
            self._changed.notify_all()
            return events

    def _due(self, limit: int, size: int, linger: float) -> bool:
        if not self._events:
            return False
        waited = time.monotonic() - self._first_at
        return self._ended or waited >= linger or self._enough(limit, size)

    def _enough(self, limit: int, size: int) -> bool:
        full = len(self._events) >= min(limit, self._limits[0]) or self._bytes >= min(
            size, self._limits[1]
        )
        return full or self._events[0].slot != self._events[-1].slot

    def _pop(self, limit: int, size: int) -> list[Event]:
        events: list[Event] = []
        room = size
        while self._events and len(events) < limit:
            event = self._events[0]
            fits = len(event.payload) <= room and event.slot == (events or [event])[0].slot
            if events and not fits:
                break
            events.append(self._events.popleft())
            room -= len(event.payload)
            self._bytes -= len(event.payload)
        return events

    def end(self) -> None:
        """Close the buffer to new events; the events in it may still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """True if the buffer is empty and closed."""
        with self._changed:
            return self._ended and not self._events

    @property
    def fill(self) -> Fill:
        with self._changed:
            return Fill(len(self._events), self._bytes, self._most_events, self._most_bytes)
