from dataclasses import replace

import pytest

import headrace
from headrace.core.home import Home
from headrace.datasets import release
from headrace.models import ModelSpec, train
from headrace.models.learners.bundle import stop_workers
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame

MODEL = ModelSpec(
    name="late",
    dataset="delays",
    baseline=("calendar__*",),
    segments=("origin", "calendar__carrier"),
    params={"learning_rate": 0.2, "num_leaves": 7},
    num_rounds=40,
    early_stopping=10,
    bootstrap=200,
)


def released(home, rows=None, *, fits=(), evaluation=None, **changes):
    given = {"definitions": DEFINITIONS, **changes}
    release(
        replace(SPEC, fits=fits, evaluation=evaluation),
        frame() if rows is None else rows,
        inputs=INPUTS,
        mode="declared",
        code_revision="r1",
        store=home.store,
        **given,
    )
    return headrace.open("delays", home.store)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def dataset(home):
    return released(home)


@pytest.fixture
def record(home, dataset):
    return train(dataset, MODEL, home)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Folder of a team's project, which is the current folder and on the import path."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("")
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    yield root
    stop_workers()
