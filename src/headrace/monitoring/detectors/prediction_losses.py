"""Evidence from predictions of numbers and classes, once their labels are known.

Evidence of kind `performance` is a loss that exceeds that of earlier windows. For classes, the loss
that the probabilities themselves imply is subtracted first. Evidence of kind `concept` is a bias:
labels that are on average further from the predicted numbers than in earlier windows. Segments and
the distribution of the predictions are not evaluated; a note says so.
"""

from collections.abc import Collection, Sequence

import numpy as np

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.concept import (
    AnswerJudgement,
    thin_labels,
    with_durations,
)
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION
from headrace.monitoring.evidence.model import Evidence, Window
from headrace.monitoring.profiles.prediction_losses import LossAnswers, WindowLoss, window_losses
from headrace.monitoring.profiles.served_days import serving_model

BIAS = "bias"


def judge_losses(
    losses: LossAnswers,
    windows: Sequence[Window],
    settings: Detection,
    doubtful: Collection[Window] = (),
) -> dict[Window, AnswerJudgement]:
    """Evaluate each window's predictions against earlier ones of the model that served the window.

    Predictions of `doubtful` windows were made from faulty data, and are not a baseline.
    """
    judgements: dict[Window, AnswerJudgement] = {}
    for name, profiles in sorted(losses.profiles.items()):
        measured = window_losses(profiles, windows, settings.min_labelled, losses.metric)
        evidence = _judge(list(measured.values()), settings, doubtful, numeric=profiles.numeric)
        thin = thin_labels(profiles, windows, settings)
        for window in windows:
            if serving_model(losses.served, window) == name:
                findings = (*thin.get(window, ()), *evidence.get(window, ()))
                judgements[window] = AnswerJudgement(measured.get(window), findings)
    return judgements


def loss_notes(losses: LossAnswers, windows: Sequence[Window], settings: Detection) -> list[str]:
    """Return notes on what is not evaluated of each model's predictions, and why."""
    minimum, notes = settings.min_scored_windows, []
    for name, profiles in sorted(losses.profiles.items()):
        if not any(serving_model(losses.served, window) == name for window in windows):
            continue
        how = f"{losses.metric} and bias" if profiles.numeric else losses.metric
        notes.append(
            f"predictions of {name}: evaluated by {how} over all rows; their segments and their"
            " distribution are not evaluated for this task"
        )
        count = len(window_losses(profiles, windows, settings.min_labelled, losses.metric))
        if count <= minimum:
            notes.append(
                f"predictions of {name}: not evaluated until more than {minimum} windows have"
                f" labels; now {count}"
            )
    return notes


def _judge(
    measured: Sequence[WindowLoss],
    settings: Detection,
    doubtful: Collection[Window],
    *,
    numeric: bool,
) -> dict[Window, tuple[Evidence, ...]]:
    by_window: dict[Window, list[Evidence]] = {}
    past: list[WindowLoss] = []
    for now in measured:
        by_window[now.window] = []
        if len(past) >= settings.min_scored_windows:
            by_window[now.window] += _performance(now, past, settings, numeric=numeric)
            by_window[now.window] += _bias(now, past, settings) if numeric else []
        if now.window not in doubtful:
            past.append(now)
    return with_durations(by_window)


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the robust standard deviation."""
    middle = float(np.median(values))
    return middle, MAD_TO_DEVIATION * float(np.median(np.abs(np.array(values) - middle)))


def _performance(
    now: WindowLoss, past: Sequence[WindowLoss], settings: Detection, *, numeric: bool
) -> list[Evidence]:
    """Compare the excess loss with earlier windows.

    The limit is their median plus `loss_floor` (for numbers as a share of that median) or plus
    `loss_spread` standard deviations, whichever is larger. The standard deviation is a robust one
    between windows, but at least that of a mean over as many independent rows.
    """
    middle, deviation = _usual([window.excess for window in past])
    deviation = max(deviation, float(np.median([window.noise for window in past])))
    floor = settings.loss_floor * (middle if numeric else 1.0)
    limit = middle + max(floor, settings.loss_spread * deviation)
    if now.excess <= limit:
        return []
    implied = "" if numeric else f", {now.excess:.2f} more than the probabilities themselves imply"
    title = f"{now.title[0].upper()}{now.title[1:]}"
    sentence = (
        f"{title} {now.loss:.4g}{implied}; earlier windows had {middle:.4g} and allow {limit:.4g} "
        f"({now.rows:,} labelled rows)."
    )
    return [Evidence("performance", now.window, "loss", now.excess, limit, "alarm", sentence)]


def _bias(now: WindowLoss, past: Sequence[WindowLoss], settings: Detection) -> list[Evidence]:
    """Compare the mean residual with earlier windows, in standard deviations of the residuals."""
    unit = float(np.median([window.spread for window in past])) or 1.0
    middle, deviation = _usual([window.residual / unit for window in past])
    deviation = max(deviation, now.rows**-0.5)
    limit = max(settings.bias_floor, settings.loss_spread * deviation)
    shift = now.residual / unit - middle
    if abs(shift) <= limit:
        return []
    side = "above" if now.residual > 0 else "below"
    sentence = (
        f"Labels are on average {abs(now.residual):.4g} {side} the predictions; in earlier windows "
        f"the difference was {middle * unit:+.4g}, and {limit * unit:.4g} more or less is allowed "
        f"({now.rows:,} labelled rows)."
    )
    return [Evidence("concept", now.window, BIAS, abs(shift), limit, "alarm", sentence)]
