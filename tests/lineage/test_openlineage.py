"""Lineage events: valid by the specification's own schema, the same each time, never in the way."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from typer.testing import CliRunner

import headrace.cli.shared as which
from headrace.cli.app import app
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.datasets import open_release
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lineage.events import pipeline_events as events
from headrace.lineage.events.event_log import append, event_path, read_events
from headrace.lineage.events.openlineage import FACETS, LineageRun
from headrace.models.external import register
from headrace.pipeline import build_release
from tests.serving.world import DAYS, World

SCHEMAS = [
    json.loads(path.read_text()) for path in (Path(__file__).parent / "openlineage").glob("*.json")
]
BY_ID = {schema["$id"]: schema for schema in SCHEMAS}
REGISTRY = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS]
)
FORMATS = FormatChecker()


@FORMATS.checks("uri")
def is_uri(value):
    return not isinstance(value, str) or bool(re.match(r"[a-z][a-z0-9+.-]*:[^\s]+$", value))


def validator(url):
    return Draft202012Validator({"$ref": url}, registry=REGISTRY, format_checker=FORMATS)


def problems(event):
    """What the specification has against an event, its facets each by its own schema."""
    found = [error.message for error in validator(event["schemaURL"]).iter_errors(event)]
    found += [
        error.message
        for error in validator(event["schemaURL"].partition("#")[0]).iter_errors(event)
    ]
    for kind, facet in facets(event):
        whole = {kind: facet}
        url = facet["_schemaURL"].partition("#")[0]
        assert kind in BY_ID[url]["properties"], (kind, url)
        found += [f"{kind}: {error.message}" for error in validator(url).iter_errors(whole)]
    return found


def facets(event):
    held = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    for one in held:
        for name in ("facets", "inputFacets", "outputFacets"):
            yield from one.get(name, {}).items()


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    for name in ("HEADRACE_STORE", "HEADRACE_HOME", "HEADRACE_LINEAGE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Twelve days, one of them blocked; a release; a model registered against it."""
    world = World(tmp_path_factory.mktemp("grown"))
    world.deliver_days(DAYS[:12])
    (world.folder / f"gauges_{DAYS[2]}.csv").write_text("no,such,columns\n1,2,3\n")
    for name in ("plan", "arrivals"):
        world.publish(name)
    results = ingest(world.pipeline.table("gauges"), DAYS, world.home)
    assert {one.state for one in results} == {"published", "missing", "pending"}
    build_release(world.pipeline, world.home)
    model = world.root / "model.bin"
    model.write_bytes(b"weights")
    register(world.home, "elsewhere", open_release("line_lateness", world.home.store), [model])
    return world


@pytest.fixture(scope="module")
def runs(grown):
    return list(events.runs_of(grown.pipeline, grown.home))


def test_every_event_is_valid(runs):
    seen = set()
    for run in runs:
        for event in run.events():
            assert problems(event) == []
            seen |= {kind for kind, _ in facets(event)}
    assert seen >= set(FACETS) - {"sourceCodeLocation"}


def test_the_validator_finds_what_is_wrong(runs):
    event = runs[0].events()[1]
    for broken in (
        {**event, "eventTime": "yesterday"},
        {**event, "run": {"runId": "one"}},
        {**event, "producer": "me"},
        {**event, "job": {"name": "nameless"}},
    ):
        assert problems({**event, **broken, "inputs": [], "outputs": []} | broken)
    output = json.loads(json.dumps(event["outputs"][0]))
    output["facets"]["schema"]["fields"] = [{"type": "string"}]
    assert any("schema" in one for one in problems({**event, "outputs": [output]}))


def test_a_run_starts_and_ends_once_and_is_the_same_each_time(grown, runs):
    again = [run.events() for run in events.runs_of(grown.pipeline, grown.home)]
    assert again == [run.events() for run in runs]
    assert len({run.id for run in runs}) == len(runs)
    kinds = {run.kind for run in runs}
    assert kinds == {"PUBLISH", "VIEW", "RELEASE", "REGISTER"}


def test_they_say_what_was_done(grown, runs):
    manifest = open_release("line_lateness", grown.home.store).manifest
    blocked = [run for run in runs if run.error]
    assert len(blocked) == 1
    assert blocked[0].outputs == ()
    said = blocked[0].inputs[0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]
    assert (said["success"], said["actual"]) == (False, "BLOCK")
    publish = next(run for run in runs if run.job == "lines.publish.arrivals")
    assert len(publish.inputs) == 12
    version = publish.outputs[0]["facets"]["version"]["datasetVersion"]
    assert version == str(manifest.inputs["arrivals"].snapshot_id)
    release = next(run for run in runs if run.kind == "RELEASE").outputs[0]
    fields = release["facets"]["columnLineage"]["fields"]
    assert set(fields) == {column.name for column in manifest.columns}
    sources = {
        (one["name"], one["field"], one["transformations"][0]["subtype"])
        for one in fields["line__delay_mean_1d"]["inputFields"]
    }
    assert ("tables/arrivals", "delay", "AGGREGATION") in sources
    assert ("tables/arrivals", "line", "JOIN") in sources
    assert release["outputFacets"]["outputStatistics"]["rowCount"] == manifest.rows
    taken_in = next(run for run in runs if run.kind == "REGISTER")
    assert taken_in.inputs[0]["name"] == "releases/line_lateness"


def test_what_is_on_file_is_not_written_again(grown, runs):
    path = event_path(grown.home)
    path.unlink(missing_ok=True)
    assert events.record(grown.pipeline, grown.home) == 2 * len(runs)
    once = path.read_bytes()
    assert events.record(grown.pipeline, grown.home) == 0
    assert path.read_bytes() == once
    assert [problems(event) for event in read_events(path)] == [[]] * (2 * len(runs))


def test_what_a_crash_cut_short_is_written_again(tmp_path):
    home = Home(tmp_path)
    some = [LineageRun(f"job{n}", "VIEW", (str(n),), 0, 1) for n in range(4)]
    append(home, some)
    path, lines = event_path(home), event_path(home).read_bytes().splitlines(keepends=True)
    for cut in range(1, sum(map(len, lines)), 197):
        path.write_bytes(b"".join(lines)[:cut])
        append(home, some)
        found = list(read_events(path))
        ended = [one["run"]["runId"] for one in found if one["eventType"] == "COMPLETE"]
        assert sorted(ended) == sorted(run.id for run in some)
        assert path.read_bytes().endswith(b"\n")


def test_trouble_is_told_and_fails_no_run(grown, monkeypatch, tmp_path):
    in_the_way = Home(tmp_path / "home")
    (in_the_way.root / "lineage").write_text("a file where the folder should be")
    with pytest.raises(StateError, match="cannot be written"):
        append(in_the_way, [LineageRun("job", "VIEW", ("1",), 0, 1)])
    monkeypatch.setattr(events, "append", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert "disk full" in events.record_quietly(grown.pipeline, grown.home)


def test_commands(grown, runs, monkeypatch):
    monkeypatch.setattr(which, "pipelines", lambda _: [grown.pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    event_path(grown.home).unlink(missing_ok=True)
    run = CliRunner().invoke(app, ["lineage", "record", "--json"])
    assert json.loads(run.stdout)["events"] == 2 * len(runs)
    run = CliRunner().invoke(app, ["lineage", "export"])
    assert len(run.stdout.splitlines()) == 2 * len(runs)
    run = CliRunner().invoke(app, ["lineage", "export", "--release", "line_lateness@1.0.0"])
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert {one["job"]["name"].split(".")[1] for one in found} == {"view", "release", "elsewhere"}
    monkeypatch.setenv("HEADRACE_LINEAGE_NAMESPACE", "blue")
    run = CliRunner().invoke(app, ["lineage", "export", "--release", "line_lateness@1.0.0"])
    other = [json.loads(line) for line in run.stdout.splitlines()]
    assert {one["job"]["namespace"] for one in other} == {"blue"}
    assert not {one["run"]["runId"] for one in found} & {one["run"]["runId"] for one in other}
    assert os.environ["HEADRACE_LINEAGE_NAMESPACE"] == "blue"


@pytest.mark.parametrize("privacy", ["public", "personal", "biometric"])
def test_no_value_of_a_personal_column_is_told_as_an_example(grown, privacy):
    """The gate's words may show one; events go to other systems."""

    def classed(table):
        columns = tuple(replace(one, privacy=privacy) for one in table.contract.columns)
        return replace(table, contract=replace(table.contract, columns=columns))

    tables = tuple(map(classed, grown.pipeline.tables))
    told = events.runs_of(replace(grown.pipeline, tables=tables), grown.home)
    said = "".join(json.dumps(run.events()) for run in told if run.kind == "PUBLISH")
    with Ledger(grown.home) as ledger:
        sentences = {row.summary for row in ledger.judgements("arrivals").values()}
    shown = [one for one in sentences if json.dumps(one)[1:-1] in said]
    assert bool(shown) is (privacy == "public")
    assert bool(re.search(r"\d+ of \d+ rows passed", said)) is (privacy != "public")
