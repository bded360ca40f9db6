"""Decide a monitor's windows in order, each from what was known when it closed.

What was decided before stays decided. A window that has new evidence later (a corrected delivery)
gets a second entry, but never a trigger: the present is judged by the windows of the present.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.core.clock import DAY
from headrace.monitoring.decisions.decide import FUTILE, Decision, State, advance, decide
from headrace.monitoring.decisions.ledger import Ack, Entry, Step
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.evidence.model import Evidence, Window, evidence_hash
from headrace.monitoring.spec import MonitorSpec, WindowResult

# How a retraining ended, the last word first; one that goes on has none of these.
_ENDINGS = ("rolled_back", "failed", "kept", "promoted")
Closes = Callable[[Window], int]


@dataclass(frozen=True)
class Judged:
    """A window, its evidence, and what that was put down to (none, data, concept or both)."""

    window: Window
    evidence: tuple[Evidence, ...]
    cause: str


@dataclass(frozen=True)
class Record:
    """What the ledger knows beside evidence. Moments are when a window closes (us).

    Attributes:
        fired: windows that triggered a retraining.
        endings: {window that triggered: how it ended}.
        acknowledged: windows that somebody knows of.
    """

    fired: frozenset[int] = frozenset()
    endings: Mapping[int, str] | None = None
    acknowledged: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Given:
    """What is the same for all windows of a history."""

    name: str
    closes: Closes
    policy: Policy
    trained_at: int | None
    record: Record


def decide_all(
    spec: MonitorSpec,
    seen: Sequence[WindowResult],
    recorded: Sequence[Entry],
    policy: Policy,
    trained_at: int | None,
    *,
    steps: Sequence[Step] = (),
    acks: Sequence[Ack] = (),
) -> list[WindowResult]:
    """Decide window after window; what the ledger holds already is taken from it."""
    known = {(entry.window.end, entry.evidence_hash): entry.decision for entry in recorded}
    newest = max((entry.window.end for entry in recorded), default=0)

    def settle(one: Judged, state: State) -> Decision:
        decision = known.get((one.window.end, evidence_hash(one.evidence)))
        if decision is not None:
            return decision
        return _timely(decide(one.evidence, state, policy), state, newest, trained_at)

    judged = [Judged(result.window, result.evidence, result.attribution.cause) for result in seen]
    record = record_of(recorded, spec.closes, steps, acks)
    given = _Given(spec.name, spec.closes, policy, trained_at, record)
    decided = _walk(judged, given, settle)
    return [
        replace(one, decision=decision)
        for one, (decision, _) in zip(seen, decided, strict=True)
    ]  # fmt: skip


def redecide(
    name: str,
    judged: Iterable[Judged],
    policy: Policy,
    *,
    closes: Closes | None = None,
    trained_at: int | None = None,
    record: Record | None = None,
    again: Mapping[int, Sequence[Judged]] | None = None,
) -> list[tuple[Decision, State]]:
    """What `policy` decides of these windows, with the state that each was decided in.

    Nothing recorded is taken over but how retrainings ended that happen in this history too, and
    what was acknowledged; others are taken to succeed. `again` is {end of a window: how all before
    it were seen when it was decided}, where evidence about some of them had come since.
    """
    known = replace(record or Record(), fired=frozenset())
    given = _Given(name, closes or _day_ends, policy, trained_at, known)
    state, decided = State(name, Window(0, 0), 0), []
    made: dict[Judged, Decision] = {}
    for one in judged:
        if looks := (again or {}).get(one.window.end):
            state = _seen_again(looks, made, given)
        state = _arrive(state, one, given)
        made[one] = decision = decide(one.evidence, state, policy)
        decided.append((decision, state))
        state = advance(state, one.evidence, decision, policy)
    return decided


def _seen_again(looks: Sequence[Judged], made: Mapping[Judged, Decision], given: _Given) -> State:
    """What windows leave whose evidence is another by now; what it would start, it does not."""
    ends = (given.closes(one.window) for one, what in made.items() if what.action == "retrain")
    given = replace(given, record=replace(given.record, fired=frozenset(ends)))
    state = State(given.name, Window(0, 0), 0)
    for one in looks:
        state = _arrive(state, one, given)
        decision = made.get(one) or Decision("watch", ())
        state = advance(state, one.evidence, decision, given.policy)
    return state


def state_after(
    name: str,
    judged: Sequence[Judged],
    decisions: Sequence[Decision],
    policy: Policy,
    *,
    closes: Closes | None = None,
    trained_at: int | None = None,
    record: Record | None = None,
) -> State:
    """The state that these windows leave, decided as they were, as of when the last one closed."""
    given = _Given(name, closes or _day_ends, policy, trained_at, record or Record())
    state, made = State(name, Window(0, 0), 0), iter(decisions)
    for one in judged:
        state = _arrive(state, one, given)
        state = advance(state, one.evidence, next(made), policy)
    return state


def record_of(
    entries: Iterable[Entry], closes: Closes, steps: Iterable[Step], acks: Iterable[Ack]
) -> Record:
    """What these rows of the ledger say about windows."""
    told: dict[str, set[str]] = {}
    for step in steps:
        told.setdefault(step.trigger_id, set()).add(step.step)
    fired: dict[int, str | None] = {
        closes(entry.window): entry.decision.trigger_id
        for entry in entries
        if entry.decision.action == "retrain"
    }
    endings = {
        end: ending for end, trigger in fired.items()
        if trigger and (ending := ending_of(told.get(trigger, ())))
    }  # fmt: skip
    known = frozenset(closes(Window(ack.window_end, ack.window_end)) for ack in acks)
    return Record(frozenset(fired), endings, known)


def ending_of(steps: Iterable[str]) -> str:
    """How a retraining with these steps ended; "" while it goes on."""
    done = set(steps)
    return next((ending for ending in _ENDINGS if ending in done), "")


def _day_ends(window: Window) -> int:
    return window.end * DAY


def _walk(
    judged: Iterable[Judged], given: _Given, settle: Callable[[Judged, State], Decision]
) -> Iterator[tuple[Decision, State]]:
    state = State(given.name, Window(0, 0), 0)
    for one in judged:
        state = _arrive(state, one, given)
        decision = settle(one, state)
        yield decision, state
        state = advance(state, one.evidence, decision, given.policy)


def _arrive(state: State, one: Judged, given: _Given) -> State:
    """The state for a window: with all trainings known when it closes, whoever recorded them."""
    record, closes, trained_at = given.record, given.closes(one.window), given.trained_at
    ends = sorted({*state.retrained, *(end for end in record.fired if end < closes)})
    endings = record.endings or {}
    # one that was kept stood the comparison with a model of that day: its age counts from there
    stand = [end for end in ends if endings.get(end) not in {"failed", "rolled_back"}]
    cuts = [cut for cut in (*stand, trained_at) if cut is not None and cut <= closes]
    since = state.since
    here = [end for end in ends if since is not None and end >= since]
    return replace(
        state,
        window=one.window,
        closes=closes,
        cause=one.cause,
        retrained=tuple(ends),
        trained_at=max(cuts, default=None),
        futile=tuple(endings[end] for end in here if endings.get(end) in FUTILE),
        acknowledged=since is not None
        and any(since <= end < closes for end in record.acknowledged),
    )


def _timely(decision: Decision, state: State, newest: int, trained_at: int | None) -> Decision:
    """The decision, or only a watch where its moment has passed."""
    if decision.action in {"retrain", "investigate"} and state.window.end <= newest:
        why = "this window was decided before; evidence that came later starts nothing"
    elif decision.action == "retrain" and trained_at is not None and trained_at >= state.closes:
        why = "the model that serves now was trained after this window"
    else:
        return decision
    return Decision("watch", (*decision.reasons, f"Not '{decision.action}': {why}."))
