"""Go through the windows of a monitor in order and gather the evidence of each.

Each run looks at all windows again from their profiles; what is decided of it is in `deciding`.
"""

from collections.abc import Sequence

from headrace.clock import DAY, duration
from headrace.monitoring.attribution import MODEL, attribute
from headrace.monitoring.concept import Judged, judge_answers
from headrace.monitoring.decide import FAULTS, Decision
from headrace.monitoring.drift import shapes_of
from headrace.monitoring.evidence import Evidence, Window, alarms
from headrace.monitoring.judging import judge_data
from headrace.monitoring.measures import Seen, look
from headrace.monitoring.outputs import output_evidence
from headrace.monitoring.policy import Policy
from headrace.monitoring.profiles import Profiles
from headrace.monitoring.rowfacts import RowFacts, terms_for
from headrace.monitoring.scored import Answers
from headrace.monitoring.slots import Slot, by_day, slot_evidence, stale_evidence
from headrace.monitoring.spec import MonitorSpec, WindowResult

ANSWERS = "answers"  # the subject of a doubt about them


def _carried(moved: Sequence[Evidence]) -> tuple[str, ...]:
    """The columns of these findings: what a quorum of notices, which names no cause, is about."""
    return tuple(dict.fromkeys(name for one in moved for name in one.columns or (one.subject,)))


def _answered_in(
    window: Window, maturity: int, faulty: Sequence[Window], said: Sequence[Evidence]
) -> list[Evidence]:
    """A doubt about what the answers say, where they were given in a window that was faulty.

    Labels come `maturity` (us) later. A broken input so makes the answers look bad in windows whose
    own data are well, and that must not pass for a relation that moved.
    """
    if not any(one.kind in MODEL for one in alarms(said)):
        return []
    first, end = window.first * DAY - maturity, window.end * DAY - maturity
    given = [one for one in faulty if one.first * DAY < end and first < one.end * DAY]
    if not given:
        return []
    which = ", ".join(one.text for one in given)
    sentence = f"Answers that are judged here were given in windows that were faulty: {which}."
    return [Evidence("data_fault", window, ANSWERS, len(given), 0, "notice", sentence)]


def gather(
    spec: MonitorSpec,
    laid: Sequence[Window],
    profiles: Profiles,
    facts: Sequence[RowFacts],
    *,
    slots: Sequence[Slot],
    answers: Answers,
    policy: Policy,
    known: Sequence[Seen] = (),
) -> tuple[list[WindowResult], list[Seen]]:
    """The evidence of each window, from it and windows before it only; nothing is decided yet.

    `facts` has one entry for each window of `laid`. `known` are the first windows of `laid` as they
    were seen before: only later ones have results. All as they are seen now are returned too.
    """
    past = list(known)
    tables = by_day(slots)
    found: list[WindowResult] = []
    settings = policy.detection
    terms = terms_for(profiles)
    max_age = {table: duration(text) for table, text in spec.max_age.items()}
    judged = judge_answers(answers, laid, settings)
    given = output_evidence(answers, laid, settings)
    maturity = duration(spec.maturity)
    faulty = [one.window for one in known if one.soiled or not one.whole]
    for at, window in enumerate(laid[len(known) :], len(known)):
        gates = slot_evidence(window, laid[:at], tables, settings.quarantined_floor)
        stale = stale_evidence(window, spec.closes(window), slots, max_age)
        profile = profiles.roll(window.first, window.end)
        seen = look(window, profile, facts[at], terms, past, settings)
        held = any(one.kind == "data_fault" for one in gates)
        data, seen = judge_data(seen, past, terms, settings, faulty=held)
        model = judged.get(window, Judged(None, ()))
        evidence = (*gates, *stale, *data, *given.get(window, ()), *model.evidence)
        if any(one.kind in FAULTS for one in alarms(evidence)):
            faulty.append(window)
        else:
            evidence = (*evidence, *_answered_in(window, maturity, faulty, model.evidence))
        cause = attribute(evidence, spec.label_derived)
        found.append(
            WindowResult(
                window,
                evidence,
                Decision("none", ()),
                int(seen.profile.rows),
                seen.ratios("shape"),
                model.scored,
                cause,
                shapes_of(seen, past, cause.columns or _carried(data), settings),
            )
        )
        past.append(seen)
    return found, past
