"""Differences between oracle and engine, by the way that a world takes through the engine."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.serving.online import LmdbStore, MemoryStore
from headrace.serving.online.kernel.answers import Compiled
from headrace.serving.online.kernel.plain import Plain
from tests.worlds import engine, lake
from tests.worlds.oracle import Action, World, cells

Way = Callable[[World], list[str]]


def _frame(kernel: str, *, parts: bool = False, conflicts: bool = False) -> Way:
    def way(world: World) -> list[str]:
        world = engine.legacy(world) if conflicts else world
        make = engine.out_of_core if parts else engine.frame
        with engine.kernel(kernel):
            got = make(world, engine.published(world))
        return engine.differences(world, cells(world), got)

    return way


def _store(answerer: Callable, **more) -> Way:
    def way(world: World) -> list[str]:
        return stored(world, MemoryStore(), [answerer()], **more)

    return way


def stored(world, store, answerers, **more) -> list[str]:
    """Differences of any of the answerers of a store."""
    live = not more.get("afterwards")
    expected = [[value for value, _ in column] for column in cells(world, live=live)]
    got = engine.served(world, store, answerers, **more)
    return [one for found in got for one in engine.differences(world, expected, found)]


def _lmdb(world: World) -> list[str]:
    with TemporaryDirectory() as folder:
        store = LmdbStore(Path(folder), durable=False)
        try:
            return stored(world, store, [Compiled()], limit=3)
        finally:
            store.close()


def through_lake(world: World) -> list[str]:
    """Differences of frames, whole and in parts, and of an LMDB store, over a real lake."""
    world = lake.dated(world)
    with TemporaryDirectory() as folder:
        store = LmdbStore(Path(folder) / "store", durable=False)
        try:
            lived, got = lake.live(world, Path(folder), store, [Compiled(), Plain()])
        finally:
            store.close()
        expected = [[value for value, _ in column] for column in cells(world, live=True)]
        found = [one for some in got for one in engine.differences(world, expected, some)]
        # A restored batch is usable from its restoration, in frames too (decision 17); the oracle
        # knows approvals only, after which frames see both periods.
        restored = any(
            isinstance(step, Action) and step.what == "approve" and step.lines is None
            for step in world.steps
        )
        if lived.published and not restored:
            for frame in (lived.frame(lived.history), lived.out_of_core()):
                found += engine.differences(world, cells(world), frame)
        return found


WAYS: dict[str, Way] = {
    "typing": engine.typing_differences,
    "numpy": _frame("numpy"),
    "legacy": _frame("numpy", conflicts=True),
    "compiled": _frame("compiled"),
    "out of core": _frame("numpy", parts=True),
    "plain store": _store(Plain),
    "compiled store": _store(Compiled),
    "one leaf": _store(Compiled, limit=128),
    "thinned store": _store(Compiled, limit=3, lateness=2),
    "store afterwards": _store(Plain, limit=3, afterwards=True),
    "lmdb": _lmdb,
    "lake": through_lake,
}
COMPILED = {"compiled", "compiled store", "one leaf", "thinned store", "lmdb"}
