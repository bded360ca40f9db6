"""`headrace ui`: nothing outside a project, a port that is free, and no process left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.cli.output import MISUSED
from headrace.cli.project.ui import LocalServer, _port
from headrace.core.errors import DeclarationError
from headrace.dagster.workspace import check_workspace
from headrace.web.dagster_links import dagster_url, remember_addresses
from headrace.web.report_address import report_url

ROOT = Path(__file__).parents[2]
PARTS = (
    "assets",
    "demo",
    "pipelines",
    "quality_suites",
    "policy.yaml",
    "pyproject.toml",
    "workspace.yaml",
)
# Starts a process of its own, says who both are, and waits.
CHILD = """
import pathlib, subprocess, sys, time
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
import os
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {below.pid}")
time.sleep(600)
"""
PARENT = """
import sys
from pathlib import Path
from headrace.cli.project.ui import _run
folder = Path(sys.argv[1])
commands = [[sys.executable, "-c", sys.argv[2], str(folder / name)] for name in "ab"]
sys.exit(_run(commands, folder, dict(__import__("os").environ)))
"""


@pytest.fixture
def taken():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def service(port):
    return LocalServer("Dagster", "127.0.0.1", port, "--port")


@pytest.mark.parametrize("pyproject", [None, "[project]\nname = 'other'\n", "x = [\n"])
def test_outside_a_project_it_says_so_and_leaves_nothing(tmp_path, monkeypatch, pyproject):
    if pyproject:
        (tmp_path / "pyproject.toml").write_text(pyproject)
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    done = CliRunner().invoke(app, ["ui"])
    assert done.exit_code == MISUSED
    assert "fix:" in done.output
    assert sorted(tmp_path.iterdir()) == before


def test_a_workspace_that_is_no_yaml_is_named_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.headrace]\npipelines = ["pipelines.none"]\n')
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_module: [\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    done = CliRunner().invoke(app, ["ui"])
    assert done.exit_code == MISUSED
    assert "not valid YAML" in done.output
    assert "workspace.yaml, line 3" in done.output.replace("\n", "")


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("load_form: []\n", "unknown key 'load_form'", "top level, line 1"),
        (
            "load_from:\n  - python_modul: pipelines.none\n",
            "unknown key 'python_modul'",
            "load_from[0], line 2",
        ),
        (
            "load_from:\n  - python_module:\n      modul_name: pipelines.none\n",
            "unknown key 'modul_name'",
            "load_from[0].python_module, line 3",
        ),
        (
            "load_from:\n  - python_module:\n      attribute: defs\n",
            'Missing required config entry "module_name"',
            "load_from[0].python_module, line 2",
        ),
        ("load_from: pipelines\n", "Value must be list", "load_from, line 1"),
        ("- load_from\n", "expected the key load_from", ""),
        ("", "expected the key load_from", ""),
    ],
)
def test_a_workspace_with_a_wrong_key_is_named_with_its_line(tmp_path, text, what, place):
    (tmp_path / "workspace.yaml").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        check_workspace(tmp_path)
    assert caught.value.what == what
    assert caught.value.where == f"{tmp_path}/workspace.yaml{f': {place}' if place else ''}"


def test_the_workspace_of_this_project_can_be_read():
    check_workspace(ROOT)


def test_dagster_shows_the_home_that_is_named_or_nothing(tmp_path, monkeypatch):
    """Dagster lets `.env` win over the environment, and would show the other home."""
    for part in PARTS:
        (tmp_path / part).symlink_to(ROOT / part)
    (tmp_path / ".env").write_text(f"HEADRACE_HOME={tmp_path / '.headrace'}\nDAGSTER_HOME=x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "other"))
    done = CliRunner().invoke(app, ["ui"])
    assert done.exit_code == MISUSED
    assert ".env names the home" in done.output


def test_a_taken_port_gives_way_to_the_next_free_one(taken, capsys):
    found = _port(service(taken), None, None)
    assert found > taken
    assert f"port {taken} is taken, {found} is used instead" in capsys.readouterr().err


def test_a_port_that_is_asked_for_and_taken_is_an_error(taken):
    with pytest.raises(DeclarationError, match=f"port {taken} of 127.0.0.1 is taken") as refused:
        _port(service(taken), taken, None)
    assert "--port" in refused.value.fix


def test_the_port_of_last_time_is_taken_again_so_that_links_go_on(taken):
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        free = tried.getsockname()[1]
    assert _port(service(taken), None, f"http://127.0.0.1:{free}") == free


def test_every_process_of_the_home_links_to_what_is_served(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    for name in ("HEADRACE_REPORTS_URL", "HEADRACE_DAGSTER_URL"):
        monkeypatch.delenv(name, raising=False)
    assert report_url("t", "b") == "http://127.0.0.1:3070/batch/t/b"
    remember_addresses({"dagster": "http://127.0.0.1:3001", "reports": "http://127.0.0.1:3071"})
    assert report_url("t", "b") == "http://127.0.0.1:3071/batch/t/b"
    assert dagster_url() == "http://127.0.0.1:3001"
    monkeypatch.setenv("HEADRACE_REPORTS_URL", "https://gates.example")
    assert report_url("t", "b") == "https://gates.example/batch/t/b"
    (tmp_path / "addresses.json").write_text("{")
    assert dagster_url() == "http://127.0.0.1:3000"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_when_it_ends(tmp_path, how):
    command = [sys.executable, "-c", PARENT, str(tmp_path), CHILD]
    with subprocess.Popen(command, cwd=tmp_path) as parent:
        files = [tmp_path / name for name in "ab"]
        wait_for(lambda: all(file.exists() and " " in file.read_text() for file in files))
        pids = [int(pid) for file in files for pid in file.read_text().split()]
        assert all(map(lives, pids))
        parent.send_signal(how)
        assert parent.wait() == 0
    assert [pid for pid in pids if lives(pid)] == []


@pytest.mark.slow
def test_the_real_one_serves_dagster_and_the_pages(tmp_path):
    for part in PARTS:
        (tmp_path / part).symlink_to(ROOT / part)
    environment = {**os.environ, "HEADRACE_HOME": str(tmp_path / "home")}
    headrace = [sys.executable, "-c", "from headrace.cli.app import main; main()"]
    with subprocess.Popen([*headrace, "ui"], cwd=tmp_path, env=environment) as running:
        try:
            file = tmp_path / "home" / "addresses.json"
            wait_for(file.exists)
            served = json.loads(file.read_text())
            wait_for(lambda: answers(served["reports"] + "/health"))
            wait_for(lambda: answers(served["dagster"] + "/server_info"))
        finally:
            running.send_signal(signal.SIGINT)
            running.wait()
    assert not answers(served["reports"] + "/health")
    assert not answers(served["dagster"] + "/server_info")


def wait_for(condition):
    while not condition():
        time.sleep(0.1)


def answers(address):
    try:
        urllib.request.urlopen(address, timeout=5).read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def lives(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
