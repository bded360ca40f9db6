import shutil
from dataclasses import replace

import pytest

from headrace.scaffold import new_project
from tests.scaffold.shop import ask, orders


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return orders(tmp_path_factory.mktemp("data") / "orders.csv")


@pytest.fixture(scope="session")
def made(data, tmp_path_factory):
    """A project of its own, made once; tests that change it take a copy."""
    return new_project("shop", ask(data), tmp_path_factory.mktemp("made"))


@pytest.fixture
def fresh(made, tmp_path):
    """A copy of that project, the test's own."""
    return replace(made, root=shutil.copytree(made.root, tmp_path / "shop"))
