"""Models of a team's own learners: trained, stored, scored and served like any other."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from headrace.core.errors import DeclarationError, LearnerError, StateError
from headrace.models import (
    challenge,
    champion,
    evaluate,
    list_models,
    load_record,
    predict,
    promote,
    train,
)
from headrace.models.learners import LightGBM, SklearnLearner, Trainer, WorkerLimits
from headrace.models.learners.bundle import stop_workers
from headrace.models.score import predict_baseline
from headrace.models.train import choose
from headrace.models.training_rows import Recipe
from tests.datasets.frames import DEFINITIONS
from tests.models.conftest import MODEL, released
from tests.models.learner_project import write
from tests.models.targets import labelled_frame, names
from tests.models.targets import spec as task_spec

PLAIN = {"params": {}, "num_rounds": 300, "early_stopping": 30}
# The share of late flights by carrier and delay of the carrier; without the delay, by carrier.
SHARES = """
    import json
    import numpy as np

    def groups(rows):
        carriers = rows["calendar__carrier"].to_pylist()
        if "carrier_1d__delay_mean" not in rows.column_names:
            return carriers
        delays = rows["carrier_1d__delay_mean"].to_pylist()
        return [f"{c} {d is None or d > 0}" for c, d in zip(carriers, delays)]

    def train(rows, label, folder, *, valid, task, classes, smoothing=1):
        assert (task, classes) == ("binary", (0, 1)) and valid.num_rows
        shares = {}
        labels = rows[label].to_pylist()
        for name in set(groups(rows)):
            own = [y for y, group in zip(labels, groups(rows)) if group == name]
            shares[name] = (sum(own) + smoothing) / (len(own) + 2 * smoothing)
        (folder / "shares.json").write_text(json.dumps(shares, sort_keys=True))

    class Shares:
        def __init__(self, shares):
            self.shares = shares

        def predict(self, rows):
            return np.array([self.shares.get(group, 0.5) for group in groups(rows)])

    def load(folder):
        return Shares(json.loads((folder / "shares.json").read_text()))
    """
TREES = """
    from sklearn.ensemble import HistGradientBoostingClassifier

    def trees(rounds):
        return HistGradientBoostingClassifier(max_iter=rounds, learning_rate=0.2)
    """


@pytest.fixture
def spec(project):
    write(project / "shares.py", SHARES)
    return replace(MODEL, **PLAIN, learner=Trainer("shares:train"))


@pytest.fixture
def estimator(project):
    write(project / "trees.py", TREES)
    return replace(MODEL, **PLAIN, learner=SklearnLearner("trees:trees", params={"rounds": 30}))


def test_lightgbm_as_learner_is_the_same_model(dataset, home):
    fields = ("params", "num_rounds", "early_stopping")
    learner = LightGBM(**{name: getattr(MODEL, name) for name in fields})
    explicit = replace(MODEL, **PLAIN, learner=learner)
    assert explicit == MODEL
    assert explicit.form() == MODEL.form()
    assert "learner" not in MODEL.form()
    assert train(dataset, explicit, home) == train(dataset, MODEL, home)
    assert replace(explicit, seed=8).params == MODEL.params


def test_parameters_of_lightgbm_belong_to_no_other_learner():
    with pytest.raises(DeclarationError, match="params, num_rounds, early_stopping and"):
        replace(MODEL, learner=Trainer("shares:train"))
    with pytest.raises(DeclarationError, match="learner are both declared") as caught:
        replace(MODEL, learner=LightGBM())
    assert "LightGBM(...)" in caught.value.fix


def test_a_trainer_is_trained_and_scores_from_the_bundle(spec, dataset, home, project):
    record = train(dataset, spec, home)
    assert record.learner == "trainer"
    assert record.library == "trainer"
    assert record.params == {"learner": spec.learner.form(), "seed": 7}
    assert record.metrics["against_baseline"]["beats"]
    rows = dataset.split("test").arrow
    before = predict(record, rows, definitions=DEFINITIONS)
    assert evaluate(record, dataset, rounds=200, seed=7) == {
        name: record.metrics[name]
        for name in record.metrics
        if name not in {"dataset", "split", "gain"}
    }
    assert not np.array_equal(before, predict_baseline(record, rows))
    (project / "shares.py").write_text("raise RuntimeError")
    stop_workers()
    loaded = load_record(home, "late", record.bundle_id)
    assert np.array_equal(predict(loaded, rows, definitions=DEFINITIONS), before)
    assert predict(loaded, rows.slice(0, 0), definitions=DEFINITIONS).tolist() == []
    assert list_models(home) == [record]
    assert not list(record.path.parent.glob(".training-*"))
    with pytest.raises(DeclarationError, match="not of LightGBM"):
        record.text()


def test_the_same_inputs_train_once_and_give_the_same_bundle(spec, dataset, home, monkeypatch):
    record = train(dataset, spec, home)
    module = sys.modules["headrace.models.train"]
    monkeypatch.setattr(module, "learning", None)  # training now would fail
    assert train(dataset, spec, home) == record
    limited = replace(spec, learner=replace(spec.learner, limits=WorkerLimits(predict_seconds=5)))
    assert train(dataset, limited, home) == record
    assert json.loads((record.path / "limits.json").read_text())["predict_seconds"] == 5
    monkeypatch.undo()


def test_a_second_training_gives_the_same_bundle(spec, dataset, home, project):
    record = train(dataset, spec, home)
    shutil.rmtree(record.path.parent / "inputs")
    assert train(dataset, spec, home).bundle_id == record.bundle_id


def test_changed_source_trains_another_bundle(spec, dataset, home, project):
    record = train(dataset, spec, home)
    write(project / "shares.py", SHARES.replace("smoothing=1", "smoothing=100"))
    other = train(dataset, spec, home)
    assert other.bundle_id != record.bundle_id
    tuned = replace(spec, learner=replace(spec.learner, params={"smoothing": 9}))
    assert train(dataset, tuned, home).bundle_id not in {record.bundle_id, other.bundle_id}
    decision = challenge(home, record, dataset)
    assert decision.promoted
    assert champion(home, "late") == record
    assert challenge(home, other, dataset).interval["blocks"] > 20


def test_an_altered_source_is_an_altered_bundle(spec, dataset, home):
    record = train(dataset, spec, home)
    stop_workers()
    path = record.path / "learner.json"
    form = json.loads(path.read_text())
    path.write_text(json.dumps({**form, "seed": 8}))
    with pytest.raises(StateError, match="was altered"):
        load_record(home, "late", record.bundle_id)
    path.write_text(json.dumps(form, sort_keys=True, separators=(",", ":")))
    (record.path / "source" / "shares.py").write_text(SHARES)
    loaded = load_record(home, "late", record.bundle_id)
    with pytest.raises(StateError, match="files of source were altered"):
        predict(loaded, dataset.split("test").arrow, definitions=DEFINITIONS)


def test_a_failed_training_leaves_nothing(spec, dataset, home, project):
    write(project / "shares.py", SHARES.replace("shares = {}", "shares = {}; 1 / 0"))
    with pytest.raises(LearnerError, match="ZeroDivisionError"):
        train(dataset, spec, home)
    assert [path.name for path in (home.models / "late").iterdir()] == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("moment", ["training", "publishing"])
def test_a_killed_training_leaves_no_model_and_no_files(spec, dataset, home, project, moment):
    child = os.fork()
    if not child:
        module = sys.modules["headrace.models.train"]
        name = "_evaluated" if moment == "training" else "write_bundle"
        setattr(module, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        train(dataset, spec, home)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(home.models.glob("*/.training-*"))
    assert list_models(home) == []
    record = train(dataset, spec, home)
    assert list_models(home) == [record]
    assert not list(home.models.glob("*/.training-*"))


def test_an_estimator_learns_as_trees_do(estimator, dataset, home, record):
    own = train(dataset, estimator, home)
    assert own.learner == "sklearn"
    assert own.library.startswith("sklearn, numpy ")
    assert own.metrics["model"]["auc"] > record.metrics["model"]["auc"] - 0.02
    assert own.metrics["against_baseline"]["beats"]
    shutil.rmtree(own.path.parent / "inputs")
    assert train(dataset, estimator, home).bundle_id == own.bundle_id
    promote(home, record, "first")
    assert challenge(home, own, dataset, margin=1.0).promoted


def test_recipes_of_a_retraining(spec, dataset):
    best, *_ = choose(dataset, spec, [Recipe("all")])
    assert best.recipe == Recipe("all")
    assert 0 < best.loss < 1


def test_a_missing_library_is_refused_before_training(estimator, dataset, home, monkeypatch):
    from importlib import metadata

    version = metadata.version

    def without_skops(name):
        if name == "skops":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_skops)
    with pytest.raises(DeclarationError, match="skops is not installed") as caught:
        train(dataset, estimator, home)
    assert caught.value.fix == "pip install 'headrace[sklearn]'"


# The mean label, or the shares of the classes, by the hour of the day.
MEANS = """
    import json
    import numpy as np

    def outcomes(labels, classes):
        if not classes:
            return labels.to_numpy()[:, None]
        return np.array([[label == name for name in classes] for label in labels.to_pylist()])

    def train(rows, label, folder, *, classes):
        early = rows["calendar__hour"].to_numpy() < 12
        values = outcomes(rows[label], classes)
        means = [values[early == side].mean(axis=0).tolist() for side in (False, True)]
        (folder / "means.json").write_text(json.dumps(means))

    class Means:
        def __init__(self, means):
            self.means = np.array(means)

        def predict(self, rows):
            return self.means[(rows["calendar__hour"].to_numpy() < 12).astype(int)]

    def load(folder):
        return Means(json.loads((folder / "means.json").read_text()))
    """


@pytest.mark.parametrize("kind", ["squared", "poisson", "multiclass"])
def test_every_task_has_learners(project, home, kind):
    write(project / "means.py", MEANS)
    labels = names if kind == "multiclass" else None
    dataset = released(home, labelled_frame(kind, labels=labels))
    spec = task_spec(kind, **PLAIN, learner=Trainer("means:train"))
    record = load_record(home, "late", train(dataset, spec, home).bundle_id)
    assert record.task == train(dataset, replace(spec, learner=None), home).task
    rows = dataset.split("test").arrow
    predictions = predict(record, rows, definitions=DEFINITIONS)
    assert predictions.shape == ((len(rows), 3) if kind == "multiclass" else (len(rows),))
    assert len(predict(record, rows.slice(0, 0), definitions=DEFINITIONS)) == 0
    assert evaluate(record, dataset, rounds=200, seed=7).items() <= dict(record.metrics).items()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("return self.means[[0] * len(rows)][:, :2]", "2 values for each row, not 3"),
        ("return self.means[[0] * len(rows)] / 2", "row 0 whose sum is 0.5"),
    ],
)
def test_probabilities_of_classes_are_checked(project, home, line, text):
    write(project / "means.py", MEANS.replace("return self.means[(", f"{line}; self.means[("))
    dataset = released(home, labelled_frame("multiclass", labels=names))
    spec = task_spec("multiclass", **PLAIN, learner=Trainer("means:train"))
    with pytest.raises(LearnerError, match=text):
        train(dataset, spec, home)
