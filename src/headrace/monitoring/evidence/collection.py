"""Go through the windows of a monitor in order and gather the evidence of each.

Each run looks at all windows again from their profiles; what is decided of it is in `deciding`.
"""

from collections.abc import Mapping, Sequence

from headrace.core.clock import DAY, duration
from headrace.monitoring.decisions.decide import Decision
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.detectors.concept import Judged, judge_answers
from headrace.monitoring.detectors.delivery_evidence import (
    Slot,
    by_day,
    slot_evidence,
    stale_evidence,
)
from headrace.monitoring.detectors.drift import shapes_of
from headrace.monitoring.detectors.measures import Seen, look, renew
from headrace.monitoring.detectors.score_shift import output_evidence
from headrace.monitoring.detectors.window_evidence import judge_data
from headrace.monitoring.evidence.acceptance import Accepted
from headrace.monitoring.evidence.attribution import attribute
from headrace.monitoring.evidence.model import DISTRUSTED, MODEL, Evidence, Window, alarms
from headrace.monitoring.profiles.labelled_scores import Answers
from headrace.monitoring.profiles.profiles import Profiles
from headrace.monitoring.profiles.row_facts import RowFacts, terms_for
from headrace.monitoring.profiles.window_profiles import Described, Source
from headrace.monitoring.spec import MonitorSpec, WindowResult

ANSWERS = "answers"  # the subject of a doubt about them


def _carried(moved: Sequence[Evidence]) -> tuple[str, ...]:
    """The columns of these findings: what a quorum of notices, which names no cause, is about."""
    return tuple(
        dict.fromkeys(
            name for evidence in moved for name in evidence.columns or (evidence.subject,)
        )
    )


def _answered_in(window: Window, maturity: int, faulty: Sequence[Window]) -> list[Window]:
    """The faulty windows in which answers were given whose labels are there in this one.

    Labels come `maturity` (us) later. A broken input so makes the answers look bad in windows whose
    own data are well, and that must not pass for a relation that moved.
    """
    first, end = window.first * DAY - maturity, window.end * DAY - maturity
    return [window for window in faulty if window.first * DAY < end and first < window.end * DAY]


def _doubt(window: Window, given: Sequence[Window]) -> Evidence:
    which = ", ".join(window.text for window in given)
    sentence = f"Answers that are judged here were given in windows that were faulty: {which}."
    return Evidence("data_fault", window, ANSWERS, len(given), 0, "notice", sentence)


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
    accepted: Mapping[int, Accepted] | None = None,
    source: Source | None = None,
) -> tuple[list[WindowResult], list[Seen]]:
    """The evidence of each window, from it and windows before it only; nothing is decided yet.

    `facts` has one entry for each window of `laid`. `known` are the first windows of `laid` as they
    were seen before: only later ones have results. All as they are seen now are returned too.

    `accepted` says of the windows that end on a day which of their findings a person accepted.
    From `source` the columns of these are described anew; without, they keep their bins.
    """
    past = list(known)
    judged_as: list[Seen] = []
    taken = accepted or {}
    tables = by_day(slots)
    settings = policy.detection
    here = Described(profiles, terms_for(profiles), facts)
    max_age = {table: duration(text) for table, text in spec.max_age.items()}
    maturity = duration(spec.maturity)
    faulty = [one.window for one in known if one.soiled or not one.whole]
    inputs: list[tuple[Evidence, ...]] = []
    moved: list[Sequence[Evidence]] = []
    for at, window in enumerate(laid[len(known) :], len(known)):
        gates = slot_evidence(window, laid[:at], tables, settings.quarantined_floor)
        stale = stale_evidence(window, spec.closes(window), slots, max_age)
        profile = here.profiles.roll(window.first, window.end)
        seen = look(window, profile, here.facts[at], here.terms, past, settings)
        held = any(gate.kind == "data_fault" for gate in gates)
        data, seen = judge_data(
            seen, past, here.terms, settings, faulty=held, accepted=taken.get(window.end, {})
        )
        judged_as.append(seen)
        inputs.append((*gates, *stale, *data))
        moved.append(data)
        if any(alarm.kind in DISTRUSTED for alarm in alarms(inputs[-1])):
            faulty.append(window)
        if seen.renewed:
            here = here.renewed(laid, at, seen.renewed, source) if source else here
            profile = here.profiles.roll(window.first, window.end)
            seen = renew(seen, profile, here.facts[at], seen.renewed)
        past.append(seen)
    doubts = {window: _answered_in(window, maturity, faulty) for window in laid}
    judged = judge_answers(answers, laid, settings, {window for window in laid if doubts[window]})
    said = output_evidence(answers, laid, settings)
    found: list[WindowResult] = []
    news = zip(judged_as, inputs, moved, strict=True)
    for at, (seen, before, found_in) in enumerate(news, len(known)):
        window = seen.window
        model = judged.get(window, Judged(None, ()))
        evidence = (*before, *said.get(window, ()), *model.evidence)
        heard = any(alarm.kind in MODEL for alarm in alarms(model.evidence))
        if heard and doubts[window] and window not in faulty:
            evidence = (*evidence, _doubt(window, doubts[window]))
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
                shapes_of(seen, past[:at], cause.columns or _carried(found_in), settings),
            )
        )
    return found, past
