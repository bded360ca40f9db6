"""Drift of the relation: silence while it holds, a word and a place when it does not."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY
from headrace.monitoring import Window
from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.concept import judge_answers, unjudged
from headrace.monitoring.detectors.score_shift import output_evidence
from headrace.monitoring.detectors.segments import center_of, fit
from headrace.monitoring.profiles.labelled_scores import Joining, answers_of

WEEKS, ROWS = 26, 1_400
HOW = Joining(maturity=0, offset=0, warmup=28)
LAID = [Window(7 * at, 7 * at + 7) for at in range(WEEKS)]
SETTINGS = Detection()


def world(seed=0, season=0.0, weeks=WEEKS):
    """Weeks of scores that are right but for a level that everybody shares, which comes and goes.

    A carrier and a distance have no say beyond the score.
    """
    rng = np.random.default_rng(seed)
    n = weeks * ROWS
    week = np.repeat(np.arange(weeks), ROWS)
    odds = rng.normal(-1, 1, n)
    level = season * np.sin(week / 3)
    label = (rng.random(n) < 1 / (1 + np.exp(-odds - level))).astype(np.int64)
    return pa.table(
        {
            "t": week * 7 * DAY + rng.integers(0, 7 * DAY, n),
            "score": 1 / (1 + np.exp(-odds)),
            "label": label,
            "carrier": rng.choice(["AA", "B6", "DL", "UA"], n, p=[0.4, 0.3, 0.15, 0.15]),
            "miles": rng.gamma(2, 400, n),
        }
    )


def flipped(scores, weeks, share, carrier=None, seed=9):
    """Labels of a share of the rows of these weeks turned, of one carrier if it is named."""
    rng = np.random.default_rng(seed)
    chosen = np.isin(scores["t"].to_numpy() // (7 * DAY), list(weeks))
    if carrier is not None:
        chosen &= np.array(scores["carrier"].to_pylist()) == carrier
    chosen &= rng.random(len(chosen)) < share
    label = scores["label"].to_numpy()
    return scores.set_column(2, "label", pa.array(np.where(chosen, 1 - label, label)))


def judged(scores, laid=LAID, settings=SETTINGS):
    found = judge_answers(answers_of(scores, HOW), laid, settings)
    return [found[window].evidence for window in laid]


def loud(evidence):
    return [at for at, some in enumerate(evidence) if any(e.severity == "alarm" for e in some)]


@pytest.mark.parametrize("season", [0.0, 0.8], ids=["steady", "seasons"])
def test_a_relation_that_holds_is_quiet_whatever_the_season(season):
    alarms = sum(len(loud(judged(world(seed, season)))) for seed in range(6))
    assert alarms <= 0.02 * 6 * WEEKS


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_labels_are_found_in_their_week(share, seed):
    found = judged(flipped(world(seed, 0.5), [20], share))
    assert loud(found) == [20]
    assert {"concept", "performance"} <= {one.kind for one in found[20]}
    subjects = [one.subject for one in found[20] if one.kind == "concept"]
    assert subjects[0] == "relation"


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_segment_is_found_and_named(seed):
    found = judged(flipped(world(seed, 0.5), [20], 1.0, "B6"))
    assert loud(found) == [20]
    place = next(one for one in found[20] if one.segment)
    assert place.segment == (("carrier", "B6"),)
    assert place.columns == ("carrier",)
    assert "of the rows): the model expected" in place.sentence


def test_a_small_drift_is_found_over_several_weeks_and_named():
    seen, early = 0, 0
    for seed in range(6):
        found = judged(flipped(world(seed, 0.5), range(18, 22), 0.3, "UA"))
        hits = [e for at in range(18, 22) for e in found[at] if e.segment == (("carrier", "UA"),)]
        seen += bool(hits)
        early += bool(found[18])
        assert not loud(found[:18])
    assert seen >= 5
    assert early < seen


@pytest.mark.parametrize("seed", [7, 13, 23, 38])
def test_what_was_loud_for_a_week_does_not_echo_in_the_sum(seed):
    assert loud(judged(flipped(world(seed, 0.5), [20], 1.0, "B6"))) == [20]


def test_a_doubtful_week_is_neither_past_nor_part_of_a_sum():
    """As if it had not been: what is said of all others is what is said without its rows."""
    scores = flipped(flipped(world(2, 0.5), [17], 0.9, "UA"), range(19, 24), 0.3, "UA", seed=1)
    without = scores.filter(pa.array(scores["t"].to_numpy() // (7 * DAY) != 17))
    heard = judge_answers(answers_of(scores, HOW), LAID, SETTINGS, {LAID[17]})
    blank = judge_answers(answers_of(without, HOW), LAID, SETTINGS)
    for window in LAID[18:]:
        assert _segments(heard, window) == _segments(blank, window)
    assert any(_segments(blank, window) for window in LAID[18:])


def _segments(found, window):
    return [(one.subject, one.statistic) for one in found[window].evidence if one.segment]


def test_a_drift_that_lasts_is_told_with_its_beginning():
    found = judged(flipped(world(1, 0.5), range(18, 21), 0.6, "UA"))
    last = next(one for one in found[20] if one.segment)
    assert last.sentence.endswith("Elsewhere nothing moved. 3 windows in a row, since 1970-05-07.")


def test_a_range_of_numbers_is_a_segment_too():
    scores = world()
    miles = scores["miles"].to_numpy()
    week = scores["t"].to_numpy() // (7 * DAY)
    chosen = (miles < np.quantile(miles, 0.125)) & (week >= 20)
    label = np.where(chosen, 1 - scores["label"].to_numpy(), scores["label"].to_numpy())
    found = judged(scores.set_column(2, "label", pa.array(label)))
    place = next(one for one in found[20] if one.segment)
    assert place.segment[0][0] == "miles"
    assert place.segment[0][1].startswith("below")


def test_evidence_uses_the_past_only():
    scores = flipped(world(), [14], 0.4, "AA")
    wild = flipped(scores, range(18, WEEKS), 1.0)
    short = scores.filter(pa.array(scores["t"].to_numpy() < 18 * 7 * DAY))
    assert judged(wild)[:18] == judged(short, LAID[:18])
    assert judged(wild)[:18] == judged(scores)[:18]


def test_a_model_is_judged_by_its_own_past():
    """A new model has another slope than the one before it: that is no drift."""
    scores = world(3)
    steep = 1 / (
        1 + np.exp(-3 * np.log(scores["score"].to_numpy() / (1 - scores["score"].to_numpy())))
    )
    first = scores.append_column("model", pa.array(["a"] * scores.num_rows))
    second = scores.set_column(1, "score", pa.array(steep))
    second = second.append_column("model", pa.array(["b"] * scores.num_rows))
    t = scores["t"].to_numpy()
    served = pa.concat_tables(
        [first.filter(pa.array(t < 13 * 7 * DAY)), second.filter(pa.array(t >= 7 * 7 * DAY))]
    )
    answers = answers_of(served, HOW)
    assert answers.model_of(LAID[6]) == "a"
    found = judge_answers(answers, LAID, SETTINGS)
    assert all(not one.evidence for one in found.values())


def test_few_labels_are_said_and_too_few_are_not_judged():
    scores = world()
    week = scores["t"].to_numpy() // (7 * DAY)
    rng = np.random.default_rng(0)
    label = scores["label"].to_numpy().astype(float)
    label[(week == 12) & (rng.random(len(week)) < 0.7)] = np.nan
    label[(week == 15) & (rng.random(len(week)) < 0.95)] = np.nan
    scores = scores.set_column(2, "label", pa.array(label, pa.int64(), from_pandas=True))
    found = judge_answers(answers_of(scores, HOW), LAID, SETTINGS)
    said = {at: found[one].evidence for at, one in enumerate(LAID) if found[one].evidence}
    assert list(said) == [12, 15]
    assert all(one.severity == "notice" for some in said.values() for one in some)
    assert "judged by them alone" in said[12][0].sentence
    assert "too few to judge" in said[15][0].sentence
    assert found[LAID[12]].scored is not None
    assert found[LAID[15]].scored is None


def test_a_young_model_is_not_judged_and_it_is_said():
    scores = world(weeks=3)
    assert loud(judged(scores, LAID[:3])) == []
    assert unjudged(answers_of(scores, HOW), LAID, SETTINGS) == [
        "answers: not evaluated until more than 4 windows have labels; now 3"
    ]
    assert unjudged(answers_of(world(), HOW), LAID, SETTINGS) == []


def test_a_young_model_whose_scores_tell_nothing_is_found_all_the_same():
    found = judged(flipped(world(weeks=3), [1], 0.5), LAID[:3])
    assert loud(found) == [1]
    assert "too young" in found[1][0].sentence


def test_what_is_said_of_a_young_model_does_not_change_with_later_windows():
    scores = flipped(world(weeks=6), [1], 0.5)
    first = judged(scores, LAID[:2])[1]
    assert first
    assert [judged(scores, LAID[:n])[1] for n in range(3, 7)] == [first] * 4


def test_scores_that_move_are_said_before_labels_come():
    scores = world()
    week = scores["t"].to_numpy() // (7 * DAY)
    score = np.where(
        week == 20, 0.9 * scores["score"].to_numpy() + 0.1 * (week == 20), scores["score"]
    )
    stuck = np.where(week == 22, 0.2, score)
    unknown = pa.array(np.where(week >= 20, np.nan, scores["label"]), pa.int64(), from_pandas=True)
    scores = scores.set_column(1, "score", pa.array(stuck)).set_column(2, "label", unknown)
    found = output_evidence(answers_of(scores, HOW), LAID, SETTINGS)
    assert LAID[22] in found
    [one] = found[LAID[22]]
    assert (one.kind, one.subject, one.severity) == ("population", "score", "notice")
    assert all(window >= LAID[20] for window in found)
    assert output_evidence(answers_of(world(), HOW), LAID, SETTINGS) == {}


# -- the measure -----------------------------------------------------------------------------------


def plain_fit(x, label, center):
    """Logistic regression of labels on log odds by plain gradient ascent, no prior."""
    level, slope = 0.0, 1.0
    for _ in range(3_000):
        p = 1 / (1 + np.exp(-(center + level + slope * (x - center))))
        level += 4 * np.mean(label - p)
        slope += 4 * np.mean((label - p) * (x - center))
    return level, slope


def test_level_and_slope_are_those_of_a_logistic_regression_on_the_rows():
    scores = flipped(world(5, weeks=5), range(5), 0.2)
    [profiles] = answers_of(scores, HOW).profiles.values()
    _, cells = profiles.roll(0, 35)
    center = center_of(cells)
    found = fit(cells[0], center)
    odds = np.log(scores["score"].to_numpy() / (1 - scores["score"].to_numpy()))
    level, slope = plain_fit(odds, scores["label"].to_numpy(), center)
    assert float(found.level) == pytest.approx(level, abs=0.03)
    assert float(found.slope) == pytest.approx(slope, abs=0.03)
    deviation = float(np.sqrt(found.slope_variance))
    assert 0.01 < deviation < 0.05


def test_half_of_the_labels_flipped_is_a_slope_of_nothing():
    scores = flipped(world(2, weeks=5), range(5), 0.5)
    [profiles] = answers_of(scores, HOW).profiles.values()
    cells = profiles.roll(0, 35)[1]
    assert float(fit(cells[0], center_of(cells)).slope) == pytest.approx(0, abs=0.06)
