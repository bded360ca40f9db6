import pytest

from tests.reports import world


@pytest.fixture(scope="session")
def flights(flights_deliveries, tmp_path_factory):
    """(pipeline, home); read it, or copy it."""
    return world.make(tmp_path_factory.mktemp("reports"), flights_deliveries)
