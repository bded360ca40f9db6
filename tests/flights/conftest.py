"""The year of flights, built: made once, shared by every worker."""

import fcntl
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.core.home import Home
from headrace.pipeline import Pipeline
from pipelines.flights import pipeline as flights
from tests.flights.short_range import ROOT, cut_deliveries
from tests.shelf import shelf, version

# What neither the tables nor what is built on them depend on.
OUTSIDE = ("cli", "dagster", "scaffold", "serving")
DAY_S = 86_400


@dataclass(frozen=True)
class Year:
    """The whole year, built. Read only: every test of every worker looks at the same state."""

    home: Home
    deliveries: Path
    pipeline: Pipeline


@pytest.fixture(scope="session")
def year(flights_deliveries: Path) -> Year:
    """All tables ingested, everything built, by the code as it is now; a minute, then nothing.

    State holds absolute paths, so it is built where it stays, and a mark says that it is complete.
    """
    root = shelf() / f"year-{flights_deliveries.name}-{version(_code())}"
    done = root.with_suffix(".done")
    with (shelf() / "year.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _forget_old(root.parent)
            shutil.rmtree(root, ignore_errors=True)
            _build(flights_deliveries, root)
            done.touch()
    return Year(Home(root), flights_deliveries, flights(flights_deliveries))


@pytest.fixture
def short_deliveries(flights_deliveries: Path, tmp_path: Path) -> Path:
    """Ten days of deliveries, the test's own."""
    return cut_deliveries(flights_deliveries, tmp_path / "deliveries")


def _build(folder: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.flights.whole_year", str(folder), str(root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _code() -> list[Path]:
    folders = (ROOT / "src/headrace", ROOT / "pipelines/flights", ROOT / "quality_suites/flights")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    own = [path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
    skipped = [ROOT / "src/headrace" / name for name in OUTSIDE]
    return [
        path
        for path in (*files, *own)
        if path.suffix != ".pyc" and not any(path.is_relative_to(folder) for folder in skipped)
    ]


def _forget_old(folder: Path) -> None:
    """Years that other code built, and that no test can still be reading."""
    for done in folder.glob("year-*.done"):
        if done.stat().st_mtime < time.time() - DAY_S:
            done.unlink(missing_ok=True)
            shutil.rmtree(done.with_suffix(""), ignore_errors=True)
