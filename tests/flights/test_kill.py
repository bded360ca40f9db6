"""kill -9 at random moments of the run, and start it again: as if nothing had happened."""

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from headrace.core.home import Home
from headrace.models import list_models
from headrace.monitoring.decisions.ledger import DecisionLedger
from headrace.pipeline import Pipeline
from pipelines.flights import pipeline as flights
from tests.flights.short_range import (
    assert_nothing_doubled,
    cut_deliveries,
    headrace,
    project,
    releases,
    rows_of,
    short,
    short_project,
    start,
)

VIEWS = 12
TICK = 0.003
STARTING = 4.0  # seconds of imports
# What each stage leaves behind, below the home.
STATES, BUILT = "features/*/*/state.json", "features/*/built.json"
MANIFESTS, MODELS = "store/datasets/*/*/manifest.json", "models/*/*/metrics.json"


@dataclass(frozen=True)
class Moment:
    """When to kill: in which stage, and how far into it (0 to 1; rarely at its very end)."""

    stage: str
    share: float


def moments(counts: dict[str, int], seed: int) -> list[Moment]:
    """Random moments, in the order in which a run comes to them."""
    chance = random.Random(seed)
    return [
        Moment(stage, share)
        for stage, count in counts.items()
        for share in sorted(chance.uniform(0.02, 0.85) for _ in range(count))
    ]


def lengths(home: Path) -> dict[str, float]:
    """Seconds that the stages took which have no steps to count, from what they left behind."""
    views = [path.stat().st_mtime for path in home.glob(STATES)]
    (release,) = (path.stat().st_mtime for path in home.glob(MANIFESTS))
    model = max(path.stat().st_mtime for path in home.glob(MODELS))
    (end,) = (path.stat().st_mtime for path in home.glob(BUILT))
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger:
        (judged,) = ledger.execute("SELECT max(judged_at) FROM judgements").fetchone()
    moments = [judged / 1e6, min(views), max(views), release, model, end]
    log, _, *others = (late - early for early, late in pairwise(moments))
    return dict(zip(("log", "release", "training", "monitors"), (log, *others), strict=True))


@dataclass(frozen=True)
class Watch:
    """How far a state has come, seen from outside, against one that was left in peace."""

    home: Path
    deliveries: int
    length: dict[str, float]

    @classmethod
    def over(cls, home: Path, undisturbed: Path) -> "Watch":
        return cls(home, judged(undisturbed), lengths(undisturbed))

    def reached(self, moment: Moment, waited: dict[str, float]) -> bool:
        now = time.monotonic()
        if moment.stage == "ingest":
            return judged(self.home) > moment.share * self.deliveries
        if moment.stage == "features":
            return self.views() > moment.share * VIEWS
        begun = {
            "start": True,
            "log": judged(self.home) == self.deliveries,
            "release": self.views() == VIEWS,
            "training": any(self.home.glob(MANIFESTS)),
            "monitors": any(self.home.glob(MODELS)),
        }[moment.stage]
        if not begun:
            return False
        since = waited.setdefault(moment.stage, now)
        return now - since > moment.share * self.length.get(moment.stage, STARTING)

    def views(self) -> int:
        return len(list(self.home.glob(STATES)))

    def finished(self) -> bool:
        return any(self.home.glob(BUILT))


def judged(home: Path) -> int:
    path = home / "ledger.sqlite"
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
            return ledger.execute("SELECT count(*) FROM judgements").fetchone()[0]
    except sqlite3.OperationalError:  # it is just being made
        return 0


def run_until_killed(moment: Moment, watch: Watch, **where: Path) -> bool:
    """Whether the kill hit a run that was not done yet."""
    waited: dict[str, float] = {}
    with start("run", "--json", home=watch.home, **where) as process:
        while process.poll() is None and not watch.reached(moment, waited):
            time.sleep(TICK)
        hit = process.poll() is None and not watch.finished()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    told = "killed" if hit else "too late"
    print(f"{moment.stage:<9} {moment.share:.2f} {told}")  # noqa: T201 - for pytest -s
    return hit


def run_to_the_end(home: Path, **where: Path) -> dict:
    code, out, err = headrace("run", "--json", home=home, **where)
    assert code == 0, err + out
    return json.loads(out)


def content(pipeline: Pipeline, root: Path) -> dict:
    """All that must not depend on how often the run was killed."""
    home = Home(root)
    assert_nothing_doubled(pipeline, home)
    decisions = DecisionLedger(home).entries(pipeline.monitor.name)
    return {
        "rows": rows_of(pipeline, home),
        "releases": releases(home),
        "models": sorted(model.bundle_id for model in list_models(home)),
        "decisions": [(str(e.window), e.decision.action, e.evidence_hash) for e in decisions],
    }


def days_in_dagster(pipeline: Pipeline, root: Path) -> dict[str, set[str]]:
    import dagster as dg

    from headrace.dagster.asset_names import table_key
    from headrace.dagster.instance import open_instance

    with open_instance(Home(root)) as instance:
        unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
        assert instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)) == []
        return {
            table.name: set(instance.get_materialized_partitions(table_key(table.name)))
            for table in pipeline.tables
            if table.partitioned
        }


def prove(pipeline, planned, root: Path, **where) -> None:
    """Kill at every planned moment, then let it finish: it is as if it had been left in peace.

    A run that reaches its end before its moment is compared too, and then begun from nothing.
    """
    undisturbed, killed = root / "undisturbed", root / "killed"
    expected = run_to_the_end(undisturbed, **where)

    def compare() -> None:
        found = run_to_the_end(killed, **where)
        assert content(pipeline, killed) == content(pipeline, undisturbed)
        assert days_in_dagster(pipeline, killed) == days_in_dagster(pipeline, undisturbed)
        assert found["tables"] == expected["tables"]
        assert run_to_the_end(killed, **where)["runs"][0]["runs"] == []

    watch = Watch.over(killed, undisturbed)
    for moment in planned:
        while not run_until_killed(moment, watch, **where):
            compare()
            shutil.rmtree(killed)
            watch.length[moment.stage] = watch.length.get(moment.stage, STARTING) / 2
    compare()


@pytest.mark.parametrize(
    "counts",
    [
        {"ingest": 1, "features": 1, "training": 1},
        pytest.param(
            {"ingest": 2, "features": 1, "release": 1, "training": 1}, marks=pytest.mark.slow
        ),
    ],
    ids=["three", "five"],
)
def test_ten_days_killed_some_times(flights_deliveries, tmp_path, counts):
    deliveries = cut_deliveries(flights_deliveries, tmp_path / "deliveries")
    where = {"project": short_project(tmp_path / "project"), "deliveries": deliveries}
    prove(short(deliveries), moments(counts, seed=5), tmp_path, **where)


@pytest.mark.slow
def test_the_year_killed_twenty_times(flights_deliveries, tmp_path):
    code = "from pipelines.flights import PIPELINE\n\n__all__ = ['PIPELINE']\n"
    where = {
        "project": project(tmp_path / "project", "the_year", code),
        "deliveries": flights_deliveries,
    }
    counts = {"start": 1, "ingest": 7, "log": 2, "features": 4, "release": 2, "training": 4}
    planned = moments(counts, seed=int(os.environ.get("HEADRACE_TEST_SEED", "2013")))
    assert len(planned) == 20
    prove(flights(flights_deliveries), planned, tmp_path, **where)
