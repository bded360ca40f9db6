import shutil
from pathlib import Path

import pytest
from shop_pipeline import shop_pipeline, stub_stages

from headrace.core.home import Home
from headrace.dagster import definitions
from headrace.dagster.instance import open_instance, prepare


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


@pytest.fixture
def pipeline(folder):
    return shop_pipeline(folder)


@pytest.fixture
def defs(pipeline, home):
    return definitions(pipeline, home=lambda: home)


@pytest.fixture(scope="session")
def databases(tmp_path_factory) -> Path:
    """Dagster's home with empty databases, which take much longer to make than to copy."""
    home = Home(tmp_path_factory.mktemp("dagster"))
    prepare(home, home.root)
    with open_instance(home):
        return home.dagster


@pytest.fixture
def instance(home, tmp_path, databases):
    shutil.copytree(databases, home.dagster)
    prepare(home, tmp_path)
    with open_instance(home) as opened:
        yield opened


@pytest.fixture
def built(monkeypatch):
    """What the later stages were asked to do, in order."""
    done: list[str] = []
    for name, function in stub_stages(done).items():
        monkeypatch.setattr(name, function)
    return done
