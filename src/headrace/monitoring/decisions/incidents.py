"""Incidents: investigations over one or more windows, with at most one page each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.monitoring.decisions.ledger import Ack
from headrace.monitoring.decisions.retraining_decision import ROLLED_BACK, Action
from headrace.monitoring.detectors.delivery_evidence import ABSENT
from headrace.monitoring.evidence.model import DISTRUSTED, Evidence, Window, alarms

Topics = frozenset[str]
_GATES = tuple(f":{verdict.lower()}" for verdict in ABSENT)
_POLICY = "policy"  # topic of an investigation without an alarm, such as a spent budget


@dataclass(frozen=True)
class Incident:
    """Incident to investigate. It sends one page at most. `last` is its newest window.

    `acknowledged` is the first acknowledgement of one of its windows. A new alarm about a topic
    (kind and subject) of an open incident belongs to it and sends no second page. `paged` is False
    if the incident sent no page because another alert had reported it.
    """

    first: Window
    last: Window
    topics: Topics
    sentence: str
    is_open: bool
    acknowledged: Ack | None = None
    reasons: tuple[str, ...] = ()
    paged: bool = True

    @property
    def has_other_alert(self) -> bool:
        """True if another alert reports the incident: on a delivery, or on a rollback."""
        gate = any(topic.endswith(_GATES) for topic in self.topics)
        return gate or ROLLED_BACK in self.reasons


@dataclass(frozen=True)
class Decided:
    """Window with its decided action, the evidence, and the reasons."""

    window: Window
    action: Action
    evidence: Sequence[Evidence]
    reasons: tuple[str, ...] = ()


def incidents(decided: Iterable[Decided], acks: Iterable[Ack] = ()) -> list[Incident]:
    """Return the incidents of these windows (in order, one entry a window), oldest first.

    An incident ends with the first window that has none of its topics. An acknowledged incident
    continues over a single such window, so that a known, intermittent problem sends no second page.
    """
    first_acks: dict[int, Ack] = {}
    for ack in acks:
        first_acks.setdefault(ack.window_end, ack)
    closed: list[Incident] = []
    # open incidents, each with its number of consecutive windows without one of its topics
    current: list[tuple[Incident, int]] = []
    for decision in decided:
        topics = _topics(decision)
        continuing: list[tuple[Incident, int]] = []
        for incident, missed in current:
            if topics & incident.topics:
                # all topics of this window become topics of the incident
                grown = replace(incident, last=decision.window, topics=incident.topics | topics)
                continuing.append((_acknowledged(grown, first_acks), 0))
            elif incident.acknowledged is not None and missed == 0:
                continuing.append((incident, 1))
            else:
                closed.append(replace(incident, is_open=False))
        has_incident = any(topics & incident.topics for incident, _ in continuing)
        if topics and not has_incident:
            subject = (topics, _sentence(decision))
            first = Incident(
                decision.window, decision.window, *subject, is_open=True, reasons=decision.reasons
            )
            first = replace(first, paged=not first.has_other_alert)
            continuing.append((_acknowledged(first, first_acks), 0))
        current = continuing
    all_incidents = [
        *closed,
        *(replace(incident, is_open=missed == 0) for incident, missed in current),
    ]
    return sorted(all_incidents, key=lambda incident: (incident.first, incident.last))


def settled(
    candidates: Iterable[Incident], newest: Mapping[int, Sequence[Evidence]]
) -> list[Incident]:
    """Return the incidents; close those with no topic in their last window's newest evidence.

    A late delivery or a correction may remove the evidence on which the window was decided.
    `newest` is {end of the window: its evidence as of the latest run}.
    """
    mended = []
    for incident in candidates:
        now = {f"{e.kind}:{e.subject}" for e in alarms(newest.get(incident.last.end, ()))}
        over = (
            incident.last.end in newest
            and _POLICY not in incident.topics
            and not now & incident.topics
        )
        mended.append(replace(incident, is_open=False) if over else incident)
    return mended


def _topics(decision: Decided) -> Topics:
    """Return the topics of an investigation: its faults or, if it has none, its other alarms."""
    if decision.action != "investigate":
        return frozenset()
    loud = alarms(decision.evidence)
    findings = [evidence for evidence in loud if evidence.kind in DISTRUSTED] or loud
    return frozenset(f"{e.kind}:{e.subject}" for e in findings) or frozenset({_POLICY})


def _acknowledged(incident: Incident, acks: dict[int, Ack]) -> Incident:
    ack = acks.get(incident.last.end)
    return incident if ack is None or incident.acknowledged else replace(incident, acknowledged=ack)


def _sentence(decision: Decided) -> str:
    return (
        decision.reasons[0]
        if decision.reasons
        else next((e.sentence for e in alarms(decision.evidence)), "")
    )
