"""Who does the day's work: this process, or (in `daemon`) the real daemon of Dagster."""

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
from headrace.verification.simulation.incidents import Incident


class Engine(Protocol):
    """Brings the home up to what has come by now."""

    def step(self, machine: list[Incident], *, build: bool) -> None:
        """Do what is due; meanwhile this happens to the machine. Build, if it is time for it."""
        ...

    def close(self) -> None: ...

    def runs(self) -> dict[str, int]:
        """How many runs of Dagster ended how."""
        ...


@dataclass
class InProcess:
    """The functions that runs call, here and now; where it is killed, in a process of its own."""

    pipeline: Pipeline
    home: Home
    module: str
    chance: Random
    built: list[str] = field(default_factory=list)
    _whole: int = 0

    def step(self, machine: list[Incident], *, build: bool) -> None:
        for incident in machine:
            if incident.kind == "disk full":
                with no_room(self.home):
                    self._take_in_if_it_can()
            else:
                self._die()
        # All slots are looked at once a week; the daemon's sensor does it every day.
        whole = now_us() >= self._whole + 7 * DAY
        self._whole = now_us() if whole else self._whole
        take_in(self.pipeline, self.home, whole=whole)
        if build:
            self.built.append(try_build(self.pipeline, self.home))

    def close(self) -> None:
        pass

    def runs(self) -> dict[str, int]:
        return {}

    def _take_in_if_it_can(self) -> None:
        try:
            take_in(self.pipeline, self.home)
        except Exception:  # noqa: BLE001 - whatever a full disk makes of it
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
    """SIGKILL to it and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def no_room(home: Home) -> Iterator[None]:
    """Nothing can be written where rows are staged: a file lies in the folder's place."""
    away = home.staged.with_name("staged.away")
    there = home.staged.exists()
    if there:
        home.staged.rename(away)
    home.staged.write_bytes(b"")
    try:
        yield
    finally:
        home.staged.unlink()
        if there:
            away.rename(home.staged)
