"""Facts that the monitor's report shows. Times are int64 microseconds UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance, Ack, Entry, Step
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.replay import ActionTally
from headrace.monitoring.decisions.retraining_decision import State
from headrace.monitoring.evidence.attribution import Attribution
from headrace.monitoring.run_details import WindowDetails


@dataclass(frozen=True)
class WindowView:
    """Window with its first decision (`entry`) and decisions on later evidence (`later`).

    `accepted` are all acceptances of its data, including withdrawn ones. `alternatives` maps
    alternative policies to the actions that they would take.
    """

    entry: Entry
    closes: int
    attribution: Attribution
    details: WindowDetails | None = None
    later: tuple[Entry, ...] = ()
    acks: tuple[Ack, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    alternatives: Mapping[str, str] = field(default_factory=dict)

    @property
    def action(self) -> str:
        return self.entry.decision.action

    @property
    def loud(self) -> bool:
        return self.action != "none"


@dataclass(frozen=True)
class Reign:
    """Champion since its promotion (`since`).

    `began` is the close of the window that triggered it; without a trigger it is `since`, for the
    first champion its training cutoff.
    """

    ref: str
    since: int
    reason: str
    began: int


@dataclass(frozen=True)
class RetrainingReport:
    """Retraining of one trigger, with its reasons and steps; `ending` is "" while in progress."""

    trigger_id: str
    asked_at: int | None
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    ending: str
    window: str = ""


@dataclass(frozen=True)
class PolicyComparison:
    """Alternative policy replayed on the same evidence: counts, and window end -> action."""

    name: str
    description: str
    tally: ActionTally
    actions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Summary of durations in microseconds: number, median and longest."""

    count: int
    median: int
    longest: int


@dataclass(frozen=True)
class Cost:
    """Cost of one retraining; a value is None if no step records it."""

    trigger_id: str
    wall_s: float | None
    cpu_s: float | None
    rows: int | None


@dataclass(frozen=True)
class Figures:
    """Business figures. `months` is the time that the windows cover.

    Attributes:
        lead_time: time from the arrival of a batch to the first champion trained on it.
        diagnose: time from the record of an incident to its acknowledgement.
        incidents, acknowledged: numbers of all and of acknowledged incidents.
        pages: number of incidents that sent a page; an incident sends none if another alert
            (for a delivery or a rollback) reports it.
        evaluated: number of windows with evaluated columns.
        labelled: number of windows with an evaluated model.
    """

    windows: int
    evaluated: int
    labelled: int
    incidents: int
    pages: int
    acknowledged: int
    months: float
    lead_time: Spread | None = None
    diagnose: Spread | None = None
    costs: tuple[Cost, ...] = ()

    @property
    def pages_per_month(self) -> float:
        return self.pages / self.months if self.months else 0.0


@dataclass(frozen=True)
class Gap:
    """Partitions of a monitored table that lack data.

    Attributes:
        blocked: partitions with a batch that is blocked, pending or in ERROR.
        missing: overdue partitions without a delivery.
    """

    table: str
    blocked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class MonitorReport:
    """Report on one monitor.

    `state` is the policy state after the last window. `next_retraining` is the earliest time at
    which the policy allows a retraining. `trained_at` is the training cutoff of the champion.
    `gaps` has only tables with gaps. `options` are the options of a command for this monitor.
    """

    monitor: str
    pipeline: str
    window_days: int
    policy: Policy
    policy_path: Path
    windows: tuple[WindowView, ...]
    incidents: tuple[Incident, ...]
    state: State
    next_retraining: int | None
    budget_left: int
    reigns: tuple[Reign, ...]
    retrainings: tuple[RetrainingReport, ...]
    recorded: ActionTally
    alternatives: tuple[PolicyComparison, ...]
    figures: Figures
    notes: tuple[str, ...]
    rendered_at: int
    trained_at: int
    gaps: tuple[Gap, ...] = ()
    options: str = ""

    @property
    def needs_attention(self) -> bool:
        """True if a delivery is blocked, or an open incident is not acknowledged."""
        unknown = any(incident.acknowledged is None for incident in self.open)
        return unknown or any(gap.blocked for gap in self.gaps)

    @property
    def open(self) -> list[Incident]:
        """Open incidents, unacknowledged ones first."""
        going = [incident for incident in self.incidents if incident.is_open]
        return sorted(going, key=lambda incident: incident.acknowledged is not None)

    @property
    def champion(self) -> Reign | None:
        return self.reigns[-1] if self.reigns else None

    def window(self, end: int) -> WindowView | None:
        return next((window for window in self.windows if window.entry.window.end == end), None)
