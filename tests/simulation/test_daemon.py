"""The processes of a simulation end with it."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from headrace.core.clock import parse_iso
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.dagster.instance import open_instance, prepare
from headrace.verification.simulation import daemon
from headrace.verification.simulation.daemon import Daemon
from headrace.verification.simulation.home import SimulationSite
from tests.rebuild.worlds import DAYS
from tests.simulation.small import declared

ROOT = Path(__file__).parents[2]


def test_a_code_server_that_never_listens_is_not_waited_for(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    server = subprocess.Popen(command, start_new_session=True)
    monkeypatch.setattr(daemon, "_start", lambda *_: server)
    monkeypatch.setattr(daemon, "_START", 0.1)
    monkeypatch.setattr(daemon, "_PAUSE", 0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StateError, match="runs, but does not listen"):
            daemon._start_server(SimulationSite(tmp_path), {}, taken.getsockname()[1])
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
            daemon._start_server(SimulationSite(tmp_path), {}, taken.getsockname()[1])
    assert server.poll() is not None


def test_a_simulation_never_opens_the_home_that_the_project_names(tmp_path, monkeypatch):
    """The project has an `.env`, as after `headrace run`, which Dagster reads by itself."""
    project = tmp_path / "project"
    own = Home(project / ".headrace")
    prepare(own, project)
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    before = sorted(own.root.rglob("*"))
    site = SimulationSite.begin(tmp_path / "simulation", {})
    site.set_clock(parse_iso(DAYS[0]))
    pipeline = declared(tmp_path / "declared").pipeline
    with site.entered():
        started = Daemon.start(site, pipeline, "tests.simulation.made_up", "", Random(1), "7d")
        try:
            assert _reports(started.home), (site.root / "daemon.log").read_text()
        finally:
            started.close()
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
