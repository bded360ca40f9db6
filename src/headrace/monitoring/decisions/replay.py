"""A history decided again under another policy, from the ledger's evidence alone.

No data are read: the evidence is what was on record. So the rules of a policy can be tried on a
year in a moment; its numbers of detection cannot, since they make the evidence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.monitoring.decisions.decide import Decision, State
from headrace.monitoring.decisions.history import Closes, Judged, Record, redecide
from headrace.monitoring.decisions.incidents import Decided, incidents
from headrace.monitoring.decisions.ledger import Ack, Entry
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.evidence.attribution import attribute
from headrace.monitoring.evidence.model import Evidence, Window


@dataclass(frozen=True)
class Replayed:
    """One window: the decision on record, and the other policy's; `state` is the latter's."""

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
class Tally:
    """What a history of decisions comes to: `retrainings` and `pages` are windows."""

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
    """Of each window, in order, the entry that decided it; later ones of it start nothing."""
    found: dict[int, Entry] = {}
    for entry in entries:
        found.setdefault(entry.window.end, entry)
    return [found[end] for end in sorted(found)]


def cause_of(entry: Entry) -> str:
    """What its evidence was put down to; derived anew where the record is older than that."""
    told = entry.attribution
    return str(told["cause"]) if told else attribute(entry.evidence).cause


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
        closes: when a window ends (us); by default with its last UTC day.
        trained_at: the training cut (us) of the first model, for its age.
        record: how retrainings ended and what was acknowledged; see `deciding.record_of`.
    """
    first = first_entries(entries)
    judged = list(map(_judged, first))
    name = first[0].pipeline if first else ""
    decided = redecide(
        name, judged, policy,
        closes=closes, trained_at=trained_at, record=record, again=_looks(entries, first),
    )  # fmt: skip
    return [
        Replayed(one.window, one.evidence, one.decision, decision, state)
        for one, (decision, state) in zip(first, decided, strict=True)
    ]


def _judged(entry: Entry) -> Judged:
    return Judged(entry.window, entry.evidence, cause_of(entry))


def _looks(entries: Sequence[Entry], first: Sequence[Entry]) -> dict[int, list[Judged]]:
    """{end of a window: how all before it were seen when it was first decided}, where that changed.

    Evidence that comes later starts nothing, but the windows after it are decided by what is known.
    """
    if len(entries) == len(first):
        return {}
    order = sorted((place, at) for at, one in enumerate(entries) for place in one.stands)
    seen: dict[int, Entry] = {}  # what stands of each window, up to `taken` in that order
    found: dict[int, list[Judged]] = {}
    taken, before = 0, first[:0]
    for at, one in enumerate(first):
        since = one.stands[0] if one.stands else 0
        while taken < len(order) and order[taken][0] < since:
            entry = entries[order[taken][1]]
            seen[entry.window.end] = entry
            taken += 1
        looks = [seen.get(early.window.end, early) for early in first[:at]]
        if looks[: len(before)] != before or looks[len(before) :] != first[len(before) : at]:
            found[one.window.end] = list(map(_judged, looks))
        before = looks
    return found


def tally(
    decided: Iterable[tuple[Window, Sequence[Evidence], Decision]], acks: Sequence[Ack] = ()
) -> Tally:
    """Count the actions, and the pages they would send: one an incident that nothing else tells."""
    rows = list(decided)
    actions = [decision.action for _, _, decision in rows]
    told = [
        Decided(window, decision.action, evidence, decision.reasons)
        for window, evidence, decision in rows
    ]
    return Tally(
        {name: actions.count(name) for name in ("none", "watch", "investigate", "retrain")},
        tuple(window for window, _, decision in rows if decision.action == "retrain"),
        tuple(incident.first for incident in incidents(told, acks) if incident.paged),
    )


def compared(rows: Sequence[Replayed], acks: Sequence[Ack] = ()) -> tuple[Tally, Tally]:
    """The history on record and the replayed one, counted."""
    recorded = tally(((r.window, r.evidence, r.recorded) for r in rows), acks)
    other = tally(((r.window, r.evidence, r.decision) for r in rows), acks)
    return recorded, other
