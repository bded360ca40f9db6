import pytest

from tests.lake.kit import Meter


@pytest.fixture
def meter(tmp_path) -> Meter:
    return Meter(tmp_path)
