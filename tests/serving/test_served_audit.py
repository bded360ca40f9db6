"""Planted skew is found in the served log, and named; a clean log has none."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from headrace.core.clock import DAY, parse_iso
from headrace.core.errors import DeclarationError, StateError
from headrace.features import FeatureView, Rows, Window
from headrace.models import champion, predict
from headrace.pipeline import build_release, feature_service, served_log, train_model
from headrace.serving import Entry, answer, audit
from tests.serving.world import DAYS, VIEWS, World, request_of

SLOT = DAYS[5]
T = parse_iso(SLOT)


def requests(world, slots):
    for slot in slots:
        for row in world.rows(slot)["plan"]:
            fare = None if row["fare"] is None else float(row["fare"])
            yield {**row, "fare": fare}, parse_iso(row["due"]) - DAY // 12


def log_all(world, service, slots):
    with closing(served_log(world.pipeline, world.home)) as log:
        return log.append([Entry(one) for one in service.vectors(list(requests(world, slots)))])


def report(world, service):
    with closing(served_log(world.pipeline, world.home)) as log:
        return audit(log, service)


@pytest.fixture
def live(world):
    """Published but for one batch of arrivals, and 80 vectors served."""
    world.deliver_days(DAYS[:9], without={("arrivals", DAYS[3])})
    world.publish()
    service = feature_service(world.pipeline, world.home)
    assert log_all(world, service, DAYS[4:6]) == 80
    return world


def test_a_clean_log_has_no_differences(live):
    world = live
    assert report(world, feature_service(world.pipeline, world.home)).to_json() == {
        "compared": 80,
        "different": 0,
        "causes": {},
    }
    world.deliver_days(DAYS[9:])  # later days: new snapshots, nothing that was usable then
    world.publish()
    assert report(world, feature_service(world.pipeline, world.home)).differences == ()


def test_a_late_commit_is_named(live):
    world = live
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    found = report(world, feature_service(world.pipeline, world.home))
    assert {one.cause for one in found.differences} == {"late commit"}
    assert len(found.differences) == 80  # the week's mean of every line
    assert all("line__late_mean_7d" in one.features for one in found.differences)
    assert not any("gauge__rain" in one.features for one in found.differences)


def test_recorded_mode_excuses_a_late_commit(live):
    """What was published after the answer was not usable at t, and the frame says so."""
    world = live
    moved = f"arrivals_{DAYS[3]}".replace("-", "_")
    recorded = feature_service(replace(world.pipeline, mode="recorded"), world.home)
    world.commit_on_time()
    log_all(world, recorded, DAYS[4:6])
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    world.commit_on_time(**{moved: parse_iso(DAYS[6])})
    found = report(world, recorded)
    assert found.to_json()["causes"] == {"definition mismatch": 80}  # the declared ones of before
    world.commit_on_time(**{moved: parse_iso(DAYS[4]) - 1})  # had it been there, it would differ
    assert "late commit" in report(world, recorded).to_json()["causes"]


def test_a_changed_definition_is_named(live):
    other = FeatureView("stop", "arrivals", ("stop",), (Rows(Window("-2d"), name="rows_1d"),))
    views = tuple(other if view.name == "stop" else view for view in VIEWS)
    found = report(live, feature_service(replace(live.pipeline, views=views), live.home))
    assert found.to_json() == {
        "compared": 80,
        "different": 80,
        "causes": {"definition mismatch": 80},
    }


def test_a_changed_value_is_named_to_the_last_bit(live):
    path = live.home.root / "served" / "lines.sqlite"
    with closing(sqlite3.connect(path)) as log, log:
        for sequence in (7, 20):
            (text,) = log.execute(
                "SELECT vector FROM served WHERE sequence = ?", (sequence,)
            ).fetchone()
            vector = json.loads(text)
            mean = vector["line__late_mean_7d"]
            vector["line__late_mean_7d"] = float(np.nextafter(mean, 9.0))
            log.execute(
                "UPDATE served SET vector = ? WHERE sequence = ?", (json.dumps(vector), sequence)
            )
    found = report(live, feature_service(live.pipeline, live.home))
    assert [(d.sequence, d.cause, d.features) for d in found.differences] == [
        (7, "value", ("line__late_mean_7d",)),
        (20, "value", ("line__late_mean_7d",)),
    ]


def test_several_causes_in_one_log(live):
    world = live
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    service = feature_service(world.pipeline, world.home)
    log_all(world, service, DAYS[6:7])
    path = world.home.root / "served" / "lines.sqlite"
    with closing(sqlite3.connect(path)) as log, log:
        log.execute("UPDATE served SET definition = 'old' WHERE sequence = 3")
        log.execute(
            "UPDATE served SET vector = replace(vector, '\"fare_cents\":', '\"fare_cents\":9')"
        )
        log.execute(
            "UPDATE served SET vector = replace(vector, ':9null', ':null') WHERE sequence < 81"
        )
        log.execute("UPDATE served SET vector = replace(vector, ':9null', ':9')")
    causes = report(world, service).to_json()["causes"]
    assert causes["definition mismatch"] == 1
    assert causes["late commit"] + causes["value"] == 119
    assert causes["late commit"] > 5
    assert causes["value"] > 40


def test_without_the_tables_of_then_the_cause_stays_open(live):
    world = live
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    service = feature_service(world.pipeline, world.home)
    current, kept = service.frontier()["arrivals"], service.published

    class Expired:
        def snapshot_id(self, table):
            return kept.snapshot_id(table)

        def rows(self, table, columns, snapshot_id):
            if table == "arrivals" and snapshot_id != current:
                raise StateError("gone")
            return kept.rows(table, columns, snapshot_id)

    found = report(world, replace(service, published=Expired()))
    assert found.to_json()["causes"] == {"frontier gone": 80}


# A model's answers


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("trained"))
    world.deliver_days()
    world.publish()
    build_release(world.pipeline, world.home)
    train_model(world.pipeline, world.home)
    return world


def test_an_answer_is_the_score_of_the_release(trained):
    from headrace.datasets import open_release

    world, record = trained, champion(trained.home, "line_late")
    service = feature_service(world.pipeline, world.home)
    rows = open_release("line_lateness@latest", store=world.home.store).split("test").arrow
    expected = predict(record, rows, definitions=service.definitions)
    spine = rows.select(["trip", "line", "stop", "due", "fare"]).to_pylist()
    moments = rows["t"].cast("int64").to_pylist()
    with closing(served_log(world.pipeline, world.home)) as log:
        for number in range(0, len(spine), 5):
            got = answer(service, record, request_of(spine[number]), moments[number], log=log)
            assert got.score == expected[number]
            assert got.model == f"line_late@{record.bundle_id}"
        logged = log.table()
        assert logged["score"].to_pylist() == expected[::5].tolist()
        assert set(logged["model"].to_pylist()) == {got.model}
        assert audit(log, service).differences == ()


def test_a_model_of_another_definition_is_refused(trained):
    record = champion(trained.home, "line_late")
    other = FeatureView("stop", "arrivals", ("stop",), (Rows(Window("-2d"), name="rows_1d"),))
    views = (
        VIEWS[0],
        replace(VIEWS[1], features=(VIEWS[1].features[0], other.features[0])),
        *VIEWS[2:],
    )
    service = feature_service(replace(trained.pipeline, views=views), trained.home)
    request, at = next(requests(trained, DAYS[10:]))
    with closing(served_log(trained.pipeline, trained.home)) as log:
        before = log.table().num_rows
        with pytest.raises(DeclarationError, match="features of stop are not those"):
            answer(service, record, request, at, log=log)
        assert log.table().num_rows == before
