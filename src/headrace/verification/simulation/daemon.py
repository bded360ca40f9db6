"""Engine that runs Dagster's daemon and a code server, on an instance in the simulation's home.

The simulation may kill both processes at any time. "daemon killed" kills only the daemon; "power
lost" also kills the code server with all runs.
"""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from headrace.core.errors import StateError
from headrace.core.home import Home, project_root
from headrace.dagster.instance import open_instance, prepare
from headrace.dagster.sensors.settings import RUN_STARTS_WITHIN, SENSOR_INTERVAL, SENSOR_STATUS
from headrace.pipeline.definition import Pipeline
from headrace.verification.simulation.code_location import MODULE, PROJECT, counted, is_idle
from headrace.verification.simulation.engines import kill, no_room
from headrace.verification.simulation.home import SimulationSite
from headrace.verification.simulation.incidents import SimulatedIncident

_WORKSPACE = """\
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {name}}}
"""
# Launch queued runs at once: a simulated day takes seconds.
_QUEUE = """\
run_coordinator:
  module: dagster
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
"""
# As a day takes seconds, sensors are on from the start and have short intervals and timeouts.
_SENSORS = {
    SENSOR_STATUS: "running",
    SENSOR_INTERVAL: "1",
    RUN_STARTS_WITHIN: "45",
}
_PAUSE = 1.0
_START = 300.0  # timeout in seconds until a code server listens
_PATIENCE = 1200.0  # timeout in seconds for the work of one time step


@dataclass
class Daemon:
    """Engine that waits, at each time step, until the daemon has nothing left to do."""

    site: SimulationSite
    home: Home
    pipeline: Pipeline
    environment: dict[str, str]
    port: int
    chance: Random
    server: "subprocess.Popen[bytes]"
    daemon: "subprocess.Popen[bytes]"

    @classmethod
    def start(  # noqa: PLR0917
        cls,
        site: SimulationSite,
        pipeline: Pipeline,
        module: str,
        pager: str,
        chance: Random,
        build_every: str,
    ) -> "Daemon":
        home = Home(site.root)
        prepare(home, site.root)
        config = home.dagster / "dagster.yaml"
        config.write_text(config.read_text() + _QUEUE)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        text = _WORKSPACE.format(port=port, name=pipeline.name)
        (site.root / "workspace.yaml").write_text(text)
        paths = [str(project_root()), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            **site.environment(pager),
            "DAGSTER_HOME": str(home.dagster),
            "HEADRACE_BUILD_EVERY": build_every,
            **_SENSORS,
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "600",
            "PYTHONPATH": os.pathsep.join(paths),
            MODULE: module,
            PROJECT: str(project_root()),
        }
        server = _start_server(site, environment, port)
        daemon = _start_daemon(site, environment)
        return cls(site, home, pipeline, environment, port, chance, server, daemon)

    def step(self, machine: list[SimulatedIncident], *, build: bool) -> None:
        del build  # the build sensor decides
        since = time.time()
        for incident in machine:
            if incident.kind == "disk full":
                with no_room(self.home):
                    self._wait(since)
            else:
                time.sleep(2.0 + 18.0 * self.chance.random())
                self._die(power=incident.kind == "power lost")
        self._wait(since)

    def close(self) -> None:
        kill(self.daemon)
        kill(self.server)

    def runs(self) -> dict[str, int]:
        with open_instance(self.home) as instance:
            return counted(instance)

    def _die(self, *, power: bool) -> None:
        kill(self.daemon)
        if power:
            kill(self.server)
            self.server = _start_server(self.site, self.environment, self.port)
        self.daemon = _start_daemon(self.site, self.environment)

    def _wait(self, since: float) -> None:
        until = time.monotonic() + _PATIENCE
        with open_instance(self.home) as instance:
            while not is_idle(instance, since):
                if time.monotonic() > until:
                    raise StateError(
                        "the daemon did not finish its work in time",
                        where=str(self.site.root / "daemon.log"),
                        fix="read the logs in this folder, and the runs in Dagster",
                    )
                self._check()
                time.sleep(_PAUSE)

    def _check(self) -> None:
        """Raise StateError if the daemon or the server ended without being killed."""
        for name, process in (("daemon", self.daemon), ("server", self.server)):
            if process.poll() is not None:
                raise StateError(
                    f"the {name} ended by itself with exit code {process.returncode}",
                    where=str(self.site.root / f"{name}.log"),
                )


def _start_server(
    site: SimulationSite, environment: dict[str, str], port: int
) -> "subprocess.Popen[bytes]":
    command = ["api", "grpc", "--host", "127.0.0.1", "--port", str(port)]
    command += ["-m", "headrace.verification.simulation.code_location", "-a", "defs"]
    command += ["-d", str(project_root())]
    started = _start(site, "server", ["-m", "dagster", *command], environment)
    until = time.monotonic() + _START
    try:
        while started.poll() is None and time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return started
            time.sleep(_PAUSE)
    except BaseException:  # interrupted during the start: nothing else would stop the process
        kill(started)
        raise
    silent = started.poll() is None
    if silent:
        kill(started)
    what = f"runs, but does not listen after {_START:.0f} s" if silent else "does not start"
    raise StateError(
        f"the code server {what}", where=str(site.root / "server.log"), fix="see its log"
    )


def _start_daemon(site: SimulationSite, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with open_instance(Home(site.root)):
        pass  # create the tables before the daemon and this process open them at the same time
    workspace = str(site.root / "workspace.yaml")
    command = ["-m", "dagster._daemon", "run", "-w", workspace]
    return _start(site, "daemon", command, environment)


def _start(
    site: SimulationSite, name: str, arguments: list[str], environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    log: Path = site.root / f"{name}.log"
    with log.open("ab") as out:
        # Dagster starts in the simulation's folder: a `.env` in its working folder overrides the
        # environment, and the project's `.env` would set the project's home.
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            cwd=site.root,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
