"""Events that the broker deleted unread, also while a consumer runs, and recreated streams."""

from contextlib import closing

import pytest

from headrace.core.errors import SourceError, StateError
from headrace.streams import NatsSubject, RedisStream, Stream
from headrace.streams.broker_port import BrokerDownError, Waiting, open_broker
from headrace.streams.buffer import Buffer
from headrace.streams.events import Event
from headrace.streams.reader_thread import StreamReader
from tests.streams.kit import World, conserved, event, in_nats, side


def read(broker, most=50):
    """(events, lost before each of them) of one reading; an empty one is tried again."""
    for _ in range(10):
        if found := broker.read("", most, 0.2):
            return len(found), [one.missed for one in found if one.missed]
    return 0, []


def test_events_deleted_while_a_consumer_reads(world):
    world.side.send([event(n) for n in range(30)])
    with closing(open_broker(world.stream)) as broker:
        broker.seek("", "")
        assert read(broker, 5) == (5, [])
        world.side.forget(12)
        assert read(broker, 5) == (5, [7])
        world.side.forget(10)  # of which five were read
        assert read(broker, 5) == (5, [5])
        assert read(broker) == (3, [])


def test_events_deleted_in_the_middle(world):
    world.side.send([event(n) for n in range(10)])
    with closing(open_broker(world.stream)) as broker:
        broker.seek("", "")
        _, _, third = broker.read("", 3, 0.5)
        assert broker.waiting("", third.position) == Waiting(7, pytest.approx(third.at, abs=1e7), 0)
        world.side.delete(5)
        assert broker.waiting("", third.position).missed == 1
        assert read(broker) == (6, [1])


def test_a_run_stops_before_a_gap_and_records_an_accepted_one(world):
    world.options = {"batch_events": 5, "buffer_events": 5}
    world.side.send([event(n) for n in range(20)])

    def forget(_):
        if world.side.left() == 20:
            world.side.forget(15)

    with pytest.raises(StateError, match=r"events after .* were deleted before they were read"):
        world.run(on_batch=forget)
    taken = world.status()["events"]
    assert taken in {5, 10}  # the reader is at most one buffer ahead
    assert world.run(accept_lost=True) == 5
    status = world.status()
    assert (status["lost"], status["events"]) == (15 - taken, taken + 5)
    assert conserved(status)


def test_a_stream_made_anew_that_is_longer(world):
    world.side.send([event(n) for n in range(3)])
    with closing(open_broker(world.stream)) as broker:
        broker.seek("", "")
        after = broker.read("", 3, 0.5)[-1].position
        world.side.drop()
        world.side.create()
        world.side.send([event(n) for n in range(9)])
        with pytest.raises(SourceError, match="recreated"):
            broker.waiting("", after)
        with pytest.raises(SourceError, match="recreated"):
            read(broker)


@pytest.mark.nats
def test_a_position_without_a_time_is_taken_as_it_is():
    made = side("nats")
    made.create()
    try:
        made.send([event(n) for n in range(5)])
        with closing(open_broker(stream_of(made))) as broker:
            assert broker.waiting("", "3").events == 2
            broker.seek("", "3")
            assert read(broker) == (2, [])
    finally:
        made.drop()


@pytest.mark.nats
def test_events_of_other_subjects_are_no_gaps():
    made = side("nats")
    in_nats(lambda _, js: js.add_stream(name=made.name, subjects=[f"{made.name}.*"]))

    async def send(_, js):
        for number in range(12):
            await js.publish(f"{made.name}.{'ab'[number % 3 == 0]}", event(number))

    in_nats(send)
    try:
        with closing(open_broker(stream_of(made, subject=f"{made.name}.b"))) as broker:
            broker.seek("", "")
            assert read(broker) == (4, [])
    finally:
        made.drop()


def stream_of(made, subject=""):
    return Stream("meter", NatsSubject(made.name, subject), "the meter")


class Fake:
    """A broker that does as it is told."""

    place = "fake"

    def __init__(self, *readings):
        self.readings = list(readings)

    def lanes(self):
        return [""]

    def waiting(self, _lane, _after):
        return Waiting(0)

    def seek(self, _lane, _after):
        pass

    def read(self, _lane, _most, _seconds):
        found = self.readings.pop(0) if self.readings else []
        if isinstance(found, Exception):
            raise found
        return found

    def published(self, _lane, _last):
        raise BrokerDownError("gone")

    def close(self):
        pass


def started(broker, **options):
    buffer, stream = Buffer(100, 10_000), Stream("meter", RedisStream("none"), "the meter")
    reader = StreamReader(stream, lambda _: broker, {"": ""}, {"": buffer}, **options)
    reader.start(broker)
    return reader, buffer


def test_what_came_before_a_gap_is_taken():
    events = [Event("1", 0, b"{}"), Event("2", 0, b"{}"), Event("9", 0, b"{}", missed=6)]
    reader, buffer = started(Fake(events))
    reader._thread.join(5)
    reader.stop()
    assert str(reader.error).startswith("6 events after 2 were deleted")
    assert [one.position for one in buffer.take(9, 999, 0, 0)] == ["1", "2"]


def test_a_reader_that_crashes_does_not_look_finished():
    reader, buffer = started(Fake(RuntimeError("boom")))
    reader._thread.join(5)
    assert repr(reader.error) == "RuntimeError('boom')"
    assert buffer.drained
    reader.stop()


@pytest.mark.redis
def test_a_run_whose_reader_crashes_fails(tmp_path):
    world = World(tmp_path, side("redis"))
    with pytest.raises(ZeroDivisionError):
        world.run(connect=lambda _: Fake(ZeroDivisionError()))


def test_a_broker_that_goes_before_it_was_told_is_no_failure():
    reader, _ = started(Fake(), once=True)
    reader.published("", "1")
    reader.stop()
    assert reader.error is None
