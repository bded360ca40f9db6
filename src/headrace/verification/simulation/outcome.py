"""Outcome of a simulation: the outcome of each incident, the pages, and the final data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.alerts import Alert
from headrace.alerts.model import MISSING, SOURCE
from headrace.core.clock import DAY, iso
from headrace.verification.simulation.incidents import DOWN, LATE, MACHINE, SimulatedIncident
from headrace.verification.simulation.proof import FinalState


@dataclass(frozen=True)
class Page:
    """Message that paged a person; `incident` is the incident that caused it, "" if none did."""

    at: int
    alert: str
    title: str
    table: str
    slot: str
    cause: str
    incident: str

    def document(self) -> dict[str, str]:
        return {**vars(self), "at": iso(self.at)}


@dataclass
class SimulationOutcome:
    """Results of a simulation.

    Attributes:
        published_faults: incident -> number of faulty rows that were published temporarily.
        lost_deliveries: (table, slot) with fewer published rows than in the undisturbed run.
        duplicate_deliveries: (table, slot) with more published rows than in the undisturbed run.
        unbalanced: tables whose row counts do not add up.
        waiting: (table, slot) of batches that still wait for a decision.
        triggers: number of decisions that triggered a retraining.
        retrainings: trigger -> last recorded step.
        runs: number of the daemon's runs by job and status.
        builds: error of each build in this process; "" for success.
        state: final state of this run.
        undisturbed: final state of a run on the producers' final deliveries only.
        seconds: real time by part of the simulation.
    """

    days: int
    daemon: bool
    seed: int
    incidents: list[SimulatedIncident] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    actions: list[dict[str, str | int]] = field(default_factory=list)
    published_faults: dict[str, int] = field(default_factory=dict)
    lost_deliveries: list[tuple[str, str]] = field(default_factory=list)
    duplicate_deliveries: list[tuple[str, str]] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    triggers: int = 0
    retrainings: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    builds: list[str] = field(default_factory=list)
    state: FinalState | None = None
    undisturbed: FinalState | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return self.state is not None and self.state == self.undisturbed

    @property
    def paged_twice(self) -> list[str]:
        """Names of incidents with more than one page."""
        names = [page.incident for page in self.pages if page.incident]
        return sorted({name for name in names if names.count(name) > 1})

    @property
    def ok(self) -> bool:
        bad = (
            self.published_faults,
            self.lost_deliveries,
            self.duplicate_deliveries,
            self.unbalanced,
            self.paged_twice,
        )
        return self.equal and not any(bad)

    def became(self, incident: SimulatedIncident) -> str:
        """Return the outcome of an incident, in words."""
        pages = sum(page.incident == incident.name for page in self.pages)
        paging = f"paged {pages} times" if pages > 1 else "paged once" if pages else ""
        steps = [
            f"{action['action']} by on-call"
            for action in self.actions
            if incident.concerns(str(action["table"]), str(action["slot"]))
        ]
        if incident.name in self.published_faults:
            steps.insert(0, f"{self.published_faults[incident.name]:,} faulty rows were published")
        return ", ".join([paging or "recovered by itself", *dict.fromkeys(steps)])

    def document(self) -> dict[str, Any]:
        state, undisturbed = self.state, self.undisturbed
        return {
            "ok": self.ok,
            "days": self.days,
            "daemon": self.daemon,
            "seed": self.seed,
            "incidents": [
                {
                    **incident.document(),
                    "pages": sum(page.incident == incident.name for page in self.pages),
                    "became": self.became(incident),
                }
                for incident in self.incidents
            ],
            "pages": [page.document() for page in self.pages],
            "paged_twice": self.paged_twice,
            "actions": [{**action, "at": iso(int(action["at"]))} for action in self.actions],
            "bad_rows_published": sum(self.published_faults.values()),
            "published_faults": self.published_faults,
            "deliveries_lost": [list(key) for key in self.lost_deliveries],
            "deliveries_doubled": [list(key) for key in self.duplicate_deliveries],
            "unbalanced": self.unbalanced,
            "waiting": [list(key) for key in self.waiting],
            "triggers": self.triggers,
            "retrainings": self.retrainings,
            "runs": self.runs,
            "builds": self.builds,
            "hashes": {
                "equal": self.equal,
                "simulated": state.document() if state else None,
                "undisturbed": undisturbed.document() if undisturbed else None,
            },
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }


def incident_of(alert: Alert, incidents: Sequence[SimulatedIncident]) -> str:
    """Return the latest planned incident that may have caused an alert; "" if there is none."""
    condition, at = alert.condition, alert.opened_at
    outage = condition.cause in {SOURCE, MISSING}
    best = ""
    for incident in incidents:
        related = incident.concerns(condition.table, condition.slot)
        if incident.kind in MACHINE or (
            incident.table == condition.table and incident.kind in DOWN
        ):
            related = related or outage
        if related and incident.begins - DAY <= at <= incident.ends + 3 * DAY:
            # Between two candidates, the alert's cause decides: an outage or faulty data.
            if best and outage != (incident.kind in (*DOWN, *MACHINE, *LATE)):
                continue
            best = incident.name
    return best
