"""Score profiles: what the sums are by a slow reading, exact merging, and what stays on disk."""

from collections import Counter
from math import log

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.monitoring import Window
from headrace.monitoring.profiles import score_store
from headrace.monitoring.profiles.labelled_scores import (
    CLIP,
    FIXED,
    SCORE_BINS,
    SCORE_EDGES,
    Answers,
    Joining,
    answers_of,
    days_of,
    merge_scores,
    ranking,
    rolled,
    score_profiles,
)
from headrace.monitoring.profiles.score_store import (
    joined,
    keep_answers,
    kept_answers,
    same_profiles,
)
from headrace.monitoring.profiles.segment_cuts import codes, cut

HOW = Joining(maturity=2 * DAY, offset=-DAY // 4, warmup=3)


def table(rows=400, seed=0, days=10, **more):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows).astype(float)
    label[rng.random(rows) < 0.1] = np.nan
    score = rng.beta(1, 2, rows)
    score[:9] = 0.5, 0.0, 1.0, *SCORE_EDGES[:6]  # the edges belong to the bins above them
    carrier = rng.choice(["AA", "B6", "UA", None], rows)
    return pa.table(
        {
            "t": rng.integers(0, days * DAY, rows),
            "score": score,
            "label": pa.array(label, pa.int64(), from_pandas=True),
            "carrier": pa.array(list(carrier), pa.string()),
            "speed": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 9, rows))),
            "late": rng.random(rows) < 0.3,
            **more,
        }
    )


def slow_cells(scores, profiles):
    """(day, segment, score bin) -> [rows, ones, score in FIXED], one row after the other."""
    cells = {}
    for row in scores.to_pylist():
        if row["label"] is None:
            continue
        day = (row["t"] + HOW.offset + HOW.maturity) // DAY
        band = sum(row["score"] >= edge for edge in SCORE_EDGES)
        places = [0]
        first = 1
        for one in profiles.cuts:
            value = row[one.column]
            if value is None or value != value:
                code = one.size - 1
            elif one.numeric:
                code = sum(value >= edge for edge in one.edges)
            else:
                code = one.levels.index(value) if value in one.levels else len(one.levels)
            places.append(first + code)
            first += one.size
        for segment in places:
            cell = cells.setdefault((day, segment, band), [0, 0, 0])
            cell[0] += 1
            cell[1] += row["label"]
            cell[2] += round(row["score"] * FIXED)
    return cells


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_what_a_slow_reading_counts(seed):
    scores = table(seed=seed)
    [made] = score_profiles(scores, HOW)
    found = {}
    for place, cell, sums in zip(made.place, made.cell, made.sums, strict=True):
        key = int(made.days[place]), int(cell) // SCORE_BINS, int(cell) % SCORE_BINS
        found[key] = sums.tolist()
    assert found == slow_cells(scores, made)


def test_totals_and_answers_are_what_a_slow_reading_counts():
    scores = table()
    [made] = score_profiles(scores, HOW)
    answers, labels, given = Counter(), Counter(), Counter()
    loss = Counter()
    for row in scores.to_pylist():
        day = (row["t"] + HOW.offset + HOW.maturity) // DAY
        answers[day] += 1
        given[(row["t"] + HOW.offset) // DAY] += 1
        if row["label"] is not None:
            labels[day] += 1
            p = min(max(row["score"], CLIP), 1 - CLIP)
            loss[day] += round(-log(p if row["label"] else 1 - p) * FIXED)
    days = made.days.tolist()
    assert made.totals[:, 0].tolist() == [answers[day] for day in days]
    assert made.totals[:, 1].tolist() == [labels[day] for day in days]
    assert np.allclose(made.totals[:, 2], [loss[day] for day in days], rtol=0, atol=50)
    assert (
        dict(zip(made.answer_days.tolist(), made.answers.sum(axis=1).tolist(), strict=True))
        == given
    )


@pytest.mark.parametrize("seed", range(4))
def test_parts_merge_to_the_whole_in_any_order(seed):
    scores = table(seed=seed)
    [whole] = score_profiles(scores, HOW)
    rng = np.random.default_rng(seed)
    part = rng.integers(0, 3, scores.num_rows)
    known = {"": whole}
    parts = [score_profiles(scores.filter(pa.array(part == n)), HOW, known)[0] for n in range(3)]
    a, b, c = parts
    assert same_profiles(merge_scores(merge_scores(a, b), c), whole)
    assert same_profiles(merge_scores(c, merge_scores(b, a)), whole)
    window = Window(int(whole.days[2]), int(whole.days[7]))
    [totals, cells] = whole.roll(window.first, window.end)
    several = [one.roll(window.first, window.end) for one in parts]
    assert np.array_equal(totals, sum(one[0] for one in several))
    assert np.array_equal(cells, sum(one[1] for one in several))
    assert np.array_equal(cells, whole.roll(window.first, window.first + 2)[1]
                          + whole.roll(window.first + 2, window.end)[1])  # fmt: skip


def test_the_order_of_rows_does_not_matter():
    scores = table()
    order = np.random.default_rng(1).permutation(scores.num_rows)
    assert same_profiles(
        score_profiles(scores, HOW)[0], score_profiles(scores.take(pa.array(order)), HOW)[0]
    )


def test_segments_are_cut_once_there_are_enough_days_and_then_stay():
    scores = table()
    few = scores.filter(pa.array(scores["t"].to_numpy() < DAY))
    [early] = score_profiles(few, HOW)
    assert early.segments == ((("all", "all"),),)
    [first] = score_profiles(scores, HOW)
    [again] = score_profiles(table(seed=5), HOW, {"": first})
    assert again.cuts == first.cuts
    assert [one.column for one in first.cuts] == ["carrier", "speed", "late"]
    assert len(first.segments) == 1 + sum(one.size for one in first.cuts)


def test_levels_ranges_and_missing_values_have_codes():
    text = cut("c", pa.chunked_array([["b", "a", "b", None]]))
    later = pa.chunked_array([pa.array(["a", "b", "new", None]).dictionary_encode()])
    assert codes(text, later).tolist() == [1, 0, 2, 3]
    assert text.segments[2:] == [(("c", "other"),), (("c", "missing"),)]
    numbers = cut("n", pa.chunked_array([np.arange(80.0)]))
    assert codes(numbers, pa.chunked_array([[-1.0, 79.0, np.nan, None]])).tolist() == [0, 7, 8, 8]
    assert numbers.segments[0] == (("n", "below 9"),)
    same_value = cut("n", pa.chunked_array([[3, 3]]))
    assert codes(same_value, pa.chunked_array([[3, 9]])).tolist() == [0, 0]
    with pytest.raises(DeclarationError, match="cannot be cut into segments"):
        cut("d", pa.chunked_array([pa.array([0], pa.date32())]))


def test_ranking_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(3)
    band, label = rng.integers(0, 6, 60), rng.integers(0, 2, 60)
    pairs = [(a, b) for a in band[label == 1] for b in band[label == 0]]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    rows, ones = np.bincount(band, minlength=6), np.bincount(band, label, 6).astype(np.int64)
    assert ranking(rows, ones) == pytest.approx(wins / len(pairs))
    assert ranking(rows, rows) == 0.5


def test_a_window_says_what_it_was_worth():
    scores = table(rows=4000)
    [made] = score_profiles(scores, HOW)
    window = Window(3, 10)
    one = rolled(made, [window], 100)[window]
    t = scores["t"].to_numpy()
    within = (t + HOW.offset + HOW.maturity) // DAY
    inside = scores.filter(pa.array((within >= 3) & (within < 10)))
    known = inside.filter(inside["label"].is_valid())
    label, score = known["label"].to_numpy(), known["score"].to_numpy()
    assert (one.answers, one.rows) == (inside.num_rows, known.num_rows)
    assert one.rate == label.mean()
    assert one.expected == pytest.approx(score.mean())
    given = np.clip(np.where(label == 1, score, 1 - score), CLIP, 1 - CLIP)
    assert one.loss == pytest.approx(-np.mean(np.log(given)))
    p = np.clip(score, CLIP, 1 - CLIP)
    promised = -np.mean(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert one.excess == pytest.approx(one.loss - promised, abs=0.02)  # scores are read in bins
    assert rolled(made, [window], one.rows + 1) == {}


def test_what_is_no_score_is_an_error():
    with pytest.raises(DeclarationError, match="lack label"):
        score_profiles(table().drop_columns(["label"]), HOW)
    with pytest.raises(DeclarationError, match="not a probability"):
        score_profiles(pa.table({"t": [0], "score": [1.5], "label": [1]}), HOW)
    [made] = score_profiles(table(), HOW)
    with pytest.raises(DeclarationError, match="cannot be merged"):
        merge_scores(made, score_profiles(table(seed=2), HOW)[0])


# -- on disk ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def of(model, **more):
    scores = table(**more)
    return scores.append_column("model", pa.array([model] * scores.num_rows))


def keep(home, scores, how=HOW):
    kept = kept_answers(home, "m")
    return keep_answers(home, "m", kept, score_profiles(scores, how, kept.profiles))


def files(home):
    folder = home.profiles / "m" / "answers"
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_profiles_read_back_exactly_and_writing_again_writes_nothing(home):
    made = keep(home, of("a"))
    before = files(home)
    read = kept_answers(home, "m")
    assert read.served == made.served
    assert same_profiles(read.profiles["a"], made.profiles["a"])
    keep(home, of("a"))
    assert files(home) == before


def test_a_later_champion_does_not_rewrite_what_an_earlier_one_answered(home):
    first = keep(home, of("a"))
    later = of("b", days=20)
    both = keep(home, later)
    assert same_profiles(both.profiles["a"], first.profiles["a"])
    old = {day: both.served[day] for day in first.served}
    assert set(old.values()) == {"a"}
    assert both.served[int(both.profiles["b"].days[-1])] == "b"
    assert both.model_of(Window(2, 9)) == "a"
    assert both.model_of(Window(13, 20)) == "b"
    # the days before are there all the same, so that it has a past to be judged by
    assert 5 in both.profiles["b"].days


def test_late_labels_are_added_and_lost_ones_are_not_taken_away(home):
    full = of("a")
    early = full.set_column(2, "label", pa.array([None] * 200 + full["label"].to_pylist()[200:]))
    little = keep(home, early)
    assert little.profiles["a"].totals[:, 1].sum() < full["label"].is_valid().to_numpy().sum()
    # segments are cut from what came first, whatever labels it had
    every = keep(home, full)
    assert same_profiles(every.profiles["a"], score_profiles(full, HOW)[0])
    assert same_profiles(keep(home, early).profiles["a"], every.profiles["a"])


def test_a_corrected_label_counts(home):
    scores = of("a")
    keep(home, scores)
    turned = scores.set_column(2, "label", pa.compute.subtract(1, scores["label"]))
    assert same_profiles(keep(home, turned).profiles["a"], score_profiles(turned, HOW)[0])


def test_day_by_day_is_all_at_once(home, tmp_path):
    scores = of("a", days=30)
    t = scores["t"].to_numpy()
    for day in range(3, 33):
        now = day * DAY
        part = scores.filter(pa.array(t < now))
        closed = Joining(HOW.maturity, HOW.offset, HOW.warmup, (now + HOW.offset) // DAY)
        daily = keep(home, part, closed)
    once = keep(Home(tmp_path / "once"), scores, closed)
    assert daily.served == once.served
    assert same_profiles(daily.profiles["a"], once.profiles["a"])


def test_only_mature_days_are_counted():
    scores = table(days=20)
    [made] = score_profiles(scores, Joining(2 * DAY, 0, 3, closed_by=12))
    assert made.days.max() == 11
    assert made.answer_days.max() == 19


def test_other_columns_are_cut_anew_and_never_joined(home):
    keep(home, of("a"))
    made = keep(home, of("a", seed=3).drop_columns(["speed"]))
    assert [one.column for one in made.profiles["a"].cuts] == ["carrier", "late"]
    a, b = (score_profiles(table(seed=s), HOW)[0] for s in (0, 3))
    assert joined(a, b) is b
    assert days_of(a, a.days[:0], a.answer_days[:0]).sums.shape == (0, 3)


def test_scores_of_a_newer_format_are_an_error(home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(score_store, "FORMAT", 9)
        keep(home, of("a"))
    with pytest.raises(StateError, match="format 9"):
        kept_answers(home, "m")


def test_who_answered_most_served():
    answers = answers_of(pa.concat_tables([of("a", rows=100), of("b", rows=300)]), HOW)
    assert set(answers.served.values()) == {"b"}
    tie = Answers(answers.profiles, {0: "a", 1: "a", 2: "b", 3: "b"})
    assert tie.model_of(Window(0, 4)) == "b"
    assert tie.model_of(Window(9, 12)) is None
