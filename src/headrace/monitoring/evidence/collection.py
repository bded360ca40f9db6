"""Evidence of a monitor's windows, gathered in order.

Each run evaluates all windows from their profiles. Decisions are made in `decisions.history`.
"""

from collections.abc import Mapping, Sequence

from headrace.core.clock import DAY, duration
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.decisions.retraining_decision import Decision
from headrace.monitoring.detectors.concept import AnswerJudgement, judge_answers
from headrace.monitoring.detectors.delivery_evidence import (
    Slot,
    by_day,
    slot_evidence,
    stale_evidence,
)
from headrace.monitoring.detectors.drift import shapes_of
from headrace.monitoring.detectors.measures import MeasuredWindow, measure_window, renew
from headrace.monitoring.detectors.prediction_losses import judge_losses
from headrace.monitoring.detectors.score_shift import output_evidence
from headrace.monitoring.detectors.window_evidence import judge_data
from headrace.monitoring.evidence.acceptance import Accepted
from headrace.monitoring.evidence.attribution import attribute
from headrace.monitoring.evidence.model import DISTRUSTED, MODEL, Evidence, Window, alarms
from headrace.monitoring.profiles.labelled_scores import Answers
from headrace.monitoring.profiles.prediction_losses import NO_LOSSES, LossAnswers
from headrace.monitoring.profiles.profiles import Profiles
from headrace.monitoring.profiles.row_facts import RowFacts, terms_for
from headrace.monitoring.profiles.window_profiles import Described, ProfileSource
from headrace.monitoring.spec import MonitorSpec, WindowResult

ANSWERS = "answers"  # subject of a notice that answers were given on faulty data


def _carried(findings: Sequence[Evidence]) -> tuple[str, ...]:
    """Return the columns of these findings; plots show them if no cause names columns."""
    return tuple(
        dict.fromkeys(
            name for evidence in findings for name in evidence.columns or (evidence.subject,)
        )
    )


def _answered_in(window: Window, maturity: int, faulty: Sequence[Window]) -> list[Window]:
    """Return the faulty windows whose answers get their labels in this window.

    Labels arrive `maturity` (us) after the answer. A broken input therefore makes the answers look
    bad in a later window with good data, which must not count as a change of the relation.
    """
    first, end = window.first * DAY - maturity, window.end * DAY - maturity
    return [window for window in faulty if window.first * DAY < end and first < window.end * DAY]


def _doubt(window: Window, faulty: Sequence[Window]) -> Evidence:
    periods = ", ".join(window.text for window in faulty)
    sentence = f"Answers that are judged here were given in windows that were faulty: {periods}."
    return Evidence("data_fault", window, ANSWERS, len(faulty), 0, "notice", sentence)


def gather(
    spec: MonitorSpec,
    laid: Sequence[Window],
    profiles: Profiles,
    facts: Sequence[RowFacts],
    *,
    slots: Sequence[Slot],
    answers: Answers,
    policy: Policy,
    previous: Sequence[MeasuredWindow] = (),
    accepted: Mapping[int, Accepted] | None = None,
    source: ProfileSource | None = None,
    losses: LossAnswers = NO_LOSSES,
) -> tuple[list[WindowResult], list[MeasuredWindow]]:
    """Return the evidence of each window, and all windows as measured, without deciding anything.

    The evidence of a window uses only this window and earlier windows.

    `laid` are all windows, oldest first; `facts` has one entry for each of them. `previous` are the
    first windows of `laid` as measured by an earlier call; only later windows get results.

    `accepted` is {end of a window: its findings that a person accepted}. With `source`, new bins
    are computed for the accepted columns from that window on; without it, the bins do not change.
    """
    past = list(previous)
    judged_as: list[MeasuredWindow] = []
    acceptances = accepted or {}
    tables = by_day(slots)
    settings = policy.detection
    described = Described(profiles, terms_for(profiles), facts)
    max_age = {table: duration(text) for table, text in spec.max_age.items()}
    maturity = duration(spec.maturity)
    faulty = [
        measured.window
        for measured in previous
        if measured.faulty_columns or not measured.is_reference
    ]
    inputs: list[tuple[Evidence, ...]] = []
    data_findings: list[Sequence[Evidence]] = []
    for at, window in enumerate(laid[len(previous) :], len(previous)):
        gates = slot_evidence(window, laid[:at], tables, settings.quarantined_floor)
        stale = stale_evidence(window, spec.closes(window), slots, max_age)
        profile = described.profiles.roll(window.first, window.end)
        current = measure_window(
            window, profile, described.facts[at], described.terms, past, settings
        )
        gate_fault = any(gate.kind == "data_fault" for gate in gates)
        data, current = judge_data(
            current,
            past,
            described.terms,
            settings,
            faulty=gate_fault,
            accepted=acceptances.get(window.end, {}),
        )
        judged_as.append(current)
        inputs.append((*gates, *stale, *data))
        data_findings.append(data)
        if any(alarm.kind in DISTRUSTED for alarm in alarms(inputs[-1])):
            faulty.append(window)
        if current.renewed:
            described = (
                described.renewed(laid, at, current.renewed, source) if source else described
            )
            profile = described.profiles.roll(window.first, window.end)
            current = renew(current, profile, described.facts[at], current.renewed)
        past.append(current)
    doubts = {window: _answered_in(window, maturity, faulty) for window in laid}
    doubtful = {window for window in laid if doubts[window]}
    judgements = {
        **judge_answers(answers, laid, settings, doubtful),
        **judge_losses(losses, laid, settings, doubtful),
    }
    score_findings = output_evidence(answers, laid, settings)
    results: list[WindowResult] = []
    news = zip(judged_as, inputs, data_findings, strict=True)
    for at, (current, before, found_in) in enumerate(news, len(previous)):
        window = current.window
        model = judgements.get(window, AnswerJudgement(None, ()))
        evidence = (*before, *score_findings.get(window, ()), *model.evidence)
        model_alarm = any(alarm.kind in MODEL for alarm in alarms(model.evidence))
        if model_alarm and doubts[window] and window not in faulty:
            evidence = (*evidence, _doubt(window, doubts[window]))
        cause = attribute(evidence, spec.label_derived)
        results.append(
            WindowResult(
                window,
                evidence,
                Decision("none", ()),
                int(current.profile.rows),
                current.ratios("shape"),
                model.scored,
                cause,
                shapes_of(current, past[:at], cause.columns or _carried(found_in), settings),
            )
        )
    return results, past
