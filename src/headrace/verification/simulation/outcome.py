"""What happened: to each incident, to each page, and to the data in the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.alerts import Alert
from headrace.alerts.model import MISSING, SOURCE
from headrace.core.clock import DAY, iso
from headrace.verification.simulation.incidents import DOWN, LATE, MACHINE, Incident
from headrace.verification.simulation.proof import State


@dataclass(frozen=True)
class Page:
    """One message that woke somebody; `incident` is "" where nothing was planned."""

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
class Outcome:
    """All that a simulation tells.

    Attributes:
        published_faults: names of incidents of which faulty rows were published for a while.
        lost: (table, slot) of deliveries of which rows are not published in the end.
        doubled: (table, slot) of those of which more rows are published than were delivered.
        unbalanced: tables whose accounts do not add up.
        waiting: (table, slot) of what is still held back.
        triggers: how many decisions asked for a retraining.
        retrainings: trigger -> the last step on record.
        runs: how many runs of the daemon ended how.
        builds: of each build in this process what failed of it, "" for nothing.
        state, undisturbed: the ends of this run and of one on the repaired deliveries alone.
        seconds: real ones, by part.
    """

    days: int
    daemon: bool
    seed: int
    incidents: list[Incident] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    actions: list[dict[str, str | int]] = field(default_factory=list)
    published_faults: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)
    doubled: list[tuple[str, str]] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    triggers: int = 0
    retrainings: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    builds: list[str] = field(default_factory=list)
    state: State | None = None
    undisturbed: State | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return self.state is not None and self.state == self.undisturbed

    @property
    def paged_twice(self) -> list[str]:
        """Incidents with more than one page."""
        names = [page.incident for page in self.pages if page.incident]
        return sorted({name for name in names if names.count(name) > 1})

    @property
    def ok(self) -> bool:
        bad = (self.published_faults, self.lost, self.doubled, self.unbalanced, self.paged_twice)
        return self.equal and not any(bad)

    def became(self, incident: Incident) -> str:
        """What became of an incident, in words."""
        pages = sum(page.incident == incident.name for page in self.pages)
        told = f"paged {pages} times" if pages > 1 else "paged once" if pages else ""
        done = [
            f"{action['action']} by on-call"
            for action in self.actions
            if incident.concerns(str(action["table"]), str(action["slot"]))
        ]
        if incident.name in self.published_faults:
            done.insert(0, f"{self.published_faults[incident.name]:,} faulty rows were published")
        return ", ".join([told or "recovered by itself", *dict.fromkeys(done)])

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
            "deliveries_lost": [list(one) for one in self.lost],
            "deliveries_doubled": [list(one) for one in self.doubled],
            "unbalanced": self.unbalanced,
            "waiting": [list(one) for one in self.waiting],
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


def incident_of(alert: Alert, incidents: Sequence[Incident]) -> str:
    """The incident that an alert is about, the latest that it may be; "" if none was planned."""
    given, at = alert.condition, alert.opened_at
    outage = given.cause in {SOURCE, MISSING}
    best = ""
    for incident in incidents:
        here = incident.concerns(given.table, given.slot)
        if incident.kind in MACHINE or (incident.table == given.table and incident.kind in DOWN):
            here = here or outage
        if here and incident.begins - DAY <= at <= incident.ends + 3 * DAY:
            # What can be told apart by its cause is.
            if best and outage != (incident.kind in (*DOWN, *MACHINE, *LATE)):
                continue
            best = incident.name
    return best
