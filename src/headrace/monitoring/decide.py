"""What to do about the evidence of a window: one pure function, so that a year can be replayed.

The order of the rules is the policy's spine: a fault is investigated and never retrains; only
evidence that a new model would be better retrains, when it lasts, not too soon, not too often.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from headrace.clock import duration_text
from headrace.files import digest
from headrace.monitoring.evidence import Evidence, Window, alarms, evidence_hash
from headrace.monitoring.policy import Policy

Action = Literal["none", "watch", "retrain", "investigate"]
FAULTS = frozenset({"data_fault", "contract", "volume", "staleness"})


@dataclass(frozen=True)
class State:
    """What is known when a window is decided, from the windows before it.

    `closes` is the moment (us) the window ends. `trained_at` is the newest training cut known by
    then; `retrained` are the ends of windows that triggered one. `streak` counts the windows in a
    row, faulty ones apart, that had a cause to retrain.
    """

    pipeline: str
    window: Window
    closes: int
    trained_at: int | None = None
    retrained: tuple[int, ...] = ()
    streak: int = 0


@dataclass(frozen=True)
class Decision:
    """`trigger_id` names the retraining that this starts: same evidence, same id, ever."""

    action: Action
    reasons: tuple[str, ...]
    trigger_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"action": self.action, "reasons": list(self.reasons), "trigger_id": self.trigger_id}


def decide(evidence: Sequence[Evidence], state: State, policy: Policy) -> Decision:
    """The action for one window. Pure: the same arguments give the same decision."""
    action, reasons = _action(evidence, state, policy)
    trigger = trigger_id(state, evidence) if action == "retrain" else None
    return Decision(action, tuple(reasons), trigger)


def trigger_id(state: State, evidence: Sequence[Evidence]) -> str:
    window = [state.window.first, state.window.end]
    return digest([state.pipeline, window, evidence_hash(evidence)])[:32]


def _action(evidence: Sequence[Evidence], state: State, policy: Policy) -> tuple[Action, list[str]]:
    faults = [one.sentence for one in alarms(evidence) if one.kind in FAULTS]
    if faults:
        held = ["Nothing is retrained on a faulty window."] if causes(evidence, policy) else []
        return "investigate", faults + held
    notices = [one.sentence for one in evidence if one.kind in FAULTS]
    if notices:
        return "watch", [*notices, "Nothing is retrained on a doubtful window."]
    due = _due(evidence, state, policy)
    if due:
        return _retrain(due, state, policy)
    return _quiet(evidence, state, policy)


def causes(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Sentences of the evidence for which this policy retrains, once it lasts."""
    found = [one for one in alarms(evidence) if one.kind in policy.retrain_on]
    kept = [one.sentence for one in found if one.kind in {"concept", "performance"}]
    if "population" in policy.retrain_on:
        kept += shifts(evidence, policy)
    return kept


def shifts(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Sentences of a population shift: one gross move, or a quorum of columns past their limits."""
    moved = [one for one in evidence if one.kind == "population"]
    enough = len({one.subject for one in moved}) >= policy.quorum
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
    if "schedule" not in policy.retrain_on:
        return []
    planned = [one.sentence for one in evidence if one.kind == "schedule"]
    age = None if state.trained_at is None else state.closes - state.trained_at
    if age is not None and policy.max_age is not None and age > policy.max_age:
        limit = duration_text(policy.max_age)
        planned.append(f"The model is older than the policy's {limit}.")
    return planned


def _retrain(due: list[str], state: State, policy: Policy) -> tuple[Action, list[str]]:
    """Retrain, unless it is too soon or was done too often."""
    recent = [end for end in state.retrained if abs(state.closes - end) < policy.cool_down]
    if recent:
        return "watch", [
            *due,
            f"Cooling down: retrained less than {duration_text(policy.cool_down)} ago.",
        ]
    spent = sum(state.closes - end < policy.budget_period for end in state.retrained)
    if spent >= policy.budget:
        period = duration_text(policy.budget_period)
        return "investigate", [
            *due,
            f"The budget of {policy.budget} retrainings in {period} is spent.",
        ]
    return "retrain", due


def _quiet(evidence: Sequence[Evidence], state: State, policy: Policy) -> tuple[Action, list[str]]:
    """Nothing to start: watch what may become a cause, else none."""
    found = causes(evidence, policy)
    if found:
        lasting = f"Seen in {state.streak + 1} of {policy.hysteresis} windows in a row."
        return "watch", [*found, lasting]
    watched = shifts(evidence, policy) + [
        one.sentence
        for one in alarms(evidence)
        if one.kind in {"concept", "performance", "schedule"}
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
    """What a decided window leaves to the next one."""
    if decision.action == "retrain":
        retrained = (*state.retrained, state.closes)
        return replace(state, streak=0, trained_at=state.closes, retrained=retrained)
    if any(one.kind in FAULTS for one in evidence):
        return state  # a faulty window says nothing about the model, either way
    return replace(state, streak=state.streak + 1 if causes(evidence, policy) else 0)
