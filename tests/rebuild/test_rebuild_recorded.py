"""In recorded mode a release also hangs on when its rows became usable: that is pinned as well."""

import sqlite3
from contextlib import closing

import pytest

from headrace.core.permissions import local_user
from headrace.lake.tables.lake import Lake
from headrace.lineage.rebuild import rebuild
from headrace.operations.recall import recall, restore
from headrace.pipeline import build_release
from headrace.pipeline.pins import let_go, tag_of
from tests.serving.world import DAYS, World

REF = "line_lateness@1.0.0"
BAD = DAYS[5]


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_POLICY", str(tmp_path / "none.yaml"))
    for name in ("HEADRACE_PRINCIPAL", "HEADRACE_STORE", "HEADRACE_ONLINE"):
        monkeypatch.delenv(name, raising=False)
    world = World(tmp_path, mode="recorded")
    world.deliver_days(DAYS[:12])
    world.publish()
    world.commit_on_time()
    build_release(world.pipeline, world.home)
    return world


def act(verb, world):
    table = world.pipeline.table("arrivals")
    return verb(
        world.home, table, BAD, principal=local_user(), reason="a test", pipelines=[world.pipeline]
    )


def test_a_batch_that_was_recalled_and_restored_keeps_its_time_in_the_release(live, tmp_path):
    assert rebuild(REF, [live.pipeline], live.home).equal
    lake = Lake(live.home)
    lake.pin("plan", lake.snapshot_id("plan"), "another")
    act(recall, live)
    tainted = rebuild(REF, [live.pipeline], live.home, to=tmp_path / "kept")
    assert tainted.equal
    assert len(tainted.tainted) == 1
    assert [path.name for path in (tmp_path / "kept" / "recalls").iterdir()] == ["arrivals"]
    act(restore, live)
    assert rebuild(REF, [live.pipeline], live.home).equal
    moved = live.home.root.rename(tmp_path / "moved")
    home = type(live.home)(moved)
    assert rebuild(REF, [live.pipeline], home).equal
    # Without what was pinned, the batch would be usable from its restoration on.
    with closing(sqlite3.connect(home.ledger)) as ledger:
        assert ledger.execute("SELECT count(*) FROM pinned").fetchone() == (3,)
    for table, kept in (("plan", 3), ("arrivals", 2), ("gauges", 1)):  # plan has another pin
        tags = [name for name in Lake(home).tags(table) if name.startswith(tag_of(REF))]
        let_go(Lake(home), table, *tags, "unknown")
        with closing(sqlite3.connect(home.ledger)) as ledger:
            assert ledger.execute("SELECT count(*) FROM pinned").fetchone() == (kept,)
    later = rebuild(REF, [live.pipeline], home)
    assert not later.equal
    assert "line__rows_6h" in later.differences.columns
