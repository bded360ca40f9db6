"""The processes of a simulation end with it."""

import socket
import subprocess
import sys

import pytest

from headrace.errors import StateError
from headrace.simulation import daemon
from headrace.simulation.site import Site


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
