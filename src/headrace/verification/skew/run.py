"""Inject every fault in a new system, and report the results of the detectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.progress import report
from headrace.verification.skew.detection import System, examine, verdict
from headrace.verification.skew.faults import FAULTS
from headrace.verification.skew.sample_system import make_world

CLEAN_RUNS = 5


@dataclass(frozen=True)
class SkewFault:
    """Result for one fault; `detected` is True if any detector had a finding."""

    fault: str
    detected: bool
    diagnosis: str | None

    @property
    def is_right(self) -> bool:
        return self.diagnosis == self.fault


@dataclass(frozen=True)
class PlantedReport:
    """Results for all faults, and the number of false alarms in systems without a fault."""

    faults: tuple[SkewFault, ...]
    clean_runs: int
    false_alarms: int

    @property
    def is_good(self) -> bool:
        """True if all faults are detected and diagnosed correctly, without false alarms."""
        return not self.false_alarms and all(
            fault.detected and fault.is_right for fault in self.faults
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Return `[{"fault", "detected", "named"}]`."""
        return [
            {"fault": fault.fault, "detected": fault.detected, "named": fault.diagnosis}
            for fault in self.faults
        ]


def planted(
    faults: Sequence[str] | None = None, *, seed: int = 0, clean_runs: int = CLEAN_RUNS
) -> PlantedReport:
    """Inject `faults` (default: all) one by one, and also examine systems without a fault.

    Args:
        faults: names of faults in `FAULTS`.
        seed: seed of the generated world.
        clean_runs: number of systems without a fault, in which any finding is a false alarm.
    """
    names = list(FAULTS) if faults is None else list(faults)
    total, world = len(names) + clean_runs, make_world(seed)
    planted_faults = []
    for number, name in enumerate(names, 1):
        cause = verdict(examine(FAULTS[name], world))
        planted_faults.append(SkewFault(name, cause is not None, cause))
        report("planted faults", number, total, name)
    alarms = 0
    for number in range(clean_runs):
        alarms += verdict(examine(System(), make_world(seed + number))) is not None
        report("planted faults", len(names) + number + 1, total, "nothing planted")
    return PlantedReport(tuple(planted_faults), clean_runs, alarms)
