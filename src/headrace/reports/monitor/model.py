"""Facts that the monitor's report shows. Moments are int64 microseconds UTC."""

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
    """Window as it was decided first; `later` are entries on later evidence.

    `accepted` are all acceptances of its data, withdrawn or not. `alternatives` is {alternative
    policy: its action}.
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
    """Champion: `began` is the end of the window that triggered it, or its training cut."""

    ref: str
    since: int
    reason: str
    began: int


@dataclass(frozen=True)
class RetrainingReport:
    """Retraining of one trigger, with `reasons`. `ending` is "" while it is in progress."""

    trigger_id: str
    asked_at: int | None
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    ending: str
    window: str = ""


@dataclass(frozen=True)
class PolicyComparison:
    """Alternative policy: its counts on the same evidence, and its action by a window's end."""

    name: str
    description: str
    tally: ActionTally
    actions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Spans of time (us): their number, the median and the longest."""

    count: int
    median: int
    longest: int


@dataclass(frozen=True)
class Cost:
    """Cost of one retraining; None where its steps do not record it."""

    trigger_id: str
    wall_s: float | None
    cpu_s: float | None
    rows: int | None


@dataclass(frozen=True)
class Figures:
    """Business figures. `months` is the time that the windows cover.

    Attributes:
        lead_time: from the arrival of a batch to the first model trained on it.
        diagnose: from the record of an incident to its first acknowledgement.
        incidents, acknowledged: number of each.
        pages: incidents that sent a page; none if another alert, of a delivery or a rollback,
            reported it.
        evaluated: windows with evaluated columns; `labelled`: with an evaluated model.
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
    """Slots of a watched table without data for the monitor.

    Attributes:
        blocked: slots with a batch that is blocked, pending or in ERROR.
        missing: expected slots before today without a delivery.
    """

    table: str
    blocked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class MonitorReport:
    """Report on one monitor. `state` is that after the last window; `next_retraining` see `decide`.

    `trained_at` is the training cut (us) of the champion; `gaps` has the tables with gaps only.
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

    @property
    def needs_attention(self) -> bool:
        """True if a delivery is blocked, or an open incident is not acknowledged."""
        unknown = any(incident.acknowledged is None for incident in self.open)
        return unknown or any(gap.blocked for gap in self.gaps)

    @property
    def open(self) -> list[Incident]:
        """Open incidents, those that nobody has acknowledged first."""
        going = [incident for incident in self.incidents if incident.is_open]
        return sorted(going, key=lambda incident: incident.acknowledged is not None)

    @property
    def champion(self) -> Reign | None:
        return self.reigns[-1] if self.reigns else None

    def window(self, end: int) -> WindowView | None:
        return next((window for window in self.windows if window.entry.window.end == end), None)
