"""Scores joined with labels once they are mature, as small sums that are exactly mergeable.

A model's answers of one day are kept as cells: the rows of a segment whose scores fell into a bin,
how many of them came true, and the sum of their scores. All are integers, so a window is the sum of
its days, whatever the order, and nothing that is asked of a window needs a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.segment_cuts import Cut, Pairs, codes, cut, segments_of

Floats = npt.NDArray[np.float64]

# Scores are cut in half steps of log odds, from 0.0025 to 0.9975: the same for every model.
SCORE_EDGES: Floats = 1 / (1 + np.exp(-np.arange(-12, 13) / 2))
SCORE_BINS = len(SCORE_EDGES) + 1
FIXED = 1 << 32  # scores and losses are summed as integers of this fraction
CLIP = 1e-6
ALL = (("all", "all"),)


@dataclass(frozen=True, eq=False)
class ScoreProfiles:
    """What one model answered, day by day; a day is the one its labels were mature on.

    `cuts` say how rows were cut into segments, chosen from days before `cut_until`.
    `days` (int64 epoch days, ascending) with `totals` (days, 3): answers, labelled ones, and their
    log loss in `FIXED`. `place` (index into `days`, ascending) and `cell` (segment * SCORE_BINS +
    score bin) with `sums` (cells, 3): rows, ones among the labels, scores in `FIXED`. `given` are
    the days on which answers were given, mature or not, and `answers` (given, SCORE_BINS) their
    number. All int64.
    """

    model: str
    cuts: tuple[Cut, ...]
    cut_until: int
    days: Ints
    totals: Ints
    place: Ints
    cell: Ints
    sums: Ints
    given: Ints
    answers: Ints

    @property
    def segments(self) -> tuple[Pairs, ...]:
        """What each segment number stands for; the first is everything."""
        return (ALL, *segments_of(self.cuts))

    def roll(self, first: int, last: int) -> tuple[Ints, Ints]:
        """`totals` (3) and cells (segments, SCORE_BINS, 3) of the days `first <= day < last`."""
        start, end = np.searchsorted(self.days, [first, last])
        low, high = np.searchsorted(self.place, [start, end])
        cells = np.zeros((len(self.segments) * SCORE_BINS, 3), np.int64)
        np.add.at(cells, self.cell[low:high], self.sums[low:high])
        shaped = cells.reshape(len(self.segments), SCORE_BINS, 3)
        return self.totals[start:end].sum(axis=0), shaped

    def given_within(self, first: int, last: int) -> Ints:
        """The number of answers (SCORE_BINS) given on the days `first <= day < last`."""
        start, end = np.searchsorted(self.given, [first, last])
        total: Ints = self.answers[start:end].sum(axis=0)
        return total


@dataclass(frozen=True)
class Joining:
    """How scores and labels are joined into days.

    Attributes:
        maturity: how long (us) a label takes.
        offset: added (us) to a moment before it is cut into days.
        warmup: segments are chosen from so many first days; with fewer there is only everything.
        closed_by: no day from this one on is counted as mature.
    """

    maturity: int
    offset: int
    warmup: int
    closed_by: int | None = None


def score_profiles(
    scores: pa.Table, how: Joining, known: Mapping[str, ScoreProfiles] | None = None
) -> list[ScoreProfiles]:
    """The profiles of every model in `scores`, by name.

    Args:
        scores: `t` (int64 us), `score` (float64, probability of 1), `label` (0, 1 or null),
            optionally `model` (string), and segment columns (integer, real, boolean or string).
        how: to join them.
        known: what models answered before; their segments stay as they were cut.

    Raises:
        DeclarationError: a column is absent or of a type that cannot be a segment, or a score is no
            probability.
    """
    _check(scores)
    if "model" not in scores.column_names:
        scores = scores.append_column("model", pa.array([""] * scores.num_rows, pa.string()))
    names = sorted(pc.unique(scores["model"]).to_pylist())
    made = []
    for name in names:
        some = scores.filter(pc.equal(scores["model"], name)).drop_columns(["model"]).sort_by("t")
        made.append(_profiles(name, some, how, (known or {}).get(name)))
    return made


def _check(scores: pa.Table) -> None:
    missing = {"t", "score", "label"} - set(scores.column_names)
    if missing:
        raise DeclarationError(
            f"scores lack {', '.join(sorted(missing))}",
            where="monitor",
            fix="columns t, score, label",
        )
    value = scores["score"].to_numpy()
    if len(value) and not (np.nanmin(value) >= 0 and np.nanmax(value) <= 1):
        raise DeclarationError(
            "a score is not a probability", where="monitor", fix="the probability of label 1"
        )


def _profiles(
    model: str, scores: pa.Table, how: Joining, known: ScoreProfiles | None
) -> ScoreProfiles:
    """Of one model; `scores` in order of `t`, without the column of models."""
    moment = scores["t"].to_numpy() + how.offset
    band = np.searchsorted(SCORE_EDGES, scores["score"].to_numpy(), side="right")
    given, at = np.unique(moment // DAY, return_inverse=True)
    number = _sums(at * SCORE_BINS + band, _ones(len(band)), len(given) * SCORE_BINS)
    answers = number.reshape(-1, SCORE_BINS)
    day = (moment + how.maturity) // DAY
    cuts, until = _cuts(scores, day, how.warmup, known)
    if how.closed_by is not None:
        ripe = day < how.closed_by
        scores, band, day = scores.filter(pa.array(ripe)), band[ripe], day[ripe]
    days, place = np.unique(day, return_inverse=True)
    labelled = scores["label"].is_valid().to_numpy()
    values, loss = _values(scores.filter(pa.array(labelled)))
    counted = np.concatenate([_ones(len(day)), np.zeros((len(day), 2), np.int64)], axis=1)
    counted[labelled, 1], counted[labelled, 2] = 1, loss
    key = place * (1 + sum(one.size for one in cuts)) * SCORE_BINS + band
    cells = _cells(scores.filter(pa.array(labelled)), cuts, key[labelled], values)
    totals = _sums(place, counted, len(days))
    return ScoreProfiles(model, cuts, until, days, totals, *cells, given, answers)


def _ones(rows: int) -> Ints:
    return np.ones((rows, 1), np.int64)


def _values(labelled: pa.Table) -> tuple[Ints, Ints]:
    """What is summed of labelled rows: (rows, 3) one, label, score; and the loss of each."""
    score = labelled["score"].to_numpy()
    label = labelled["label"].cast(pa.int64()).to_numpy()
    p = np.clip(score, CLIP, 1 - CLIP)
    loss = -np.where(label == 1, np.log(p), np.log1p(-p))
    fixed = np.rint(score * FIXED).astype(np.int64)
    values = np.stack([np.ones(len(label), np.int64), label, fixed], axis=1)
    return values, np.rint(loss * FIXED).astype(np.int64)


def _sums(at: Ints, values: Ints, size: int) -> Ints:
    """The sums of the rows of `values` by `at`, exactly."""
    total = np.zeros((size, values.shape[1]), np.int64)
    if len(at):
        order = np.argsort(at, kind="stable")
        found, starts = np.unique(at[order], return_index=True)
        total[found] = np.add.reduceat(values[order], starts, axis=0)
    return total


def _cells(
    labelled: pa.Table, cuts: Sequence[Cut], key: Ints, values: Ints
) -> tuple[Ints, Ints, Ints]:
    """`place`, `cell` and `sums` of the cells that hold rows, by place and then by cell.

    `key` numbers place and score bin of each row of `labelled`, as if all were in segment 0.
    """
    keys, sums = [], []
    first = 1
    for one in (None, *cuts):
        segment = 0 if one is None else first + codes(one, labelled[one.column])
        at = key + segment * SCORE_BINS
        order = np.argsort(at, kind="stable")
        found, starts = np.unique(at[order], return_index=True)
        keys.append(found)
        sums.append(np.add.reduceat(values[order], starts, axis=0) if len(found) else values[:0])
        first += 0 if one is None else one.size
    every, total = np.concatenate(keys), np.concatenate(sums)
    order = np.argsort(every)
    width = first * SCORE_BINS
    return every[order] // width, every[order] % width, total[order]


def _cuts(
    scores: pa.Table, day: Ints, warmup: int, known: ScoreProfiles | None
) -> tuple[tuple[Cut, ...], int]:
    """The segments of each column, from the rows of the first `warmup` days that have any."""
    names = [name for name in scores.column_names if name not in {"t", "score", "label"}]
    if known is not None and known.cuts and [one.column for one in known.cuts] == names:
        return known.cuts, known.cut_until
    some = np.unique(day)
    if not names or len(some) < max(warmup, 1):
        return (), 0
    until = int(some[max(warmup, 1) - 1]) + 1
    early = scores.filter(pa.array(day < until))
    return tuple(cut(name, early[name]) for name in names), until


# -- windows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """One window of labelled answers of one model. Losses are in nats a row.

    `answers` were given, `rows` of them have a label; `rate` is their share of ones and `expected`
    the mean score. `excess` is the loss beyond what the scores themselves promised: that of labels
    drawn from them. `ranking` is the area under the ROC curve of the binned scores. `cells`
    (segments, SCORE_BINS, 3) as in `ScoreProfiles`.
    """

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


def rolled(profiles: ScoreProfiles, windows: Sequence[Window], least: int) -> dict[Window, Scored]:
    """The windows that `least` or more labelled rows, of more than half their days, speak for."""
    found = {}
    for window in windows:
        start, end = np.searchsorted(profiles.days, [window.first, window.end])
        totals, cells = profiles.roll(window.first, window.end)
        days = int((profiles.totals[start:end, 1] > 0).sum())
        if totals[1] >= max(least, 1) and days > (window.end - window.first) // 2:
            found[window] = _scored(profiles, window, totals, cells)
    return found


def _scored(profiles: ScoreProfiles, window: Window, totals: Ints, cells: Ints) -> Scored:
    rows, ones, score = (int(part) for part in cells[0].sum(axis=0))
    rate, loss = ones / rows, int(totals[2]) / FIXED / rows
    return Scored(
        window, rows, rate, loss, excess_loss(cells[0]),
        ranking(cells[0, :, 0], cells[0, :, 1]),
        model=profiles.model, answers=int(totals[0]), expected=score / FIXED / rows,
        segments=profiles.segments, cells=cells,
        cut_until=profiles.cut_until,
    )  # fmt: skip


def excess_loss(cells: Ints) -> float:
    """Nats a row, of cells (score bins, 3), beyond the entropy of the scores.

    The loss of a score p differs from its mean, for labels drawn from it, by (p - y) logit p.
    """
    rows, ones, score = (cells[:, at].astype(np.float64) for at in range(3))
    p = np.clip(score / FIXED / np.maximum(rows, 1), CLIP, 1 - CLIP)
    return float(((rows * p - ones) * np.log(p / (1 - p))).sum() / max(rows.sum(), 1.0))


def ranking(rows: Ints, ones: Ints) -> float:
    """Area under the ROC curve of scores in ascending bins, ties shared; 0.5 of one outcome only.

    `rows` and `ones` (bins) count the rows, and the ones among them, of each bin.
    """
    zeros = rows - ones
    positives, negatives = int(ones.sum()), int(zeros.sum())
    if positives == 0 or negatives == 0:
        return 0.5
    below = np.cumsum(zeros) - zeros
    above = float((ones * (below + zeros / 2)).sum())
    return above / (positives * negatives)


def merge_scores(a: ScoreProfiles, b: ScoreProfiles) -> ScoreProfiles:
    """Both sets of rows together, exactly.

    Raises:
        DeclarationError: of two models, or of segments cut differently.
    """
    if (a.model, a.cuts, a.cut_until) != (b.model, b.cuts, b.cut_until):
        raise DeclarationError(
            "scores of different models or segments cannot be merged",
            where=f"{a.model or 'no name'}, {b.model or 'no name'}",
        )
    days, da, db = _union(a.days, b.days)
    given, ga, gb = _union(a.given, b.given)
    width = len(a.segments) * SCORE_BINS
    key = np.concatenate([da[a.place] * width + a.cell, db[b.place] * width + b.cell])
    scores, at = np.unique(key, return_inverse=True)
    return ScoreProfiles(
        a.model, a.cuts, a.cut_until, days,
        _sums(np.concatenate([da, db]), np.concatenate([a.totals, b.totals]), len(days)),
        scores // width, scores % width,
        _sums(at, np.concatenate([a.sums, b.sums]), len(scores)),
        given, _sums(np.concatenate([ga, gb]), np.concatenate([a.answers, b.answers]), len(given)),
    )  # fmt: skip


def _union(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """The sorted union, and the places of `a` and of `b` in it."""
    both, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    return both, at[: len(a)], at[len(a) :]


def days_of(profiles: ScoreProfiles, days: Ints, given: Ints) -> ScoreProfiles:
    """Only these days of maturity, and only these days of giving."""
    keep, keep_given = np.isin(profiles.days, days), np.isin(profiles.given, given)
    place = np.cumsum(keep) - 1
    cells = keep[profiles.place]
    return replace(
        profiles,
        days=profiles.days[keep], totals=profiles.totals[keep],
        place=place[profiles.place[cells]], cell=profiles.cell[cells], sums=profiles.sums[cells],
        given=profiles.given[keep_given], answers=profiles.answers[keep_given],
    )  # fmt: skip


# -- which model answered --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known of the models' answers: `profiles` by model, and who `served` each day."""

    profiles: Mapping[str, ScoreProfiles]
    served: Mapping[int, str]

    def model_of(self, window: Window) -> str | None:
        """The model that answered on most days of a window, the later one where they are even."""
        counts: dict[str, int] = {}
        for day in range(window.first, window.end):
            name = self.served.get(day)
            if name is not None:
                counts[name] = counts.pop(name, 0) + 1
        return max(reversed(counts), key=counts.__getitem__, default=None)


NO_ANSWERS = Answers({}, {})


def first_answers(profiles: Sequence[ScoreProfiles]) -> dict[int, str]:
    """{day: the model with most answers on it}, the first by name where they are even."""
    most: dict[int, tuple[int, str]] = {}
    for profile in sorted(profiles, key=lambda p: p.model):
        for day, answers in zip(profile.days.tolist(), profile.totals[:, 0].tolist(), strict=True):
            if answers > most.get(day, (0, ""))[0]:
                most[day] = (answers, profile.model)
    return {day: name for day, (_, name) in most.items()}


def answers_of(scores: pa.Table, how: Joining) -> Answers:
    """What a table of scores says, without what was kept before; as `score_profiles`."""
    made = score_profiles(scores, how)
    return Answers({one.model: one for one in made}, first_answers(made))
