"""`headrace dataset release`: from what is published now, in a folder and in a bucket."""

import json

import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.dagster.metadata import built
from headrace.datasets import content_hash, list_releases
from headrace.lake.tables.lake import Lake
from headrace.pipeline import build_release
from headrace.pipeline.pins import RELEASE
from tests.datasets.stores import PLACES, store_at
from tests.serving.world import DAYS, World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    made.deliver_days(DAYS)
    made.publish()
    return made


@pytest.fixture(params=PLACES)
def store(request, tmp_path, monkeypatch, world):
    found = store_at(request.param, tmp_path, monkeypatch)
    monkeypatch.setenv("HEADRACE_HOME", str(world.home.root))
    monkeypatch.setenv("HEADRACE_STORE", str(found.root))
    monkeypatch.setattr("headrace.pipeline.project_pipelines", lambda: [world.pipeline])
    return found


def run(*words, code=0):
    done = CliRunner().invoke(app, ["dataset", "release", *words])
    assert done.exit_code == code, done.output
    return done.stdout


def test_it_releases_once_and_says_why(store, world):
    tags = {table: Lake(world.home).tags(table) for table in ("arrivals", "plan")}
    (looked,) = json.loads(run("--dry-run", "--json"))["releases"]
    assert (looked["ref"], looked["change"], looked["dry_run"]) == (
        "line_lateness@1.0.0",
        "FIRST",
        True,
    )
    assert list_releases(store.root) == []
    assert {table: Lake(world.home).tags(table) for table in tags} == tags
    (done,) = json.loads(run(world.pipeline.name, "--json"))["releases"]
    assert {**done, "dry_run": True} == looked
    assert done["reasons"] == ["first release"]
    opened = headrace.open(done["ref"])
    assert content_hash(opened.arrow) == done["content_hash"] == opened.content_hash
    assert any(name.startswith(RELEASE) for name in Lake(world.home).tags("arrivals"))
    (again,) = json.loads(run("--json"))["releases"]
    assert (again["unchanged"], again["change"]) == (True, "NONE")
    assert again["ref"] == done["ref"]
    assert "is unchanged: content, definitions" in run()
    assert "is unchanged" in run("--dry-run")
    store.set_alias("line_lateness", "champion", "1.0.0")
    assert headrace.open("line_lateness@champion").verify().ok


def test_an_unknown_pipeline_is_named(store):
    assert run("nothing", code=2) == ""


def test_the_asset_shows_what_the_release_is_made_of(store, world):
    found = built(build_release(world.pipeline, world.home).metadata)
    manifest = headrace.open("line_lateness").manifest
    assert found["release"] == "line_lateness@1.0.0"
    assert found["content hash"] == manifest.content_hash
    assert "first release" in found["reasons"].value
    schema = found["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [one.name for one in manifest.columns]
    assert {column.description.split(",")[0] for column in schema.columns} == {
        one.role for one in manifest.columns
    }
    for name in manifest.splits:
        assert f"| {name} |" in found["splits"].value
    for table, given in manifest.inputs.items():
        assert f"| {table} | {given.snapshot_id} |" in found["inputs"].value
    assert found["licences"] == ", ".join(manifest.licences)
    assert "headrace dataset show line_lateness@1.0.0" in found["open it"].value
