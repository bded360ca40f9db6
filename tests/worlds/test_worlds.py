"""Random worlds: every way through the engine gives the bits and reasons of the second oracle."""

import random
import secrets
from collections import Counter
from importlib.util import find_spec

import pytest

from tests.worlds import engine
from tests.worlds.oracle import Action, Delivery, World, accept, cells, identity
from tests.worlds.paths import COMPILED, WAYS, stored
from tests.worlds.world import draw

QUICK, ALL = range(40), range(3000)
DIRECT = [way for way in WAYS if way != "lake"]
# What takes some seconds a world is tried on fewer of them.
SHARE = {"lmdb": 5, "compiled": 4, "one leaf": 4, "out of core": 2}


def world_of(seed: int, way: str) -> World:
    """A frame of rows that were out for a while needs the lake, which knows since when."""
    frames = way in {"numpy", "legacy", "compiled", "out of core", "store afterwards"}
    return draw(random.Random(seed), actions=not frames, plain=way == "lake")


def differences(way: str, seeds) -> list[str]:
    if way in COMPILED and find_spec("numba") is None:
        pytest.skip("numba is not installed: pip install headrace[fast]")
    found = []
    for seed in seeds:
        world = world_of(seed, way)
        engine.prove(world)
        found += [f"world {seed}: {one}" for one in WAYS[way](world)]
    return found


@pytest.mark.parametrize("way", DIRECT)
def test_some_worlds(way):
    assert differences(way, QUICK[:: SHARE.get(way, 1)]) == []


def test_a_late_version_of_a_pruned_key():
    """It arrives after a newer version was pruned, known before it: it must not be served."""
    assert differences("thinned store", [890, 2881]) == []


@pytest.mark.slow
@pytest.mark.parametrize("way", DIRECT)
def test_all_worlds(way):
    assert differences(way, ALL) == []


def test_some_worlds_through_a_lake():
    assert differences("lake", QUICK[:2]) == []


def test_a_batch_that_was_quarantined_whole_and_approved():
    """Its rows are visible in a frame while they were published, and again from the approval on."""
    assert differences("lake", [130]) == []


@pytest.mark.slow
def test_many_worlds_through_a_lake():
    assert differences("lake", range(200)) == []


@pytest.mark.redis
@pytest.mark.parametrize("seeds", [range(4), pytest.param(ALL[::10], marks=pytest.mark.slow)])
def test_worlds_in_redis(seeds):
    redis = pytest.importorskip("redis", reason="the redis package is not installed")
    from headrace.serving.online import RedisStore
    from headrace.serving.online.kernel.plain import Plain

    client = redis.Redis(host="127.0.0.1", port=6379)
    try:
        client.ping()
    except redis.ConnectionError:
        pytest.skip("no Redis server answers on 127.0.0.1:6379")
    for seed in seeds:
        store = RedisStore(client, f"headrace-test-{secrets.token_hex(8)}")
        try:
            assert stored(draw(random.Random(seed)), store, [Plain()], limit=3) == []
        finally:
            store.remove()
    client.close()


def test_worlds_hold_what_they_are_for():
    seen: Counter[str] = Counter()
    for seed in range(300):
        world = draw(random.Random(seed))
        seen.update(_traits(world))
        seen.update(reason for column in cells(world) for _, reason in column if reason)
    least = dict.fromkeys(TRAITS, 20) | dict.fromkeys(REASONS, 100)
    assert not [name for name, count in least.items() if seen[name] < count], seen


REASONS = ("null entity", "no history", "empty window", "all null", "one value", "expired",
           "too many events")  # fmt: skip
TRAITS = (
    "conflict in a file",
    "conflict in a micro-batch",
    "conflict of two deliveries",
    "row sent again",
    "taken out",
    "approved again",
    "tombstone",
    "correction before its original",
    "scale of 10 or more",
    "greatest number of events reached",
    "sums alone",
    "value between 1e9 and 3e9",
)


def _traits(world: World) -> set[str]:
    table = world.tables["facts"]
    steps = [step for step in world.steps if isinstance(step, Delivery)]
    found = {"taken out" if step.what == "take out" else "approved again"
             for step in world.steps if isinstance(step, Action)}  # fmt: skip
    rows = [(step, row) for step in steps for row in step.rows]
    for i, (step, row) in enumerate(rows):
        found |= {"tombstone"} if row.deleted else set()
        n = row.values["n"]
        found |= {"value between 1e9 and 3e9"} if n and 10**9 <= abs(n) <= 3 * 10**9 else set()
        for before, other in rows[:i]:
            if identity(row) == identity(other):
                where = "micro-batch" if step.stream else "file"
                name = f"in a {where}" if before is step else "of two deliveries"
                found.add("row sent again" if row == other else f"conflict {name}")
            if row.key == other.key and row.known_at < other.known_at:
                found.add("correction before its original")
    found |= {"scale of 10 or more"} if table.columns["amount"].scale >= 10 else set()
    most = Counter(v.row.entity for v in accept(world)["facts"])
    found |= {"greatest number of events reached"} if table.max_events in most.values() else set()
    found |= {"sums alone"} if len(world.features) == 2 else set()
    return found
