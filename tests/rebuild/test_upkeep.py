"""Maintenance knows releases: after it every one is made again; a crash loses no pin."""

import json
import os

import pytest
from typer.testing import CliRunner

from headrace.clock import DAY, now_us
from headrace.datasets import Store
from headrace.lake.tables import Lake
from headrace.pipeline import build, build_release
from headrace.pipeline.pins import HOLD, hold, tag_of, unpin
from headrace.pipeline.rebuild import rebuild
from headrace.pipeline.upkeep import look_after
from headrace.pipeline.workshop import leave
from tests.serving.world import DAYS, World

REF = "line_lateness@1.0.0"
TABLES = ["plan", "arrivals", "gauges"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    world = World(tmp_path)
    world.deliver_days(DAYS[:11])
    world.publish()
    yield world
    leave()


def go_on(world) -> None:
    """A delivery that was corrected, and a commit for it."""
    for day in DAYS[:3]:
        rows = world.rows(day)["arrivals"]
        world.deliver("arrivals", day, [{**row, "delay": 3} for row in rows], "-corrected")
        world.publish("arrivals")
    leave()


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
    leave()
    lake = Lake(world.home)
    assert not any(tag_of(REF) in lake.tags(table) for table in TABLES)
    assert all(name.startswith(HOLD) for table in TABLES for name in lake.tags(table))
    go_on(world)
    aged(world)
    said = look_after(world.home, TABLES, apply=False, keep=1)
    assert said.pinned == (REF,)
    assert tag_of(REF) not in lake.tags("arrivals")
    done = look_after(world.home, TABLES, apply=True, keep=1)
    assert (done.pinned, done.lost) == ((REF,), ())
    assert all(tag_of(REF) in lake.tags(table) for table in TABLES)
    assert rebuild(REF, [world.pipeline], world.home).equal
    assert look_after(world.home, TABLES, apply=True, keep=1).pinned == ()


def test_a_hold_of_a_build_that_died_goes_in_the_end(world, monkeypatch):
    build_release(world.pipeline, world.home)
    leave()
    go_on(world)
    lake = Lake(world.home)
    monkeypatch.setattr("headrace.pipeline.pins.now_us", lambda: now_us() - 8 * DAY)
    held = hold(lake, {"arrivals": lake.snapshot_id("arrivals")})["arrivals"]
    assert look_after(world.home, TABLES, apply=False).let_go == {"arrivals": [held.tag]}
    assert held.tag in lake.tags("arrivals")
    look_after(world.home, TABLES, apply=True)
    assert set(lake.tags("arrivals")) == {tag_of(REF)}


def test_a_release_that_was_let_go_can_be_made_no_more(world):
    build_release(world.pipeline, world.home)
    leave()
    go_on(world)
    aged(world)
    look_after(world.home, TABLES, apply=True, keep=1)
    assert rebuild(REF, [world.pipeline], world.home).equal
    lake = Lake(world.home)
    manifest = Store(world.home.store).manifest("line_lateness", "1.0.0")
    unpin(lake, manifest)
    go_on_with = world.rows(DAYS[4])["arrivals"]
    world.deliver("arrivals", DAYS[4], go_on_with[:5], "-again")
    world.publish("arrivals")
    leave()
    from headrace.lake.maintenance import maintain

    maintain(world.home, TABLES, keep=1)
    lost = look_after(world.home, TABLES, apply=True, keep=1).lost
    assert lost == (REF,)
    with pytest.raises(Exception, match="has no snapshot"):
        rebuild(REF, [world.pipeline], world.home)


def test_the_command_looks_first(world, monkeypatch):
    from headrace.cli.app import app

    build_release(world.pipeline, world.home)
    leave()
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
