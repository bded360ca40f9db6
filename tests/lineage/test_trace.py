"""`headrace trace`: a released row, back to the lines of its deliveries."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import headrace.lineage.row_trace.release_trace as tracing
from headrace.cli.app import app
from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError, StateError
from headrace.datasets import Dataset, Evaluation, open_release
from headrace.datasets.evaluation_access import count, looks
from headrace.datasets.governance.privacy import Pseudonymise
from headrace.lineage.row_trace.release_trace import trace
from headrace.pipeline import build_release
from tests.serving.world import DAYS, World

REF = "line_lateness@1.0.0"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    for name in ("HEADRACE_STORE", "HEADRACE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    return released(World(tmp_path_factory.mktemp("grown")))


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    return released(World(tmp_path_factory.mktemp("live"), "recorded"))


def released(world):
    """Released, with a correction of an early day; then more was published."""
    world.deliver_days(DAYS[:12])
    rows = world.rows(DAYS[3])["arrivals"]
    world.deliver("arrivals", DAYS[3], world.corrected(rows, delay=7), "-corrected")
    world.publish()
    world.commit_on_time()
    build_release(world.pipeline, world.home)
    world.deliver_days(DAYS[12:])
    world.publish()
    return world


@pytest.mark.parametrize("mode", ["declared", "recorded"])
def test_rows_of_every_split_are_made_again_from_their_trace(mode, request):
    world = request.getfixturevalue({"declared": "grown", "recorded": "live"}[mode])
    dataset = open_release(REF, world.home.store)
    for split in ("train", "valid", "test"):
        rows = dataset.split(split).arrow.select(["trip"]).to_pylist()
        for key in rows[len(rows) // 2 :][:1]:
            found = trace(REF, key, world.home, world.pipeline)
            assert found.differs == ()
            assert found.rows.tables["plan"].num_rows > 0


def test_what_the_ledger_says_later_does_not_reach_back_into_a_release(live):
    """In recorded mode a row counts from when it was usable, as that was known at the release."""
    key = {"trip": 411}
    before = trace(REF, key, live.home, live.pipeline).to_json()
    live.commit_on_time(arrivals_2024_03_04=parse_iso("2030-01-01"))
    try:
        after = trace(REF, key, live.home, live.pipeline).to_json()
    finally:
        live.commit_on_time()
    assert after["equal"]
    assert after["rows"] == before["rows"]


def test_each_source_row_is_the_line_it_is_said_to_be(grown):
    key = {"trip": "411"}  # as text, as on the command line
    found = trace(REF, key, grown.home, grown.pipeline)
    document = json.loads(json.dumps(found.to_json()))
    assert document["equal"]
    assert document["key"] == {"trip": 411}
    lines = 0
    for table, rows in document["rows"].items():
        for row in rows:
            text = Path(row["file"]).read_text().splitlines()[row["line"] - 1].split(",")
            assert row["values"].get("line", text[1]) == text[1] or table == "gauges"
            first = "stop" if table == "gauges" else "trip"
            assert str(row["key"][first]) == text[0]
            lines += 1
    assert lines > 20
    features = {one["feature"]: one for one in document["features"]}
    counted = features["line__rows_6h"]
    assert counted["value"] == len(counted["rows"]["decides"])
    assert features["busy"]["inputs"] == ["line__rows_6h", "stop__rows_1d"]
    for one in features.values():
        for numbers in one.get("rows", {}).values():
            held = [document["rows"][one["table"]][number] for number in numbers]
            assert all(row["usable_at"] <= document["t"] for row in held)
    batches = document["batches"]["arrivals"]
    assert {row["batch"] for row in document["rows"]["arrivals"]} == set(batches)
    assert {one["verdict"] for one in batches.values()} == {"PASS"}
    assert set(document["tables"]) == {"plan", "arrivals", "gauges"}


def test_a_corrected_row_shows_what_it_took_the_place_of(grown):
    corrected = "arrivals_2024-03-04-corrected.csv"
    found = trace(REF, {"trip": 411}, grown.home, grown.pipeline).to_json()
    roles = {}
    for one in found["features"]:
        for role, numbers in one.get("rows", {}).items():
            for number in numbers:
                row = found["rows"][one["table"]][number]
                roles.setdefault(role, set()).add(row["file"].rpartition("/")[2])
    assert "arrivals_2024-03-04.csv" in roles["superseded"]
    assert corrected not in roles["superseded"]


def test_an_opened_release_traces_its_rows_wherever_its_store_is(grown, monkeypatch, tmp_path):
    monkeypatch.setattr(tracing, "project_pipelines", lambda: [grown.pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    copied = shutil.copytree(grown.home.store, tmp_path / "copied")
    found = open_release(REF, copied).trace(trip=411)
    assert found.differs == ()
    assert "equal when recomputed" in repr(found)


def test_a_null_says_why(grown):
    first = open_release(REF, grown.home.store).split("train").arrow.select(["trip"])
    found = trace(REF, first.to_pylist()[0], grown.home, grown.pipeline)
    reasons = {one["feature"]: one["reason"] for one in found.columns()}
    assert reasons["line__delay_mean_1d"] == "no history"
    assert reasons["line__rows_6h"] is None


@pytest.mark.parametrize(
    ("key", "error", "says"),
    [
        ({"trip": 10**6}, StateError, r"(?s)has no row trip=1000000.*as in trip=\d+; the release"),
        ({"trip": "north"}, DeclarationError, "is not of type int64"),
        ({"line": "A"}, DeclarationError, "are not the key"),
        ({}, DeclarationError, r"\(none\) are not the key"),
    ],
)
def test_what_cannot_be_traced_is_told(grown, key, error, says):
    with pytest.raises(error, match=says):
        trace(REF, key, grown.home, grown.pipeline)


def test_a_declaration_that_means_something_else_now_traces_nothing(grown):
    changed = replace(grown.pipeline, spine=replace(grown.pipeline.spine, at_offset="-3h"))
    with pytest.raises(DeclarationError, match="the present declarations"):
        trace(REF, {"trip": 411}, grown.home, changed)


def test_a_difference_is_found_and_is_an_exit_code(grown, monkeypatch, tmp_path):
    monkeypatch.setattr(tracing, "project_pipelines", lambda: [grown.pipeline])
    monkeypatch.setenv("HEADRACE_HOME", str(grown.home.root))
    run = CliRunner().invoke(app, ["trace", REF, "411", "--json", "--column", "line"])
    assert run.exit_code == 0
    document = json.loads(run.stdout)
    assert {one["view"] for one in document["features"]} == {"line"}
    page = tmp_path / "trace.html"
    told = CliRunner().invoke(app, ["trace", REF, "trip=411", "--html", str(page)])
    shown = page.read_text()
    assert "equal, to the bit" in shown
    assert "arrivals_2024-03-0" in shown
    assert "<script" not in shown
    assert told.exit_code == 0
    assert "equal, to the bit" in told.stdout
    assert "arrivals_2024-03-0" in told.stdout
    monkeypatch.setattr(tracing.Trace, "differs", ("line__rows_6h",))
    run = CliRunner().invoke(app, ["trace", REF, "411"])
    assert run.exit_code == 1
    assert "differs when recomputed: line__rows_6h" in run.stdout
    run = CliRunner().invoke(app, ["trace", REF, "411", "--column", "nobody"])
    assert run.exit_code == 2


def test_a_key_released_as_a_pseudonym_is_traced_to_the_row_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_PRIVACY_KEY", "0" * 64)
    world = World(tmp_path)
    hidden = {"trip": Pseudonymise(), "line": Pseudonymise()}
    world.pipeline = replace(
        world.pipeline, dataset=replace(world.pipeline.dataset, privacy=hidden)
    )
    world.deliver_days(DAYS[:12])
    world.publish()
    build_release(world.pipeline, world.home)
    key = open_release(REF, world.home.store).arrow.select(["trip"]).to_pylist()[40]
    found = trace(REF, key, world.home, world.pipeline)
    assert found.key == key
    assert found.rows.row["trip"] != key["trip"]
    assert found.differs == ()


def test_to_trace_a_row_that_is_kept_apart_is_a_look_at_it(tmp_path):
    world = World(tmp_path)
    apart = Evaluation("1/2", "2024-03-11")
    world.pipeline = replace(
        world.pipeline, dataset=replace(world.pipeline.dataset, evaluation=apart)
    )
    world.deliver_days(DAYS[:12])
    world.publish()
    build_release(world.pipeline, world.home)
    data = open_release(REF, world.home.store)
    found = trace(REF, data.arrow.select(["trip"]).to_pylist()[0], world.home, world.pipeline)
    assert (found.differs, count(data.store, data.manifest)) == ((), 0)
    kept = Dataset(data.store, data.manifest, ("evaluation",), ("trip",)).arrow.to_pylist()[0]
    assert trace(REF, kept, world.home, world.pipeline).differs == ()
    (seen,) = looks(data.store, data.manifest)
    assert seen.purpose == "a trace of one row"
