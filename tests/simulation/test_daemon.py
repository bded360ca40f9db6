"""The processes of a simulation end with it."""

import os
import socket
import subprocess
import sys
import time

import pytest

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.dagster.instance import open_instance, prepare
from headrace.verification.simulation import daemon
from headrace.verification.simulation.engines import kill
from headrace.verification.simulation.home import Site


def test_a_code_server_that_never_listens_is_not_waited_for(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    server = subprocess.Popen(command, start_new_session=True)
    monkeypatch.setattr(daemon, "_start", lambda *_: server)
    monkeypatch.setattr(daemon, "_START", 0.1)
    monkeypatch.setattr(daemon, "_PAUSE", 0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StateError, match="lives, but does not listen"):
            daemon._start_server(Site(tmp_path), {}, taken.getsockname()[1])
    assert server.poll() is not None


def test_a_simulation_that_is_told_to_stop_leaves_no_code_server(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    server = subprocess.Popen(command, start_new_session=True)
    monkeypatch.setattr(daemon, "_start", lambda *_: server)

    def stop(_seconds: float) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(daemon.time, "sleep", stop)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        with pytest.raises(SystemExit):
            daemon._start_server(Site(tmp_path), {}, taken.getsockname()[1])
    assert server.poll() is not None


def test_the_daemon_of_a_simulation_never_opens_the_home_that_the_project_names(
    tmp_path, monkeypatch
):
    """The project has an `.env`, as after `headrace run`; Dagster's daemon reads it by itself."""
    project = tmp_path / "project"
    own = Home(project / ".headrace")
    prepare(own, project)
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project)
    before = sorted(own.root.rglob("*"))
    site = Site.begin(tmp_path / "simulation", {})
    home = Home(site.root)
    prepare(home, site.root)
    (site.root / "workspace.yaml").write_text("load_from: []\n")
    environment = {**os.environ, **site.environment(), "DAGSTER_HOME": str(home.dagster)}
    started = daemon._start_daemon(site, environment)
    try:
        assert _reports(home), (site.root / "daemon.log").read_text()
    finally:
        kill(started)
    assert sorted(own.root.rglob("*")) == before


def _reports(home: Home, patience: float = 60.0) -> bool:
    """Return True once a daemon has written its heartbeat to the instance in the home."""
    until = time.monotonic() + patience
    with open_instance(home) as instance:
        while not instance.get_daemon_heartbeats():
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
    return True
