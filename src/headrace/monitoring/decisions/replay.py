"""Replay of the recorded windows under another policy, from the evidence in the ledger alone.

A replay reads no data, so it is fast even for a year. It cannot try other detection thresholds,
because the recorded evidence depends on them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.monitoring.decisions.history import AttributedWindow, Closes, Record, redecide
from headrace.monitoring.decisions.incidents import Decided, incidents
from headrace.monitoring.decisions.ledger import Ack, Entry
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.retraining_decision import Decision, State
from headrace.monitoring.evidence.attribution import attribute
from headrace.monitoring.evidence.model import Evidence, Window


@dataclass(frozen=True)
class Replayed:
    """Recorded decision on a window, and the other policy's decision with its `state`."""

    window: Window
    evidence: tuple[Evidence, ...]
    recorded: Decision
    decision: Decision
    state: State

    @property
    def differs(self) -> bool:
        return self.recorded.action != self.decision.action

    def to_json(self) -> dict[str, Any]:
        return {
            "window": [self.window.first, self.window.end],
            "window_text": self.window.text,
            "recorded": self.recorded.to_json(),
            "policy": self.decision.to_json(),
            "differs": self.differs,
        }


@dataclass(frozen=True)
class ActionTally:
    """Counts of actions, and the windows that started `retrainings` or sent `pages`."""

    actions: dict[str, int]
    retrainings: tuple[Window, ...]
    pages: tuple[Window, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "actions": self.actions,
            "retrainings": [retraining.text for retraining in self.retrainings],
            "pages": [page.text for page in self.pages],
        }


def first_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Return the first entry of each window, in order; later entries start no action."""
    by_window: dict[int, Entry] = {}
    for entry in entries:
        by_window.setdefault(entry.window.end, entry)
    return [by_window[end] for end in sorted(by_window)]


def cause_of(entry: Entry) -> str:
    """Return the cause of an entry's alarms; for older records, derive it from the evidence."""
    attribution = entry.attribution
    return str(attribution["cause"]) if attribution else attribute(entry.evidence).cause


def replay(
    entries: Sequence[Entry],
    policy: Policy,
    *,
    closes: Closes | None = None,
    trained_at: int | None = None,
    record: Record | None = None,
) -> list[Replayed]:
    """Decide the windows of `entries` again under `policy`.

    Args:
        entries: rows of the decision ledger of one pipeline.
        policy: the rules to try.
        closes: time (us) at which a window ends; by default the end of its last UTC day.
        trained_at: training cut (us) of the first model, for its age.
        record: acknowledgements, and endings of retrainings; see `history.record_of`.
    """
    first = first_entries(entries)
    windows = list(map(_attributed, first))
    name = first[0].pipeline if first else ""
    decided = redecide(
        name, windows, policy,
        closes=closes, trained_at=trained_at, record=record,
        earlier_views=_earlier_views(entries, first),
    )  # fmt: skip
    return [
        Replayed(entry.window, entry.evidence, entry.decision, decision, state)
        for entry, (decision, state) in zip(first, decided, strict=True)
    ]


def _attributed(entry: Entry) -> AttributedWindow:
    return AttributedWindow(entry.window, entry.evidence, cause_of(entry))


def _earlier_views(
    entries: Sequence[Entry], first: Sequence[Entry]
) -> dict[int, list[AttributedWindow]]:
    """Return {end of a window: all earlier windows as known when it was first decided}.

    It has only the windows that were decided after the evidence of an earlier window had changed.
    Such late evidence starts no action, but the decisions on later windows use it.
    """
    if len(entries) == len(first):
        return {}
    order = sorted((place, at) for at, entry in enumerate(entries) for place in entry.stands)
    view: dict[int, Entry] = {}  # newest entry of each window among the first `position` of `order`
    by_window: dict[int, list[AttributedWindow]] = {}
    position, before = 0, first[:0]
    for at, current in enumerate(first):
        since = current.stands[0] if current.stands else 0
        while position < len(order) and order[position][0] < since:
            entry = entries[order[position][1]]
            view[entry.window.end] = entry
            position += 1
        looks = [view.get(early.window.end, early) for early in first[:at]]
        if looks[: len(before)] != before or looks[len(before) :] != first[len(before) : at]:
            by_window[current.window.end] = list(map(_attributed, looks))
        before = looks
    return by_window


def tally(
    decided: Iterable[tuple[Window, Sequence[Evidence], Decision]], acks: Sequence[Ack] = ()
) -> ActionTally:
    """Count the actions, and the pages that they would send.

    Each incident sends one page, unless another alert reports it.
    """
    rows = list(decided)
    actions = [decision.action for _, _, decision in rows]
    windows = [
        Decided(window, decision.action, evidence, decision.reasons)
        for window, evidence, decision in rows
    ]
    return ActionTally(
        {name: actions.count(name) for name in ("none", "watch", "investigate", "retrain")},
        tuple(window for window, _, decision in rows if decision.action == "retrain"),
        tuple(incident.first for incident in incidents(windows, acks) if incident.paged),
    )


def compared(rows: Sequence[Replayed], acks: Sequence[Ack] = ()) -> tuple[ActionTally, ActionTally]:
    """Return the counts of the recorded history and of the replayed history."""
    recorded = tally(((r.window, r.evidence, r.recorded) for r in rows), acks)
    other = tally(((r.window, r.evidence, r.decision) for r in rows), acks)
    return recorded, other
