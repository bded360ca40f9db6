"""Acceptance of findings: a person states that the data are correct from a window on.

A permanent, correct change (a new code, another sensor, another unit) looks like a fault compared
with all earlier windows. Windows with a fault are excluded from the baseline, so every later window
would have the fault as well, until a person accepts one of these windows. The finding stays on
record as a notice that says who accepted it, and the baseline of its columns starts at that window.

An acceptance covers only the findings that it names. Faults of other columns and batches that the
gates blocked or quarantined stay alarms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from headrace.monitoring.decisions.ledger import Acceptance
from headrace.monitoring.evidence.model import Evidence, alarms

Accepted = Mapping[str, Acceptance]
"""Acceptances of one window: {topic: the acceptance that covers it}."""
_ROWS = frozenset({"rows:twice", "rows:again"})
SIZE = "volume:rows"


def topic(finding: Evidence) -> str:
    """Return the topic of a finding: its kind and its first column (or its subject).

    A fault of a column and a shift of the same column have the same topic.
    """
    kind = "data_fault" if finding.kind == "population" else finding.kind
    return f"{kind}:{finding.columns[0] if finding.columns else finding.subject}"


def acceptable(finding: Evidence) -> bool:
    """Return True for findings about the data themselves, not for findings of gates and sources."""
    return finding.kind == "volume" or (
        finding.kind == "data_fault" and (bool(finding.columns) or finding.subject in _ROWS)
    )


def open_topics(evidence: Iterable[Evidence]) -> frozenset[str]:
    """Return the topics of a window that can still be accepted."""
    return frozenset(topic(alarm) for alarm in alarms(evidence) if acceptable(alarm))


def in_force(acceptances: Iterable[Acceptance]) -> dict[int, dict[str, Acceptance]]:
    """Return {end of the window: its acceptances by topic}, from all recorded statements in order.

    The first acceptance of a topic applies until it is withdrawn.
    """
    by_window: dict[int, dict[str, Acceptance]] = {}
    for acceptance in acceptances:
        if acceptance.withdrawn:
            by_window.pop(acceptance.window_end, None)
            continue
        topics = by_window.setdefault(acceptance.window_end, {})
        for name in acceptance.about:
            topics.setdefault(name, acceptance)
    return by_window


def present(evidence: Sequence[Evidence], accepted: Accepted) -> Accepted:
    """Return the acceptances whose topic has a fault now; a shift alone needs no acceptance."""
    faults = {topic(finding) for finding in evidence if acceptable(finding)}
    return {name: by for name, by in accepted.items() if name in faults}


def covers(accepted: Accepted, finding: Evidence) -> bool:
    """Return True if an acceptance covers the finding: a fault, or a shift of its column."""
    return (acceptable(finding) or finding.kind == "population") and topic(finding) in accepted


def marked(evidence: Sequence[Evidence], accepted: Accepted) -> list[Evidence]:
    """Return the findings; accepted findings become notices that say who accepted them and why."""
    return [_noticed(finding, accepted[topic(finding)]) if covers(accepted, finding) else finding
            for finding in evidence]  # fmt: skip


def _noticed(finding: Evidence, by: Acceptance) -> Evidence:
    sentence = f"{finding.sentence} Accepted by {by.principal}: {by.reason.strip().rstrip('.')}."
    return replace(finding, severity="notice", sentence=sentence, accepted=by.cursor)
