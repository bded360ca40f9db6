"""Engines that do the work of a day: in this process, or in Dagster's daemon (see `daemon`)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from headrace.core.clock import DAY, now_us
from headrace.core.home import Home
from headrace.pipeline.definition import Pipeline
from headrace.verification.simulation.daily_work import take_in, try_build
from headrace.verification.simulation.incidents import SimulatedIncident


class Engine(Protocol):
    """Interface of an engine, which processes everything that has arrived."""

    def step(self, machine: list[SimulatedIncident], *, build: bool) -> None:
        """Do all due work while the incidents in `machine` happen; with `build`, also build."""
        ...

    def close(self) -> None: ...

    def runs(self) -> dict[str, int]:
        """Count Dagster's runs by job and status."""
        ...


@dataclass
class InProcess:
    """Engine in this process; work that will be killed runs in a separate process."""

    pipeline: Pipeline
    home: Home
    module: str
    chance: Random
    built: list[str] = field(default_factory=list)
    _last_full_scan: int = 0

    def step(self, machine: list[SimulatedIncident], *, build: bool) -> None:
        for incident in machine:
            if incident.kind == "disk full":
                with no_room(self.home):
                    self._take_in_if_it_can()
            else:
                self._die()
        # Scan all partitions once a week; the daemon's sensor does it every day.
        full_scan = now_us() >= self._last_full_scan + 7 * DAY
        self._last_full_scan = now_us() if full_scan else self._last_full_scan
        take_in(self.pipeline, self.home, full_scan=full_scan)
        if build:
            self.built.append(try_build(self.pipeline, self.home))

    def close(self) -> None:
        pass

    def runs(self) -> dict[str, int]:
        return {}

    def _take_in_if_it_can(self) -> None:
        try:
            take_in(self.pipeline, self.home)
        except Exception:  # noqa: BLE001 - a full disk may cause any error
            return

    def _die(self) -> None:
        worker = subprocess.Popen(
            [sys.executable, "-m", "headrace.verification.simulation.daily_work", self.module],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 1.0 + 7.0 * self.chance.random()
        while worker.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        kill(worker)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and its process group with SIGKILL."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def no_room(home: Home) -> Iterator[None]:
    """Simulate a full disk: replace the staging folder by a file, so that writes fail."""
    away = home.staged.with_name("staged.away")
    existed = home.staged.exists()
    if existed:
        home.staged.rename(away)
    home.staged.write_bytes(b"")
    try:
        yield
    finally:
        home.staged.unlink()
        if existed:
            away.rename(home.staged)
