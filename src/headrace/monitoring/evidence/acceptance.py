"""What people accepted: findings about data that are as they should be, from a window on.

A value that rightly moves for good (a new code, another sensor, another unit) is a fault against
all windows before it, and its windows are no reference: so the next one would be a fault as well,
for ever. A person ends that. What was found stays on record, as a notice that says who accepted it;
the columns it is about are held from then on to that window, and to none before.

Only what was known is accepted: another column's fault, or what the gates held back, stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from headrace.monitoring.decisions.ledger import Acceptance
from headrace.monitoring.evidence.model import Evidence, alarms

Accepted = Mapping[str, Acceptance]
"""Of one window: {topic: the acceptance that covers it}."""
_ROWS = frozenset({"rows:twice", "rows:again"})
SIZE = "volume:rows"


def topic(one: Evidence) -> str:
    """What a finding is about, however the finding is made: the column that carries it, or rows."""
    kind = "data_fault" if one.kind == "population" else one.kind
    return f"{kind}:{one.columns[0] if one.columns else one.subject}"


def acceptable(one: Evidence) -> bool:
    """Whether it was found in the data themselves; what gates and sources say is not."""
    return one.kind == "volume" or (
        one.kind == "data_fault" and (bool(one.columns) or one.subject in _ROWS)
    )


def open_topics(evidence: Iterable[Evidence]) -> frozenset[str]:
    """What of a window can be accepted and is not yet."""
    return frozenset(topic(alarm) for alarm in alarms(evidence) if acceptable(alarm))


def in_force(said: Iterable[Acceptance]) -> dict[int, dict[str, Acceptance]]:
    """{end of the window: what is accepted of it}, from all that was said, in order.

    The first acceptance of a topic stands until it is taken back.
    """
    found: dict[int, dict[str, Acceptance]] = {}
    for acceptance in said:
        if acceptance.withdrawn:
            found.pop(acceptance.window_end, None)
            continue
        here = found.setdefault(acceptance.window_end, {})
        for name in acceptance.about:
            here.setdefault(name, acceptance)
    return found


def present(evidence: Sequence[Evidence], accepted: Accepted) -> Accepted:
    """What of it there is a fault for; a column without one only moved, and that is no matter."""
    faults = {topic(one) for one in evidence if acceptable(one)}
    return {name: by for name, by in accepted.items() if name in faults}


def covers(accepted: Accepted, one: Evidence) -> bool:
    """Whether it is about what was accepted; a column that only moved is, with its fault."""
    return (acceptable(one) or one.kind == "population") and topic(one) in accepted


def marked(evidence: Sequence[Evidence], accepted: Accepted) -> list[Evidence]:
    """The same findings; those that were accepted are notices, and say by whom and why."""
    return [_noticed(one, accepted[topic(one)]) if covers(accepted, one) else one
            for one in evidence]  # fmt: skip


def _noticed(one: Evidence, by: Acceptance) -> Evidence:
    sentence = f"{one.sentence} Accepted by {by.principal}: {by.reason.strip().rstrip('.')}."
    return replace(one, severity="notice", sentence=sentence, accepted=by.cursor)
