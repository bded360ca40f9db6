"""`headrace stream` from a project's folder, as a person runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.core.errors import DeclarationError
from headrace.streams import NatsSubject, Stream
from headrace.streams.spec import check_streams
from tests.serving.world import TABLES
from tests.serving.world import World as Lines
from tests.streams.kit import MOSTLY_NATS, MOSTLY_REDIS, side, until

PIPELINE = """
from dataclasses import replace
from pathlib import Path
from headrace.streams import NatsSubject, RedisStream, Stream
from tests.serving.world import World
PIPELINE = replace(
    World(Path(__file__).parent).pipeline,
    streams=(Stream("arrivals", {place!r}, "the buses", name="seen", linger="0s"),),
)
"""


@pytest.fixture
def project(request, tmp_path):
    made = side(request.param)
    made.create()
    (tmp_path / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["lines"]\n')
    (tmp_path / "lines.py").write_text(PIPELINE.format(place=made.place))
    yield tmp_path, made
    made.drop()


def start(folder: Path, *words: str) -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "HEADRACE_HOME": str(folder / "home")}
    command = [sys.executable, "-c", "from headrace.cli import main; main()", "stream", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def arrivals(folder: Path, count: int) -> list[bytes]:
    rows = Lines(folder / "other").rows("2024-03-01")["arrivals"][:count]
    names = list(TABLES["arrivals"][2])
    return [json.dumps({name: row[name] for name in names}).encode() for row in rows]


@pytest.mark.parametrize("project", MOSTLY_NATS, indirect=True)
def test_run_and_status(project, monkeypatch):
    folder, made = project
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HEADRACE_HOME", str(folder / "home"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "lines", raising=False)
    made.send([*arrivals(folder, 20), b"bad"])
    run = CliRunner().invoke(app, ["stream", "run", "lines", "seen", "--once", "--json"])
    assert (run.exit_code, run.stdout, run.stderr) == (
        0,
        '{\n  "stream": "seen",\n  "table": "arrivals",\n  "events": 21\n}\n',
        "",
    )
    told = CliRunner().invoke(app, ["stream", "status", "lines", "--json"])
    (status,) = json.loads(told.stdout)["streams"]
    assert (status["published"], status["quarantined"], status["lag"]["events"]) == (20, 1, 0)
    assert told.exit_code == 1
    assert "quarantined" in status["problems"][0]


@pytest.mark.parametrize("project", MOSTLY_REDIS, indirect=True)
def test_sigterm_ends_it_in_order(project):
    folder, made = project
    process = start(folder, "run", "lines", "arrivals")
    made.send(arrivals(folder, 20))
    try:
        beat = folder / "home" / "streams" / "seen.json"
        until(lambda: beat.exists() and json.loads(beat.read_text())["events"] == 20)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        told, wrong = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    assert "20 events of stream seen consumed" in told
    assert "seen: " in wrong


def test_what_cannot_be_streamed_is_said_on_load(tmp_path):
    contracts = Lines(tmp_path).pipeline.contracts
    place = NatsSubject("x")
    for stream, message in [
        (Stream("nowhere", place, "p"), "not a table of the pipeline"),
        (Stream("arrivals", place, "p", name="a"), "declared twice"),
    ]:
        with pytest.raises(DeclarationError, match=message):
            check_streams((stream, Stream("plan", place, "p", name="a")), contracts, "here")
    with pytest.raises(DeclarationError, match="not a duration"):
        Stream("arrivals", place, "p", linger="soon")


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    from headrace.core.errors import SourceError
    from headrace.streams import RedisStream
    from headrace.streams.broker_port import open_broker

    monkeypatch.setenv("HEADRACE_NATS", "nats://127.0.0.1:9")
    monkeypatch.setenv("HEADRACE_REDIS", "redis://127.0.0.1:9/0")
    for place, name in ((NatsSubject("x"), "HEADRACE_NATS"), (RedisStream("x"), "HEADRACE_REDIS")):
        pytest.importorskip("nats" if name == "HEADRACE_NATS" else "redis")
        with pytest.raises(SourceError, match="does not answer") as raised:
            open_broker(Stream("t", place, "p"))
        assert name in str(raised.value)
