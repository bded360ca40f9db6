"""Declaration of a monitor, and the results of its runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.clock import DAY, duration
from headrace.monitoring.decisions.policy import Policy, load_policy
from headrace.monitoring.decisions.retraining_decision import Decision
from headrace.monitoring.detectors.shift_shapes import Shape
from headrace.monitoring.evidence.attribution import NO_ALARMS, Attribution
from headrace.monitoring.evidence.model import Evidence, Window
from headrace.monitoring.profiles.labelled_scores import Scored
from headrace.monitoring.profiles.prediction_losses import WindowLoss


@dataclass(frozen=True)
class MonitorSpec:
    """Declaration of a monitor. Durations are text.

    `anchor`: ISO day from which windows of `window_days` are counted. `offset`: added to `t` before
    it is cut into days ("-5h" for days that begin at five UTC). `columns`: columns of the frame to
    watch; if None, all but `exclude`. `maturity`: time until a label is known. `max_age`: largest
    age allowed for the content of each table. `segments`: columns whose categories and ranges are
    searched for concept drift; if empty, the model's segments. `label_derived`: columns computed
    from the label's own table, which shift when the relation between inputs and outcome changes.
    `model`: name of the model to watch; empty if the pipeline has only one.
    """

    name: str
    policy_path: Path
    anchor: str
    window_days: int = 7
    offset: str = "0s"
    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    maturity: str = "48h"
    segments: tuple[str, ...] = ()
    max_age: Mapping[str, str] = field(default_factory=dict)
    label_derived: tuple[str, ...] = ()
    # Not in the repr, which is part of the digest of a build.
    model: str = field(default="", repr=False)

    def policy(self) -> Policy:
        return load_policy(self.policy_path)

    def closes(self, window: Window) -> int:
        """Return the time (us) at which the last day of `window` ends."""
        return window.end * DAY - duration(self.offset)


@dataclass(frozen=True)
class WindowResult:
    """Result of one window in this run.

    `heat` is {column: distance / its limit}. `shapes` has the distributions, before and in this
    window, of the columns that the attribution names, for plots.
    """

    window: Window
    evidence: tuple[Evidence, ...]
    decision: Decision
    rows: int
    heat: dict[str, float]
    scored: Scored | WindowLoss | None
    attribution: Attribution = NO_ALARMS
    shapes: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class MonitorRun:
    """Result of one run: `recorded` is the number of new ledger entries, `profile_s` in seconds."""

    name: str
    results: tuple[WindowResult, ...]
    notes: tuple[str, ...]
    recorded: int
    profile_s: float

    @property
    def alarming(self) -> int:
        """Number of windows with an action other than "none"."""
        return sum(result.decision.action != "none" for result in self.results)

    def counts(self) -> dict[str, int]:
        actions = [result.decision.action for result in self.results]
        return {name: actions.count(name) for name in ("none", "watch", "investigate", "retrain")}

    def to_json(self) -> dict[str, Any]:
        return {
            "monitor": self.name,
            "windows": len(self.results),
            "alarming": self.alarming,
            "actions": self.counts(),
            "recorded": self.recorded,
            "profile_s": round(self.profile_s, 3),
            "notes": list(self.notes),
            "latest": self.results[-1].decision.to_json() if self.results else None,
        }
