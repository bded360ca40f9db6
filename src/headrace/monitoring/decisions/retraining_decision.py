"""Decision on the evidence of a window: one pure function, so that past windows can be replayed.

The rules apply in this order. A fault is investigated and never starts a retraining. Shifted data
explain worse scores, so a shift is watched, and investigated if the scores stay worse. Only a
changed relation starts a retraining: if the change lasts, and not too soon, not too often, and not
again after a retraining that did not help.
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
# Endings of a retraining without a lasting new champion.
FUTILE = frozenset({"kept", "failed", "rolled_back"})
ROLLED_BACK = "A retraining on it was rolled back: somebody has to look."
_ENDED = {"kept": "was no better than the champion", "failed": "failed"}


@dataclass(frozen=True)
class State:
    """State after earlier windows, for the decision on the next one.

    Attributes:
        pipeline: name of the pipeline, part of every trigger.
        window: window to decide.
        closes: time (us) at which the window ends.
        cause: cause of the window's alarms: none, data, concept or both.
        trained_at: newest training cut (us) known when the window closes.
        retrained: ends of windows that triggered a retraining, whatever its outcome.
        since: start of the current stretch of windows with a cause to retrain; None if there is
            none. Windows with faulty or shifted data neither end nor extend the stretch.
        streak: windows of that stretch since the last retraining.
        hurt: windows in a row in which shifted data made the scores worse.
        futile: endings of this stretch's retrainings that brought no lasting champion.
        acknowledged: True if a person acknowledged a window of this stretch.
        doubtful: True if the data were faulty or had shifted before the relation seemed to change,
            without a quiet window in between. The effect of a fault on the scores may outlast the
            fault in the data.
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
    """Decision on one window.

    `trigger_id` identifies the retraining that it starts: the same evidence gives the same id.
    """

    action: Action
    reasons: tuple[str, ...]
    trigger_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"action": self.action, "reasons": list(self.reasons), "trigger_id": self.trigger_id}


ActionReasons = tuple[Action, list[str]]


def decide(evidence: Sequence[Evidence], state: State, policy: Policy) -> Decision:
    """Return the action for one window. Pure: the same arguments give the same decision."""
    action, reasons = _action(evidence, state, policy)
    trigger = trigger_id(state, evidence) if action == "retrain" else None
    return Decision(action, tuple(reasons), trigger)


def trigger_id(state: State, evidence: Sequence[Evidence]) -> str:
    window = [state.window.first, state.window.end]
    return digest([state.pipeline, window, evidence_hash(evidence)])[:32]


def _action(evidence: Sequence[Evidence], state: State, policy: Policy) -> ActionReasons:
    faults = [alarm.sentence for alarm in alarms(evidence) if alarm.kind in DISTRUSTED]
    if faults:
        caveat = ["Nothing is retrained on a faulty window."] if causes(evidence, policy) else []
        return "investigate", faults + caveat
    notices = [finding.sentence for finding in evidence if finding.kind in DISTRUSTED]
    if notices:
        window_kind = "window whose data were accepted" if vouched(evidence) else "doubtful window"
        return "watch", [*notices, f"Nothing is retrained on a {window_kind}."]
    if _explained(evidence, state, policy):
        return _data_moved(evidence, state, policy)
    due = _due(evidence, state, policy)
    if due:
        return _retrain(due, state, policy)
    return _quiet(evidence, state, policy)


def vouched(evidence: Sequence[Evidence]) -> bool:
    """Return True if a person accepted all data faults of the window and it has at least one."""
    faults = [finding for finding in evidence if finding.kind in DATA_FAULTS]
    return bool(faults) and all(fault.accepted for fault in faults)


def _explained(evidence: Sequence[Evidence], state: State, policy: Policy) -> bool:
    """Return True if shifted data caused the alarms and the policy does not retrain on shifts."""
    return (
        state.cause == "data" and bool(alarms(evidence)) and "population" not in policy.retrain_on
    )


def _data_moved(evidence: Sequence[Evidence], state: State, policy: Policy) -> ActionReasons:
    """Watch the shift; investigate if the scores have been worse for `hysteresis` windows."""
    shift_sentences = shifts(evidence, policy)
    worse = [alarm.sentence for alarm in alarms(evidence) if alarm.kind in MODEL]
    conclusion = "The data moved, so nothing is retrained"
    if worse and state.hurt + 1 >= policy.hysteresis:
        lasting = f"The scores suffer for {state.hurt + 1} windows."
        return "investigate", [*shift_sentences, *worse, f"{conclusion}.", lasting]
    return "watch", [
        *shift_sentences,
        *worse,
        f"{conclusion}; by this policy that alone does not retrain.",
    ]


def causes(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Return the sentences of evidence on which this policy retrains if the evidence lasts."""
    retrain_alarms = [alarm for alarm in alarms(evidence) if alarm.kind in policy.retrain_on]
    sentences = [alarm.sentence for alarm in retrain_alarms if alarm.kind in MODEL]
    if "population" in policy.retrain_on:
        sentences += shifts(evidence, policy)
    return sentences


def shifts(evidence: Sequence[Evidence], policy: Policy) -> list[str]:
    """Return the sentences of a population shift: one large shift, or a quorum of columns."""
    population = [finding for finding in evidence if finding.kind == "population"]
    enough = len({finding.subject for finding in population} - {SCORE}) >= policy.quorum
    return [finding.sentence for finding in (population if enough else alarms(population))]


def _due(evidence: Sequence[Evidence], state: State, policy: Policy) -> list[str]:
    """Return the reasons to retrain the model now; empty if there are none."""
    sentences = causes(evidence, policy)
    lasting = state.streak + 1
    if sentences and lasting >= policy.hysteresis:
        return [
            *sentences,
            f"It has lasted {lasting} windows; the policy asks for {policy.hysteresis}.",
        ]
    if sentences and is_strong(evidence, policy):
        return [
            *sentences,
            f"It is {policy.strong:g} times its limit or more: one window is enough.",
        ]
    if "schedule" not in policy.retrain_on or state.doubtful:
        return []
    age = None if state.trained_at is None else state.closes - state.trained_at
    if age is not None and policy.max_age is not None and age > policy.max_age:
        limit = duration_text(policy.max_age)
        return [f"The model is older than the policy's {limit}."]
    return []


def is_strong(evidence: Sequence[Evidence], policy: Policy) -> bool:
    """Return True if the relation changed so much that one window is enough for the policy."""
    if policy.strong is None:
        return False
    concept_alarms = [alarm for alarm in alarms(evidence) if alarm.kind == "concept"]
    return any(alarm.statistic >= policy.strong * alarm.threshold > 0 for alarm in concept_alarms)


def _retrain(due: list[str], state: State, policy: Policy) -> ActionReasons:
    """Retrain, unless a person must decide or the cool-down or the budget forbids it."""
    question = _question(state)
    if question and not state.acknowledged and state.streak + 1 < policy.patience:
        return "investigate", [*due, question]
    if "rolled_back" in state.futile:
        return "investigate", [*due, ROLLED_BACK]
    recent = [end for end in state.retrained if abs(state.closes - end) < policy.cool_down]
    if recent:
        return "watch", [
            *due,
            f"Cooling down: retrained less than {duration_text(policy.cool_down)} ago.",
        ]
    if len(state.futile) >= policy.attempts:
        ended = ", ".join(_ENDED[ending] for ending in state.futile)
        return "investigate", [*due, f"Retraining on it did not help before: it {ended}."]
    spent = within_budget_period(state, policy)
    if spent >= policy.budget:
        period = duration_text(policy.budget_period)
        return "investigate", [
            *due,
            f"The budget of {policy.budget} retrainings in {period} is spent.",
        ]
    return "retrain", due


def _question(state: State) -> str:
    """Return the question that a person must answer before a retraining; "" if there is none."""
    if state.cause == "both":
        return "The data moved too: somebody has to say which it is."
    if state.doubtful:
        return "It began when the data were at fault, or moved: somebody has to say how they are."
    return ""


def within_budget_period(state: State, policy: Policy) -> int:
    """Return the number of retrainings in the budget period when the window of `state` closes."""
    return sum(state.closes - end < policy.budget_period for end in state.retrained)


def next_retraining(state: State, policy: Policy) -> int | None:
    """Return the first time (us) at which cool-down and budget allow a retraining.

    Return 0 if a retraining is allowed now, and None if the budget is 0.
    """
    if policy.budget == 0:
        return None
    ends = sorted(state.retrained)
    cooled = ends[-1] + policy.cool_down if ends else 0
    freed = ends[-policy.budget] + policy.budget_period if len(ends) >= policy.budget else 0
    first = max(cooled, freed)
    return first if first > state.closes else 0


def _quiet(evidence: Sequence[Evidence], state: State, policy: Policy) -> ActionReasons:
    """Return "watch" if there is evidence that may lead to a retraining later, else "none"."""
    sentences = causes(evidence, policy)
    if sentences:
        lasting = f"Seen in {state.streak + 1} of {policy.hysteresis} windows in a row."
        return "watch", [*sentences, lasting]
    watched = shifts(evidence, policy) + [
        alarm.sentence for alarm in alarms(evidence) if alarm.kind in MODEL
    ]
    if watched:
        return "watch", [*watched, "By this policy that alone does not retrain."]
    column_count = len({finding.subject for finding in evidence if finding.kind == "population"})
    if column_count:
        return "none", [
            f"Columns beyond their limits: {column_count}; the quorum is {policy.quorum}."
        ]
    return "none", ["Nothing beyond its limits."]


def advance(
    state: State, evidence: Sequence[Evidence], decision: Decision, policy: Policy
) -> State:
    """Return the state after the decision on a window."""
    if decision.action == "retrain":
        retrained = (*state.retrained, state.closes)
        since = state.since if state.since is not None else state.closes
        return replace(
            state, streak=0, hurt=0, since=since, trained_at=state.closes, retrained=retrained
        )
    worse = any(alarm.kind in MODEL for alarm in alarms(evidence))
    began = state.doubtful or state.since is None
    if any(finding.kind in DISTRUSTED for finding in evidence):
        # a faulty window says nothing about the model; an acceptance of its data ends the doubt
        return replace(state, doubtful=began and not vouched(evidence))
    if _explained(evidence, state, policy):
        return replace(state, hurt=state.hurt + 1 if worse else 0, doubtful=began)
    if not causes(evidence, policy):
        return replace(
            state, streak=0, hurt=0, since=None, futile=(), acknowledged=False, doubtful=False
        )
    since = state.since if state.since is not None else state.closes
    return replace(state, streak=state.streak + 1, hurt=0, since=since)
