"""Each task trains to the same bytes, measures its own loss, and refuses labels of other tasks."""

import json
import math
import os
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.models import (
    ModelSpec,
    challenge,
    champion,
    evaluate,
    list_models,
    load_record,
    predict,
    train,
)
from headrace.models.compare import ModelComparison, compare, not_worse
from headrace.models.tasks import BINARY, declared_task, parsed_task
from headrace.models.tasks.multiclass import Multiclass
from headrace.models.train import choose
from headrace.models.training_rows import Recipe
from headrace.retraining.workflow import verdict
from tests.datasets.frames import DEFINITIONS, frame, put
from tests.models.conftest import MODEL, released
from tests.models.targets import PARTS, labelled_frame, names, spec

KINDS = tuple(PARTS)


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def trained(kind, tmp_path_factory):
    """(home, dataset, record) of a model of the task; do not change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HEADRACE_STORE", raising=False)
        home = Home(tmp_path_factory.mktemp(kind))
        dataset = released(home, labelled_frame(kind, labels=text_labels(kind)))
        yield home, dataset, train(dataset, spec(kind), home)


def text_labels(kind):
    return names if kind == "multiclass" else None


# -- metrics ---------------------------------------------------------------------------------------

floats = st.floats(-1e4, 1e4, allow_nan=False)
pairs = st.lists(st.tuples(floats, floats), min_size=1, max_size=40)
counts = st.lists(st.tuples(st.integers(0, 50), st.floats(1e-3, 1e3)), min_size=1, max_size=40)


def arrays(rows):
    return (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))


@given(pairs)
def test_errors_of_numbers_equal_scikit_learn(rows):
    y, p = arrays(rows)
    for loss in ("squared", "absolute"):
        task = declared_task("regression", loss, "here")
        scores = task.scores(y, p)
        assert scores["mse"] == pytest.approx(sklearn.metrics.mean_squared_error(y, p))
        assert scores["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(y, p))
        assert scores["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(y, p))
        assert scores["bias"] == pytest.approx(p.mean() - y.mean(), abs=1e-6)
        assert scores[task.primary] == pytest.approx(task.losses(y, p).mean())
        assert sum(bin_["rows"] for bin_ in task.calibration(y, p)) == len(y)


@given(counts)
def test_the_deviance_of_counts_equals_scikit_learn(rows):
    y, p = arrays(rows)
    task = declared_task("regression", "poisson", "here")
    expected = sklearn.metrics.mean_poisson_deviance(y, p)
    assert task.scores(y, p)["poisson_deviance"] == pytest.approx(expected, abs=1e-9)
    assert (task.losses(y, p) >= -1e-9).all()


@st.composite
def class_forecasts(draw):
    count = draw(st.integers(2, 5))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, count - 1),
                st.lists(st.integers(1, 9), min_size=count, max_size=count),
            ),
            min_size=1,
            max_size=40,
        )
    )
    y = np.array([label for label, _ in rows], dtype=np.float64)
    p = np.array([weights for _, weights in rows], dtype=np.float64)
    return count, y, p / p.sum(axis=1, keepdims=True)


@given(class_forecasts())
def test_the_metrics_of_classes_equal_scikit_learn(case):
    count, y, p = case
    task = Multiclass(tuple(range(count)))
    scores = task.scores(y, p)
    expected = sklearn.metrics.log_loss(y, p, labels=np.arange(count))
    assert scores["log_loss"] == pytest.approx(expected)
    assert scores["accuracy"] == sklearn.metrics.accuracy_score(y, p.argmax(axis=1))
    assert task.constant(y) == tuple(np.mean(y == at) for at in range(count))
    for at, bins in enumerate(task.calibration(y, p).values()):
        observed = sum(bin_["rows"] * bin_["observed"] for bin_ in bins if bin_["rows"])
        assert observed == pytest.approx((y == at).sum())


@given(pairs)
def test_no_constant_is_better_than_the_constant_prediction(rows):
    y, others = arrays(rows)
    for loss in ("squared", "absolute"):
        task = declared_task("regression", loss, "here")
        best = task.losses(y, np.full(len(y), task.constant(y))).mean()
        for other in others:
            assert best <= task.losses(y, np.full(len(y), other)).mean() * (1 + 1e-9) + 1e-9


def test_a_class_that_a_model_does_not_know_is_impossible_to_it():
    task = Multiclass(("a", "b"))
    y = task.observed_leniently(pa.chunked_array([["a", "c"]]), "here")
    losses = task.losses(y, np.array([[0.5, 0.5], [0.5, 0.5]]))
    assert losses[0] == pytest.approx(math.log(2))
    assert losses[1] == pytest.approx(-math.log(1e-15))


def test_a_last_count_of_zero_predicts_a_half():
    task = declared_task("regression", "poisson", "here")
    assert task.last_known(np.array([0.0, 3.0, np.nan]), 1.5).tolist() == [0.5, 3.0, 1.5]
    assert declared_task("regression", None, "here").last_known(np.array([0.0]), 1.5) == [0.0]


# -- training --------------------------------------------------------------------------------------


def test_a_model_of_each_task_beats_its_baselines(kind, trained):
    _, dataset, record = trained
    metrics, task = record.metrics, record.task
    assert (task.name, task.loss) == (PARTS[kind]["task"], spec(kind).kind.loss)
    assert metrics["against_constant"]["beats"]
    assert metrics["against_baseline"]["beats"]
    assert metrics["against_baseline"]["metric"] == task.primary
    assert task.title in metrics["against_baseline"]["says"]
    assert metrics["model"][task.primary] < metrics["constant"][task.primary]
    assert set(task.reported) <= set(metrics["model"])
    for rows in metrics["segments"].values():
        assert sum(row["rows"] for row in rows) == metrics["rows"]
        assert all(task.primary in row and f"baseline_{task.primary}" in row for row in rows)
    assert ("against_last_value" in metrics) == (kind != "multiclass")
    again = evaluate(record, dataset, rounds=MODEL.bootstrap, seed=MODEL.seed)
    assert json.loads(json.dumps(again)) == {name: metrics[name] for name in again}


def test_the_last_known_value_is_the_column_or_the_constant(kind, trained):
    _, dataset, record = trained
    if record.last_value is None:  # classes have no last known value
        assert kind == "multiclass"
        return
    rows = dataset.split("test").arrow
    y, last = rows["late"].to_pylist(), rows[record.last_value].to_pylist()
    smallest = 0.5 if kind == "poisson" else -math.inf
    expected = [record.base_rate if v is None else max(v, smallest) for v in last]
    mean_error = np.mean([abs(a - b) for a, b in zip(y, expected, strict=True)])
    assert record.metrics["last_value"]["mae"] == pytest.approx(mean_error)


def test_a_prediction_is_a_number_or_a_row_of_probabilities(kind, trained):
    _, dataset, record = trained
    rows = dataset.split("test").arrow
    p = predict(record, rows, definitions=DEFINITIONS)
    empty = predict(record, rows.slice(0, 0), definitions=DEFINITIONS)
    answer = record.task.answer(p[0])
    assert empty.shape == (0, *p.shape[1:])
    if kind == "multiclass":
        assert p.shape == (rows.num_rows, 3)
        assert p.sum(axis=1) == pytest.approx(1)
        assert set(answer["probabilities"]) == {"early", "late", "on time"}
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)
    else:
        assert answer == {"prediction": p[0]}
        assert kind != "poisson" or (p > 0).all()


def test_a_stored_model_keeps_its_task(trained):
    home, _, record = trained
    assert load_record(home, record.name, record.bundle_id) == record
    assert parsed_task(record.task.form()) == record.task
    assert json.loads((record.path / "model.json").read_text())["format"] == 3


FRESH = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, os.getcwd())
    from headrace.core.home import Home
    from headrace.models import train
    from tests.models.conftest import released
    from tests.models.targets import labelled_frame, names, spec
    kind, home = sys.argv[1], Home(Path(sys.argv[2]))
    labels = names if kind == "multiclass" else None
    print(train(released(home, labelled_frame(kind, labels=labels)), spec(kind), home).bundle_id)
"""


def test_a_fresh_process_gives_the_same_bytes(kind, trained, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRESH), kind, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "1"},
        check=True,
    )
    assert run.stdout.strip() == trained[2].bundle_id


def test_classes_may_be_integers(home):
    dataset = released(home, labelled_frame("multiclass"))
    record = train(dataset, spec("multiclass"), home)
    assert record.task.classes == (0, 1, 2)
    rows = dataset.split("test").arrow
    answer = record.task.answer(predict(record, rows, definitions=DEFINITIONS)[0])
    assert answer["class"] in {0, 1, 2}
    assert len(record.base_rate) == 3
    assert load_record(home, record.name, record.bundle_id) == record


def test_a_declaration_with_defaults_has_the_digests_of_before():
    new = {"task", "loss", "last_value", "learner"}
    fields = {k: v for k, v in asdict(MODEL).items() if k not in new}
    assert MODEL.form() == fields
    assert replace(MODEL, task="regression").form() == {**fields, "task": "regression"}
    assert BINARY.form() == {}


# -- comparison ------------------------------------------------------------------------------------


def worse_model(kind, home, dataset):
    """Train a model whose features are those of the baseline."""
    few = spec(kind, features=("calendar__hour",), num_rounds=2)
    return train(dataset, few, home)


def test_a_challenger_is_compared_by_the_loss_of_its_task(kind, home):
    dataset = released(home, labelled_frame(kind, labels=text_labels(kind), last="2013-05-20"))
    first = worse_model(kind, home, dataset)
    challenge(home, first, dataset)
    better = train(dataset, spec(kind), home)
    test = dataset.split("test").arrow
    comparison = compare(better, first, test, DEFINITIONS, rounds=200)
    assert comparison.challenger == pytest.approx(better.metrics["model"][better.task.primary])
    assert comparison.interval["high"] < 0
    assert set(comparison.segments) == {"origin", "calendar__carrier"}
    passes, reason = verdict(comparison, MODEL.margin)
    assert better.task.title in reason
    assert passes == (comparison.days >= 30), reason
    backwards = compare(first, better, test, DEFINITIONS, rounds=200)
    assert backwards.worse
    assert not not_worse(backwards, MODEL.margin, tainted=False)[0]
    outcome = challenge(home, better, dataset)
    assert outcome.promoted == passes
    assert champion(home, "late") == (better if passes else first)


@pytest.mark.parametrize(("days", "enough"), [(29, False), (30, True)])
def test_fewer_than_thirty_days_promote_no_model_of_a_new_task(days, enough):
    interval = {"difference": -1.0, "low": -1.2, "high": -0.8, "blocks": days}
    task = declared_task("regression", None, "here")
    comparison = ModelComparison(100, days, 1.0, 2.0, interval, task=task)
    passes, reason = not_worse(comparison, 0.0, tainted=False)
    assert passes == enough
    assert ("promotion needs 30 days" in reason) != enough
    assert not_worse(replace(comparison, task=BINARY), 0.0, tainted=False)[0]


def test_the_margin_of_a_regression_is_a_share_of_the_loss():
    interval = {"difference": 0.5, "low": 0.1, "high": 0.9, "blocks": 40}
    task = declared_task("regression", None, "here")
    comparison = ModelComparison(100, 40, 100.5, 100.0, interval, task=task)
    assert not_worse(comparison, 0.01, tainted=False)[0]
    assert not not_worse(comparison, 0.008, tainted=False)[0]
    assert not not_worse(replace(comparison, task=BINARY), 0.01, tainted=False)[0]


def test_models_of_different_losses_are_not_compared(home):
    dataset = released(home, labelled_frame("squared"))
    mean, median = (train(dataset, spec(kind), home) for kind in ("squared", "absolute"))
    with pytest.raises(DeclarationError, match="different tasks or losses"):
        compare(mean, median, dataset.split("test").arrow, DEFINITIONS)


def test_a_champion_that_lacks_a_class_loses_where_it_appears(home):
    rows = labelled_frame("multiclass", labels=names)
    two = put(rows, "late", pa.array([None if v is None else v.replace("early", "late")
                                      for v in rows["late"].to_pylist()]))  # fmt: skip
    old = train(released(home, two), spec("multiclass"), home)
    dataset = released(home, rows)
    new = train(dataset, spec("multiclass"), home)
    assert old.task.classes == ("late", "on time")
    comparison = compare(new, old, dataset.split("test").arrow, DEFINITIONS, rounds=100)
    assert comparison.champion > 5 * comparison.challenger


def test_candidates_are_ordered_by_the_loss_of_the_task(kind, home):
    dataset = released(home, labelled_frame(kind, labels=text_labels(kind)))
    recipes = [Recipe("all"), Recipe("recent", after=int(dataset.split("train").arrow["t"].cast(
        pa.int64())[1500].as_py()))]  # fmt: skip
    candidates = choose(dataset, spec(kind), recipes)
    assert len(candidates) == 2
    assert candidates[0].loss <= candidates[1].loss
    assert candidates[0].recipe.with_valid
    again = train(dataset, spec(kind), home, candidates[0].recipe)
    assert again.rounds == candidates[0].recipe.rounds
    assert len(list_models(home)) == 1


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("squared", lambda n: np.array(["a", "b"])[(n > 12).astype(int)],
         "a string cannot be the label of a regression"),
        ("poisson", lambda n: n - 5, "a Poisson loss needs labels of at least 0"),
        ("poisson", lambda n: n * 0, "all training labels are 0"),
        ("absolute", lambda n: np.where(n > 12, np.inf, n), "missing or not finite"),
        ("multiclass", lambda n: n / 2, "a double cannot be a class"),
        ("multiclass", lambda n: n * 0, "all training labels are 0"),
        ("multiclass", lambda n: np.where(np.arange(len(n)) > 3_200, 7, n),
         "of classes that the training rows lack: 7"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_task_are_refused(kind, labels, message, home):
    dataset = released(home, labelled_frame(kind, labels=labels))
    with pytest.raises(DeclarationError, match=message) as caught:
        train(dataset, spec(kind), home)
    assert caught.value.where == "model late, label column late"
    assert caught.value.fix
    assert list_models(home) == []


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["x"] * 4_000), "a string cannot be the label of a binary model"),
        (pa.array([n % 3 for n in range(4_000)]), "a label is 2, not 0 or 1"),
    ],
)
def test_a_binary_model_refuses_other_labels(column, message, home):
    dataset = released(home, put(frame(), "late", column))
    with pytest.raises(DeclarationError, match=message):
        train(dataset, MODEL, home)


def test_a_class_that_appears_after_training_is_refused_at_evaluation(home, tmp_path):
    record = train(released(home, labelled_frame("multiclass")), spec("multiclass"), home)
    other = Home(tmp_path / "other")
    changed = released(other, labelled_frame("multiclass", labels=lambda n: n + 1))
    with pytest.raises(DeclarationError, match="of classes that the training rows lack: 3"):
        evaluate(record, changed)
    texts = released(Home(tmp_path / "texts"), labelled_frame("multiclass", labels=names))
    with pytest.raises(DeclarationError, match="the labels are string, the classes"):
        evaluate(record, texts)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "ranking"}, "there is no task 'ranking'"),
        ({"loss": "poisson"}, "the task binary has no loss 'poisson'"),
        ({"task": "regression", "loss": "huber"}, "the task regression has no loss 'huber'"),
        ({"last_value": "x"}, "a last known value cannot predict for the task binary"),
        ({"task": "multiclass", "params": {"num_class": 3}}, r"params \['num_class'\] are fixed"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        ModelSpec("late", "delays", ("calendar__*",), **fields)
    assert caught.value.where == "model late"
    assert caught.value.fix


@pytest.mark.parametrize("pattern", ["calendar__*", "calendar__carrier"])
def test_a_last_value_is_one_column_of_numbers(pattern, home):
    dataset = released(home, labelled_frame("squared"))
    with pytest.raises(DeclarationError, match="is not one column of numbers"):
        train(dataset, spec("squared", last_value=pattern), home)
