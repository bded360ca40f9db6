"""Decisions on a monitor's windows, in order. Each uses the state when the window closed.

Recorded decisions never change. If the evidence of a window changes later (after a corrected
delivery), the window gets a second entry. That entry starts no action, because only decisions on
the newest windows do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.core.clock import DAY
from headrace.monitoring.decisions.ledger import Ack, Entry, Step
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.retraining_decision import (
    FUTILE,
    Decision,
    State,
    advance,
    decide,
)
from headrace.monitoring.evidence.model import Evidence, Window, evidence_hash
from headrace.monitoring.spec import MonitorSpec, WindowResult

# Last steps of a retraining, the most final first; a retraining in progress has none of them.
_ENDINGS = ("rolled_back", "failed", "kept", "promoted")
Closes = Callable[[Window], int]


@dataclass(frozen=True)
class AttributedWindow:
    """Window with its evidence, and the cause of its alarms (none, data, concept or both)."""

    window: Window
    evidence: tuple[Evidence, ...]
    cause: str


@dataclass(frozen=True)
class Record:
    """Retrainings and acknowledgements on the ledger, by the time (us) at which a window closes.

    Attributes:
        fired: windows that triggered a retraining.
        endings: {window that triggered a retraining: its ending}.
        acknowledged: windows that a person acknowledged.
    """

    fired: frozenset[int] = frozenset()
    endings: Mapping[int, str] | None = None
    acknowledged: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Context:
    """Arguments that are the same for all windows of a history."""

    name: str
    closes: Closes
    policy: Policy
    trained_at: int | None
    record: Record


def decide_all(
    spec: MonitorSpec,
    results: Sequence[WindowResult],
    recorded: Sequence[Entry],
    policy: Policy,
    trained_at: int | None,
    *,
    steps: Sequence[Step] = (),
    acks: Sequence[Ack] = (),
) -> list[WindowResult]:
    """Decide each window in order; reuse decisions that are already in the ledger."""
    decisions = {(entry.window.end, entry.evidence_hash): entry.decision for entry in recorded}
    newest = max((entry.window.end for entry in recorded), default=0)

    def settle(current: AttributedWindow, state: State) -> Decision:
        decision = decisions.get((current.window.end, evidence_hash(current.evidence)))
        if decision is not None:
            return decision
        return _timely(decide(current.evidence, state, policy), state, newest, trained_at)

    windows = [
        AttributedWindow(result.window, result.evidence, result.attribution.cause)
        for result in results
    ]
    record = record_of(recorded, spec.closes, steps, acks)
    context = _Context(spec.name, spec.closes, policy, trained_at, record)
    decided = _walk(windows, context, settle)
    return [
        replace(result, decision=decision)
        for result, (decision, _) in zip(results, decided, strict=True)
    ]  # fmt: skip


def redecide(
    name: str,
    windows: Iterable[AttributedWindow],
    policy: Policy,
    *,
    closes: Closes | None = None,
    trained_at: int | None = None,
    record: Record | None = None,
    earlier_views: Mapping[int, Sequence[AttributedWindow]] | None = None,
) -> list[tuple[Decision, State]]:
    """Return the decisions of `policy` on these windows, each with the state it was decided in.

    `record` provides the acknowledgements, and the endings of those retrainings that this history
    also triggers. All other retrainings count as successful. `earlier_views` is {end of a window:
    all earlier windows as known when it was decided}. It has only the windows that were decided
    after the evidence of an earlier window had changed.
    """
    outcomes = replace(record or Record(), fired=frozenset())
    context = _Context(name, closes or _day_ends, policy, trained_at, outcomes)
    state, decided = State(name, Window(0, 0), 0), []
    decisions: dict[AttributedWindow, Decision] = {}
    for current in windows:
        if views := (earlier_views or {}).get(current.window.end):
            state = _replayed_state(views, decisions, context)
        state = _arrive(state, current, context)
        decisions[current] = decision = decide(current.evidence, state, policy)
        decided.append((decision, state))
        state = advance(state, current.evidence, decision, policy)
    return decided


def _replayed_state(
    views: Sequence[AttributedWindow],
    decisions: Mapping[AttributedWindow, Decision],
    context: _Context,
) -> State:
    """Return the state after replaying windows whose evidence has since changed.

    Nothing is triggered.
    """
    ends = (
        context.closes(attributed.window)
        for attributed, decision in decisions.items()
        if decision.action == "retrain"
    )
    context = replace(context, record=replace(context.record, fired=frozenset(ends)))
    state = State(context.name, Window(0, 0), 0)
    for current in views:
        state = _arrive(state, current, context)
        decision = decisions.get(current) or Decision("watch", ())
        state = advance(state, current.evidence, decision, context.policy)
    return state


def state_after(
    name: str,
    windows: Sequence[AttributedWindow],
    decisions: Sequence[Decision],
    policy: Policy,
    *,
    closes: Closes | None = None,
    trained_at: int | None = None,
    record: Record | None = None,
) -> State:
    """Return the state after these windows and decisions, when the last of them closed."""
    context = _Context(name, closes or _day_ends, policy, trained_at, record or Record())
    state, remaining = State(name, Window(0, 0), 0), iter(decisions)
    for current in windows:
        state = _arrive(state, current, context)
        state = advance(state, current.evidence, next(remaining), policy)
    return state


def record_of(
    entries: Iterable[Entry], closes: Closes, steps: Iterable[Step], acks: Iterable[Ack]
) -> Record:
    """Return the retrainings and acknowledgements in these rows of the ledger, by window."""
    steps_by_trigger: dict[str, set[str]] = {}
    for step in steps:
        steps_by_trigger.setdefault(step.trigger_id, set()).add(step.step)
    fired: dict[int, str | None] = {
        closes(entry.window): entry.decision.trigger_id
        for entry in entries
        if entry.decision.action == "retrain"
    }
    endings = {
        end: ending for end, trigger in fired.items()
        if trigger and (ending := ending_of(steps_by_trigger.get(trigger, ())))
    }  # fmt: skip
    acknowledged = frozenset(closes(Window(ack.window_end, ack.window_end)) for ack in acks)
    return Record(frozenset(fired), endings, acknowledged)


def ending_of(steps: Iterable[str]) -> str:
    """Return the ending of a retraining with these steps; "" while it is in progress."""
    recorded = set(steps)
    return next((ending for ending in _ENDINGS if ending in recorded), "")


def _day_ends(window: Window) -> int:
    return window.end * DAY


def _walk(
    windows: Iterable[AttributedWindow],
    context: _Context,
    settle: Callable[[AttributedWindow, State], Decision],
) -> Iterator[tuple[Decision, State]]:
    state = State(context.name, Window(0, 0), 0)
    for current in windows:
        state = _arrive(state, current, context)
        decision = settle(current, state)
        yield decision, state
        state = advance(state, current.evidence, decision, context.policy)


def _arrive(state: State, current: AttributedWindow, context: _Context) -> State:
    """Return the state for a window, with all retrainings known when the window closes."""
    record, closes, trained_at = context.record, context.closes(current.window), context.trained_at
    ends = sorted({*state.retrained, *(end for end in record.fired if end < closes)})
    endings = record.endings or {}
    # a retraining that kept the champion also resets its age, because the champion was better
    stand = [end for end in ends if endings.get(end) not in {"failed", "rolled_back"}]
    cuts = [cut for cut in (*stand, trained_at) if cut is not None and cut <= closes]
    since = state.since
    recent = [end for end in ends if since is not None and end >= since]
    return replace(
        state,
        window=current.window,
        closes=closes,
        cause=current.cause,
        retrained=tuple(ends),
        trained_at=max(cuts, default=None),
        futile=tuple(endings[end] for end in recent if endings.get(end) in FUTILE),
        acknowledged=since is not None
        and any(since <= end < closes for end in record.acknowledged),
    )


def _timely(decision: Decision, state: State, newest: int, trained_at: int | None) -> Decision:
    """Return the decision, reduced to "watch" if it came too late to act on."""
    if decision.action in {"retrain", "investigate"} and state.window.end <= newest:
        why = "this window was decided before; evidence that came later starts nothing"
    elif decision.action == "retrain" and trained_at is not None and trained_at >= state.closes:
        why = "the model that serves now was trained after this window"
    else:
        return decision
    return Decision("watch", (*decision.reasons, f"Not '{decision.action}': {why}."))
