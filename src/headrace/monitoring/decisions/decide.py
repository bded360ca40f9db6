"""What to do about the evidence of a window: one pure function, so that a year can be replayed.

The order of the rules is the policy's spine. A fault is investigated and never retrains. Data that
moved explain what the scores do, so they are watched, and looked at where the scores suffer. Only
a relation that moved retrains: when it lasts, not too soon, not too often, and not once more on
what a retraining did not mend.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from headrace.core.clock import duration_text
from headrace.core.files import digest
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.evidence.model import (
    DATA_FAULTS,
    DISTRUSTED,
    MODEL,
    SCORE,
    Evidence,
    Window,
    alarms,
    evidence_hash,
)

Action = Literal["none", "watch", "retrain", "investigate"]
# How a retraining can end without a new champion that stayed.
FUTILE = frozenset({"kept", "failed", "rolled_back"})
ROLLED_BACK = "A retraining on it was rolled back: somebody has to look."
_ENDED = {"kept": "was no better than the champion", "failed": "failed"}


@dataclass(frozen=True)
class State:
    """State that earlier windows leave for the decision on the next one.

    Attributes:
        pipeline: its name is part of every trigger.
        window: the one that is decided.
        closes: the moment (us) it ends.
        cause: what its evidence is put down to: none, data, concept or both.
        trained_at: the newest training cut known by then.
        retrained: ends of windows that triggered a retraining, however it ended.
        since: when the stretch of windows with a cause to retrain began; None where there is none.
            Faulty windows and those whose data moved neither end nor feed it.
        streak: windows of that stretch since the last retraining.
        hurt: windows in a row in which data that moved made the scores worse.
        futile: how retrainings of this stretch ended that brought no lasting champion.
        acknowledged: whether a person knows of a window of this stretch.
        doubtful: whether the data were faulty, or moved, before the relation seemed to, and no
            quiet window has been since: what a fault does to scores may outlast what is seen of it
            in the data.
    """

    pipeline: str
    window: Window
    closes: int
    cause: str = "none"
    trained_at: int | None = None
    retrained: tuple[int, ...] = ()
    since: int | None = None
    streak: int = 0
    hurt: int = 0
    futile: tuple[str, ...] = ()
    acknowledged: bool = False
    doubtful: bool = False


@dataclass(frozen=True)
class Decision:
    """Decision on one window. `trigger_id` names the retraining that it starts: the same evidence
    always gives the same id.
    """

    action: Action
    reasons: tuple[str, ...]
    trigger_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"action": self.action, "reasons": list(self.reasons), "trigger_id": self.trigger_id}


Said = tuple[Action, list[str]]


def decide(evidence: Sequence[Evidence], state: State, policy: Policy) -> Decision:
    """Return the action for one window. Pure: the same arguments give the same decision."""
    action, reasons = _action(evidence, state, policy)
    trigger = trigger_id(state, evidence) if action == "retrain" else None
    return Decision(action, tuple(reasons), trigger)


def trigger_id(state: State, evidence: Sequence[Evidence]) -> str:
    window = [state.window.first, state.window.end]
    return digest([state.pipeline, window, evidence_hash(evidence)])[:32]


def _action(evidence: Sequence[Evidence], state: State, policy: Policy) -> Said:
    faults = [alarm.sentence for alarm in alarms(evidence) if alarm.kind in DISTRUSTED]
    if faults:
        held = ["Nothing is retrained on a faulty window."] if causes(evidence, policy) else []
        return "investigate", faults + held
    notices = [one.sentence for one in evidence if one.kind in DISTRUSTED]
    if notices:
        which = "window whose data were accepted" if vouched(evidence) else "doubtful window"
        return "watch", [*notices, f"Nothing is retrained on a {which}."]
    if _explained(evidence, state, policy):
        return _data_moved(evidence, state, policy)
    due = _due(evidence, state, policy)
    if due:
        return _retrain(due, state, policy)
    return _quiet(evidence, state, policy)


def vouched(evidence: Sequence[Evidence]) -> bool:
    """Whether all that is wrong with the data of a window is what a person accepted."""
    faults = [one for one in evidence if one.kind in DATA_FAULTS]
    return bool(faults) and all(fault.accepted for fault in faults)


def _explained(evidence: Sequence[Evidence], state: State, policy: Policy) -> bool:
    """Whether data that moved are the cause, and the policy does not retrain on those."""
    return (
        state.cause == "data" and bool(alarms(evidence)) and "population" not in policy.retrain_on
    )


def _data_moved(evidence: Sequence[Evidence], state: State, policy: Policy) -> Said:
    """Watch; have it looked at where the scores suffer for as long as would else retrain."""
    moved = shifts(evidence, policy)
    worse = [alarm.sentence for alarm in alarms(evidence) if alarm.kind in MODEL]
    held = "The data moved, so nothing is retrained"
    if worse and state.hurt + 1 >= policy.hysteresis:
        lasting = f"The scores suffer for {state.hurt + 1} windows."
        return "investigate", [*moved, *worse, f"{held}.", lasting]
    return "watch", [*moved, *worse, f"{held}; by this policy that alone does not retrain."]


def causes(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Sentences of the evidence for which this policy retrains, once it lasts."""
    found = [alarm for alarm in alarms(evidence) if alarm.kind in policy.retrain_on]
    kept = [one.sentence for one in found if one.kind in MODEL]
    if "population" in policy.retrain_on:
        kept += shifts(evidence, policy)
    return kept


def shifts(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Sentences of a population shift: one gross move, or a quorum of columns past their limits."""
    moved = [one for one in evidence if one.kind == "population"]
    enough = len({one.subject for one in moved} - {SCORE}) >= policy.quorum
    return [one.sentence for one in (moved if enough else alarms(moved))]


def _due(evidence: Sequence[Evidence], state: State, policy: Policy) -> list[str]:
    """Why the model should be retrained now; empty if it should not."""
    found = causes(evidence, policy)
    lasting = state.streak + 1
    if found and lasting >= policy.hysteresis:
        return [
            *found,
            f"It has lasted {lasting} windows; the policy asks for {policy.hysteresis}.",
        ]
    if found and is_strong(evidence, policy):
        return [*found, f"It is {policy.strong:g} times its limit or more: one window is enough."]
    if "schedule" not in policy.retrain_on or state.doubtful:
        return []
    age = None if state.trained_at is None else state.closes - state.trained_at
    if age is not None and policy.max_age is not None and age > policy.max_age:
        limit = duration_text(policy.max_age)
        return [f"The model is older than the policy's {limit}."]
    return []


def is_strong(evidence: Sequence[Evidence], policy: Policy) -> bool:
    """Whether a relation moved so far that the policy waits for no second window."""
    if policy.strong is None:
        return False
    found = [alarm for alarm in alarms(evidence) if alarm.kind == "concept"]
    return any(one.statistic >= policy.strong * one.threshold > 0 for one in found)


def _retrain(due: list[str], state: State, policy: Policy) -> Said:
    """Retrain, unless a person has to say so, it is too soon, or it was done too often."""
    asked = _asked(state)
    if asked and not state.acknowledged and state.streak + 1 < policy.patience:
        return "investigate", [*due, asked]
    if "rolled_back" in state.futile:
        return "investigate", [*due, ROLLED_BACK]
    recent = [end for end in state.retrained if abs(state.closes - end) < policy.cool_down]
    if recent:
        return "watch", [
            *due,
            f"Cooling down: retrained less than {duration_text(policy.cool_down)} ago.",
        ]
    if len(state.futile) >= policy.attempts:
        ended = ", ".join(_ENDED[one] for one in state.futile)
        return "investigate", [*due, f"Retraining on it did not help before: it {ended}."]
    spent = within_budget_period(state, policy)
    if spent >= policy.budget:
        period = duration_text(policy.budget_period)
        return "investigate", [
            *due,
            f"The budget of {policy.budget} retrainings in {period} is spent.",
        ]
    return "retrain", due


def _asked(state: State) -> str:
    """What a person has to say before anything is retrained; "" if nothing."""
    if state.cause == "both":
        return "The data moved too: somebody has to say which it is."
    if state.doubtful:
        return "It began when the data were at fault, or moved: somebody has to say how they are."
    return ""


def within_budget_period(state: State, policy: Policy) -> int:
    """Retrainings that count against the budget when the window of `state` closes."""
    return sum(state.closes - end < policy.budget_period for end in state.retrained)


def next_retraining(state: State, policy: Policy) -> int | None:
    """The first moment (us) at which the policy's cool-down and budget let one start.

    0 if they do already; None if the budget allows none at all.
    """
    if policy.budget == 0:
        return None
    ends = sorted(state.retrained)
    cooled = ends[-1] + policy.cool_down if ends else 0
    freed = ends[-policy.budget] + policy.budget_period if len(ends) >= policy.budget else 0
    first = max(cooled, freed)
    return first if first > state.closes else 0


def _quiet(evidence: Sequence[Evidence], state: State, policy: Policy) -> Said:
    """Nothing to start: watch what may become a cause, else none."""
    found = causes(evidence, policy)
    if found:
        lasting = f"Seen in {state.streak + 1} of {policy.hysteresis} windows in a row."
        return "watch", [*found, lasting]
    watched = shifts(evidence, policy) + [
        alarm.sentence for alarm in alarms(evidence) if alarm.kind in MODEL
    ]
    if watched:
        return "watch", [*watched, "By this policy that alone does not retrain."]
    moved = len({one.subject for one in evidence if one.kind == "population"})
    if moved:
        return "none", [f"Columns beyond their limits: {moved}; the quorum is {policy.quorum}."]
    return "none", ["Nothing beyond its limits."]


def advance(
    state: State, evidence: Sequence[Evidence], decision: Decision, policy: Policy
) -> State:
    """Return the state after a decided window."""
    if decision.action == "retrain":
        retrained = (*state.retrained, state.closes)
        since = state.since if state.since is not None else state.closes
        return replace(
            state, streak=0, hurt=0, since=since, trained_at=state.closes, retrained=retrained
        )
    worse = any(alarm.kind in MODEL for alarm in alarms(evidence))
    began = state.doubtful or state.since is None
    if any(one.kind in DISTRUSTED for one in evidence):
        # a faulty window says nothing about the model, either way; accepted data end the doubt
        return replace(state, doubtful=began and not vouched(evidence))
    if _explained(evidence, state, policy):
        return replace(state, hurt=state.hurt + 1 if worse else 0, doubtful=began)
    if not causes(evidence, policy):
        return replace(
            state, streak=0, hurt=0, since=None, futile=(), acknowledged=False, doubtful=False
        )
    since = state.since if state.since is not None else state.closes
    return replace(state, streak=state.streak + 1, hurt=0, since=since)
