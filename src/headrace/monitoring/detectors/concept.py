"""Evidence from the model's own answers, once the truth about them is known.

Performance is what a window lost beyond what its scores themselves promised, so that a week that
is hard to tell, and was said to be, is not a bad model. Concept is the relation: how outcomes rise
with scores, in all rows and in segments of them. A rate that moved everywhere alike is neither: it
is season until scores lose their order.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.measures import MAD_TO_DEVIATION
from headrace.monitoring.detectors.segments import Fit, Scan, center_of, fit, scan, scan_limit
from headrace.monitoring.evidence.model import Evidence, Window, day_text
from headrace.monitoring.profiles.labelled_scores import (
    FIXED,
    Answers,
    Floats,
    Scored,
    ScoreProfiles,
    rolled,
)
from headrace.monitoring.profiles.profiles import Ints
from headrace.monitoring.profiles.segment_cuts import Pairs

Flags = npt.NDArray[np.bool_]
LEAN = 1.0  # deviations by which the newest of several windows must depart by itself
STILL = 2.0  # and after one that was evidence alone: the sum of them says nothing new
_NAMED = 3  # segments that are evidence of one window; the rest moves with them


@dataclass(frozen=True)
class Judged:
    """What the answers of a window were worth, None where labels are too few, and what of it."""

    scored: Scored | None
    evidence: tuple[Evidence, ...]


def judge_answers(
    answers: Answers,
    windows: Sequence[Window],
    settings: Detection,
    doubtful: Collection[Window] = (),
) -> dict[Window, Judged]:
    """Every window by the model that served it, held against that model's own earlier windows.

    The earlier windows of a model may be ones that another served: then they are answers that it
    would have given. Segments of later windows are neither held against windows that are `doubtful`
    nor taken together with them: a fault is no past, and must not be heard twice.
    """
    found: dict[Window, Judged] = {}
    for name, profiles in sorted(answers.profiles.items()):
        scored = rolled(profiles, windows, settings.min_labelled)
        evidence = judge(list(scored.values()), settings, doubtful)
        thin = _thin(profiles, windows, settings)
        for window in windows:
            if answers.model_of(window) == name:
                said = (*thin.get(window, ()), *evidence.get(window, ()))
                found[window] = Judged(scored.get(window), said)
    return found


def unjudged(answers: Answers, windows: Sequence[Window], settings: Detection) -> list[str]:
    """The models that have too few windows with labels to be judged by, in words."""
    least, notes = settings.min_scored_windows, []
    for name, profiles in sorted(answers.profiles.items()):
        some = len(rolled(profiles, windows, settings.min_labelled))
        if some <= least and any(answers.model_of(window) == name for window in windows):
            whose = f"answers of {name}" if name else "answers"
            notes.append(f"{whose}: {some} windows with labels, judged after {least}")
    return notes


def _thin(
    profiles: ScoreProfiles, windows: Sequence[Window], settings: Detection
) -> dict[Window, tuple[Evidence, ...]]:
    """Windows with labels for far fewer answers than usual by now, or for too few to judge."""
    found: dict[Window, tuple[Evidence, ...]] = {}
    past: list[float] = []
    for window in windows:
        answers, labels, _ = profiles.roll(window.first, window.end)[0].tolist()
        if answers < settings.min_labelled:
            continue
        share = labels / answers
        least = settings.label_share * float(np.median(past)) if past else 0.0
        past.append(share)
        few = labels < settings.min_labelled
        if share < least or few:
            judged = "too few to judge it" if few else "it is judged by them alone"
            sentence = f"{labels:,} of {answers:,} answers have a label by now: {judged}."
            one = Evidence("performance", window, "labels", share, least, "notice", sentence)
            found[window] = (one,)
    return found


def judge(
    scored: Sequence[Scored], settings: Detection, doubtful: Collection[Window] = ()
) -> dict[Window, tuple[Evidence, ...]]:
    """The evidence of windows of one model, oldest first, each from those before it only."""
    least = settings.min_scored_windows
    if not scored:
        return {}
    cells = np.stack([one.cells for one in scored])
    center = center_of(cells[:least])
    singles = fit(cells, center)
    found: dict[Window, list[Evidence]] = {one.window: [] for one in scored}
    for at in range(min(least, len(scored))):
        # by the windows until then: what is said of a window must not change with later ones
        alone = fit(cells[at], center_of(cells[: at + 1]))
        found[scored[at].window] += _cold(scored[at], alone, settings)
    for at in range(least, len(scored)):
        window = scored[at].window
        found[window] += _performance(scored[at], scored[:at], settings)
        found[window] += _order(scored[at], singles.slope[: at + 1, 0], settings)
    sound = np.array([one.window not in doubtful for one in scored])
    for at, moved in _scanned(scored, cells, sound, center, settings):
        found[scored[at].window] += moved
    return _in_a_row({window: _distinct(some) for window, some in found.items()})


def _in_a_row(found: Mapping[Window, Sequence[Evidence]]) -> dict[Window, tuple[Evidence, ...]]:
    """The same, with since when it has been so, and whether it was so elsewhere too."""
    since: dict[str, list[Window]] = {}
    told: dict[Window, tuple[Evidence, ...]] = {}
    for window, some in found.items():
        since = {one.subject: [*since.get(one.subject, []), window] for one in some}
        told[window] = tuple(_told(one, since[one.subject], some) for one in some)
    return told


def _told(one: Evidence, lasting: Sequence[Window], all_of_it: Sequence[Evidence]) -> Evidence:
    concept = [other for other in all_of_it if other.kind == "concept"]
    alone = " Elsewhere nothing moved." if one.segment and concept == [one] else ""
    if len(lasting) == 1:
        return replace(one, sentence=one.sentence + alone)
    first = day_text(lasting[0].first)
    sentence = f"{one.sentence}{alone} {len(lasting)} windows in a row, since {first}."
    return replace(one, sentence=sentence)


def _distinct(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Without what a longer look says again of the same segment."""
    subjects: dict[tuple[str, str], Evidence] = {}
    for one in evidence:
        subjects.setdefault((one.kind, one.subject), one)
    return list(subjects.values())


def _performance(now: Scored, past: Sequence[Scored], settings: Detection) -> list[Evidence]:
    """The median of earlier windows plus the larger of a floor and some robust deviations."""
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
    """The slope of everything against the slopes of windows before: `slopes` ends with its own."""
    past, slope = slopes[:-1], float(slopes[-1])
    usual = float(np.median(past))
    below = usual - past[past <= usual]  # slopes stray further up than down, and up is no harm
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
    """A window without a past: only scores that surely tell next to nothing are evidence."""
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
    """Evidence of segments by the place of the window: of each alone, then of several together."""
    singles = fit(cells, center)
    kept = cells if sound.all() else np.where(sound[:, None, None, None], cells, 0)
    usual = singles if sound.all() else fit(kept, center)
    beyond = np.zeros(cells.shape[:2], dtype=bool)  # (windows, segments), by themselves
    for length in sorted({1, settings.accumulate}):
        blocks = cells if length == 1 else _together(kept, length)
        fitted = fit(blocks, center)
        greatest: list[float] = []
        for at in range(settings.min_scored_windows + length - 1, len(scored)):
            since = at - length + 1
            past = usual.until(since)
            seen = scan(fitted.at(since), past, settings)
            known = max(0, len(greatest) - length + 1)  # of windows that this one has no part in
            limit = scan_limit(seen.judged, greatest[:known], settings)
            greatest.append(float(seen.departure.max()))
            if length == 1:
                beyond[at] = seen.departure > limit
            elif not sound[at]:
                continue
            if scored[at].window.first < scored[at].cut_until:
                continue
            # what has ended does not echo: the newest window must still lean the same way
            lean = np.where(beyond[since:at].any(axis=0), STILL, LEAN)
            goes_on = scan(singles.at(at), past, settings).along(seen) > lean
            yield at, _named(scored[since : at + 1], blocks[since], seen, goes_on, limit)


def _together(cells: Ints, length: int) -> Ints:
    """The sums of so many windows in a row (windows - length + 1, ...), each from its first on."""
    ends = max(0, len(cells) - length + 1)
    total = np.zeros_like(cells[:ends])
    for at in range(length):
        total += cells[at : at + ends]
    return total


def _named(
    block: Sequence[Scored], cells: Ints, seen: Scan, goes_on: Flags, limit: float
) -> list[Evidence]:
    """The segments furthest beyond the limit, one of each column."""
    departure = np.where(goes_on, seen.departure, 0.0)
    made: list[Evidence] = []
    for at in np.argsort(-departure, kind="stable").tolist():
        if departure[at] <= limit or len(made) == _NAMED:
            break
        window, pairs = block[-1].window, block[-1].segments[at]
        columns = tuple(column for column, _ in pairs)
        if any(evidence.columns == columns for evidence in made):
            continue
        sentence = _sentence(block, cells, at, fell=seen.fall[at] > abs(seen.shift[at]))
        found = float(departure[at]), limit
        subject = segment_text(pairs)
        made.append(Evidence("concept", window, subject, *found, "alarm", sentence, columns, pairs))
    return made


def segment_text(pairs: Pairs) -> str:
    return ", ".join(f"{column}={value}" for column, value in pairs)


def _sentence(block: Sequence[Scored], cells: Ints, at: int, *, fell: bool) -> str:
    rows, ones, score = cells[at].sum(axis=0).tolist()
    share = rows / max(int(cells[0, :, 0].sum()), 1)
    when = f", {len(block)} windows together" if len(block) > 1 else ""
    said = f"the model expected {score / FIXED / rows:.1%}, {ones / rows:.1%} came"
    what = "; its scores hardly tell outcomes apart any more" if fell else ""
    where = segment_text(block[-1].segments[at])
    return f"Where {where} ({share:.0%} of the rows{when}): {said}{what}."
