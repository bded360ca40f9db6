"""Incidents: what a person is paged for, once, from the first window to the last that has it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.monitoring.decisions.decide import ROLLED_BACK, Action
from headrace.monitoring.decisions.ledger import Ack
from headrace.monitoring.detectors.delivery_evidence import ABSENT
from headrace.monitoring.evidence.model import DISTRUSTED, Evidence, Window, alarms

Topics = frozenset[str]
_GATES = tuple(f":{verdict.lower()}" for verdict in ABSENT)
_POLICY = "policy"  # what an investigation without an alarm is about: a budget that is spent


@dataclass(frozen=True)
class Incident:
    """Something to be looked at. `last` is the newest window that has it; one page in all.

    `acknowledged` is the first acknowledgement of one of its windows. A new alarm about a topic
    (kind and subject) of an open incident belongs to it and sends no other page. `paged` is whether
    it sent one: not if another alert told of it when it began.
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
    def told_otherwise(self) -> bool:
        """Whether another alert is about it: of a delivery, or of a champion rolled back."""
        gate = any(topic.endswith(_GATES) for topic in self.topics)
        return gate or ROLLED_BACK in self.reasons


@dataclass(frozen=True)
class Decided:
    """A window with what was decided about it, and why."""

    window: Window
    action: Action
    evidence: Sequence[Evidence]
    reasons: tuple[str, ...] = ()


def incidents(decided: Iterable[Decided], acks: Iterable[Ack] = ()) -> list[Incident]:
    """The incidents of these windows (in order, one entry a window), oldest first.

    One ends with the first window that has none of its topics. Acknowledged, it outlasts a single
    such window: what comes and goes is known already and wakes nobody again.
    """
    known: dict[int, Ack] = {}
    for ack in acks:
        known.setdefault(ack.window_end, ack)
    closed: list[Incident] = []
    current: list[tuple[Incident, int]] = []  # with the number of windows in a row without it
    for one in decided:
        topics = _topics(one)
        kept: list[tuple[Incident, int]] = []
        for incident, missed in current:
            if topics & incident.topics:
                # what is seen together with it is part of it
                grown = replace(incident, last=one.window, topics=incident.topics | topics)
                kept.append((_known(grown, known), 0))
            elif incident.acknowledged is not None and missed == 0:
                kept.append((incident, 1))
            else:
                closed.append(replace(incident, is_open=False))
        told = any(topics & incident.topics for incident, _ in kept)
        if topics and not told:
            about = (topics, _sentence(one))
            first = Incident(one.window, one.window, *about, is_open=True, reasons=one.reasons)
            first = replace(first, paged=not first.told_otherwise)
            kept.append((_known(first, known), 0))
        current = kept
    every = [*closed, *(replace(one, is_open=missed == 0) for one, missed in current)]
    return sorted(every, key=lambda one: (one.first, one.last))


def settled(found: Iterable[Incident], newest: Mapping[int, Sequence[Evidence]]) -> list[Incident]:
    """These incidents, over where the newest evidence of their last window has them no more.

    A delivery that came late, or a correction, mends what the window was decided on. `newest` is
    {end of the window: its evidence as of the latest run}.
    """
    mended = []
    for incident in found:
        now = {f"{e.kind}:{e.subject}" for e in alarms(newest.get(incident.last.end, ()))}
        over = (
            incident.last.end in newest
            and _POLICY not in incident.topics
            and not now & incident.topics
        )
        mended.append(replace(incident, is_open=False) if over else incident)
    return mended


def _topics(one: Decided) -> Topics:
    """What an investigation is about: its faults, or what else is loud."""
    if one.action != "investigate":
        return frozenset()
    loud = alarms(one.evidence)
    about = [evidence for evidence in loud if evidence.kind in DISTRUSTED] or loud
    return frozenset(f"{e.kind}:{e.subject}" for e in about) or frozenset({_POLICY})


def _known(incident: Incident, acks: dict[int, Ack]) -> Incident:
    ack = acks.get(incident.last.end)
    return incident if ack is None or incident.acknowledged else replace(incident, acknowledged=ack)


def _sentence(one: Decided) -> str:
    return one.reasons[0] if one.reasons else next((e.sentence for e in alarms(one.evidence)), "")
