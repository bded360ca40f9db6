import pytest

from headrace.scaffold import new_project
from tests.scaffold.shop import ask, orders


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return orders(tmp_path_factory.mktemp("data") / "orders.csv")


@pytest.fixture(scope="session")
def made(data, tmp_path_factory):
    """A project of its own, made once; tests that change it make another."""
    return new_project("shop", ask(data), tmp_path_factory.mktemp("made"))


@pytest.fixture
def fresh(data, tmp_path):
    return new_project("shop", ask(data), tmp_path)
