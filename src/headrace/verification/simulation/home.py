"""Home of a simulation, with a marker file, its own clock and its own alert routes."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.core.clock import CLOCK, VIRTUAL_TIME, iso
from headrace.core.errors import StateError
from headrace.core.files import write_atomically, write_json
from headrace.core.home import Home

PAGER = "HEADRACE_SIMULATED_PAGER"
SIMULATION = "simulation.json"  # marks the folder as the home of a simulation
ALERTS = """\
# Alert routes of a simulation: all alerts go to the same pager.
version: 1
routes:
  "*":
    - ${HEADRACE_SIMULATED_PAGER}
"""


@dataclass(frozen=True)
class SimulationSite:
    """Folder of a simulation; `begin` creates it and removes an earlier simulation."""

    root: Path

    @classmethod
    def begin(cls, root: Path, settings: Mapping[str, object]) -> "SimulationSite":
        """Create the folder; the content of an earlier simulation is deleted.

        Raises:
            StateError: the folder is not empty, and does not hold a simulation.
        """
        if root.exists() and any(root.iterdir()) and not (root / SIMULATION).exists():
            raise StateError(
                "this folder is not empty and does not hold a simulation",
                where=str(root),
                fix="name another folder: --home FOLDER",
            )
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        write_json(root / SIMULATION, {"format": 1, **settings})
        write_atomically(root / VIRTUAL_TIME, b"")
        write_atomically(root / "alerts.yaml", ALERTS.encode())
        return cls(root)

    @property
    def clock(self) -> Path:
        return self.root / "clock"

    @property
    def producers(self) -> Path:
        """Folder with deliveries that the producers have not delivered yet."""
        return self.root / "producers"

    def set_clock(self, moment: int) -> None:
        write_atomically(self.clock, iso(moment).encode())

    def environment(self, pager: str = "") -> dict[str, str]:
        """Return the environment variables of every process of the simulation."""
        return {
            "HEADRACE_HOME": str(self.root),
            CLOCK: str(self.clock),
            "HEADRACE_ALERTS": str(self.root / "alerts.yaml"),
            PAGER: pager,
        }

    @contextmanager
    def entered(self, pager: str = "") -> Iterator[Home]:
        """Set the environment of this process to the simulation's home and clock, temporarily."""
        variables = self.environment(pager)
        before = {name: os.environ.get(name) for name in (*variables, "HEADRACE_STORE")}
        os.environ.pop("HEADRACE_STORE", None)
        os.environ.update(variables)
        try:
            yield Home(self.root)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
