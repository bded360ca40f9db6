"""Redis holds the bytes of the reference, against a real server."""

import secrets

import pytest

from headrace.core.errors import StateError
from headrace.serving.online import MemoryStore, RedisStore
from headrace.serving.online.kernel.answers import Compiled
from tests.features.logs import random_log
from tests.online.kit import entries, fill, store_differences

pytestmark = pytest.mark.redis


@pytest.fixture
def store():
    redis = pytest.importorskip("redis", reason="the redis package is not installed")
    client = redis.Redis(host="127.0.0.1", port=6379)
    try:
        client.ping()
    except redis.ConnectionError:
        pytest.skip("no Redis server answers on 127.0.0.1:6379")
    store = RedisStore(client, f"headrace-test-{secrets.token_hex(8)}")
    yield store
    store.remove()
    store.close()


@pytest.mark.parametrize("seed", range(2))
def test_the_same_bytes_and_the_same_answers(store, seed):
    log, reference = random_log(seed), MemoryStore()
    layout = fill(log, store, seed=seed, limit=3)
    fill(log, reference, seed=seed + 1, limit=3)
    assert entries(store) == entries(reference)
    assert store_differences(log, layout, store, Compiled()) == []


def test_a_server_that_fails_is_said(store):
    import redis

    once = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    gone = RedisStore(redis.Redis(host="127.0.0.1", port=9, retry=once), "nowhere")
    for work in (gone.reading, gone.writing):
        with pytest.raises(StateError, match="server failed: ConnectionError"), work() as one:
            one.get(b"a")


def test_of_two_writers_at_once_one_fails_and_changes_nothing(store):
    def overtaken():
        with store.writing() as slow:
            slow.put_many([(b"a", b"slow")])
            with store.writing() as fast:
                fast.put_many([(b"a", b"fast")])

    with pytest.raises(StateError, match="another writer"):
        overtaken()
    assert entries(store) == {b"a": b"fast"}


def test_a_hash_that_goes_while_it_is_read_is_not_written_in_part(store):
    with store.writing() as writer:
        writer.put_many([(b"a", b"1"), (b"b", b"1")])

    def evicted():
        with store.writing() as writer:
            assert writer.get(b"a") == b"1"
            store._client.delete(store.name)  # the fence stays
            writer.put_many([(b"b", b"2")])

    with pytest.raises(StateError, match="nothing was changed"):
        evicted()
    assert entries(store) == {}
