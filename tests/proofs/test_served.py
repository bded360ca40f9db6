"""The audit of served vectors tells late commits, stale stores, clocks and wrong rules apart."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from headrace.core.clock import HOUR, MINUTE, SECOND, now_us, parse_iso
from headrace.features import Window
from headrace.pipeline import feature_service, served_log
from headrace.serving import Entry, audit
from tests.serving.world import DAYS, VIEWS, World


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    made = World(tmp_path)
    made.deliver_days(DAYS[:9], without={("arrivals", DAYS[3])})
    made.publish()
    return made


def requests(world, slots, shift=0):
    for slot in slots:
        for row in world.rows(slot)["plan"]:
            fare = None if row["fare"] is None else float(row["fare"])
            yield {**row, "fare": fare}, parse_iso(row["due"]) - 2 * HOUR + shift


def log(world, vectors, *, served_at=None):
    with closing(served_log(world.pipeline, world.home)) as opened:
        opened.append([Entry(one, served_at=served_at) for one in vectors])


def report(world):
    with closing(served_log(world.pipeline, world.home)) as opened:
        return audit(opened, feature_service(world.pipeline, world.home))


class Stuck:
    """Published tables of which a service sees no new snapshot."""

    def __init__(self, published, tables):
        self.published = published
        self.ids = {table: published.snapshot_id(table) for table in tables}

    def snapshot_id(self, table):
        return self.ids[table]

    def rows(self, table, columns, snapshot_id):
        return self.published.rows(table, columns, snapshot_id)


def test_a_stale_store_is_told_from_a_late_commit(world):
    service = feature_service(world.pipeline, world.home)
    log(world, service.vectors(list(requests(world, DAYS[4:5]))))
    stuck = replace(service, published=Stuck(service.published, service.tables))
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    asked = list(requests(world, DAYS[5:6]))
    log(world, stuck.vectors(asked), served_at=now_us() + MINUTE)
    log(world, service.vectors(asked), served_at=now_us() + MINUTE)
    found = report(world)
    causes = {one.sequence: one.cause for one in found.differences}
    assert {causes[n] for n in range(1, 41)} == {"late commit"}
    assert {causes[n] for n in range(41, 81)} == {"stale store"}
    assert not set(causes) & set(range(81, 121))


def test_an_answer_in_the_moment_of_a_commit_is_not_stale(world):
    service = feature_service(world.pipeline, world.home)
    stuck = replace(service, published=Stuck(service.published, service.tables))
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    log(world, stuck.vectors(list(requests(world, DAYS[4:5]))), served_at=now_us() + SECOND)
    assert {one.cause for one in report(world).differences} == {"late commit"}


@pytest.mark.parametrize("shift", [5 * MINUTE, -HOUR])
def test_a_clock_is_named_with_its_error(world, shift):
    service = feature_service(world.pipeline, world.home)
    log(world, service.vectors(list(requests(world, DAYS[4:5], shift))))
    with closing(sqlite3.connect(world.home.root / "served" / "lines.sqlite")) as db, db:
        db.execute("UPDATE served SET t = t - ?", (shift,))
    found = report(world).differences
    assert len(found) > 10
    assert {one.cause for one in found} == {"clock"}
    assert {one.detail for one in found} == {f"t {shift:+} us"}


def test_a_wrong_rule_is_named(world):
    """A path of its own, of which the windows are two days where one is declared."""
    service = feature_service(world.pipeline, world.home)
    wrong = feature_service(world.pipeline, world.home)
    wrong.views = tuple(longer(view) for view in VIEWS)
    vectors = wrong.vectors(list(requests(world, DAYS[4:6])))
    log(world, [replace(one, definition=service.definition) for one in vectors])
    found = report(world).differences
    assert {one.cause for one in found} == {"value"}
    assert {one.detail for one in found} == {"another window"}


def longer(view):
    if view.name != "stop":
        return view
    features = tuple(replace(f, window=Window("-2d")) for f in view.features)
    return replace(view, features=features)


def test_every_difference_says_which_features(world):
    service = feature_service(world.pipeline, world.home)
    log(world, service.vectors(list(requests(world, DAYS[4:5]))))
    with closing(sqlite3.connect(world.home.root / "served" / "lines.sqlite")) as db, db:
        (text,) = db.execute("SELECT vector FROM served WHERE sequence = 7").fetchone()
        vector = json.loads(text) | {"line__rows_6h": 99}
        db.execute("UPDATE served SET vector = ? WHERE sequence = 7", (json.dumps(vector),))
    [one] = report(world).differences
    assert (one.sequence, one.cause, one.features) == (7, "value", ("line__rows_6h",))
    assert one.detail == "unexplained"


def test_the_log_of_an_online_store_is_audited_the_same_way(world):
    """Filled by commit, it answers as the tables do; left behind, it is called stale."""
    pytest.importorskip("lmdb", reason="the embedded online store needs headrace[online]")
    from headrace.serving.online import MemoryStore, OnlineService, apply

    pipeline, tables = world.pipeline, feature_service(world.pipeline, world.home)
    about = (pipeline.spine, pipeline.views, pipeline.contracts)
    store = MemoryStore()
    service = OnlineService(*about, store, pipeline.mode)

    def fill():
        for table, snapshot in tables.frontier().items():
            columns = [field.name for field in pipeline.contracts[table].fields]
            rows = tables.published.rows(table, columns, snapshot)
            apply(store, service.layout, table, rows, frontier={"snapshot_id": snapshot})

    fill()
    asked = list(requests(world, DAYS[4:5]))
    log(world, service.vectors(asked))
    assert report(world).to_json() == {"compared": 40, "different": 0, "causes": {}}
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    log(world, service.vectors(asked), served_at=now_us() + MINUTE)
    fill()
    log(world, service.vectors(asked), served_at=now_us() + MINUTE)
    found = report(world)
    causes = {one.sequence: one.cause for one in found.differences}
    assert {causes.get(n) for n in range(1, 41)} == {"late commit"}
    assert {causes.get(n) for n in range(41, 81)} == {"stale store"}
    assert {causes.get(n) for n in range(81, 121)} == {None}
