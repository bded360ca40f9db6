"""What all tests share: compiled modules, and the deliveries of the year of flights."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.distribution import (  # noqa: F401 - hooks
    pytest_collection_modifyitems,
    pytest_xdist_make_scheduler,
)
from tests.examples import examples, shorten
from tests.shelf import shelf, version

# A machine may be busy: how long a test takes says nothing of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer generated examples in a run without the long tests."""
    shorten(short=config.getoption("markexpr") == "not slow")
    settings.register_profile("unhurried", deadline=None, max_examples=examples())
    settings.load_profile("unhurried")


# Every step of a ledger or a table is synced to the disk, which takes longer than the step itself:
# files of tests lie in memory where there is enough of it.
MEMORY, ENOUGH = Path("/dev/shm"), 8 << 30
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ.setdefault("TMPDIR", str(MEMORY))
    tempfile.tempdir = None

# LightGBM's threads wait for one another in busy loops, which beside those of another worker take
# many times as long as the training.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests start many programs: what these import is compiled once, not by each of them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What is known of files that tests make and alter is not for the user's own cache.
os.environ["HEADRACE_CACHE"] = str(shelf() / "cache")

# Workers of a distributed run are started by `python -c`, which early releases of Python 3.11 take
# for a file that a process they start should load.
if getattr(sys.modules["__main__"], "__file__", None) == "-c":
    del sys.modules["__main__"].__file__


@pytest.fixture(autouse=True)
def _signals():
    """What a command that was run in this process did to signals ends with its test.

    Processes started later would inherit that a signal is ignored, and could not be stopped.
    """
    yield
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def flights_deliveries() -> Path:
    """A folder that `make_deliveries` filled. Read it, or copy it (keeping times) to change it."""
    from demo import flights

    folder = shelf() / f"flights-{version(Path(flights.__file__).parent.glob('*.py'))}"
    if not (folder / "deliveries.json").exists():
        made = Path(tempfile.mkdtemp(dir=shelf()))
        flights.make_deliveries(made)
        try:
            made.rename(folder)  # atomic: whoever comes second finds a full folder in the way
        except OSError:
            shutil.rmtree(made)
    return folder
