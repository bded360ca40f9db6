"""A copy of the archived project, in a place of its own."""

import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def archived(tmp_path) -> Path:
    """The folder of the project; its home is `.headrace` below it."""
    with tarfile.open(HERE / "shop-0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "shop"
