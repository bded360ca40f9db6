"""`headrace online` and `headrace serve --sync` from a project's folder, as a person runs them."""

import json
import secrets
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.cli.serving import serve
from headrace.core.errors import StateError
from headrace.operations.online_store import fill, online_status, thin
from headrace.pipeline.serving.endpoint import chosen_service, endpoint
from headrace.pipeline.serving.services import online_store
from headrace.serving import FeatureService
from headrace.serving.http import ApiKeys, Endpoint
from headrace.serving.online import OnlineService, RedisStore
from tests.serving.world import DAYS, World

PROJECT = """
from dataclasses import replace
from headrace.serving.online import Staleness
from tests.serving.world import World
PIPELINE = replace(
    World({root!r}).pipeline, max_staleness=(Staleness("line", "1h"), Staleness("stop", "1d"))
)
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("lines"))
    world.deliver_days(DAYS[:2])
    world.publish()
    (world.root / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["online_lines"]\n')
    text = PROJECT.format(root=world.root).replace("PosixPath(", "__import__('pathlib').Path(")
    (world.root / "online_lines.py").write_text(text)
    return world


@pytest.fixture
def run(lines, monkeypatch):
    monkeypatch.chdir(lines.root)
    monkeypatch.syspath_prepend(lines.root)
    monkeypatch.setenv("HEADRACE_HOME", str(lines.home.root))
    shutil.rmtree(lines.home.root / "online", ignore_errors=True)
    return lambda *words: CliRunner().invoke(app, words)


def stores(done):
    assert done.stdout, done.output
    (one,) = json.loads(done.stdout)["stores"]
    return one


def test_fill_thin_and_status(run, lines):
    told = run("online", "status")
    assert (told.exit_code, "headrace online sync lines" in told.output) == (0, True)
    filled = run("online", "sync", "--json")
    assert filled.exit_code == 0
    assert {one["table"] for one in stores(filled)["tables"]} == {"plan", "arrivals", "gauges"}
    assert all(one["rows"] for one in stores(filled)["tables"])
    again = stores(run("online", "sync", "--json"))
    assert {one["rows"] for one in again["tables"]} == {0}

    status = run("online", "status", "--count", "--json")
    found = stores(status)
    assert (status.exit_code, found["state"], found["problems"]) == (0, "filled", [])
    assert 0 < found["bytes_used"] <= found["bytes"]
    arrivals = next(one for one in found["tables"] if one["table"] == "arrivals")
    assert arrivals["rows"] == arrivals["keys"] > arrivals["entities"] > 0
    assert arrivals["behind"] == {"commits": 0, "seconds": 0.0, "files": 0, "rows": 0, "gone": 0}

    lines.deliver_days(DAYS[2:3])
    lines.publish()
    behind = stores(run("online", "status", "--json"))["tables"]
    assert {one["behind"]["files"] for one in behind} == {1}
    assert all(one["behind"]["rows"] and one["behind"]["seconds"] for one in behind)

    thinned = stores(run("online", "prune", "--before", DAYS[4], "--lateness", "0s", "--json"))
    assert thinned["dropped"]["records"] > 0
    now = stores(run("online", "status", "--json"))
    assert now["answers_from"] == f"{DAYS[4]}T00:00:00Z"
    assert now["thinned_at"] is not None
    assert run("online", "sync", "--full-refresh").exit_code == 0
    assert stores(run("online", "status", "--json"))["answers_from"] is None


def test_status_says_what_is_wrong(run, lines, monkeypatch):
    monkeypatch.setattr(
        "headrace.serving.online.commits.materialise.__kwdefaults__", {"clock": lambda: 0}
    )
    assert run("online", "sync").exit_code == 0
    (lines.home.root / "online" / "lines" / "before").mkdir()
    (lines.home.root / "online" / "lines" / "before" / "data.mdb").write_bytes(b"old")
    told = run("online", "status")
    assert told.exit_code == 1
    assert "view line is older than 1h and flagged: headrace online sync lines" in told.output
    assert "unused store of other view definitions" in told.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prune"], "--keep 7d, or --before"),
        (["prune", "--keep", "7d", "--before", "2024-03-01"], "keep and before are both"),
        (["prune", "--keep", "-7d"], "is negative"),
        (["prune", "--keep", "soon"], "not a duration"),
        (["prune", "--before", "noon"], "is not a day or a moment"),
        (["prune", "--before", "2199-01-01"], "in the future"),
        (["prune", "--keep", "7d"], "headrace online sync lines"),
        (["sync", "rivers"], "one of lines"),
        (["sync", "--every", "often"], "not a duration"),
    ],
)
def test_misuse_ends_in_a_sentence(run, words, says):
    done = run("online", *words)
    assert done.exit_code in {2, 3}
    assert says in done.output
    assert "fix:" in done.output


def test_a_table_without_rows_is_said(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    done = run("online", "sync")
    assert done.exit_code == 1
    assert "no rows of arrivals, gauges, plan are published" in done.output


def test_serve_fills_the_store_and_answers_from_it(run, lines, monkeypatch):
    made: list[Endpoint] = []
    monkeypatch.setattr("headrace.serving.http.create_app", made.append)
    monkeypatch.setattr(serve, "_run", lambda *_: serve.application())
    monkeypatch.setenv(serve.VARIABLE, json.dumps({
        "pipeline": None, "key_file": None, "log_share": 0, "source": "auto",
    }))  # fmt: skip
    assert run("serve", "--port", "0", "--sync").exit_code == 0
    (endpoint,) = made
    assert isinstance(endpoint.service, OnlineService)
    assert endpoint.service.frontier().keys() == {"plan", "arrivals", "gauges"}
    assert [one.view for one in endpoint.service.max_staleness] == ["line", "stop"]
    endpoint.service.store.close()


@pytest.mark.redis
def test_a_store_on_redis_is_a_matter_of_configuration(run, lines, monkeypatch):
    pytest.importorskip("redis", reason="the redis package is not installed")
    address = "redis://127.0.0.1:6379/0"
    monkeypatch.setenv("HEADRACE_ONLINE", address)
    pipeline = replace(lines.pipeline, name="lines" + secrets.token_hex(8))
    try:
        store = online_store(pipeline, lines.home)
    except StateError:
        pytest.skip(f"no Redis server answers at {address}")
    assert isinstance(chosen_service(pipeline, lines.home, "auto"), FeatureService)
    try:
        assert fill(pipeline, lines.home)["store"].startswith("redis: headrace:online:lines")
        found = online_status(pipeline, lines.home, count=True)
        assert (found["state"], found["problems"]) == ("filled", [])
        assert found["bytes_used"] > 0
        made = endpoint(pipeline, lines.home, keys=ApiKeys(), log_share=0)
        assert isinstance(made.service.store, RedisStore)
        assert not made.quick  # an answer waits for the server
        made.service.store.close()
        assert thin(pipeline, lines.home, before=DAYS[4])["dropped"]["records"] > 0
    finally:
        store.remove()
        store.close()
    assert not (lines.home.root / "online").exists()


@pytest.mark.parametrize(
    ("address", "says"),
    [("http://here", "is not a Redis URL"), ("redis://127.0.0.1:9/0", "does not answer")],
)
def test_a_server_that_is_not_there(run, monkeypatch, address, says):
    pytest.importorskip("redis", reason="the redis package is not installed")
    monkeypatch.setenv("HEADRACE_ONLINE", address)
    done = run("online", "sync")
    assert done.exit_code in {2, 3}
    assert says in done.output
    assert "unset it for the embedded store" in done.output
