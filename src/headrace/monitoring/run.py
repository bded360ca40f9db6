"""Run of a monitor: profile and evaluate the closed windows, decide, and record the decisions."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from headrace.core.clock import DAY, duration, now_us
from headrace.core.errors import DeclarationError
from headrace.core.files import exclusive_lock
from headrace.core.home import Home
from headrace.monitoring.decisions.history import decide_all
from headrace.monitoring.decisions.ledger import DecisionLedger, Entry
from headrace.monitoring.decisions.policy import Policy
from headrace.monitoring.detectors.concept import unjudged
from headrace.monitoring.detectors.delivery_evidence import Slot, read_slots
from headrace.monitoring.detectors.prediction_losses import loss_notes
from headrace.monitoring.detectors.window_evidence import cold
from headrace.monitoring.evidence.acceptance import in_force
from headrace.monitoring.evidence.collection import gather
from headrace.monitoring.evidence.model import Window, day_number, windows
from headrace.monitoring.profiles.labelled_scores import (
    Answers,
    Joining,
    answers_of,
    score_profiles,
)
from headrace.monitoring.profiles.prediction_losses import (
    has_losses,
    keep_losses,
    kept_losses,
    loss_profiles,
)
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.row_facts import row_facts, terms_for
from headrace.monitoring.profiles.score_store import keep_answers, kept_answers
from headrace.monitoring.profiles.store import daily_of, folder_of, frozen_bins
from headrace.monitoring.profiles.window_profiles import ProfileSource
from headrace.monitoring.spec import MonitorRun, MonitorSpec, WindowResult


def monitor(  # noqa: PLR0917
    spec: MonitorSpec,
    frame: pa.Table,
    scores: pa.Table | None,
    slots: Sequence[Mapping[str, Any]],
    home: Home,
    now: int,
    *,
    policy: Policy | None = None,
    trained_at: int | None = None,
    metric: str = "loss",
) -> MonitorRun:
    """Evaluate every window closed by `now` (us) and record the decisions.

    Args:
        spec: declaration of the monitor.
        frame: `t` (int64 us, prediction times) and the watched columns; rows of the whole history
            in any order.
        scores: out-of-sample predictions, or None: `t` (int64 us), `score` (float64, probability of
            1), `label` (0, 1, null while unknown). Optional `model` (string): the model bundle that
            made the prediction. A table may hold predictions of several models for the same rows;
            stored predictions are kept if a later table lacks them. Every other column (integer,
            real, boolean or string) is a segment to search for concept drift. Predictions of
            numbers and classes have `loss` instead of `score`, see `has_losses`.
        slots: gate verdicts, see `read_slots`.
        home: Headrace home with the profiles and the decision ledger.
        now: time (us) of the evaluation; windows that end later are left for a later run.
        policy: used instead of the policy in the spec's file.
        trained_at: training cut (us) of the current champion.
        metric: name of the loss in sentences, if the scores have losses.

    Raises:
        DeclarationError: a watched column is absent, or its type cannot be profiled.
    """
    # two concurrent runs could decide the same window and each start a retraining
    with exclusive_lock(folder_of(home, spec.name) / "run.lock"):
        arguments = (spec, frame, scores, slots, home, now)
        return _monitor(
            *arguments, policy=policy or spec.policy(), trained_at=trained_at, metric=metric
        )


def _monitor(  # noqa: PLR0917
    spec: MonitorSpec,
    frame: pa.Table,
    scores: pa.Table | None,
    slots: Sequence[Mapping[str, Any]],
    home: Home,
    now: int,
    *,
    policy: Policy,
    trained_at: int | None,
    metric: str,
) -> MonitorRun:
    offset = duration(spec.offset)
    day = _days(frame, offset)
    started = time.perf_counter()
    daily = daily_of(home, spec.name, frame, day, _columns(spec, frame))
    bins, notes = frozen_bins(home, spec.name, daily, warmup=policy.detection.warmup_days)
    profiles = daily.binned(bins)
    profile_s = time.perf_counter() - started
    parsed = read_slots(slots)
    laid = _windows(spec, day, parsed, (now + offset) // DAY)
    how = Joining(
        duration(spec.maturity), offset, policy.detection.warmup_days, (now + offset) // DAY
    )
    answers = _answers(home, spec.name, None if has_losses(scores) else scores, how)
    losses = kept_losses(home, spec.name, metric)
    if scores is not None and has_losses(scores):
        losses = keep_losses(home, spec.name, losses, loss_profiles(scores, how))
    source = ProfileSource(daily, lambda selected, terms: row_facts(frame, day, selected, terms))
    facts = source.facts(laid, terms_for(profiles))
    ledger = DecisionLedger(home)
    undecided, past = gather(
        spec, laid, profiles, facts,
        slots=parsed,
        answers=answers,
        policy=policy,
        accepted=in_force(ledger.acceptances(spec.name)),
        source=source,
        losses=losses,
    )  # fmt: skip
    notes += cold(past, policy.detection)
    notes += unjudged(answers, laid, policy.detection)
    notes += loss_notes(losses, laid, policy.detection)
    results = decide_all(
        spec, undecided, ledger.entries(spec.name), policy, trained_at,
        steps=ledger.steps(spec.name), acks=ledger.acks(spec.name),
    )  # fmt: skip
    at = now_us()  # not `now`: decisions on a past year that are made today get today's time
    entries = [_entry(spec.name, result, policy, at) for result in results]
    return MonitorRun(spec.name, tuple(results), tuple(notes), ledger.append(entries), profile_s)


def _answers(home: Home, name: str, scores: pa.Table | None, how: Joining) -> Answers:
    """Return the models' answers (predictions); answers of named models are also stored."""
    if scores is not None and "model" not in scores.column_names:
        return answers_of(scores, how)
    stored = kept_answers(home, name)
    if scores is None:
        return stored
    return keep_answers(home, name, stored, score_profiles(scores, how, stored.profiles))


def _entry(name: str, result: WindowResult, policy: Policy, at: int) -> Entry:
    cause = result.attribution.to_json()
    fields = (result.window, result.decision, result.evidence, policy.hash, at)
    return Entry(name, *fields, attribution=cause)


def _days(frame: pa.Table, offset: int) -> Ints:
    t = frame["t"]
    values = (
        t.to_numpy()
        if t.type == pa.int64()
        else t.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    )
    result: Ints = (values + offset) // DAY
    return result


def _columns(spec: MonitorSpec, frame: pa.Table) -> list[str]:
    if spec.columns is None:
        return [c for c in frame.column_names if c != "t" and c not in spec.exclude]
    absent = sorted(set(spec.columns) - set(frame.column_names))
    if absent:
        raise DeclarationError(
            f"watched columns are not in the frame: {', '.join(absent)}",
            where=f"monitor {spec.name}",
            fix="correct the columns of the MonitorSpec",
        )
    return list(spec.columns)


def _windows(
    spec: MonitorSpec,
    day: Ints,
    slots: Sequence[Slot],
    closed_by: int,
) -> list[Window]:
    """Return windows from the first row to the last row or expected slot.

    Expected slots count so that a source that stopped delivering still has windows.
    """
    if len(day) == 0:
        return []
    last = max([int(day.max()), *(slot.day for slot in slots if slot.day is not None)])
    return windows(day_number(spec.anchor), spec.window_days, int(day.min()), last, closed_by)
