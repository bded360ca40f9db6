"""Evidence from the model's own answers (predictions), once their labels are known.

Evidence of kind `performance` is about the loss minus the loss that the scores themselves imply. A
week that is hard to predict therefore does not count against a model whose scores are uncertain.
Evidence of kind `concept` is about the relation: how outcomes rise with scores, in all rows and in
segments. A base rate that changes equally everywhere is neither: it counts as a season while the
scores still rank outcomes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION
from headrace.monitoring.detectors.segments import (
    Fit,
    SegmentScan,
    center_of,
    fit,
    scan,
    scan_limit,
)
from headrace.monitoring.evidence.model import Evidence, Window, day_text
from headrace.monitoring.profiles.labelled_scores import (
    FIXED,
    Answers,
    Floats,
    Scored,
    ScoreProfiles,
    rolled,
)
from headrace.monitoring.profiles.prediction_losses import LossProfiles, WindowLoss
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.segment_cuts import Pairs

Flags = npt.NDArray[np.bool_]
# If several windows are evaluated together, the newest must also depart by itself, by at least this
# many standard deviations: LEAN usually, STILL if an earlier one of them was evidence by itself.
LEAN = 1.0
STILL = 2.0
_MAX_SEGMENTS = 3  # segments reported per window at most; others usually shift with them


@dataclass(frozen=True)
class AnswerJudgement:
    """Quality of a window's answers (None if too few have labels), and the evidence from them."""

    scored: Scored | WindowLoss | None
    evidence: tuple[Evidence, ...]


def judge_answers(
    answers: Answers,
    windows: Sequence[Window],
    settings: Detection,
    doubtful: Collection[Window] = (),
) -> dict[Window, AnswerJudgement]:
    """Evaluate each window's answers against earlier answers of the model that served the window.

    For an earlier window that another model served, the answers that this model would have given
    there are used. `doubtful` windows are excluded when segments of later windows are compared with
    earlier windows, and when segments are added up over several windows. So a fault is neither part
    of the baseline nor reported twice.
    """
    judgements: dict[Window, AnswerJudgement] = {}
    for name, profiles in sorted(answers.profiles.items()):
        scored = rolled(profiles, windows, settings.min_labelled)
        evidence = judge(list(scored.values()), settings, doubtful)
        thin = thin_labels(profiles, windows, settings)
        for window in windows:
            if answers.model_of(window) == name:
                findings = (*thin.get(window, ()), *evidence.get(window, ()))
                judgements[window] = AnswerJudgement(scored.get(window), findings)
    return judgements


def unjudged(answers: Answers, windows: Sequence[Window], settings: Detection) -> list[str]:
    """Return a note for each model with too few labelled windows to be evaluated."""
    minimum, notes = settings.min_scored_windows, []
    for name, profiles in sorted(answers.profiles.items()):
        window_count = len(rolled(profiles, windows, settings.min_labelled))
        if window_count <= minimum and any(answers.model_of(window) == name for window in windows):
            subject = f"answers of {name}" if name else "answers"
            notes.append(
                f"{subject}: not evaluated until more than {minimum} windows have labels;"
                f" now {window_count}"
            )
    return notes


def thin_labels(
    profiles: ScoreProfiles | LossProfiles, windows: Sequence[Window], settings: Detection
) -> dict[Window, tuple[Evidence, ...]]:
    """Return notices for windows with far fewer labels than usual, or too few to evaluate."""
    by_window: dict[Window, tuple[Evidence, ...]] = {}
    past: list[float] = []
    for window in windows:
        answers, labels = map(int, profiles.roll(window.first, window.end)[0][:2])
        if answers < settings.min_labelled:
            continue
        share = labels / answers
        limit = settings.label_share * float(np.median(past)) if past else 0.0
        past.append(share)
        few = labels < settings.min_labelled
        if share < limit or few:
            consequence = "too few to judge it" if few else "it is judged by them alone"
            sentence = f"{labels:,} of {answers:,} answers have a label by now: {consequence}."
            finding = Evidence("performance", window, "labels", share, limit, "notice", sentence)
            by_window[window] = (finding,)
    return by_window


def judge(
    scored: Sequence[Scored], settings: Detection, doubtful: Collection[Window] = ()
) -> dict[Window, tuple[Evidence, ...]]:
    """Return the evidence of one model's windows, each compared with earlier windows only."""
    minimum = settings.min_scored_windows
    if not scored:
        return {}
    cells = np.stack([scored_window.cells for scored_window in scored])
    center = center_of(cells[:minimum])
    singles = fit(cells, center)
    by_window: dict[Window, list[Evidence]] = {scored_window.window: [] for scored_window in scored}
    for at in range(min(minimum, len(scored))):
        # center the fit on the windows so far: evidence must not depend on later windows
        own_fit = fit(cells[at], center_of(cells[: at + 1]))
        by_window[scored[at].window] += _cold(scored[at], own_fit, settings)
    for at in range(minimum, len(scored)):
        window = scored[at].window
        by_window[window] += _performance(scored[at], scored[:at], settings)
        by_window[window] += _order(scored[at], singles.slope[: at + 1, 0], settings)
    sound = np.array([scored_window.window not in doubtful for scored_window in scored])
    for at, shifts in _scanned(scored, cells, sound, center, settings):
        by_window[scored[at].window] += shifts
    return with_durations({window: _distinct(findings) for window, findings in by_window.items()})


def with_durations(
    by_window: Mapping[Window, Sequence[Evidence]],
) -> dict[Window, tuple[Evidence, ...]]:
    """Add to each finding's sentence how long it has lasted, and if only its segment changed."""
    since: dict[str, list[Window]] = {}
    with_duration: dict[Window, tuple[Evidence, ...]] = {}
    for window, findings in by_window.items():
        since = {finding.subject: [*since.get(finding.subject, []), window] for finding in findings}
        with_duration[window] = tuple(
            _with_duration(finding, since[finding.subject], findings) for finding in findings
        )
    return with_duration


def _with_duration(
    finding: Evidence, lasting: Sequence[Window], findings: Sequence[Evidence]
) -> Evidence:
    concept = [other for other in findings if other.kind == "concept"]
    elsewhere = " Elsewhere nothing moved." if finding.segment and concept == [finding] else ""
    if len(lasting) == 1:
        return replace(finding, sentence=finding.sentence + elsewhere)
    first = day_text(lasting[0].first)
    sentence = f"{finding.sentence}{elsewhere} {len(lasting)} windows in a row, since {first}."
    return replace(finding, sentence=sentence)


def _distinct(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the first finding of each subject; sums over more windows may repeat a finding."""
    subjects: dict[tuple[str, str], Evidence] = {}
    for finding in evidence:
        subjects.setdefault((finding.kind, finding.subject), finding)
    return list(subjects.values())


def _performance(now: Scored, past: Sequence[Scored], settings: Detection) -> list[Evidence]:
    """Compare the excess loss with earlier windows.

    The limit is their median plus `loss_floor` or plus `loss_spread` robust standard deviations,
    whichever is larger.
    """
    excess = np.array([scored.excess for scored in past])
    middle = float(np.median(excess))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(excess - middle)))
    limit = middle + max(settings.loss_floor, settings.loss_spread * deviation)
    if now.excess <= limit:
        return []
    sentence = (
        f"Log loss {now.loss:.3f} is {now.excess:.2f} more than the scores themselves promised; "
        f"earlier windows allow {limit:.2f} ({now.rows:,} labelled rows, of which the model "
        f"expected {now.expected:.1%} and {now.rate:.1%} came)."
    )
    return [Evidence("performance", now.window, "log_loss", now.excess, limit, "alarm", sentence)]


def _order(now: Scored, slopes: Floats, settings: Detection) -> list[Evidence]:
    """Compare the newest slope over all rows, the last of `slopes`, with the earlier slopes."""
    past, slope = slopes[:-1], float(slopes[-1])
    usual = float(np.median(past))
    below = usual - past[past <= usual]  # slopes vary more upwards, but a higher slope is harmless
    deviation = MAD_TO_DEVIATION * float(np.median(below))
    limit = max(settings.slope_floor, settings.spread * deviation)
    fall = usual - slope
    if fall <= limit:
        return []
    sentence = (
        f"Outcomes follow the scores less: their log odds rise by {slope:.2f} per log odds of "
        f"score, {usual:.2f} in the windows before, which allow {usual - limit:.2f} "
        f"(area under the curve {now.ranking:.3f}; {now.rows:,} labelled rows)."
    )
    return [Evidence("concept", now.window, "relation", fall, limit, "alarm", sentence)]


def _cold(now: Scored, everything: Fit, settings: Detection) -> list[Evidence]:
    """Evaluate a window without a baseline: only a slope clearly below `cold_slope` is evidence."""
    slope = float(everything.slope[0])
    surely = slope + 2 * float(np.sqrt(everything.slope_variance[0]))
    limit = 1 - settings.cold_slope
    if 1 - surely <= limit:
        return []
    sentence = (
        f"Outcomes hardly follow the scores: their log odds rise by {slope:.2f} per log odds of "
        f"score, where 1 is expected (area under the curve {now.ranking:.3f}; {now.rows:,} "
        "labelled rows; the model is too young to have a past)."
    )
    return [Evidence("concept", now.window, "relation", 1 - surely, limit, "alarm", sentence)]


# -- segments --------------------------------------------------------------------------------------


def _scanned(
    scored: Sequence[Scored], cells: Ints, sound: Flags, center: float, settings: Detection
) -> Iterator[tuple[int, list[Evidence]]]:
    """Yield pairs of a window's position and the evidence of its segments.

    Each window is first evaluated alone, then together with the windows just before it.
    """
    singles = fit(cells, center)
    sound_cells = cells if sound.all() else np.where(sound[:, None, None, None], cells, 0)
    usual = singles if sound.all() else fit(sound_cells, center)
    beyond = np.zeros(cells.shape[:2], dtype=bool)  # (windows, segments), each window alone
    for length in sorted({1, settings.accumulate}):
        blocks = cells if length == 1 else _together(sound_cells, length)
        fitted = fit(blocks, center)
        greatest: list[float] = []
        for at in range(settings.min_scored_windows + length - 1, len(scored)):
            since = at - length + 1
            past = usual.until(since)
            current = scan(fitted.at(since), past, settings)
            independent = max(0, len(greatest) - length + 1)  # blocks that do not overlap this one
            limit = scan_limit(current.segment_count, greatest[:independent], settings)
            greatest.append(float(current.departure.max()))
            if length == 1:
                beyond[at] = current.departure > limit
            elif not sound[at]:
                continue
            if scored[at].window.first < scored[at].cut_until:
                continue
            # the newest window must depart in the same direction, or drift that ended would be
            # reported again
            lean = np.where(beyond[since:at].any(axis=0), STILL, LEAN)
            goes_on = scan(singles.at(at), past, settings).along(current) > lean
            yield at, _top_segments(scored[since : at + 1], blocks[since], current, goes_on, limit)


def _together(cells: Ints, length: int) -> Ints:
    """Return the sums over each `length` consecutive windows (windows - length + 1, ...)."""
    ends = max(0, len(cells) - length + 1)
    total = np.zeros_like(cells[:ends])
    for at in range(length):
        total += cells[at : at + ends]
    return total


def _top_segments(
    block: Sequence[Scored], cells: Ints, current: SegmentScan, goes_on: Flags, limit: float
) -> list[Evidence]:
    """Return evidence of the segments furthest beyond the limit, at most one per column."""
    departure = np.where(goes_on, current.departure, 0.0)
    findings: list[Evidence] = []
    for at in np.argsort(-departure, kind="stable").tolist():
        if departure[at] <= limit or len(findings) == _MAX_SEGMENTS:
            break
        window, pairs = block[-1].window, block[-1].segments[at]
        columns = tuple(column for column, _ in pairs)
        if any(evidence.columns == columns for evidence in findings):
            continue
        sentence = _sentence(block, cells, at, fell=current.fall[at] > abs(current.shift[at]))
        figures = float(departure[at]), limit
        subject = segment_text(pairs)
        findings.append(
            Evidence("concept", window, subject, *figures, "alarm", sentence, columns, pairs)
        )
    return findings


def segment_text(pairs: Pairs) -> str:
    return ", ".join(f"{column}={value}" for column, value in pairs)


def _sentence(block: Sequence[Scored], cells: Ints, at: int, *, fell: bool) -> str:
    rows, positives, score = cells[at].sum(axis=0).tolist()
    share = rows / max(int(cells[0, :, 0].sum()), 1)
    when = f", {len(block)} windows together" if len(block) > 1 else ""
    rates = f"the model expected {score / FIXED / rows:.1%}, {positives / rows:.1%} came"
    what = "; its scores hardly tell outcomes apart any more" if fell else ""
    where = segment_text(block[-1].segments[at])
    return f"Where {where} ({share:.0%} of the rows{when}): {rates}{what}."
