"""The asset over the served log: its check fails on any difference, and says why."""

import sqlite3
from contextlib import closing

import dagster as dg
import pytest

from headrace.core.clock import HOUR, parse_iso
from headrace.dagster import definitions
from headrace.dagster.assets.served_log import AUDIT, served_asset, served_key
from headrace.pipeline import feature_service, served_log
from headrace.serving import Entry
from tests.serving.world import DAYS, World


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    made = World(tmp_path)
    made.deliver_days(DAYS[:6], without={("arrivals", DAYS[3])})
    made.publish()
    return made


def serve(world):
    asked = []
    for row in world.rows(DAYS[4])["plan"]:
        fare = None if row["fare"] is None else float(row["fare"])
        asked.append(({**row, "fare": fare}, parse_iso(row["due"]) - 2 * HOUR))
    service = feature_service(world.pipeline, world.home)
    with closing(served_log(world.pipeline, world.home)) as log:
        log.append([Entry(one) for one in service.vectors(asked)])


def audited(world):
    asset = served_asset(world.pipeline, lambda: world.home, deps=[])
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance)
    [check] = result.get_asset_check_evaluations()
    return check


def test_nothing_served_passes(world):
    check = audited(world)
    assert check.passed
    assert check.metadata["compared"].value == 0
    assert not (world.home.root / "served").exists()


def test_what_is_equal_passes_and_a_late_commit_fails(world):
    serve(world)
    check = audited(world)
    assert check.passed
    assert check.metadata["compared"].value == 40
    world.deliver_days([DAYS[3]])
    world.publish("arrivals")
    check = audited(world)
    assert not check.passed
    assert check.description == "40 of 40 vectors differ: 40 late commit"
    assert "line__late_mean_7d" in check.metadata["report"].value


def test_each_cause_says_what_to_do(world):
    serve(world)
    path = world.home.root / "served" / "lines.sqlite"
    with closing(sqlite3.connect(path)) as log, log:
        log.execute("UPDATE served SET definition = 'old' WHERE sequence = 3")
    check = audited(world)
    assert "definition mismatch" in check.description
    assert "or retrain" in check.metadata["report"].value


def test_it_has_a_job_of_its_own(world):
    repository = definitions(world.pipeline, home=lambda: world.home).get_repository_def()
    job = repository.get_job(AUDIT)
    assert {node.name for node in job.nodes} == {"__".join(served_key("lines").path)}
    build = {node.name for node in repository.get_job("build").nodes}
    assert not build & {node.name for node in job.nodes}
