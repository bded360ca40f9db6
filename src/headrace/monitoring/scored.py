"""Evidence from the model's own answers, once the truth about them is known.

Performance is what a window lost beyond what its own rate of positives makes unavoidable, so that a
stormy week is not a bad model. Concept is how well the scores still rank: when the relation between
inputs and outcome moves, the order breaks, whatever the rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.clock import DAY
from headrace.errors import DeclarationError
from headrace.monitoring.drift import MAD_TO_DEVIATION
from headrace.monitoring.evidence import Evidence, Severity, Window
from headrace.monitoring.policy import Detection

Floats = npt.NDArray[np.float64]
_CLIP = 1e-6
_DEVIATION_FLOOR = 0.01


@dataclass(frozen=True)
class Scored:
    """One window of scored rows with mature labels. Losses are in nats per row."""

    window: Window
    rows: int
    rate: float
    loss: float
    excess: float
    ranking: float


def scored_windows(
    scores: pa.Table, windows: Sequence[Window], maturity: int, offset: int, settings: Detection
) -> dict[Window, Scored]:
    """What the scores of each window were worth, as it could be known when the window closed.

    `scores`: t (int64 us), score (float64, probability of 1), label (0, 1 or null). Labels take
    `maturity` us, so a window is judged on the predictions made so much earlier: no later run sees
    it differently. Scores must be out of sample: a model flatters itself on what it was trained on.
    """
    t, score, label = _arrays(scores)
    found = {}
    for window in windows:
        start, end = (day * DAY - offset - maturity for day in (window.first, window.end))
        rows = (t >= start) & (t < end)
        days = len(np.unique((t[rows] + offset) // DAY))
        if rows.sum() >= settings.min_labelled and days > (window.end - window.first) // 2:
            found[window] = _scored(window, score[rows], label[rows])
    return found


def _arrays(scores: pa.Table) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    missing = {"t", "score", "label"} - set(scores.column_names)
    if missing:
        raise DeclarationError(
            f"scores lack {', '.join(sorted(missing))}",
            where="monitor",
            fix="columns t, score, label",
        )
    labelled = scores.filter(pa.compute.is_valid(scores["label"]))
    return (
        labelled["t"].to_numpy(),
        labelled["score"].to_numpy(),
        labelled["label"].cast(pa.float64()).to_numpy(),
    )


def _scored(window: Window, score: Floats, label: Floats) -> Scored:
    rate = float(label.mean())
    loss = log_loss(score, label)
    unavoidable = log_loss(np.full(len(label), rate), label)
    excess = loss / unavoidable if unavoidable > 0 else 1.0
    return Scored(window, len(label), rate, loss, excess, ranking(score, label))


def log_loss(score: Floats, label: Floats) -> float:
    """Mean of -log of the probability given to what happened, in nats."""
    p = np.clip(score, _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(label == 1, np.log(p), np.log1p(-p))))


def ranking(score: Floats, label: Floats) -> float:
    """Area under the ROC curve, ties shared; 0.5 where one outcome is absent."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return 0.5
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    above = rank[place][label == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def outcome_evidence(now: Scored, past: Sequence[Scored], settings: Detection) -> list[Evidence]:
    """Performance and concept evidence of one window from the windows scored before it."""
    if len(past) < settings.min_scored_windows:
        return []
    return [*_performance(now, past, settings), *_concept(now, past, settings)]


def _performance(now: Scored, past: Sequence[Scored], settings: Detection) -> list[Evidence]:
    limit = _limit([one.excess for one in past], settings.loss_floor, settings)
    if now.excess <= limit:
        return []
    sentence = (
        f"Log loss {now.loss:.3f} is {now.excess:.2f} of what the rate of {now.rate:.1%} alone "
        f"would cost; earlier windows allow {limit:.2f} ({now.rows:,} labelled rows)."
    )
    return [Evidence("performance", now.window, "log_loss", now.excess, limit, "alarm", sentence)]


def _concept(now: Scored, past: Sequence[Scored], settings: Detection) -> list[Evidence]:
    limit = _limit([1 - one.ranking for one in past], settings.ranking_floor, settings)
    if 1 - now.ranking <= limit:
        return []
    severity: Severity = "alarm"
    sentence = (
        f"The scores rank worse: area under the curve {now.ranking:.3f}; earlier windows allow "
        f"{1 - limit:.3f}. Inputs and outcome relate differently than before."
    )
    return [Evidence("concept", now.window, "ranking", 1 - now.ranking, limit, severity, sentence)]


def _limit(past: Sequence[float], floor: float, settings: Detection) -> float:
    """Median of earlier windows plus the larger of `floor` and `spread` robust deviations."""
    middle = float(np.median(past))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(np.array(past) - middle)))
    return middle + max(floor, settings.spread * max(deviation, _DEVIATION_FLOOR))


def summary(scored: Scored) -> dict[str, Any]:
    return {"rows": scored.rows, "rate": scored.rate, "loss": scored.loss, "auc": scored.ranking}
