"""A topic is looked at without being taken."""

import json
from urllib.parse import urlsplit

import pytest

from headrace.core.errors import DeclarationError, SourceError
from headrace.scaffold.inspection.sampled_source import take
from headrace.sources.sampling.sample import Limits
from headrace.streams.sample import sample_topic
from tests.streams.kit import NATS, REDIS, World, event
from tests.streams.test_stream_kafka import MockCluster


def address(world) -> str:
    return f"{NATS if 'Nats' in type(world.side).__name__ else REDIS}#{world.side.name}"


def test_the_oldest_events_are_shown_and_stay(world):
    world.side.send([event(n, n) for n in range(30)] + [b"nonsense"])
    found = take(address(world), Limits(rows=20))
    assert (found.kind, found.total, found.complete) == ("topic", 31, False)
    assert found.table["id"].to_pylist() == [str(n) for n in range(20)]
    assert world.side.name in found.details["place"]
    whole = sample_topic(address(world), Limits())
    assert whole.complete
    assert "quarantine" in whole.notes[0]
    assert world.side.left() == 31
    assert world.run() == 31, "a consumer that starts now misses nothing"


def test_what_is_not_there_says_so(world):
    server = address(world).partition("#")[0]
    with pytest.raises(SourceError, match=r"no event in|no JetStream stream stores"):
        sample_topic(f"{server}#nothing-of-that-name", Limits())
    with pytest.raises(DeclarationError, match="no topic is named"):
        sample_topic(server, Limits())
    down = urlsplit(server)._replace(netloc="me:secret@127.0.0.1:1").geturl()
    with pytest.raises(SourceError, match="does not answer") as caught:
        sample_topic(f"{down}#x", Limits())
    assert "secret" not in str(caught.value)


@pytest.mark.nats
@pytest.mark.parametrize("world", ["nats"], indirect=True)
def test_a_subject_finds_its_stream(world):
    world.side.send([json.dumps({"id": 1}).encode()])
    found = sample_topic(f"{NATS}#{world.side.name}", Limits())
    assert found.details["place"] == f'NatsSubject("{world.side.name}")'


def test_kafka(tmp_path):
    side = MockCluster()
    side.send([event(n, n) for n in range(10)])
    found = sample_topic(f"kafka://{side.address}#events", Limits())
    assert found.table.num_rows == 10
    assert found.details["place"] == 'KafkaTopic("events")'
    assert isinstance(World(tmp_path, side), World)
