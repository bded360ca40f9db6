"""The deliveries of the year, made once and shared by every test run of this version."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from pipelines.flights import deliveries
from pipelines.flights.deliveries import make_deliveries


@pytest.fixture(scope="session")
def flights_deliveries() -> Path:
    """A folder that `make_deliveries` filled. Read it, or copy it (keeping times) to change it."""
    code = sorted(Path(deliveries.__file__).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:16]
    shelf = Path(tempfile.gettempdir()) / f"headrace-tests-{os.getuid()}"
    shelf.mkdir(mode=0o700, exist_ok=True)
    folder = shelf / f"flights-{version}"
    if not (folder / "deliveries.json").exists():
        made = Path(tempfile.mkdtemp(dir=shelf))
        make_deliveries(made)
        try:
            made.rename(folder)  # atomic: whoever comes second finds a full folder in the way
        except OSError:
            shutil.rmtree(made)
    return folder
