"""Estimators of scikit-learn in a worker process: stored with skops, the same bytes every time."""

import pickletools
import zipfile

import numpy as np
import pytest

from headrace.core.errors import LearnerError
from headrace.datasets.fits.fits import Fits
from headrace.datasets.fits.fitting import fit
from headrace.datasets.manifest import ManifestColumn
from headrace.models.learners import SklearnLearner
from headrace.models.learners.bundle import stop_workers
from headrace.models.learners.rows import learner_rows
from tests.models.learner_project import table, trained, write

COLUMNS = [
    ManifestColumn(name=name, type=kind, role="feature")
    for name, kind in [
        ("wind", "float64"),
        ("distance", "int64"),
        ("carrier", "string"),
        ("holiday", "bool"),
    ]
]
ESTIMATORS = """
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.svm import LinearSVC

    def trees(rounds=20):
        return HistGradientBoostingClassifier(max_iter=rounds)

    def regression():
        return HistGradientBoostingRegressor(max_iter=20, loss="poisson")

    def logistic():
        texts = OneHotEncoder(handle_unknown="ignore")
        numbers = make_pipeline(SimpleImputer(), StandardScaler())
        columns = make_column_transformer(
            (texts, make_column_selector(dtype_include="category")),
            (numbers, make_column_selector(dtype_include="number")),
        )
        return make_pipeline(columns, LogisticRegression())

    class Rate(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_, counts = np.unique(y, return_counts=True)
            self.rates_ = counts / counts.sum()
            return self
        def predict_proba(self, x):
            return np.tile(self.rates_, (len(x), 1))

    class Dtypes(Rate):
        def fit(self, x, y):
            self.seen_ = [f"{name} {kind}" for name, kind in x.dtypes.items()]
            raise ValueError(" ".join(self.seen_))

    def number():
        return 7
    """


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(str(root))
        write(root / "pyproject.toml", "")
        write(root / "shapes.py", ESTIMATORS)
        yield root
    stop_workers()


@pytest.fixture
def entry(project):
    return "shapes:{}".format


@pytest.fixture(scope="module")
def trees(project):
    return learned(project / "trees", SklearnLearner("shapes:trees"))


def encoded(rows, fits=None):
    return learner_rows(rows, COLUMNS, fits or fit(table(), ("carrier",)), "sklearn")


def labelled(rows, label="late"):
    return encoded(rows).append_column("late", rows[label])


def learned(folder, learner, rows=None, **options):
    return trained(folder, learner, labelled(table() if rows is None else rows), **options)


def files(stored):
    return {
        str(path.relative_to(stored.folder)): path.read_bytes()
        for path in stored.folder.rglob("*")
        if path.is_file()
    }


def test_the_same_release_gives_the_same_bytes(project, trees):
    again = learned(project / "again", SklearnLearner("shapes:trees"))
    assert files(again) == files(trees)
    rows = table(seed=1)
    predictions = trees.predict("model", encoded(rows))
    assert np.array_equal(again.predict("model", encoded(rows)), predictions)
    y = rows["late"].to_numpy()
    assert predictions[y == 1].mean() > predictions[y == 0].mean() + 0.1


def test_a_pipeline_gives_the_same_bytes(project, entry):
    first, second = (
        learned(project / folder, SklearnLearner(entry("logistic"))) for folder in ("one", "two")
    )
    assert files(first) == files(second)
    assert len(first.predict("model", encoded(table(seed=1)))) == 400


def test_nothing_is_pickled(trees):
    with zipfile.ZipFile(trees.folder / "model" / "estimator.skops") as archive:
        contents = [archive.read(name) for name in archive.namelist()]
        assert "schema.json" in archive.namelist()
    for data in [*contents, *files(trees).values()]:
        with pytest.raises((ValueError, NotImplementedError)):
            list(pickletools.genops(data))


def test_a_class_of_scikit_learn_is_a_factory(project, trees):
    learner = SklearnLearner(
        "sklearn.ensemble:HistGradientBoostingClassifier", params={"max_iter": 20}
    )
    stored = learned(project / "class", learner)
    rows = encoded(table(seed=1))
    assert np.array_equal(stored.predict("model", rows), trees.predict("model", rows))
    assert stored.form["files"]["source"] == []


def test_a_type_that_is_not_trusted_is_refused_by_name(project):
    write(project / "rates.py", ESTIMATORS)
    with pytest.raises(LearnerError, match=r"not trusted: rates.Rate") as caught:
        learned(project / "refused", SklearnLearner("rates:Rate"))
    assert caught.value.fix == 'if you trust their code, declare trusted=("rates.Rate",)'
    stored = learned(project / "trusted", SklearnLearner("rates:Rate", trusted=("rates.Rate",)))
    (project / "rates.py").unlink()
    rate = table()["late"].to_numpy().mean()
    assert stored.predict("model", encoded(table())).tolist() == [rate] * 400


def test_numbers_are_floats_and_text_is_a_category(project, entry):
    with pytest.raises(LearnerError) as caught:
        learned(project / "dtypes", SklearnLearner(entry("Dtypes")))
    assert "wind float64 distance float64 carrier category holiday float64" in caught.value.what


def test_values_outside_the_vocabulary_are_missing(trees):
    rows = table().slice(0, 2)
    new, null = (rows.set_column(2, "carrier", [[value, "UA"]]) for value in ("ZZ", None))
    null = null.set_column(2, "carrier", null["carrier"].cast("string"))
    assert np.array_equal(
        trees.predict("model", encoded(new)), trees.predict("model", encoded(null))
    )


def test_a_row_alone_has_the_prediction_that_it_has_among_others(trees):
    rows = encoded(table())
    together = trees.predict("model", rows)
    alone = [trees.predict("model", rows.slice(n, 1))[0] for n in range(20)]
    assert alone == together[:20].tolist()


@pytest.mark.slow
def test_several_classes_and_numbers(project, entry):
    rows = table()
    thirds = rows.set_column(4, "late", [rows["distance"].to_numpy() % 3])
    stored = learned(
        project / "classes",
        SklearnLearner(entry("trees")),
        thirds,
        task="multiclass",
        classes=(2, 0, 1),
    )
    predictions = stored.predict("model", encoded(rows))
    assert predictions.shape == (400, 3)
    assert np.allclose(predictions.sum(axis=1), 1)
    counts = rows.set_column(4, "late", [rows["distance"].to_numpy() / 10])
    stored = learned(
        project / "numbers",
        SklearnLearner(entry("regression")),
        counts,
        task="regression",
        classes=(),
    )
    predictions = stored.predict("model", encoded(rows))
    assert np.corrcoef(predictions, rows["distance"].to_numpy())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "returned int, not an estimator"),
        ("LinearSVC", "LinearSVC has no predict_proba"),
        ("absent", "shapes has no 'absent'"),
    ],
)
def test_what_is_not_a_classifier_is_refused(project, entry, name, text):
    with pytest.raises(LearnerError, match=text):
        learned(project / name, SklearnLearner(entry(name)))


def test_declared_transforms_reach_the_learner():
    rows = table()
    steps = {
        "carrier": (
            {"kind": "impute", "value": "none", "indicator": True},
            {"kind": "vocabulary", "values": ["AA", "none"], "unknown": "own"},
        ),
        "wind": (
            {"kind": "impute", "value": 0.5, "indicator": False},
            {"kind": "scale", "center": 0.5, "scale": 2.0},
        ),
    }
    fits = Fits(steps)
    estimator, plain = (learner_rows(rows, COLUMNS, fits, kind) for kind in ("sklearn", "trainer"))
    assert estimator["carrier"].combine_chunks().dictionary.to_pylist() == ["AA", "none", "(other)"]
    texts = [value or "none" for value in rows["carrier"].to_pylist()]
    assert plain["carrier"].to_pylist() == texts
    known = [value if value in {"AA", "none"} else "(other)" for value in texts]
    assert estimator["carrier"].to_pylist() == known
    winds = [((0.5 if value is None else value) - 0.5) / 2 for value in rows["wind"].to_pylist()]
    assert estimator["wind"].to_pylist() == plain["wind"].to_pylist() == winds
    missing = [float(value is None) for value in rows["carrier"].to_pylist()]
    assert estimator["carrier__missing"].to_pylist() == missing
    assert plain["holiday"].type == rows["holiday"].type
    assert plain["distance"].type == rows["distance"].type
