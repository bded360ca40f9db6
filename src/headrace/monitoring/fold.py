"""Go through the windows of a monitor in order: evidence first, then decisions.

Each run looks at all windows again from their profiles; what was decided before stays decided. A
window that has new evidence later (a corrected delivery) gets a second entry, but never a trigger:
the present is judged by the windows of the present.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.clock import duration
from headrace.monitoring.decide import Decision, State, advance, decide
from headrace.monitoring.drift import (
    Seen,
    broken_columns,
    distance_limits,
    look,
    population,
    volume,
)
from headrace.monitoring.evidence import Evidence, Window, alarms, evidence_hash
from headrace.monitoring.ledger import Entry
from headrace.monitoring.policy import Policy
from headrace.monitoring.profiles import Profiles
from headrace.monitoring.scored import Scored, outcome_evidence
from headrace.monitoring.slots import Slot, by_day, slot_evidence, stale_evidence
from headrace.monitoring.spec import MonitorSpec, WindowResult


def gather(
    spec: MonitorSpec,
    laid: Sequence[Window],
    profiles: Profiles,
    *,
    slots: Sequence[Slot],
    scored: Mapping[Window, Scored],
    policy: Policy,
) -> list[WindowResult]:
    """The evidence of each window, from it and windows before it only; nothing is decided yet."""
    past: list[Seen] = []
    tables = by_day(slots)
    found: list[WindowResult] = []
    settings = policy.detection
    max_age = {table: duration(text) for table, text in spec.max_age.items()}
    for at, window in enumerate(laid):
        gates = slot_evidence(window, laid[:at], tables, settings.quarantined_floor)
        stale = stale_evidence(window, spec.closes(window), slots, max_age)
        seen = look(window, profiles.roll(window.first, window.end), past, settings)
        broken = broken_columns(seen, past, settings)
        rows = volume(seen, past, settings)
        faulty = bool(rows) or any(one.kind == "data_fault" for one in gates)
        seen = replace(seen, soiled=frozenset(one.subject for one in broken), whole=not faulty)
        limits = distance_limits(seen, past, settings)
        moved = population(seen, limits, settings)
        model = _model(window, laid[:at], scored, policy)
        jumped = frozenset(one.subject for one in alarms(moved))
        past.append(replace(seen, jumped=jumped))
        found.append(
            WindowResult(
                window,
                (*gates, *stale, *broken, *rows, *moved, *model),
                Decision("none", ()),
                int(seen.profile.rows),
                {column: seen.distance[column] / limit for column, limit in limits.items()},
                scored.get(window),
            )
        )
    return found


def _model(
    window: Window, earlier: Sequence[Window], scored: Mapping[Window, Scored], policy: Policy
) -> list[Evidence]:
    if window not in scored:
        return []
    before = [scored[one] for one in earlier if one in scored]
    return outcome_evidence(scored[window], before, policy.detection)


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
