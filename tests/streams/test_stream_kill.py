"""kill -9 of the consumer at random moments: nothing lost, nothing doubled, the same rows."""

import itertools
import random
import signal
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from tests.killing import child, forked
from tests.lake.kit import balanced
from tests.streams.kit import MOSTLY_NATS, MOSTLY_REDIS, World, conserved, event

EVENTS = 240
SMALL = {"batch_events": 40, "buffer_events": 60}


def events():
    """Good ones, bad ones, and repeats, so that every fate is met."""
    made = [event(n, n) for n in range(EVENTS)]
    for place in range(0, EVENTS, 37):
        made.insert(place, b"bad %d" % place)
        made.insert(place, event(place, place))
    return made


def at(root: Path, world: World) -> None:
    World(root, world.side, world.options).run()


def run_on(world: World) -> None:
    world.run(once=False)


def kill_after(seconds: float, world: World) -> None:
    """A consumer in a process of its own, killed after `seconds`."""
    process = forked().Process(target=run_on, args=(world,))
    process.start()
    time.sleep(seconds)
    process.kill()
    process.join()


def content(world):
    """What must not depend on how often the consumer was killed."""
    rows = Counter(zip(*(world.rows()[c].to_pylist() for c in ("id", "value")), strict=True))
    bad = [raw for reasons, raw in world.quarantined() if reasons == ("contract:malformed",)]
    return set(rows), max(rows.values()), sorted(bad)


def check(world, sent):
    status = world.status()
    assert status["events"] == len(sent)
    assert conserved(status)
    assert balanced(table_status(world.home, world.table))
    assert (status["pending"], status["unjudged"], status["lost"]) == (0, 0, 0)
    chained(world)
    assert content(world)[0] == {(n, n) for n in range(EVENTS)}
    assert content(world)[2] == sorted(e.decode() for e in sent if e.startswith(b"bad"))


def chained(world):
    """Each micro-batch starts where the one before it ended."""
    with Ledger(world.home) as ledger:
        rows = ledger._connection.execute("SELECT after_, last FROM offsets ORDER BY id").fetchall()
    assert [after for after, _ in rows] == ["", *(last for _, last in rows[:-1])]


def kill_often(world, kills, seed):
    sent = events()
    world.options = SMALL
    world.side.send(sent)
    calm = World(world.root / "calm", world.side, SMALL)
    assert child(partial(at, world=calm), calm.root) == 0
    check(calm, sent)
    calls = int((calm.root / "calls").read_text())
    moments, killed = random.Random(seed), 0
    for number in itertools.count():
        struck = World(world.root / str(number), world.side, SMALL)
        codes = [
            child(partial(at, world=struck), struck.root, moments.randrange(calls))
            for _ in range(3)
        ]
        assert set(codes) <= {0, -signal.SIGKILL}
        struck.run()
        check(struck, sent)
        killed += codes.count(-signal.SIGKILL)
        if killed >= kills:
            return


@pytest.mark.parametrize("world", MOSTLY_NATS, indirect=True)
def test_kills_at_random_calls_change_nothing(world):
    kill_often(world, 2, seed=4)


@pytest.mark.slow
def test_two_hundred_kills_change_nothing(world):
    kill_often(world, 100, seed=100)


@pytest.mark.parametrize("world", MOSTLY_REDIS, indirect=True)
def test_kills_while_events_keep_coming(world):
    """By the clock: a producer sends all the while, and the consumer is killed four times."""
    world.options = {"batch_events": 50, "linger": "0s"}
    sent = [event(n, n) for n in range(1000)]

    def produce():
        for start in range(0, len(sent), 20):
            world.side.send(sent[start : start + 20])
            time.sleep(0.03)

    producer = threading.Thread(target=produce)
    producer.start()
    moments = random.Random(5)
    for _ in range(4):
        kill_after(moments.uniform(0.3, 1.0), world)
    producer.join()
    world.run()
    assert Counter(world.rows()["id"].to_pylist()) == Counter(range(1000))
    chained(world)
    assert conserved(world.status())
