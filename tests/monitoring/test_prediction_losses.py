"""Losses of numbers and classes: exact sums by day, and words about what got worse."""

import json
import random
from math import fsum, isnan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.clock import DAY
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.models.tasks import BINARY, declared_task
from headrace.models.tasks.multiclass import Multiclass
from headrace.monitoring import Window, monitor
from headrace.monitoring.decisions.policy import Detection
from headrace.monitoring.detectors.prediction_losses import judge_losses, loss_notes
from headrace.monitoring.profiles.labelled_scores import Joining
from headrace.monitoring.profiles.prediction_losses import (
    LossAnswers,
    keep_losses,
    kept_losses,
    loss_profiles,
)
from headrace.monitoring.profiles.served_days import first_answers
from tests.monitoring.worlds import LATER, spec, weeks_of
from tests.monitoring.worlds import world as frame_of

WEEKS, ROWS = 20, 400
HOW = Joining(maturity=0, offset=0, warmup=28)
LAID = [Window(7 * at, 7 * at + 7) for at in range(WEEKS)]
SETTINGS = Detection()
TASKS = {
    "squared": declared_task("regression", "squared", "here"),
    "poisson": declared_task("regression", "poisson", "here"),
    "multiclass": Multiclass(("a", "b", "c")),
}


def predictions(kind, seed=0, change=lambda y, p, week: y, model="m"):
    """A table with losses of predictions that are right; `change` alters the labels."""
    rng = np.random.default_rng(seed)
    n = WEEKS * ROWS
    week = np.repeat(np.arange(WEEKS), ROWS)
    if kind == "multiclass":
        p = rng.dirichlet([2, 2, 2], n)
        y = (p.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=2)
        labels = np.array(["a", "b", "c", "d"])[change(y, p, week)]
    else:
        p = rng.gamma(4, 2, n)
        y = rng.poisson(p) if kind == "poisson" else p + rng.normal(0, 3, n)
        labels = change(y, p, week)
    columns = TASKS[kind].monitored(pa.chunked_array([labels]), p, "here")
    t = week * 7 * DAY + rng.integers(0, 7 * DAY, n)
    return pa.table({"t": t, "model": pa.repeat(model, n), **columns})


def answers(*tables):
    profiles = [profile for table in tables for profile in loss_profiles(table, HOW)]
    served = first_answers(profiles)
    return LossAnswers({profile.model: profile for profile in profiles}, served, "loss")


def evidence(table, doubtful=()):
    judged = judge_losses(answers(table), LAID, SETTINGS, doubtful)
    return {
        (window.first // 7, finding.kind, finding.subject): finding.sentence
        for window, judgement in judged.items()
        for finding in judgement.evidence
    }


numbers = st.floats(-1e6, 1e6, allow_nan=False)
rows = st.lists(st.tuples(st.integers(0, 5), numbers, numbers, st.booleans()), max_size=30)


@given(rows, st.integers(0, 3), st.randoms())
def test_sums_of_a_day_are_exact_in_any_order(rows, closed, chance):
    def table(rows):
        values = [
            (day * DAY, loss if known else None, residual if known else None, "m")
            for day, loss, residual, known in rows
        ]
        names, kinds = ("t", "loss", "residual", "model"), ("int64", "double", "double", "string")
        columns = list(zip(*values, strict=True)) or [()] * 4
        return pa.table(
            {
                n: pa.array(c, pa.type_for_alias(k))
                for n, c, k in zip(names, columns, kinds, strict=True)
            }
        )

    how = Joining(maturity=0, offset=0, warmup=0, closed_by=closed + 2)
    shuffled = chance.sample(rows, len(rows))
    made = loss_profiles(table(rows), how)
    again = loss_profiles(table(shuffled), how)
    assert [p.totals.tolist() for p in made] == [p.totals.tolist() for p in again]
    for profile in made:
        for day, totals in zip(profile.days.tolist(), profile.totals.tolist(), strict=True):
            own = [row for row in rows if row[0] == day]
            labelled = [row for row in own if row[3]]
            assert day < closed + 2
            assert totals == [
                len(own),
                len(labelled),
                fsum(row[1] for row in labelled),
                0,
                fsum(row[1] ** 2 for row in labelled),
                fsum(row[2] for row in labelled),
                fsum(row[2] ** 2 for row in labelled),
            ]


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("seed", range(4))
def test_predictions_that_stay_right_are_quiet(kind, seed):
    assert evidence(predictions(kind, seed)) == {}


@pytest.mark.parametrize(
    ("kind", "change", "subject"),
    [
        ("squared", lambda y, p, week: np.where(week == 12, 2 * p - y + 6, y), ("concept", "bias")),
        ("squared", lambda y, p, week: np.where(week == 12, p + 3 * (y - p), y),
         ("performance", "loss")),
        ("poisson", lambda y, p, week: np.where(week == 12, y + 4, y), ("concept", "bias")),
        ("poisson", lambda y, p, week: np.where(week == 12, y * 3, y), ("performance", "loss")),
        ("multiclass", lambda y, p, week: np.where(week == 12, 2 - y, y), ("performance", "loss")),
        ("multiclass", lambda y, p, week: np.where((week == 12) & (y == 0), 3, y),
         ("performance", "loss")),
    ],
    ids=["shift", "scatter", "more", "thrice", "swapped", "unknown class"],
)  # fmt: skip
def test_what_got_worse_is_found_in_its_window_and_only_there(kind, change, subject):
    found = evidence(predictions(kind, change=change))
    assert (12, *subject) in found
    assert {window for window, _, _ in found} == {12}


def test_a_sentence_says_which_way_labels_moved():
    found = evidence(predictions("squared", change=lambda y, _, week: y - 5 * (week == 9)))
    assert "below the predictions" in found[9, "concept", "bias"]
    assert "earlier windows had" in found[9, "performance", "loss"]


def test_a_doubtful_window_is_no_baseline():
    def worse_from(first):
        return lambda y, p, week: np.where((week >= first) & (week < 14), y + 12, y)

    usual = evidence(predictions("squared", change=worse_from(7)))
    doubtful = evidence(predictions("squared", change=worse_from(7)), set(LAID[7:14]))
    assert {7, 8} <= {window for window, _, _ in usual}
    assert {window for window, _, _ in doubtful} == set(range(7, 14))


def test_probabilities_that_are_unsure_imply_their_loss():
    unsure = Multiclass(("a", "b"))
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    columns = unsure.monitored(pa.chunked_array([["a", None]]), p, "here")
    assert columns["loss"][0].as_py() == pytest.approx(columns["promised"][0].as_py())
    assert isnan(columns["loss"][1].as_py())


def test_labels_that_do_not_fit_are_an_error_and_binary_columns_are_what_they_were():
    with pytest.raises(DeclarationError, match="a Poisson loss needs labels"):
        TASKS["poisson"].monitored(pa.chunked_array([[-1.0]]), np.ones(1), "here")
    columns = BINARY.monitored(pa.chunked_array([[1, None]]), np.array([0.2, 0.7]), "here")
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "score": [0.2, 0.7],
        "label": [1, None],
    }


def test_notes_say_what_is_not_evaluated():
    (note,) = loss_notes(answers(predictions("squared")), LAID, SETTINGS)
    assert note.startswith("predictions of m: evaluated by loss and bias over all rows")
    (_, second) = loss_notes(answers(predictions("multiclass")), LAID[:3], SETTINGS)
    assert second.endswith("not evaluated until more than 4 windows have labels; now 3")


def test_losses_are_kept_and_later_labels_count(tmp_path):
    home, table = Home(tmp_path), predictions("squared")
    some = np.where(np.random.default_rng(1).random(table.num_rows) < 0.5, np.nan,
                    table["loss"].to_numpy())  # fmt: skip
    early = table.set_column(table.column_names.index("loss"), "loss", pa.array(some))
    keep_losses(home, "w", kept_losses(home, "w"), loss_profiles(early, HOW))
    keep_losses(home, "w", kept_losses(home, "w"), loss_profiles(table, HOW))
    full = loss_profiles(table, HOW)[0]
    assert np.array_equal(kept_losses(home, "w").profiles["m"].totals, full.totals)
    keep_losses(home, "w", kept_losses(home, "w"), loss_profiles(early, HOW))
    other = predictions("squared", seed=5, model="n")
    answered = keep_losses(home, "w", kept_losses(home, "w"), loss_profiles(other, HOW))
    assert np.array_equal(kept_losses(home, "w").profiles["m"].totals, full.totals)
    assert set(answered.served.values()) == {"m"}, "who served a day never changes"
    (path,) = (p for p in (tmp_path).rglob("*.profile.json") if '"m"' in p.read_text())
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(StateError, match="format 9"):
        kept_losses(home, "w")


def test_a_run_of_a_monitor_judges_losses(tmp_path):
    frame = frame_of()
    n, week = frame.num_rows, weeks_of(frame)
    rng = np.random.default_rng(3)
    p = rng.gamma(4, 2, n)
    y = p + rng.normal(0, 3, n) + 8 * (week >= 20)
    columns = TASKS["squared"].monitored(pa.chunked_array([y]), p, "here")
    scores = pa.table({"t": frame["t"], "model": pa.repeat("m", n), **columns})
    order = list(range(n))
    random.Random(2).shuffle(order)
    runs = [
        monitor(
            spec(tmp_path), frame, table, [], Home(tmp_path / name), LATER, metric="squared error"
        )
        for name, table in (("a", scores), ("b", scores.take(order)))
    ]
    actions = [result.decision.action for result in runs[0].results]
    assert actions[:20] == ["none"] * 20
    assert "retrain" in actions[20:22]
    assert runs[0].results[19].scored.title == "squared error"
    assert [r.evidence for r in runs[0].results] == [r.evidence for r in runs[1].results]
    assert any("evaluated by squared error and bias" in note for note in runs[0].notes)
