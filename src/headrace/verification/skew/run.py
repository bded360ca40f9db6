"""Plant every fault in a fresh system, and say what the detectors made of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.progress import report
from headrace.verification.skew.detection import System, examine, verdict
from headrace.verification.skew.faults import FAULTS
from headrace.verification.skew.sample_system import make_world

CLEAN_RUNS = 5


@dataclass(frozen=True)
class Planted:
    """A fault, whether any detector found something, and the name that they gave it."""

    fault: str
    detected: bool
    named: str | None

    @property
    def is_right(self) -> bool:
        return self.named == self.fault


@dataclass(frozen=True)
class PlantedReport:
    """All faults, and how many systems without any were accused of one."""

    faults: tuple[Planted, ...]
    clean_runs: int
    false_alarms: int

    @property
    def is_good(self) -> bool:
        """All detected, all named rightly, nothing made up."""
        return not self.false_alarms and all(
            fault.detected and fault.is_right for fault in self.faults
        )

    def to_json(self) -> list[dict[str, Any]]:
        """`[{"fault", "detected", "named"}]`."""
        return [asdict(fault) for fault in self.faults]


def planted(
    faults: Sequence[str] | None = None, *, seed: int = 0, clean_runs: int = CLEAN_RUNS
) -> PlantedReport:
    """Plant `faults`, all by default, one by one; and examine systems without one.

    Args:
        faults: names out of `FAULTS`.
        seed: of the made-up world.
        clean_runs: worlds in which nothing is planted, in which nothing may be found.
    """
    names = list(FAULTS) if faults is None else list(faults)
    total, world = len(names) + clean_runs, make_world(seed)
    found = []
    for number, name in enumerate(names, 1):
        named = verdict(examine(FAULTS[name], world))
        found.append(Planted(name, named is not None, named))
        report("planted faults", number, total, name)
    alarms = 0
    for number in range(clean_runs):
        alarms += verdict(examine(System(), make_world(seed + number))) is not None
        report("planted faults", len(names) + number + 1, total, "nothing planted")
    return PlantedReport(tuple(found), clean_runs, alarms)
