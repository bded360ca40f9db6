"""Kafka, against the mock cluster inside librdkafka: the real client, and no real broker."""

from contextlib import closing

import pytest

from headrace.core.errors import SourceError, StateError
from headrace.streams import KafkaTopic
from headrace.streams.broker_port import open_broker
from tests.streams.kit import World, conserved, event


class MockCluster:
    """Lives inside a producer; other clients reach it by its address."""

    def __init__(self):
        kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
        self.producer = kafka.Producer(
            {"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0}
        )
        self.place = KafkaTopic("events")

    @property
    def address(self):
        (broker,) = self.producer.list_topics(timeout=10).brokers.values()
        return f"{broker.host}:{broker.port}"

    def send(self, events, partition=0):
        for one in events:
            self.producer.produce("events", one, partition=partition)
        assert self.producer.flush(20) == 0


@pytest.fixture
def world(tmp_path, monkeypatch):
    side = MockCluster()
    monkeypatch.setenv("HEADRACE_KAFKA", side.address)
    return World(tmp_path, side)


def test_every_partition_is_read_once(world):
    world.options = {"batch_events": 30, "buffer_events": 200}
    for partition in range(3):
        ids = range(partition * 100, partition * 100 + 100)
        world.side.send([*(event(n) for n in ids), b"bad"], partition)
    assert world.status()["lag"]["events"] == 303
    assert world.status()["lag"]["seconds"] > 0
    assert world.run() == 303
    assert sorted(world.rows()["id"].to_pylist()) == list(range(300))
    world.side.send([event(900)], 2)
    assert world.run() == 1
    status = world.status()
    assert (status["events"], status["lag"]["events"]) == (304, 0)
    # Equal bytes in one micro-batch, or as one, are a repeat of the first.
    assert status["quarantined"] + status["repeated"] + status["redelivered"] == 3
    assert sorted(status["position"]) == ["0", "1", "2"]
    assert conserved(status)


def test_a_topic_that_is_not_there(world):
    world.side.send([event(1)])
    world.side.place = KafkaTopic("another")
    with pytest.raises(SourceError):
        world.run()


def test_a_topic_made_anew_that_is_longer(world, monkeypatch):
    world.side.send([event(n) for n in range(3)])
    with closing(open_broker(world.stream)) as broker:
        for lane in broker.lanes():
            broker.seek(lane, "")
        (*_, last) = read(broker, 3)
        other = MockCluster()
        other.send([event(n) for n in range(9)])
        monkeypatch.setenv("HEADRACE_KAFKA", other.address)
        assert broker.waiting("0", last.position).missed == 0
    with (
        closing(open_broker(world.stream)) as broker,
        pytest.raises(SourceError, match="recreated"),
    ):
        broker.waiting("0", last.position)


def test_events_deleted_unread(world):
    """The mock cluster keeps five megabytes of a partition."""
    world.side.send([event(n) for n in range(2)])
    assert world.run() == 2
    world.side.send([b"%d" % n * 900_000 for n in range(10)])
    lost = world.status()["about_to_lose"]
    assert 0 < lost < 10
    with pytest.raises(StateError, match=f"{lost} events after 1#"):
        world.run()
    assert world.run(accept_lost=True) == 10 - lost
    assert world.status()["lost"] == lost


def read(broker, count):
    found = []
    for _ in range(20):
        found += broker.read("0", count, 0.5)
        if len(found) == count:
            return found
    raise AssertionError(found)
