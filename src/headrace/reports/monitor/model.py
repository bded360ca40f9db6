"""Every fact that the monitor's report shows. Moments are int64 microseconds UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.monitoring.decisions.decide import State
from headrace.monitoring.decisions.incidents import Incident
from headrace.monitoring.decisions.ledger import Acceptance, Ack, Entry, Step
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.replay import Tally
from headrace.monitoring.evidence.attribution import Attribution
from headrace.monitoring.run_details import WindowDetails


@dataclass(frozen=True)
class WindowView:
    """A window as it was decided first; `later` are entries on evidence that came afterwards.

    `accepted` is what people said of its data, taken back or not. `others` is {alternative: its
    action}.
    """

    entry: Entry
    closes: int
    attribution: Attribution
    seen: WindowDetails | None = None
    later: tuple[Entry, ...] = ()
    acks: tuple[Ack, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def action(self) -> str:
        return self.entry.decision.action

    @property
    def loud(self) -> bool:
        return self.action != "none"


@dataclass(frozen=True)
class Reign:
    """A champion: `began` is the end of the window, or the training cut, that it came with."""

    ref: str
    since: int
    reason: str
    began: int


@dataclass(frozen=True)
class Retraining:
    """What became of one trigger. `ending` is "" while it goes on; `reasons` why it was started."""

    trigger_id: str
    asked_at: int | None
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    ending: str
    window: str = ""


@dataclass(frozen=True)
class Compared:
    """An alternative policy, what the same evidence comes to, and its action by a window's end."""

    name: str
    says: str
    tally: Tally
    actions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Spans of time (us): how many, the middle one and the longest."""

    count: int
    median: int
    longest: int


@dataclass(frozen=True)
class Cost:
    """What one retraining took; None where its steps do not say."""

    trigger_id: str
    wall_s: float | None
    cpu_s: float | None
    rows: int | None


@dataclass(frozen=True)
class Figures:
    """The business figures. `months` is what the windows cover.

    Attributes:
        lead_time: from the arrival of a batch to the first model that learned from it.
        diagnose: from the record of an incident to its first acknowledgement.
        incidents, acknowledged: how many there are.
        pages: incidents that sent one: not where another alert, of a delivery or a rollback, told
            of it.
        judged: windows whose columns could be judged; `labelled`: whose model could.
    """

    windows: int
    judged: int
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
    """Slots of a watched table that the monitor has no data of.

    Attributes:
        held: slots with a batch that is blocked, pending or in ERROR.
        missing: expected slots before today without a delivery.
    """

    table: str
    held: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class MonitorReport:
    """All of one monitor. `state` is what the last window left; `next_retraining` see `decide`.

    `trained_at` is up to when (us) the champion was taught; `gaps` are of tables that have any.
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
    retrainings: tuple[Retraining, ...]
    recorded: Tally
    alternatives: tuple[Compared, ...]
    figures: Figures
    notes: tuple[str, ...]
    rendered_at: int
    trained_at: int
    gaps: tuple[Gap, ...] = ()

    @property
    def needs_attention(self) -> bool:
        """True if data is held back, or something is open that nobody has acknowledged."""
        unknown = any(one.acknowledged is None for one in self.open)
        return unknown or any(gap.held for gap in self.gaps)

    @property
    def open(self) -> list[Incident]:
        """What goes on and nobody has acknowledged, then what goes on and somebody has."""
        going = [incident for incident in self.incidents if incident.is_open]
        return sorted(going, key=lambda one: one.acknowledged is not None)

    @property
    def champion(self) -> Reign | None:
        return self.reigns[-1] if self.reigns else None

    def window(self, end: int) -> WindowView | None:
        return next((window for window in self.windows if window.entry.window.end == end), None)
