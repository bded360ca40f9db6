import pytest

from tests.streams.kit import BROKERS, World, side


@pytest.fixture(params=BROKERS)
def world(request, tmp_path):
    """A stream in each broker."""
    made = side(request.param)
    made.create()
    yield World(tmp_path, made)
    made.drop()
