"""Broker adapter for Kafka topics; each Kafka partition is a lane with its own position."""

import os
from collections import deque
from typing import Any

from headrace.core.errors import DeclarationError, SourceError
from headrace.streams.broker_port import BrokerDownError, Waiting
from headrace.streams.events import Event, received_at
from headrace.streams.spec import KafkaTopic

ADDRESS = "HEADRACE_KAFKA"
DEFAULT = "127.0.0.1:9092"
_TIMEOUT = 10.0
# A position is "<offset>#<timestamp>". The timestamp shows whether the topic was deleted and
# recreated: offsets then start at zero again, and another event has that offset.
_AT = "#"


class KafkaBroker:
    """Adapter that reads all partitions of a topic from the positions in the ledger.

    It does not join a consumer group. It only commits offsets for the group, so that Kafka tools
    show which events are published.
    """

    def __init__(self, where: KafkaTopic, *, group: str, address: str | None = None) -> None:
        try:
            import confluent_kafka
        except ModuleNotFoundError as error:
            raise DeclarationError(
                "Kafka needs the confluent-kafka library", fix="pip install headrace[kafka]"
            ) from error
        self._kafka: Any = confluent_kafka
        self._where = where
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": address or os.environ.get(ADDRESS, DEFAULT),
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 16_384,
                "log_level": 0,
            }
        )
        self._next: dict[int, int] = {}
        self._missed: dict[int, int] = {}
        self._read: dict[int, deque[Event]] = {}
        try:
            self._partitions = self._list()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        return f"kafka:{self._where.topic}"

    def lanes(self) -> list[str]:
        return [str(partition) for partition in self._partitions]

    def waiting(self, lane: str, after: str) -> Waiting:
        low, high = self._bounds(int(lane))
        offset, time = _split(after)
        at = low if offset is None else offset + 1
        other = at > high
        if offset is not None and time is not None and low <= offset < high:
            event = self._event_at(int(lane), offset)
            same_place = event is not None and _split(event.position)[0] == offset
            other = event is not None and same_place and event.at != time
        if other:
            raise SourceError(
                f"event {after} of partition {lane} of {self._where.topic} is another event than"
                f" was read, or does not exist (the partition ends at {high}): the topic was"
                " deleted and recreated",
                where=self.place,
                fix="give the stream's declaration another name: reading then starts at the first"
                " event",
            )
        start = max(at, low)
        oldest = self._event_at(int(lane), start) if start < high else None
        return Waiting(high - start, oldest.at if oldest else None, start - at)

    def seek(self, lane: str, after: str) -> None:
        partition = int(lane)
        low, (offset, _) = self._bounds(partition)[0], _split(after)
        at = low if offset is None else offset + 1
        self._next[partition] = max(at, low)
        self._missed[partition] = max(low - at, 0)
        self._read[partition] = deque()
        if len(self._next) == len(self._partitions):
            places = [self._at(number, offset) for number, offset in self._next.items()]
            self._consumer.assign(places)

    def read(self, lane: str, limit: int, seconds: float) -> list[Event]:
        """Return the next events of a partition.

        A poll returns events of any partition; those of other partitions are queued. A partition
        with queued events is paused, so its queue never holds more than the events of one poll.
        """
        queue = self._read[int(lane)]
        if not queue:
            self._pause_full()
            for message in self._ask(limit, seconds):
                partition = message.partition()
                self._read[partition].append(_event(message, self._missed.pop(partition, 0)))
        return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def _pause_full(self) -> None:
        for number, queue in self._read.items():
            place = [self._kafka.TopicPartition(self._where.topic, number)]
            (self._consumer.pause if queue else self._consumer.resume)(place)

    def published(self, lane: str, last: str) -> None:
        offset, _ = _split(last)
        assert offset is not None
        place = self._at(int(lane), offset + 1)
        self._consumer.commit(offsets=[place], asynchronous=True)

    def close(self) -> None:
        self._consumer.close()

    def _at(self, partition: int, offset: int) -> Any:  # noqa: ANN401
        return self._kafka.TopicPartition(self._where.topic, partition, offset)

    def _list(self) -> list[int]:
        try:
            metadata = self._consumer.list_topics(self._where.topic, timeout=_TIMEOUT)
        except self._kafka.KafkaException as error:
            raise _down(error, self.place) from error
        topic = metadata.topics[self._where.topic]
        if topic.error is not None or not topic.partitions:
            raise SourceError(
                f"there is no topic {self._where.topic}", where=self.place, fix="create it first"
            )
        return sorted(topic.partitions)

    def _bounds(self, partition: int) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(
                self._kafka.TopicPartition(self._where.topic, partition), timeout=_TIMEOUT
            )
        except self._kafka.KafkaException as error:
            raise _down(error, self.place) from error
        return int(low), int(high)

    def _event_at(self, partition: int, offset: int) -> Event | None:
        """Return the event at an offset, or the next one after it.

        Returns None if this connection is already reading events, since a lookup would change the
        position at which it reads.
        """
        if self._next:
            return None
        self._consumer.assign([self._at(partition, offset)])
        messages = self._ask(1, 5.0)
        self._consumer.unassign()
        return _event(messages[0]) if messages else None

    def _ask(self, limit: int, seconds: float) -> list[Any]:
        messages = self._consumer.consume(limit, timeout=seconds)
        for message in messages:
            if message.error() is not None:
                error = self._kafka.KafkaException(message.error())
                raise _down(error, self.place)
        return list(messages)


def _event(message: Any, missed: int = 0) -> Event:  # noqa: ANN401
    at = received_at(message.timestamp()[1])
    return Event(f"{message.offset()}{_AT}{at}", at, message.value() or b"", missed)


def _split(position: str) -> tuple[int | None, int | None]:
    """Return (offset, time); None at a partition's start, or if an old position has no time."""
    offset, _, at = position.partition(_AT)
    return int(offset) if offset else None, int(at) if at else None


def _down(error: Exception, place: str) -> BrokerDownError:
    return BrokerDownError(
        f"Kafka does not answer: {error}", where=place, fix=f"start it, or set {ADDRESS}: host:port"
    )
