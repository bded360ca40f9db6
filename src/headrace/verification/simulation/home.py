"""The home of a simulation: marked, with a clock of its own, and with alerts that only it gets."""

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
class Site:
    """A folder that is simulated in. `begin` makes it; what a simulation left there goes."""

    root: Path

    @classmethod
    def begin(cls, root: Path, about: Mapping[str, object]) -> "Site":
        """An empty one.

        Raises:
            StateError: there is something in the folder, and it is no simulation.
        """
        if root.exists() and any(root.iterdir()) and not (root / SIMULATION).exists():
            raise StateError(
                "this folder is not empty, and no simulation",
                where=str(root),
                fix="name another: --home FOLDER",
            )
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        write_json(root / SIMULATION, {"format": 1, **about})
        write_atomically(root / VIRTUAL_TIME, b"")
        write_atomically(root / "alerts.yaml", ALERTS.encode())
        return cls(root)

    @property
    def clock(self) -> Path:
        return self.root / "clock"

    @property
    def held(self) -> Path:
        """What the producers have, and have not delivered yet."""
        return self.root / "producers"

    def set_clock(self, moment: int) -> None:
        write_atomically(self.clock, iso(moment).encode())

    def environment(self, pager: str = "") -> dict[str, str]:
        """What every process of the simulation is started with."""
        return {
            "HEADRACE_HOME": str(self.root),
            CLOCK: str(self.clock),
            "HEADRACE_ALERTS": str(self.root / "alerts.yaml"),
            PAGER: pager,
        }

    @contextmanager
    def entered(self, pager: str = "") -> Iterator[Home]:
        """This process is in the simulation, and in no other home or store."""
        wanted = self.environment(pager)
        before = {name: os.environ.get(name) for name in (*wanted, "HEADRACE_STORE")}
        os.environ.pop("HEADRACE_STORE", None)
        os.environ.update(wanted)
        try:
            yield Home(self.root)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
