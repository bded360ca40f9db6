"""Maintenance knows releases: after it every one is made again; a crash loses no pin."""

import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from headrace.core.clock import DAY, now_us
from headrace.core.errors import StateError
from headrace.core.permissions import local_user
from headrace.datasets import Store, open_release
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.maintenance import maintain
from headrace.lineage.rebuild import rebuild
from headrace.operations import retirement
from headrace.operations.erasure import erase
from headrace.operations.maintenance import look_after
from headrace.operations.retirement import retire
from headrace.pipeline import build, build_release
from headrace.pipeline.pins import HOLD, hold, let_go, tag_of
from tests.serving.world import DAYS, World

REF = "line_lateness@1.0.0"
TABLES = ["plan", "arrivals", "gauges"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Eleven days, once; a home may be copied."""
    world = World(tmp_path_factory.mktemp("published"))
    world.deliver_days(DAYS[:11])
    world.publish()
    return world.root


@pytest.fixture
def world(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_POLICY", str(tmp_path / "none.yaml"))
    for name in ("HEADRACE_PRINCIPAL", "HEADRACE_STORE"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(published, tmp_path / "world")
    return World(tmp_path / "world")


def pins(lake, table, ref=REF) -> dict[str, int]:
    """Tags of a release, whatever its id."""
    found = lake.tags(table).items()
    return {name: kept for name, kept in found if name.startswith(tag_of(ref))}


def go_on(world) -> None:
    """A delivery that was corrected, and a commit for it."""
    for day in DAYS[:3]:
        rows = world.rows(day)["arrivals"]
        world.deliver("arrivals", day, world.corrected(rows, delay=3), "-corrected")
        world.publish("arrivals")


def aged(world) -> None:
    month_ago = (now_us() - 30 * DAY) / 1e6
    for path in world.home.root.rglob("*"):
        if path.is_file():
            os.utime(path, (month_ago, month_ago))


def test_a_crash_between_release_and_pin_loses_no_snapshot(world, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "settle", crash)
    with pytest.raises(KeyboardInterrupt):
        build_release(world.pipeline, world.home)
    lake = Lake(world.home)
    assert not any(pins(lake, table, REF) for table in TABLES)
    for table in TABLES:
        ((name, snapshot),) = lake.tags(table).items()
        assert (name.startswith(HOLD), snapshot) == (True, lake.snapshot_id(table))
    monkeypatch.setattr("headrace.lake.tables.iceberg.KEEP_SNAPSHOTS", 1)  # as if many commits came
    go_on(world)
    aged(world)
    said = look_after(world.home, TABLES, apply=False, keep=1)
    assert said.pinned == (REF,)
    assert not pins(lake, "arrivals", REF)
    done = look_after(world.home, TABLES, apply=True, keep=1)
    assert (done.pinned, done.unreproducible) == ((REF,), ())
    assert all(pins(lake, table, REF) for table in TABLES)
    assert rebuild(REF, [world.pipeline], world.home).equal
    assert look_after(world.home, TABLES, apply=True, keep=1).pinned == ()


def test_two_stores_of_one_home_each_pin_theirs(world, monkeypatch, tmp_path):
    build_release(world.pipeline, world.home)
    go_on(world)
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "other"))
    build_release(world.pipeline, world.home)
    lake = Lake(world.home)
    assert len(set(pins(lake, "arrivals").values())) == 2
    for store in (world.home.root / "store", tmp_path / "other"):
        assert rebuild(REF, [world.pipeline], world.home, store=store).equal
    # Whoever retires the one does not let go of the other.
    retire(world.home, REF, principal=local_user(), reason="old")
    assert len(pins(lake, "arrivals")) == 1
    assert rebuild(REF, [world.pipeline], world.home, store=world.home.root / "store").equal


def test_a_hold_of_a_build_that_died_goes_in_the_end(world, monkeypatch):
    build_release(world.pipeline, world.home)
    go_on(world)
    lake = Lake(world.home)
    monkeypatch.setattr("headrace.pipeline.pins.now_us", lambda: now_us() - 8 * DAY)
    held = hold(lake, {"arrivals": lake.snapshot_id("arrivals")})["arrivals"]
    assert look_after(world.home, TABLES, apply=False).let_go == {"arrivals": [held.tag]}
    assert held.tag in lake.tags("arrivals")
    look_after(world.home, TABLES, apply=True)
    assert lake.tags("arrivals") == pins(lake, "arrivals")


def test_a_release_that_was_let_go_can_be_made_no_more(world):
    build_release(world.pipeline, world.home)
    go_on(world)
    aged(world)
    look_after(world.home, TABLES, apply=True, keep=1)
    assert rebuild(REF, [world.pipeline], world.home).equal
    lake = Lake(world.home)
    manifest = Store(world.home.store).manifest("line_lateness", "1.0.0")
    for table in manifest.inputs:
        let_go(lake, table, *pins(lake, table))
    go_on_with = world.rows(DAYS[4])["arrivals"]
    world.deliver("arrivals", DAYS[4], go_on_with[:5], "-again")
    world.publish("arrivals")
    maintain(world.home, TABLES, keep=1)
    lost = look_after(world.home, TABLES, apply=True, keep=1).unreproducible
    assert lost == (REF,)
    with pytest.raises(StateError, match="has no snapshot"):
        rebuild(REF, [world.pipeline], world.home)


def test_an_erasure_ends_what_held_the_key_and_nothing_later(world, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "0123456789abcdef0123456789abcdef")
    build_release(world.pipeline, world.home)
    trip = open_release(REF, world.home.store).arrow["trip"][7].as_py()
    erase(world.home, {"trip": str(trip)}, principal=local_user(), reason="on request")
    lake, successor = Lake(world.home), "line_lateness@1.0.1"
    assert not any(pins(lake, table, REF) for table in TABLES)
    for ref, why in ((REF, "was erased"), (successor, "rows were erased from")):
        with pytest.raises(StateError, match=why):
            rebuild(ref, [world.pipeline], world.home)
    go_on(world)
    build_release(world.pipeline, world.home)
    store = Store(world.home.store)
    later = store.latest("line_lateness")
    assert later.erasures
    assert later.ref not in {REF, successor}
    look_after(world.home, TABLES, apply=True, keep=1)
    assert not any(pins(lake, table, successor) for table in TABLES)
    found = rebuild(later.ref, [world.pipeline], world.home)
    assert found.equal
    assert trip not in open_release(later.ref, store.root).arrow["trip"].to_pylist()


def test_a_retired_release_is_unpinned_also_after_a_crash(world, monkeypatch):
    build_release(world.pipeline, world.home)
    go_on(world)
    lake = Lake(world.home)
    with monkeypatch.context() as patch:
        patch.setattr(retirement, "let_go_of_gone", lambda *_: None)  # killed just before
        retire(world.home, REF, principal=local_user(), reason="old")
    assert pins(lake, "plan", REF)
    done = look_after(world.home, TABLES, apply=True, keep=1)
    assert sorted(done.let_go) == sorted(TABLES)
    assert not any(lake.tags(table) for table in TABLES)


def test_the_command_looks_first(world, monkeypatch):
    from headrace.cli.app import app

    build_release(world.pipeline, world.home)
    left = world.home.staged / "plan" / "f00d.parquet"
    left.write_bytes(b"left")
    aged(world)
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    groups = {"lines": world.pipeline.tables}
    monkeypatch.setattr("headrace.pipeline.load.table_groups", lambda: groups)
    run = CliRunner().invoke
    looked = json.loads(run(app, ["maintain", "--json"]).stdout)
    assert left.exists()
    assert (looked["applied"], looked["files"]) == (False, 1)
    assert "f00d" in run(app, ["maintain"]).stdout
    assert run(app, ["maintain", "--older-than", "5m"]).exit_code == 2
    assert run(app, ["maintain", "--table", "nope"]).exit_code == 2
    done = run(app, ["maintain", "--apply", "--table", "plan"])
    assert done.exit_code == 0, done.output
    assert not left.exists()
