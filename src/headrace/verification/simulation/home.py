"""Home of a simulation: marked as one, with its own clock and its own alert routes."""

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
SIMULATION = "simulation.json"  # in the root of a simulation's home: all of it is invented
ALERTS = """\
# Of a simulation: everybody has the same pager.
version: 1
routes:
  "*":
    - ${HEADRACE_SIMULATED_PAGER}
"""


@dataclass(frozen=True)
class SimulationSite:
    """Folder of a simulation. `begin` creates it and removes what a simulation left there."""

    root: Path

    @classmethod
    def begin(cls, root: Path, settings: Mapping[str, object]) -> "SimulationSite":
        """Create an empty folder.

        Raises:
            StateError: the folder has content that is not of a simulation.
        """
        if root.exists() and any(root.iterdir()) and not (root / SIMULATION).exists():
            raise StateError(
                "this folder is not empty, and no simulation",
                where=str(root),
                fix="name another: --home FOLDER",
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
        """Folder of what the producers have not delivered yet."""
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
        """Put this process into the simulation, and into no other home or store."""
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
