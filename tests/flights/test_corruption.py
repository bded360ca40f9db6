"""Deliveries corrupted by hand, through the real Dagster job over ten days of flights.

One run meets them all, each on a day of its own. What is wrong is stopped and says why, what is
merely odd is absorbed, everything else goes on; a corrected delivery is the only thing to be run
again.
"""

import os
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from headrace.core.home import Home
from headrace.dagster import definitions
from headrace.dagster.asset_names import table_key
from headrace.dagster.execute import PipelineOutcome, run_pipeline
from headrace.dagster.instance import open_instance
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.pipeline import Pipeline
from tests.flights.short_range import (
    LAST,
    assert_nothing_doubled,
    cut_deliveries,
    ingest_all,
    later,
    opened,
    rows_of,
    short,
)

TWICE = "2013-03-06"
RENAMED, KILOMETRES, HALF, CUT = "2013-03-07", "2013-03-08", "2013-03-09", "2013-03-11"
GARBAGE, NOT_JSON = "2013-03-07", "2013-03-10"  # of the outcomes, and of the weather
BLOCKED = {
    "schedule": {RENAMED, KILOMETRES, HALF, CUT},
    "outcomes": {GARBAGE},
    "weather": {NOT_JSON},
}
SPARED = ("planes", "airlines", "airports")


# What goes wrong


def path_of(folder: Path, day: str) -> Path:
    return folder / "drop" / f"schedule_{day}.csv"


def rewrite(path: Path, content: str) -> None:
    """As if the producer had written this at the same time."""
    moment = path.stat().st_mtime
    path.write_text(content)
    os.utime(path, (moment, moment))


def in_kilometres(text: str) -> str:
    header, *lines = text.splitlines()
    place = header.split(",").index("distance")
    rows = [line.split(",") for line in lines]
    for cells in rows:
        cells[place] = str(round(int(cells[place]) * 1.609344))
    return "\n".join([header, *map(",".join, rows)]) + "\n"


def corrupt(folder: Path) -> None:
    again = path_of(folder, TWICE)
    copy = again.with_name(f"schedule_{TWICE}_again.csv")
    copy.write_bytes(again.read_bytes())
    for day, change in {
        RENAMED: lambda text: text.replace("sched_dep_time", "scheduled_departure", 1),
        KILOMETRES: in_kilometres,
        HALF: lambda text: "".join(text.splitlines(keepends=True)[: len(text.splitlines()) // 2]),
        CUT: lambda text: text[: len(text) * 9 // 10].rpartition(",")[0],
    }.items():
        path = path_of(folder, day)
        rewrite(path, change(path.read_text()))
    set_records(folder, "outcomes", GARBAGE, b'{"error": "database is down", "code": 17}\n' * 300)
    set_records(folder, "weather", NOT_JSON, b"<html>503</html>\n")


def set_records(folder: Path, feed: str, day: str, body: bytes) -> None:
    with closing(sqlite3.connect(folder / "feed.sqlite")) as database, database:
        values = (body.count(b"\n"), zlib.compress(body), feed, day)
        database.execute("UPDATE slots SET records=?, body=? WHERE feed=? AND day=?", values)


def correct(folder: Path, whole: Path) -> None:
    """The schedule comes right under other names, the feed answers again."""
    for day in BLOCKED["schedule"]:
        good = path_of(whole, day).read_bytes()
        path_of(folder, day).with_name(f"schedule_{day}_corrected.csv").write_bytes(good)
    with closing(sqlite3.connect(whole / "feed.sqlite")) as database:
        query = "SELECT body FROM slots WHERE feed=? AND day=?"
        for feed, day in (("outcomes", GARBAGE), ("weather", NOT_JSON)):
            (body,) = database.execute(query, (feed, day)).fetchone()
            set_records(folder, feed, day, zlib.decompress(body))


# The story, told once


@dataclass
class Story:
    """What could be seen after the run, and after the run that followed the correction."""

    pipeline: Pipeline
    home: Home
    bad: PipelineOutcome
    idle: PipelineOutcome = field(default_factory=lambda: PipelineOutcome(""))
    good: PipelineOutcome = field(default_factory=lambda: PipelineOutcome(""))
    status: dict[str, dict] = field(default_factory=dict)
    days: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    slots: dict[str, set[str]] = field(default_factory=dict)
    again: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(flights_deliveries, tmp_path_factory):
    folder = cut_deliveries(flights_deliveries, tmp_path_factory.mktemp("corrupt") / "deliveries")
    home = Home(folder.parent / "home")
    corrupt(folder)
    pipeline = short(folder)
    defs = definitions(pipeline, home=lambda: home)

    def run() -> PipelineOutcome:
        """As the command does it: a process knows nothing of the one before."""
        with opened(folder) as now:
            own = definitions(now, home=lambda: home)
            return run_pipeline(now, home, stage="ingest", defs=own, project=folder.parent)

    told = Story(pipeline, home, run())
    told.status = {t.name: table_status(home, t) for t in pipeline.tables}
    told.slots = {t.name: live_slots(home, t.name) for t in pipeline.tables}
    with open_instance(home) as instance:
        told.days = {name: day_states(instance, defs, name) for name in BLOCKED}
        before = {name: materialised(instance, name) for name in BLOCKED}
    told.idle = run()
    correct(folder, flights_deliveries)
    told.good = run()
    with open_instance(home) as instance:
        after = {name: materialised(instance, name) for name in BLOCKED}
        told.again = {n: sorted(after[n][len(before[n]) :]) for n in BLOCKED}
        told.days |= {f"{n} then": day_states(instance, defs, n) for n in BLOCKED}
    return told


def live_slots(home: Home, table: str) -> set[str]:
    live = Lake(home).live(table)
    with Ledger(home) as ledger:
        return {batch.slot for key, batch in ledger.batches(table).items() if key in live}


def day_states(instance, defs, table: str) -> dict[str, set[str]]:
    """The days that Dagster shows as materialised and as failed."""
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value as status,
    )

    key = table_key(table)
    days = defs.resolve_assets_def(key).partitions_def
    value = status(instance, key, days)
    return {
        "done": set(value.deserialize_materialized_partition_subsets(days).get_partition_keys()),
        "failed": set(value.deserialize_failed_partition_subsets(days).get_partition_keys()),
    }


def materialised(instance: dg.DagsterInstance, table: str) -> list[str]:
    """Days in the order of their materialisations, oldest first."""
    records = instance.fetch_materializations(table_key(table), limit=200).records
    return [record.asset_materialization.partition for record in reversed(records)]


def promised(story: Story, table: str) -> set[str]:
    return set(story.pipeline.table(table).expected_slots())


# What must be so


def test_the_run_fails_and_names_the_days(story):
    assert not story.bad.ok
    told = "\n".join(story.bad.lines())
    for table, days in BLOCKED.items():
        assert f"{table}: unpublished partitions ({len(days)}): {', '.join(sorted(days))}" in told


@pytest.mark.parametrize(
    ("table", "day", "says"),
    [
        ("schedule", RENAMED, "field 'sched_dep_time': expected column 'sched_dep_time'"),
        ("schedule", RENAMED, "got undeclared column 'scheduled_departure' instead"),
        ("schedule", KILOMETRES, "mean of distance 1613.42 is above 1250"),
        ("schedule", HALF, "row count 382 is below 600"),
        ("schedule", CUT, "line 883: expected a whole row, got 2013,3,11,AA,1709,LGA,MIA ("),
        ("schedule", CUT, "(expected 10 fields, got 7)"),
        ("outcomes", GARBAGE, "field 'year': expected column 'year' (integer), got no such column"),
        ("weather", NOT_JSON, "line 1: expected a whole row, got "),
        ("weather", NOT_JSON, "(not JSON: "),
    ],
)
def test_the_error_says_field_line_expected_and_got(story, table, day, says):
    """The text of the failed step, which is what the person on call reads first."""
    told = [text for run in story.bad.runs for _, text in run.failures]
    (mine,) = [text for text in told if text.startswith(f"{table}: ")]
    lines = [line for line in mine.splitlines() if line.strip().startswith(f"{day}: BLOCK")]
    assert lines
    assert any(says in line for line in lines), mine


def test_a_blocked_day_shows_as_failed_and_unmaterialised(story):
    for table, days in BLOCKED.items():
        assert story.days[table]["failed"] == days
        assert story.days[table]["done"] == promised(story, table) - days


def test_the_other_days_and_tables_are_published(story):
    for table, days in BLOCKED.items():
        assert story.slots[table] == promised(story, table) - days
        assert story.status[table]["pending"] > 0 or table == "weather"
    for table in SPARED:
        assert story.status[table]["published"] == story.status[table]["delivered"] > 0


def test_rows_that_wait_are_accounted_for(story):
    for status in story.status.values():
        fates = ("published", "quarantined", "pending", "rejected")
        assert status["delivered"] == sum(status[fate] for fate in fates)
        assert status["missing"] == []


def test_the_same_file_twice_is_one_batch(story):
    status = story.status["schedule"]
    # The 5th comes twice in the deliveries as they are, the 6th by our hand.
    assert status["redelivered"]["batches"] == 2
    assert TWICE in story.slots["schedule"]


def test_without_a_new_delivery_there_is_nothing_to_run(story):
    assert story.idle.runs == []


def test_after_a_correction_only_those_days_run(story):
    assert story.good.ok, story.good.lines()
    assert story.again == {table: sorted(days) for table, days in BLOCKED.items()}
    for table in BLOCKED:
        assert story.days[f"{table} then"] == {"done": promised(story, table), "failed": set()}


def test_what_was_blocked_is_superseded(story):
    with Ledger(story.home) as ledger:
        for table, days in BLOCKED.items():
            gone = {b.slot for b in ledger.batches(table).values() if b.state == "superseded"}
            assert gone == days
    assert_nothing_doubled(story.pipeline, story.home)


def test_in_the_end_it_is_as_if_nothing_had_been_wrong(story, flights_deliveries, tmp_path):
    folder = cut_deliveries(flights_deliveries, tmp_path / "deliveries")
    home = Home(tmp_path / "home")
    with opened(folder) as clean:
        ingest_all(clean, home)
        assert rows_of(story.pipeline, story.home) == rows_of(clean, home)
    assert later(LAST, 1) in story.slots["outcomes"]
