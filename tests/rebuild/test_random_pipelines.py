"""Any pipeline's releases are made again: later, after maintenance, elsewhere, and in any order."""

import json
import os
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from headrace.core.clock import DAY, now_us
from headrace.core.home import Home
from headrace.datasets import Store
from headrace.lake.tables.maintenance import maintain
from headrace.lineage.rebuild import rebuild
from headrace.pipeline import build_release
from tests.rebuild.worlds import DAYS, FIRST_RELEASE, RandomWorld, Shape, commit_on_time, shapes

OLD = (now_us() - 30 * DAY) / 1e6
KERNELS = ["numpy", *(["compiled"] if find_spec("numba") else [])]


def lived(root: Path, shape: Shape) -> tuple[RandomWorld, list[str]]:
    """A world that released, went on, released again and was maintained; the refs."""
    world = RandomWorld(root, shape)
    world.deliver(FIRST_RELEASE)
    world.publish()
    if shape.mode == "recorded":
        commit_on_time(world)
    build_release(world.pipeline, world.home)
    world.deliver(FIRST_RELEASE[1:4], "-corrected")
    world.deliver(DAYS[5:])
    world.publish()
    build_release(world.pipeline, world.home)
    for path in world.home.root.rglob("*"):
        if path.is_file():
            os.utime(path, (OLD, OLD))
    done = maintain(world.home, list(world.columns), keep=1)
    assert all(one.snapshots <= one.pinned + 1 for one in done if one.table)
    return world, [f"made_up@{version}" for version in Store(world.home.store).versions("made_up")]


def shuffled(home: Home, chance: random.Random) -> None:
    """Rows of every published file in another order and other row groups; files, too."""
    for path in sorted((home.root / "staged").rglob("*.parquet")):
        table = pq.read_table(path)
        order = list(range(table.num_rows))
        chance.shuffle(order)
        pq.write_table(
            table.take(pa.array(order)),
            path,
            row_group_size=chance.choice([7, 1000]),
            compression="none",
            store_schema=False,
        )
    for path in (home.warehouse / "plans").rglob("*.json"):
        plan = json.loads(path.read_text())
        chance.shuffle(plan["files"])
        path.write_text(json.dumps(plan))


def check(shape: Shape, kernels: list[str], seen: Counter) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HEADRACE_STORE", raising=False)
        world, refs = lived(Path(folder) / "world", shape)
        moved = Home(Path(folder) / "elsewhere" / "home")
        shutil.copytree(world.home.root, moved.root, dirs_exist_ok=True)
        chance = random.Random(shape.seed)
        shuffled(moved, chance)
        store = Store(moved.store)
        (world.root / "home").rename(world.root / "gone")
        for ref in refs:
            for kernel in kernels:
                patch.setenv("HEADRACE_KERNEL", kernel)
                found = rebuild(ref, [world.pipeline], moved, threads=chance.choice([1, 2, 5]))
                assert found.equal, (ref, found.to_json(), shape)
                assert found.same_bytes
            manifest = store.manifest(*store.resolve(ref))
            seen["rows"] += manifest.rows
            seen["releases"] += 1
        seen[shape.mode] += 1
        seen[type(shape.splits).__name__] += 1
        seen["several releases"] += len(refs) > 1


# A world takes a second: to make a failing one smaller would take minutes.
QUICKLY = {
    "database": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=2, **QUICKLY)
@given(shapes())
def test_random_pipelines_rebuild(shape):
    check(shape, KERNELS[:1], Counter())


@pytest.mark.slow
def test_fifty_random_pipelines_rebuild():
    seen = Counter()

    @settings(max_examples=50, **QUICKLY)
    @given(shapes())
    def every(shape):
        mode = ["declared", "recorded"][(seen["declared"] + seen["recorded"]) % 2]
        check(replace(shape, mode=mode), KERNELS, seen)

    every()
    print(dict(seen))  # noqa: T201 - the numbers of the run
    assert seen["declared"] + seen["recorded"] >= 50
    assert min(seen["declared"], seen["recorded"], seen["several releases"]) >= 10
    assert seen["rows"] >= 50 * 10
