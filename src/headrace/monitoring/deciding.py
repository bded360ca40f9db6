"""Decide a monitor's windows in order, each from what was known when it closed.

What was decided before stays decided. A window that has new evidence later (a corrected delivery)
gets a second entry, but never a trigger: the present is judged by the windows of the present.
"""

from collections.abc import Sequence
from dataclasses import replace

from headrace.monitoring.decide import Decision, State, advance, decide
from headrace.monitoring.evidence import Window, evidence_hash
from headrace.monitoring.ledger import Entry
from headrace.monitoring.policy import Policy
from headrace.monitoring.spec import MonitorSpec, WindowResult


def decide_all(
    spec: MonitorSpec,
    seen: Sequence[WindowResult],
    recorded: Sequence[Entry],
    policy: Policy,
    trained_at: int | None,
) -> list[WindowResult]:
    """Decide window after window; what the ledger holds already is taken from it."""
    known = {(entry.window.end, entry.evidence_hash): entry.decision for entry in recorded}
    newest = max((entry.window.end for entry in recorded), default=0)
    fired = {spec.closes(entry.window) for entry in recorded if entry.decision.action == "retrain"}
    results: list[WindowResult] = []
    state = State(spec.name, Window(0, 0), 0)
    for one in seen:
        state = _arrive(state, one.window, spec.closes(one.window), fired, trained_at)
        decision = known.get((one.window.end, evidence_hash(one.evidence)))
        if decision is None:
            decision = _timely(decide(one.evidence, state, policy), state, newest, trained_at)
        results.append(replace(one, decision=decision))
        state = advance(state, one.evidence, decision, policy)
    return results


def _arrive(
    state: State, window: Window, closes: int, fired: set[int], trained_at: int | None
) -> State:
    """The state for `window`: with all trainings known when it closes, whoever recorded them."""
    ends = sorted({*state.retrained, *(end for end in fired if end < closes)})
    cuts = [cut for cut in (*ends, trained_at) if cut is not None and cut <= closes]
    newest = max(cuts, default=None)
    return replace(state, window=window, closes=closes, retrained=tuple(ends), trained_at=newest)


def _timely(decision: Decision, state: State, newest: int, trained_at: int | None) -> Decision:
    """The decision, or only a watch where its moment has passed."""
    if decision.action in {"retrain", "investigate"} and state.window.end <= newest:
        why = "this window was decided before; evidence that came later starts nothing"
    elif decision.action == "retrain" and trained_at is not None and trained_at >= state.closes:
        why = "the model that serves now was trained after this window"
    else:
        return decision
    return Decision("watch", (*decision.reasons, f"Not '{decision.action}': {why}."))
