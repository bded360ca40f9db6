"""Source and lock of a bundle: what is copied, and that nothing else is used."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from headrace.core.errors import DeclarationError, LearnerError, StateError
from headrace.models.learners import SklearnLearner, Trainer, WorkerLimits
from headrace.models.learners import source_tree as source_tree_module
from headrace.models.learners.bundle import StoredLearner, learner_inputs, stop_workers
from headrace.models.learners.source_tree import source_tree
from tests.models.learner_project import MEANS, constant, inputs, trained, write


def names(entry, *source):
    return sorted(source_tree(entry, source).files)


@pytest.fixture
def package(project):
    write(project / "nets" / "__init__.py", "raise RuntimeError('imported')")
    write(project / "nets" / "wide" / "__init__.py", "")
    write(project / "nets" / "wide" / "means.py", MEANS)
    write(project / "nets" / "wide" / "words.txt", "one\n")
    (project / "nets" / "wide" / "weights.bin").write_bytes(bytes(range(256)))
    write(project / "nets" / "wide" / ".hidden" / "key.txt", "secret")
    write(project / "nets" / "wide" / "__pycache__" / "means.txt", "")
    write(project / "nets" / "deep.py", "")
    write(project / "alone.py", MEANS)
    return project


def test_the_package_of_the_module_is_copied(package):
    wide = ["nets/wide/__init__.py", "nets/wide/means.py", "nets/wide/words.txt"]
    assert names("nets.wide.means:train") == wide
    assert names("nets.wide:train") == wide
    assert names("alone:train") == ["alone.py"]
    assert names("alone:train", "alone", "nets.deep") == ["alone.py", "nets/deep.py"]


def test_installed_packages_are_not_copied(package):
    assert names("sklearn.ensemble:HistGradientBoostingClassifier") == []
    assert names("json:dumps") == []


@pytest.mark.parametrize(
    ("entry", "source", "text"),
    [
        ("missing:train", (), "no module 'missing'"),
        ("nets.missing:train", (), r"no module 'nets.missing'"),
        ("alone.missing:train", (), "no module 'alone'"),
        ("alone:train", ("nets.deep",), "does not contain the module alone"),
    ],
)
def test_a_missing_module_is_an_error(package, entry, source, text):
    with pytest.raises(DeclarationError, match=text):
        source_tree(entry, source)


def test_large_files_are_not_source(package, monkeypatch):
    monkeypatch.setattr(source_tree_module, "LARGEST", 1000)
    write(package / "nets" / "wide" / "big.csv", "a,b\n" * 999)
    with pytest.raises(DeclarationError, match=r"big.csv has 3,996 bytes"):
        source_tree("nets.wide.means:train")
    (package / "nets" / "wide" / "big.csv").write_bytes(bytes(5000))  # not text
    names("nets.wide.means:train")
    monkeypatch.setattr(source_tree_module, "LARGEST_TREE", 100)
    with pytest.raises(DeclarationError, match="more than 100"):
        source_tree("nets.wide.means:train")


def test_packages_above_are_not_run(package):
    """`nets/__init__.py` raises an error; only `nets.wide` is copied."""
    stored = trained(package / "bundle", Trainer("nets.wide.means:train"))
    assert len(stored.predict("model", inputs())) == 400


def test_a_changed_checkout_changes_no_prediction(project):
    entry = constant(project, predict="return np.full(rows.num_rows, 0.25)")
    stored = trained(project / ".headrace" / "bundle", Trainer(entry))
    before = stored.predict("model", inputs())
    constant(project, predict="return np.full(rows.num_rows, 0.75)")
    stop_workers()
    assert np.array_equal(stored.predict("model", inputs()), before)
    (project / "rates.py").unlink()
    stop_workers()
    assert np.array_equal(stored.predict("model", inputs()), before)


def test_source_and_versions_are_inputs_of_training(project):
    entry = constant(project)
    before = learner_inputs(Trainer(entry))
    assert learner_inputs(Trainer(entry, limits=WorkerLimits(memory=9.0))) == before
    assert learner_inputs(Trainer(entry, packages=("numpy",))) != before
    assert learner_inputs(Trainer(entry, params={"depth": 3})) != before
    constant(project, predict="pass  # another")
    assert learner_inputs(Trainer(entry)) != before
    assert "scikit-learn" in learner_inputs(SklearnLearner("rates:train"))["packages"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("open('data.csv')", "raised FileNotFoundError"),
        ("open({root!r} + '/data.csv')", "a file of the checkout"),
        ("os.listdir({root!r})", "a file of the checkout"),
        ("os.chdir({root!r})", "a file of the checkout"),
        ("Path({root!r}, 'data.csv').read_text()", "a file of the checkout"),
        ("sys.path.insert(0, {root!r}); import other", "raised ModuleNotFoundError"),
        ("import other", "raised ModuleNotFoundError"),
    ],
)
@pytest.mark.parametrize("when", ["train", "predict"])
def test_a_file_of_the_checkout_cannot_be_read(project, line, text, when):
    write(project / "data.csv", "1\n")
    write(project / "other.py", "")
    entry = constant(project, **{when: line.format(root=str(project))})
    if when == "train":
        with pytest.raises(LearnerError, match=text) as caught:
            trained(project / ".headrace" / "bundle", Trainer(entry))
    else:
        stored = trained(project / ".headrace" / "bundle", Trainer(entry))
        with pytest.raises(LearnerError, match=text) as caught:
            stored.predict("model", inputs())
    if line.endswith("import other"):
        assert 'source=("rates", "other")' in caught.value.fix
    else:
        assert "Path(__file__).parent" in caught.value.fix


def test_text_beside_the_module_is_in_the_bundle(project):
    write(project / "nets" / "words.txt", "0.125")
    entry = constant(
        project,
        "nets/rates",
        predict="self.rate = float((Path(__file__).parent / 'words.txt').read_text())",
    )
    stored = trained(project / "bundle", Trainer(entry.replace("/", ".")))
    (project / "nets" / "words.txt").unlink()
    assert stored.predict("model", inputs())[0] == 0.125


def altered(stored, change):
    stop_workers()
    copy = stored.folder.with_name("altered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(stored.folder, copy)
    change(copy)
    return StoredLearner.open("late", copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "source" / "rates.py").write_text("import os"),
        lambda folder: (folder / "source" / "json.py").write_text("import os"),
        lambda folder: (folder / "model" / "rate.json").write_text("0.6"),
        lambda folder: (folder / "model" / "rate.json").unlink(),
    ],
)
def test_an_altered_bundle_is_refused(project, change):
    stored = altered(trained(project / "bundle", Trainer(constant(project))), change)
    with pytest.raises(StateError, match="were altered"):
        stored.predict("model", inputs())


def test_pinned_packages_must_keep_their_version(project, caplog):
    stored = trained(project / "bundle", Trainer(constant(project), packages=("numpy", "pyarrow")))

    def relock(pinned, installed):
        def change(folder):
            path = folder / "learner.json"
            form = json.loads(path.read_text())
            form["packages"].update(pinned)
            form["lock"]["distributions"].update(installed)
            path.write_text(json.dumps(form))

        return altered(stored, change)

    with pytest.raises(StateError, match=r"trained with numpy 1.2.3 \(installed: \d") as caught:
        relock({"numpy": "1.2.3"}, {}).predict("model", inputs())
    assert "pip install 'numpy==1.2.3' 'pyarrow==" in caught.value.fix
    with pytest.raises(StateError, match=r"absent 1.0 \(installed: none\)"):
        relock({"absent": "1.0"}, {}).predict("model", inputs())
    with caplog.at_level(logging.WARNING):
        assert relock({}, {"absent": "1.0"}).predict("model", inputs())[0] == 0.5
    assert "absent 1.0 -> none" in caplog.text


def test_a_package_that_is_not_installed_is_refused(project):
    with pytest.raises(DeclarationError, match="absent is not installed"):
        trained(project / "bundle", Trainer(constant(project), packages=("absent",)))


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: Trainer("module"), "is not a function"),
        (lambda: Trainer("a b:c"), "is not a function"),
        (lambda: Trainer("a:b", params={"net": object()}), "params are not JSON values"),
        (lambda: Trainer("a:b", params={"seed": 1}), r"params \['seed'\] are arguments"),
        (lambda: Trainer("a:b", threads=0), "threads is 0"),
        (lambda: Trainer("a:b", limits=WorkerLimits(train_seconds=0)), "train_seconds is 0"),
        (lambda: SklearnLearner(lambda: None), "cannot be found by name"),
    ],
)
def test_a_declaration_is_checked(declare, text):
    with pytest.raises(DeclarationError, match=text):
        declare()


@pytest.mark.parametrize("learner", [Trainer("a:b"), SklearnLearner("a:b", trusted=("c.d",))])
def test_a_declaration_can_be_copied_and_compared(learner):
    other = replace(learner, threads=2)
    assert other != learner
    assert replace(other, threads=1) == learner
    assert hash(replace(other, threads=1)) == hash(learner)


def test_a_factory_may_be_a_function():
    assert SklearnLearner(trained).entry == "tests.models.learner_project:trained"
    assert SklearnLearner(WorkerLimits).entry == "headrace.models.learners.declaration:WorkerLimits"


def test_a_newer_format_is_refused(project):
    stored = trained(project / "bundle", Trainer(constant(project)))
    path = stored.folder / "learner.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(StateError, match="has format 9"):
        StoredLearner.open("late", stored.folder)
