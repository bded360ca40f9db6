"""kill -9 at random moments of the run, and start it again: as if nothing had happened."""

import json
import os
import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.home import Home
from headrace.models import list_models
from headrace.monitoring.ledger import DecisionLedger
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


@dataclass(frozen=True)
class Moment:
    """When to kill: in which stage, and how far into it (0 to 1)."""

    stage: str
    share: float


def moments(counts: dict[str, int], seed: int) -> list[Moment]:
    """Random moments, in the order in which a run comes to them."""
    chance = random.Random(seed)
    return [
        Moment(stage, share)
        for stage, count in counts.items()
        for share in sorted(chance.random() for _ in range(count))
    ]


@dataclass(frozen=True)
class Watch:
    """How far a state has come, seen from outside."""

    home: Path
    deliveries_expected: int
    longest: dict[str, float]  # seconds that a stage without countable steps takes

    def reached(self, moment: Moment, waited: dict[str, float]) -> bool:
        now = time.monotonic()
        if moment.stage == "start":
            return now - waited.setdefault("start", now) > moment.share * 4
        if moment.stage == "ingest":
            return self.judged() > moment.share * self.deliveries_expected
        if moment.stage == "features":
            return self.views() > moment.share * VIEWS
        begun = {
            "log": self.judged() >= self.deliveries_expected,
            "release": self.views() == VIEWS,
            "training": any((self.home / "store" / "datasets").glob("*/*/*.json")),
            "monitors": any((self.home / "models").glob("*/*/*.json")),
        }[moment.stage]
        if not begun:
            return False
        since = waited.setdefault(moment.stage, now)
        return now - since > moment.share * self.longest[moment.stage]

    def judged(self) -> int:
        path = self.home / "ledger.sqlite"
        if not path.exists():
            return 0
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
                return ledger.execute("SELECT count(*) FROM judgements").fetchone()[0]
        except sqlite3.OperationalError:  # it is just being made
            return 0

    def views(self) -> int:
        return len(list(self.home.glob("features/*/*/state.json")))


def run_until_killed(moment: Moment, watch: Watch, **where: Path) -> bool:
    """Whether the kill hit a running process; else the run came to its end before."""
    waited: dict[str, float] = {}
    with start("run", "--json", home=watch.home, **where) as process:
        while process.poll() is None and not watch.reached(moment, waited):
            time.sleep(TICK)
        hit = process.poll() is None
        if hit:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return hit and process.returncode == -signal.SIGKILL


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

    from headrace.dagster.instance import open_instance
    from headrace.dagster.names import table_key

    with open_instance(Home(root)) as instance:
        unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
        assert instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)) == []
        return {
            table.name: set(instance.get_materialized_partitions(table_key(table.name)))
            for table in pipeline.tables
            if table.partitioned
        }


def prove(pipeline, planned, watch, undisturbed, **where) -> int:
    """Kill at every planned moment, then let it finish; how many kills hit."""
    expected = run_to_the_end(undisturbed, **where)
    hits = sum(run_until_killed(moment, watch, **where) for moment in planned)
    found = run_to_the_end(watch.home, **where)
    assert content(pipeline, watch.home) == content(pipeline, undisturbed)
    assert days_in_dagster(pipeline, watch.home) == days_in_dagster(pipeline, undisturbed)
    assert found["tables"] == expected["tables"]
    assert run_to_the_end(watch.home, **where)["runs"][0]["runs"] == []
    return hits


@pytest.mark.parametrize("seed", [5])
def test_ten_days_killed_five_times(flights_deliveries, tmp_path, seed):
    deliveries = cut_deliveries(flights_deliveries, tmp_path / "deliveries")
    where = {"project": short_project(tmp_path / "project"), "deliveries": deliveries}
    planned = moments({"ingest": 2, "features": 1, "release": 1, "training": 1}, seed)
    watch = Watch(tmp_path / "killed", 34, {"release": 0.5, "training": 1.0})
    hits = prove(short(deliveries), planned, watch, tmp_path / "undisturbed", **where)
    assert hits >= 4


@pytest.mark.slow
def test_the_year_killed_twenty_times(flights_deliveries, tmp_path):
    code = "from pipelines.flights import PIPELINE\n\n__all__ = ['PIPELINE']\n"
    where = {
        "project": project(tmp_path / "project", "the_year", code),
        "deliveries": flights_deliveries,
    }
    planned = moments(
        {"start": 1, "ingest": 7, "log": 2, "features": 4, "release": 2, "training": 3, "monitors": 1},
        seed=int(os.environ.get("HEADRACE_TEST_SEED", "2013")),
    )
    assert len(planned) == 20
    longest = {"log": 20.0, "release": 6.0, "training": 20.0, "monitors": 2.0}
    watch = Watch(tmp_path / "killed", 1103, longest)
    hits = prove(flights(flights_deliveries), planned, watch, tmp_path / "undisturbed", **where)
    assert hits >= 18
