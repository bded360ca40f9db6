"""Scores joined with mature labels, as small sums that can be merged exactly.

The answers (predictions) of a model on one day are stored as cells. A cell counts the rows of one
segment with scores in one bin and their positive labels, and sums their scores. All are integers,
so a window is the sum of its days in any order, and evaluating a window reads no rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.segment_cuts import Cut, Pairs, codes, cut, segments_of
from headrace.monitoring.profiles.served_days import first_answers, serving_model

Floats = npt.NDArray[np.float64]

# Scores are cut in half steps of log odds, from 0.0025 to 0.9975: the same for every model.
SCORE_EDGES: Floats = 1 / (1 + np.exp(-np.arange(-12, 13) / 2))
SCORE_BINS = len(SCORE_EDGES) + 1
FIXED = 1 << 32  # scores and losses are summed as integers, in units of 1 / FIXED
CLIP = 1e-6
ALL = (("all", "all"),)


@dataclass(frozen=True, eq=False)
class ScoreProfiles:
    """Answers of one model, by the day on which their labels were mature.

    `cuts` define the segments, chosen from days before `cut_until`.
    `days` (epoch days, ascending) have `totals` (days, 3): number of answers, number of labelled
    answers, and log loss of the labelled answers in units of 1 / `FIXED`. Cell i belongs to day
    `days[place[i]]` (ascending) and to segment and score bin `cell[i]` = segment * SCORE_BINS +
    score bin. `sums` (cells, 3) has its rows, positive labels, and scores in units of 1 / `FIXED`.
    `answer_days` are the days on which answers were given, whether their labels are mature or not;
    `answers` (answer_days, SCORE_BINS) counts these answers. All arrays are int64.
    """

    model: str
    cuts: tuple[Cut, ...]
    cut_until: int
    days: Ints
    totals: Ints
    place: Ints
    cell: Ints
    sums: Ints
    answer_days: Ints
    answers: Ints

    @property
    def segments(self) -> tuple[Pairs, ...]:
        """Segments in the order of their numbers; the first contains all rows."""
        return (ALL, *segments_of(self.cuts))

    def roll(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Return totals (3) and cells (segments, SCORE_BINS, 3) of days `first <= day < last`."""
        start, end = np.searchsorted(self.days, [first, last])
        low, high = np.searchsorted(self.place, [start, end])
        cells = np.zeros((len(self.segments) * SCORE_BINS, 3), np.int64)
        np.add.at(cells, self.cell[low:high], self.sums[low:high])
        shaped = cells.reshape(len(self.segments), SCORE_BINS, 3)
        return self.totals[start:end].sum(axis=0), shaped

    def answers_within(self, first: int, last: int) -> Ints:
        """Return the number of answers (SCORE_BINS) given on the days `first <= day < last`."""
        start, end = np.searchsorted(self.answer_days, [first, last])
        total: Ints = self.answers[start:end].sum(axis=0)
        return total


@dataclass(frozen=True)
class Joining:
    """Settings for joining scores with labels and grouping them by day.

    Attributes:
        maturity: time (us) until a label is known.
        offset: time (us) added to `t` before it is cut into days.
        warmup: number of first days that define the segments; fewer days define no segments.
        closed_by: first day whose labels are not yet counted as mature.
    """

    maturity: int
    offset: int
    warmup: int
    closed_by: int | None = None


def score_profiles(
    scores: pa.Table, how: Joining, earlier: Mapping[str, ScoreProfiles] | None = None
) -> list[ScoreProfiles]:
    """Return the profiles of every model in `scores`, sorted by name.

    Args:
        scores: `t` (int64 us), `score` (float64, probability of 1), `label` (0, 1 or null),
            optionally `model` (string), and segment columns (integer, real, boolean or string).
        how: settings of the join.
        earlier: earlier profiles by model; their segments are reused.

    Raises:
        DeclarationError: a column is absent or of a type that cannot be a segment, or a score is
            not a probability.
    """
    _check(scores)
    if "model" not in scores.column_names:
        scores = scores.append_column("model", pa.array([""] * scores.num_rows, pa.string()))
    names = sorted(pc.unique(scores["model"]).to_pylist())
    profiles = []
    for name in names:
        answers = (
            scores.filter(pc.equal(scores["model"], name)).drop_columns(["model"]).sort_by("t")
        )
        profiles.append(_profiles(name, answers, how, (earlier or {}).get(name)))
    return profiles


def _check(scores: pa.Table) -> None:
    missing = {"t", "score", "label"} - set(scores.column_names)
    if missing:
        raise DeclarationError(
            f"scores lack {', '.join(sorted(missing))}",
            where="monitor",
            fix="provide the columns t, score and label",
        )
    value = scores["score"].to_numpy()
    if len(value) and not (np.nanmin(value) >= 0 and np.nanmax(value) <= 1):
        raise DeclarationError(
            "a score is not a probability", where="monitor", fix="use the probability of label 1"
        )


def _profiles(
    model: str, scores: pa.Table, how: Joining, earlier: ScoreProfiles | None
) -> ScoreProfiles:
    """Return the profiles of one model; `scores` are sorted by `t`, without the model column."""
    moment = scores["t"].to_numpy() + how.offset
    band = np.searchsorted(SCORE_EDGES, scores["score"].to_numpy(), side="right")
    answer_days, at = np.unique(moment // DAY, return_inverse=True)
    number = _sums(at * SCORE_BINS + band, _unit_column(len(band)), len(answer_days) * SCORE_BINS)
    answers = number.reshape(-1, SCORE_BINS)
    day = (moment + how.maturity) // DAY
    cuts, until = _cuts(scores, day, how.warmup, earlier)
    if how.closed_by is not None:
        ripe = day < how.closed_by
        scores, band, day = scores.filter(pa.array(ripe)), band[ripe], day[ripe]
    days, place = np.unique(day, return_inverse=True)
    labelled = scores["label"].is_valid().to_numpy()
    values, loss = _values(scores.filter(pa.array(labelled)))
    counted = np.concatenate([_unit_column(len(day)), np.zeros((len(day), 2), np.int64)], axis=1)
    counted[labelled, 1], counted[labelled, 2] = 1, loss
    key = place * (1 + sum(column_cut.size for column_cut in cuts)) * SCORE_BINS + band
    cells = _cells(scores.filter(pa.array(labelled)), cuts, key[labelled], values)
    totals = _sums(place, counted, len(days))
    return ScoreProfiles(model, cuts, until, days, totals, *cells, answer_days, answers)


def _unit_column(rows: int) -> Ints:
    return np.ones((rows, 1), np.int64)


def _values(labelled: pa.Table) -> tuple[Ints, Ints]:
    """Return the summands of labelled rows, (rows, 3): 1, label, score; and their losses."""
    score = labelled["score"].to_numpy()
    label = labelled["label"].cast(pa.int64()).to_numpy()
    p = np.clip(score, CLIP, 1 - CLIP)
    loss = -np.where(label == 1, np.log(p), np.log1p(-p))
    fixed = np.rint(score * FIXED).astype(np.int64)
    values = np.stack([np.ones(len(label), np.int64), label, fixed], axis=1)
    return values, np.rint(loss * FIXED).astype(np.int64)


def _sums(at: Ints, values: Ints, size: int) -> Ints:
    """Return the exact sums of the rows of `values`, grouped by `at` (group number per row)."""
    total = np.zeros((size, values.shape[1]), np.int64)
    if len(at):
        order = np.argsort(at, kind="stable")
        places, starts = np.unique(at[order], return_index=True)
        total[places] = np.add.reduceat(values[order], starts, axis=0)
    return total


def _cells(
    labelled: pa.Table, cuts: Sequence[Cut], key: Ints, values: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return `place`, `cell` and `sums` of the cells with rows, sorted by place and cell.

    `key` encodes the place and the score bin of each row of `labelled`, for segment 0.
    """
    keys, sums = [], []
    first = 1
    for column_cut in (None, *cuts):
        segment = (
            0 if column_cut is None else first + codes(column_cut, labelled[column_cut.column])
        )
        at = key + segment * SCORE_BINS
        order = np.argsort(at, kind="stable")
        unique_keys, starts = np.unique(at[order], return_index=True)
        keys.append(unique_keys)
        sums.append(
            np.add.reduceat(values[order], starts, axis=0) if len(unique_keys) else values[:0]
        )
        first += 0 if column_cut is None else column_cut.size
    all_keys, total = np.concatenate(keys), np.concatenate(sums)
    order = np.argsort(all_keys)
    width = first * SCORE_BINS
    return all_keys[order] // width, all_keys[order] % width, total[order]


def _cuts(
    scores: pa.Table, day: Ints, warmup: int, earlier: ScoreProfiles | None
) -> tuple[tuple[Cut, ...], int]:
    """Return the segments of each column, from the rows of the first `warmup` days with rows."""
    names = [name for name in scores.column_names if name not in {"t", "score", "label"}]
    if (
        earlier is not None
        and earlier.cuts
        and [column_cut.column for column_cut in earlier.cuts] == names
    ):
        return earlier.cuts, earlier.cut_until
    days = np.unique(day)
    if not names or len(days) < max(warmup, 1):
        return (), 0
    until = int(days[max(warmup, 1) - 1]) + 1
    early = scores.filter(pa.array(day < until))
    return tuple(cut(name, early[name]) for name in names), until


# -- windows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """Labelled answers of one model in one window. Losses are in nats per row.

    `answers` is the number of answers and `rows` the number of labelled answers; `rate` is the
    share of positive labels and `expected` the mean score. `excess` is the loss minus the expected
    loss, which is the mean loss for labels drawn with the scores as probabilities. `ranking` is the
    area under the ROC curve of the binned scores. `cells` (segments, SCORE_BINS, 3) has the three
    sums of `ScoreProfiles.sums`.
    """

    title: ClassVar[str] = "log loss"

    window: Window
    rows: int
    rate: float
    loss: float
    excess: float
    ranking: float
    model: str = ""
    answers: int = 0
    expected: float = 0.0
    segments: tuple[Pairs, ...] = field(default=(ALL,), repr=False)
    cut_until: int = 0
    cells: Ints = field(
        default_factory=lambda: np.zeros((1, SCORE_BINS, 3), np.int64), repr=False, compare=False
    )


def rolled(
    profiles: ScoreProfiles, windows: Sequence[Window], min_rows: int
) -> dict[Window, Scored]:
    """Return the windows with at least `min_rows` labelled rows, on more than half their days."""
    scored = {}
    for window in windows:
        start, end = np.searchsorted(profiles.days, [window.first, window.end])
        totals, cells = profiles.roll(window.first, window.end)
        days = int((profiles.totals[start:end, 1] > 0).sum())
        if totals[1] >= max(min_rows, 1) and days > (window.end - window.first) // 2:
            scored[window] = _scored(profiles, window, totals, cells)
    return scored


def _scored(profiles: ScoreProfiles, window: Window, totals: Ints, cells: Ints) -> Scored:
    rows, positives, score = (int(part) for part in cells[0].sum(axis=0))
    rate, loss = positives / rows, int(totals[2]) / FIXED / rows
    return Scored(
        window, rows, rate, loss, excess_loss(cells[0]),
        ranking(cells[0, :, 0], cells[0, :, 1]),
        model=profiles.model, answers=int(totals[0]), expected=score / FIXED / rows,
        segments=profiles.segments, cells=cells,
        cut_until=profiles.cut_until,
    )  # fmt: skip


def excess_loss(cells: Ints) -> float:
    """Return the loss of cells (score bins, 3) minus the entropy of the scores, in nats per row.

    For a score p and a label y, the loss minus its mean over labels drawn with probability p is
    (p - y) logit p.
    """
    rows, positives, score = (cells[:, at].astype(np.float64) for at in range(3))
    p = np.clip(score / FIXED / np.maximum(rows, 1), CLIP, 1 - CLIP)
    return float(((rows * p - positives) * np.log(p / (1 - p))).sum() / max(rows.sum(), 1.0))


def ranking(rows: Ints, positives: Ints) -> float:
    """Return the area under the ROC curve of scores in ascending bins; ties count one half.

    `rows` and `positives` (bins) count the rows and the positive labels of each bin. The area is
    0.5 if all labels are equal.
    """
    negatives = rows - positives
    positive_total, negative_total = int(positives.sum()), int(negatives.sum())
    if positive_total == 0 or negative_total == 0:
        return 0.5
    below = np.cumsum(negatives) - negatives
    above = float((positives * (below + negatives / 2)).sum())
    return above / (positive_total * negative_total)


def merge_scores(a: ScoreProfiles, b: ScoreProfiles) -> ScoreProfiles:
    """Return the exact profiles of both sets of rows together.

    Raises:
        DeclarationError: the profiles have different models or segments.
    """
    if (a.model, a.cuts, a.cut_until) != (b.model, b.cuts, b.cut_until):
        raise DeclarationError(
            "scores of different models or segments cannot be merged",
            where=f"{a.model or 'no name'}, {b.model or 'no name'}",
        )
    days, da, db = _union(a.days, b.days)
    answer_days, ga, gb = _union(a.answer_days, b.answer_days)
    width = len(a.segments) * SCORE_BINS
    key = np.concatenate([da[a.place] * width + a.cell, db[b.place] * width + b.cell])
    scores, at = np.unique(key, return_inverse=True)
    return ScoreProfiles(
        a.model, a.cuts, a.cut_until, days,
        _sums(np.concatenate([da, db]), np.concatenate([a.totals, b.totals]), len(days)),
        scores // width, scores % width,
        _sums(at, np.concatenate([a.sums, b.sums]), len(scores)),
        answer_days,
        _sums(
            np.concatenate([ga, gb]), np.concatenate([a.answers, b.answers]), len(answer_days)
        ),
    )  # fmt: skip


def _union(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the sorted union, and the positions of the values of `a` and of `b` in it."""
    both, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    return both, at[: len(a)], at[len(a) :]


def days_of(profiles: ScoreProfiles, days: Ints, answer_days: Ints) -> ScoreProfiles:
    """Return the profiles, limited to these days of label maturity and these days of answers."""
    keep, keep_answers = np.isin(profiles.days, days), np.isin(profiles.answer_days, answer_days)
    place = np.cumsum(keep) - 1
    cells = keep[profiles.place]
    return replace(
        profiles,
        days=profiles.days[keep], totals=profiles.totals[keep],
        place=place[profiles.place[cells]], cell=profiles.cell[cells], sums=profiles.sums[cells],
        answer_days=profiles.answer_days[keep_answers], answers=profiles.answers[keep_answers],
    )  # fmt: skip


# -- which model answered --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of all models: `profiles` by model, and the model that `served` each day."""

    profiles: Mapping[str, ScoreProfiles]
    served: Mapping[int, str]

    def model_of(self, window: Window) -> str | None:
        """Return the model that served on most days of a window; the latest of them in a tie."""
        return serving_model(self.served, window)


NO_ANSWERS = Answers({}, {})


def answers_of(scores: pa.Table, how: Joining) -> Answers:
    """Return the answers in a table of scores, without stored answers; see `score_profiles`."""
    profiles = score_profiles(scores, how)
    return Answers({profile.model: profile for profile in profiles}, first_answers(profiles))
