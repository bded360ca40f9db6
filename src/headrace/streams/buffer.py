"""A bounded buffer between the broker and the table: when it is full, reading stops."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.streams.events import Event


@dataclass(frozen=True)
class Fill:
    """What a buffer holds now, and the most it has held."""

    events: int
    bytes: int
    most_events: int
    most_bytes: int


class Buffer:
    """Events in order, at most `events` of them and `bytes` of payload.

    One event larger than `bytes` is taken when the buffer is empty: it must get past somehow.
    """

    def __init__(self, events: int, size: int) -> None:
        self._limits = (events, size)
        self._held: deque[Event] = deque()
        self._bytes = self._most_events = self._most_bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._first_at = 0.0  # since when the first event held waits for others

    def room(self, timeout: float) -> tuple[int, int]:
        """Events and bytes that may be added; (0, 0) if there was no room within `timeout`."""
        with self._changed:
            self._changed.wait_for(lambda: min(self._room()) > 0 or self._ended, timeout)
            room = self._room()
            return (0, 0) if self._ended or min(room) <= 0 else room

    def _room(self) -> tuple[int, int]:
        return self._limits[0] - len(self._held), self._limits[1] - self._bytes

    def put(self, events: Sequence[Event]) -> None:
        with self._changed:
            if not self._held:
                self._first_at = time.monotonic()
            self._held.extend(events)
            self._bytes += sum(len(event.payload) for event in events)
            self._most_events = max(self._most_events, len(self._held))
            self._most_bytes = max(self._most_bytes, self._bytes)
            self._changed.notify_all()

    def take(self, most: int, size: int, linger: float, timeout: float) -> list[Event]:
        """The next events of one slot, at most `most` and `size` bytes of them but at least one.

        Waits until there are as many, or a slot ends, or the first was here for `linger` seconds;
        empty if that did not happen within `timeout` seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while not self._due(most, size, linger):
                left = end - time.monotonic()
                if left <= 0 or self._ended:
                    return []
                if self._held:
                    left = min(left, self._first_at + linger - time.monotonic())
                self._changed.wait(max(left, 0))
            taken = self._pop(most, size)
            self._first_at = time.monotonic()
            self._changed.notify_all()
            return taken

    def _due(self, most: int, size: int, linger: float) -> bool:
        if not self._held:
            return False
        waited = time.monotonic() - self._first_at
        return self._ended or waited >= linger or self._enough(most, size)

    def _enough(self, most: int, size: int) -> bool:
        full = len(self._held) >= min(most, self._limits[0]) or self._bytes >= min(
            size, self._limits[1]
        )
        return full or self._held[0].slot != self._held[-1].slot

    def _pop(self, most: int, size: int) -> list[Event]:
        taken: list[Event] = []
        room = size
        while self._held and len(taken) < most:
            event = self._held[0]
            fits = len(event.payload) <= room and event.slot == (taken or [event])[0].slot
            if taken and not fits:
                break
            taken.append(self._held.popleft())
            room -= len(event.payload)
            self._bytes -= len(event.payload)
        return taken

    def end(self) -> None:
        """Nothing more will be put; what is held may still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Whether nothing is left and nothing will come."""
        with self._changed:
            return self._ended and not self._held

    @property
    def fill(self) -> Fill:
        with self._changed:
            return Fill(len(self._held), self._bytes, self._most_events, self._most_bytes)
