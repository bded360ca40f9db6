"""Real brokers, a table to stream into, and a consumer in a process that can be killed."""

import asyncio
import json
import os
import socket
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from headrace.lake.tables.lake import Lake
from headrace.streams import NatsSubject, RedisStream, Stream
from headrace.streams.consume import run_stream
from headrace.streams.status import stream_status
from tests.lake.kit import Meter

NATS = os.environ.get("HEADRACE_NATS", "nats://127.0.0.1:4222")
REDIS = os.environ.get("HEADRACE_REDIS", "redis://127.0.0.1:6379/0")
BROKERS = [
    pytest.param("nats", marks=pytest.mark.nats),
    pytest.param("redis", marks=pytest.mark.redis),
]
# Where a test takes seconds, one broker will do, and the other one's turn is with the slow tests.
MOSTLY_NATS = [BROKERS[0], pytest.param("redis", marks=[pytest.mark.redis, pytest.mark.slow])]
MOSTLY_REDIS = [BROKERS[1], pytest.param("nats", marks=[pytest.mark.nats, pytest.mark.slow])]


def answers(address: str) -> bool:
    place = urlsplit(address)
    with suppress(OSError), socket.create_connection((place.hostname, place.port), timeout=1):
        return True
    return False


def in_nats(work, address: str = NATS):
    """Run `work(connection, jetstream)` over a connection of its own."""
    import nats

    async def go():
        connection = await nats.connect(address)
        try:
            return await work(connection, connection.jetstream(timeout=20))
        finally:
            await connection.close()

    return asyncio.run(go())


@dataclass
class NatsSide:
    """The producers' side of a JetStream stream."""

    name: str
    address: str = NATS

    @property
    def place(self):
        return NatsSubject(self.name)

    def create(self, **limits):
        in_nats(
            lambda _, js: js.add_stream(name=self.name, subjects=[self.name], **limits),
            self.address,
        )

    def send(self, events):
        async def go(connection, js):
            before = (await js.stream_info(self.name)).state.last_seq
            for number, event in enumerate(events):
                await connection.publish(self.name, event)
                if number % 500 == 499:
                    await connection.flush()
            await connection.flush()
            while (await js.stream_info(self.name)).state.last_seq < before + len(events):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        in_nats(go, self.address)

    def forget(self, count):
        """Delete the oldest events, as a limit would."""

        async def purge(_, js):
            first = (await js.stream_info(self.name)).state.first_seq
            await js.purge_stream(self.name, seq=first + count)

        in_nats(purge, self.address)

    def delete(self, number):
        """Delete the event of this number, from 1."""
        in_nats(lambda _, js: js.delete_msg(self.name, number), self.address)

    def left(self):
        async def go(_, js):
            return (await js.stream_info(self.name)).state.messages

        return in_nats(go, self.address)

    def drop(self):
        in_nats(lambda _, js: js.delete_stream(self.name), self.address)


@dataclass
class RedisSide:
    """The producers' side of a Redis stream."""

    name: str

    @property
    def place(self):
        return RedisStream(self.name)

    @contextmanager
    def client(self):
        import redis

        client = redis.Redis.from_url(REDIS)
        try:
            yield client
        finally:
            client.close()

    def create(self):
        """The first event makes it."""

    def send(self, events):
        with self.client() as client:
            for start in range(0, len(events), 1000):
                pipe = client.pipeline(transaction=False)
                for event in events[start : start + 1000]:
                    pipe.xadd(self.name, {"event": event})
                pipe.execute()

    def forget(self, count):
        with self.client() as client:
            client.xtrim(self.name, maxlen=client.xlen(self.name) - count, approximate=False)

    def delete(self, number):
        with self.client() as client:
            client.xdel(self.name, client.xrange(self.name)[number - 1][0])

    def left(self):
        with self.client() as client:
            return client.xlen(self.name)

    def drop(self):
        with self.client() as client:
            client.delete(self.name)


def side(kind: str):
    """A stream of its own in a real broker; skips by name where there is none."""
    name = f"headrace-test-{uuid.uuid4().hex[:12]}"
    if kind == "nats":
        pytest.importorskip("nats", reason="the nats library is not installed")
        if not answers(NATS):
            pytest.skip(f"no NATS server answers at {NATS}")
        return NatsSide(name)
    pytest.importorskip("redis", reason="the redis library is not installed")
    if not answers(REDIS):
        pytest.skip(f"no Redis server answers at {REDIS}")
    return RedisSide(name)


@dataclass
class World:
    """A broker's stream, the meter's table, and a home."""

    root: Path
    side: object
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        meter = Meter(self.root)
        self.home, self.table = meter.home, meter.table

    @property
    def stream(self):
        return Stream("meter", self.side.place, "the meter", **{"linger": "0s", **self.options})

    def run(self, **options):
        return run_stream(self.stream, self.table, self.home, **{"once": True, **options})

    def status(self):
        return stream_status(self.stream, self.table, self.home)

    def rows(self) -> pa.Table:
        if Lake(self.home).snapshot_id("meter") is None:
            return pa.table({"id": pa.array([], pa.int64()), "value": pa.array([], pa.int64())})
        return Lake(self.home).scan("meter")

    def quarantined(self):
        """(reasons, raw text) of everything in quarantine."""
        import pyarrow.parquet as pq

        files = sorted((self.home.quarantine / "meter").glob("*.parquet"))
        rows = [row for path in files for row in pq.read_table(path).to_pylist()]
        return sorted((tuple(row["_reasons"]), row["_raw"]) for row in rows)


def event(ident, value=5, minute=0) -> bytes:
    at = f"2024-01-01T{minute // 60:02}:{minute % 60:02}:00Z"
    return json.dumps({"id": ident, "value": value, "read_at": at}).encode()


def conserved(status) -> bool:
    fates = (
        "published",
        "quarantined",
        "pending",
        "rejected",
        "repeated",
        "redelivered",
        "unjudged",
    )
    return status["events"] == sum(status[fate] for fate in fates)


def until(condition, seconds=600.0):
    """Wait, without being busy about it, until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
