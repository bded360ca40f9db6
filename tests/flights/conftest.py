"""The flights pipeline, built over some weeks and over the year: once, for every worker."""

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
from tests.flights.short_range import (
    ROOT,
    WEEKS,
    build_all,
    cut_deliveries,
    ingest_all,
    opened,
    short,
    short_project,
)
from tests.shelf import shelf, version

# What neither the tables nor what is built on them depend on.
OUTSIDE = ("cli", "dagster", "scaffold", "serving")
DAY_S = 86_400


@dataclass(frozen=True)
class Built:
    """A built pipeline. Read only: every test of every worker looks at the same state."""

    home: Home
    deliveries: Path
    pipeline: Pipeline
    project: Path  # in which the commands find the pipeline

    @property
    def whole(self) -> bool:
        return self.project == ROOT


@pytest.fixture(scope="session")
def weeks(flights_deliveries: Path) -> Built:
    """Four weeks, with a storm, a file that comes twice and a wind that no one has measured."""
    root = _shelved("weeks", flights_deliveries)
    deliveries = root / "deliveries"
    return Built(Home(root / "home"), deliveries, short(deliveries, *WEEKS), root / "project")


@pytest.fixture(scope="session")
def year(flights_deliveries: Path) -> Built:
    """All tables of the year ingested, everything built; a minute, then nothing."""
    root = _shelved("year", flights_deliveries)
    return Built(Home(root), flights_deliveries, flights(flights_deliveries), ROOT)


@pytest.fixture(scope="session", params=["weeks", pytest.param("year", marks=pytest.mark.slow)])
def built(request: pytest.FixtureRequest) -> Built:
    """The weeks; in the long tests the year as well."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def short_deliveries(flights_deliveries: Path, tmp_path: Path) -> Path:
    """Ten days of deliveries, the test's own."""
    return cut_deliveries(flights_deliveries, tmp_path / "deliveries")


def _shelved(span: str, deliveries: Path) -> Path:
    """The folder in which a span was built by the code as it is now.

    State holds absolute paths, so it is built where it stays, and a mark says that it is complete.
    """
    root = shelf() / f"{span}-{deliveries.name}-{version(_code())}"
    done = root.with_suffix(".done")
    with (shelf() / f"{span}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _forget_old(root.parent, span)
            shutil.rmtree(root, ignore_errors=True)
            build = {"weeks": _build_weeks, "year": _build_year}[span]
            build(deliveries, root)
            done.touch()
    return root


def _build_weeks(deliveries: Path, root: Path) -> None:
    folder = cut_deliveries(deliveries, root / "deliveries", *WEEKS)
    short_project(root / "project", *WEEKS)
    with opened(folder, lambda folder: short(folder, *WEEKS)) as pipeline:
        home = Home(root / "home")
        ingest_all(pipeline, home)
        build_all(pipeline, home)


def _build_year(deliveries: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.flights.whole_year", str(deliveries), str(root)],
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


def _forget_old(folder: Path, span: str) -> None:
    """States that other code built, and that no test can still be reading."""
    for done in folder.glob(f"{span}-*.done"):
        if done.stat().st_mtime < time.time() - DAY_S:
            done.unlink(missing_ok=True)
            shutil.rmtree(done.with_suffix(""), ignore_errors=True)
