"""More events than can be published: a bounded buffer, a lag that is shown, nothing lost."""

import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from headrace.lake.ledger.conservation import table_status
from headrace.streams.buffer import Buffer
from headrace.streams.events import Event
from tests.lake.kit import balanced
from tests.streams.kit import MOSTLY_NATS, NatsSide, World, conserved, event, until

SECOND = 1_000_000


def made(count, size=10, at=0):
    return [Event(str(n), at, b"x" * size) for n in range(count)]


def test_a_full_buffer_has_no_room():
    buffer = Buffer(events=10, size=1000)
    buffer.add(made(10))
    assert buffer.room(0.0) == (0, 0)
    assert len(buffer.take(4, 1000, linger=0, timeout=0)) == 4
    assert buffer.room(0.0) == (4, 940)


def test_bytes_bound_a_buffer_too():
    buffer = Buffer(events=1000, size=100)
    buffer.add(made(10, size=10))
    assert buffer.room(0.0) == (0, 0)
    assert len(buffer.take(1000, 35, linger=0, timeout=0)) == 3
    assert buffer.fill.bytes == 70


def test_an_event_larger_than_a_batch_gets_past():
    buffer = Buffer(events=10, size=100)
    buffer.add(made(2, size=500))
    assert len(buffer.take(10, 100, linger=0, timeout=0)) == 1
    assert len(buffer.take(10, 100, linger=0, timeout=0)) == 1


def test_a_batch_ends_with_its_day():
    buffer = Buffer(events=100, size=10_000)
    buffer.add([*made(3), *made(2, at=86_400 * SECOND)])
    assert [event.slot for event in buffer.take(100, 10_000, 5, 0)] == ["1970-01-01"] * 3
    assert len(buffer.take(100, 10_000, 0, 0)) == 2


def test_a_batch_waits_for_its_linger():
    buffer = Buffer(events=100, size=10_000)
    buffer.add(made(1))
    threading.Timer(0.2, buffer.add, (made(1),)).start()
    assert buffer.take(100, 10_000, linger=0.6, timeout=0.05) == []  # nor does a consumer stand
    assert len(buffer.take(100, 10_000, linger=0.6, timeout=5)) == 2


def test_a_consumer_that_lingers_is_alive_and_may_be_stopped(tmp_path, server, monkeypatch):
    monkeypatch.setenv("HEADRACE_NATS", server.address)
    side = NatsSide("events", server.address)
    side.create()
    world = World(tmp_path, side, {"linger": "1h"})
    side.send([event(1)])
    stop = threading.Event()
    consumer = threading.Thread(target=world.run, kwargs={"once": False, "stop": stop})
    consumer.start()
    until(lambda: world.status()["buffered"] == 1)
    first = world.status()["run"]["at"]
    until(lambda: world.status()["run"]["at"] > first)
    stop.set()
    consumer.join(10)
    assert not consumer.is_alive()


def press(world, seconds):
    """Three times as many events as come through; returns (peak buffer, lags seen, sent)."""
    world.options = {
        "batch_events": 200,
        "buffer_events": 400,
        "linger": "0s",
        "max_lag": "0s",
    }
    world.side.send([event(n, n % 1000) for n in range(200)])
    world.run()  # what is loaded at first is no part of the rate
    world.side.send([event(n, n % 1000) for n in range(200, 600)])
    started = time.monotonic()
    world.run()
    rate = 400 / (time.monotonic() - started)
    sent, stop, statuses = 600, threading.Event(), []
    consumer = threading.Thread(target=world.run, kwargs={"once": False, "stop": stop})
    consumer.start()
    try:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            due = min(600 + int(3 * rate * (time.monotonic() - began)), 400_000)
            if due > sent:
                world.side.send([event(n, n % 1000) for n in range(sent, due)])
                sent = due
            statuses.append(world.status())
            time.sleep(0.4)
    finally:
        stop.set()
        consumer.join()
    return rate, statuses, sent


def pressed(world, seconds):
    rate, statuses, sent = press(world, seconds)
    after = world.status()
    # One reading may come on top of what the buffer holds.
    assert after["run"]["most_buffered"] <= 400 + 1
    lags = [status["lag"]["events"] for status in statuses]
    assert max(lags) > 3 * 200, (rate, lags)
    assert any(status["lag"]["seconds"] > 0 for status in statuses)
    assert any(status["problems"] for status in statuses)
    assert after["events"] + after["lag"]["events"] == sent
    world.options = {}
    world.run()
    status = world.status()
    assert (status["events"], status["lag"]) == (sent, {"events": 0, "seconds": 0})
    assert conserved(status)
    assert balanced(table_status(world.home, world.table))
    assert sorted(world.rows()["id"].to_pylist()) == list(range(sent))


@pytest.mark.parametrize("world", MOSTLY_NATS, indirect=True)
def test_three_times_the_rate(world):
    pressed(world, 5)


@pytest.fixture
def server(tmp_path):
    """A NATS server of our own, which may be stopped."""
    binary = shutil.which("nats-server")
    if binary is None:
        pytest.skip("there is no nats-server to start and stop")
    pytest.importorskip("nats", reason="the nats library is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Server([binary, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(tmp_path / "js")])
    made.address = f"nats://127.0.0.1:{port}"
    made.port = port
    made.start()
    yield made
    made.stop()


class Server:
    def __init__(self, command):
        self.command = command

    def start(self):
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdout=quiet, stderr=quiet)
        until(self.is_up)

    def is_up(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.mark.nats
def test_a_broker_that_dies_and_comes_back(tmp_path, server, monkeypatch):
    monkeypatch.setenv("HEADRACE_NATS", server.address)
    side = NatsSide("events", server.address)
    side.create()
    world = World(tmp_path, side)
    side.send([event(n) for n in range(50)])
    stop = threading.Event()
    consumer = threading.Thread(target=world.run, kwargs={"once": False, "stop": stop})
    consumer.start()
    try:
        until(lambda: world.rows().num_rows == 50)
        server.stop()
        until(lambda: world.status()["state"] == "disconnected")
        status = world.status()
        assert status["lag"] is None
        assert "NATS does not answer" in status["problems"][0]
        server.start()
        side.send([event(n) for n in range(50, 80)])
        until(lambda: world.rows().num_rows == 80)
        until(lambda: world.status()["state"] == "running")
    finally:
        stop.set()
        consumer.join()
    assert sorted(world.rows()["id"].to_pylist()) == list(range(80))
    assert conserved(world.status())
