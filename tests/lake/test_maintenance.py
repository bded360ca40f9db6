"""Maintenance deletes what nothing needs, and nothing else; killed at any moment, too."""

import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from headrace.core.clock import DAY, now_us
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest, rejudge
from headrace.lake.ingest.write_lock import deletion_lock, staging_lock
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.maintenance import maintain
from tests.killing import child
from tests.lake.kit import SLOTS, Meter, balanced

OLD = now_us() - 30 * DAY


def age(root: Path) -> None:
    """As if everything in the lake had been written a month ago."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (OLD / 1e6, OLD / 1e6))


def rows(home, snapshot=None):
    return history(home, "meter", ["id", "value"], snapshot_id=snapshot)


def files(home):
    folders = ("staged", "quarantine", "landing", "warehouse/headrace", "warehouse/plans")
    return {p for f in folders for p in (home.root / f).rglob("*") if p.is_file()}


def litter(home) -> set[Path]:
    """What runs leave that are killed at the wrong moment."""
    metadata = home.warehouse / "headrace" / "meter" / "metadata"
    made = {
        home.staged / "meter" / "f00d-r1.parquet",
        home.staged / "meter" / ".f00d-r1.parquet.77-88.tmp",
        home.quarantine / "meter" / "f00d-r1.parquet",
        metadata / "00099-dead.metadata.json",
        metadata / "snap-1-0-dead.avro",
        home.landing / "ab" / "abcd.zst",
    }
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
    return made


def grown(meter) -> tuple[list[int], dict]:
    """A snapshot a day, one batch pending, one recalled rule, rows in quarantine; rows by snapshot.

    The second snapshot is pinned.
    """
    for number, slot in enumerate(SLOTS[:5]):
        meter.drop(slot, [number, number + 1, 2000 + number])
        ingest(meter.table, SLOTS, meter.home)
    meter.drop(SLOTS[8], [-1, 5])  # blocked: pending
    ingest(meter.with_limit(6), SLOTS, meter.home)  # other files in the place of some
    lake = Lake(meter.home)
    known = [s.snapshot_id for s in lake.iceberg_table("meter").metadata.snapshots]
    lake.pin("meter", known[1], "release-x-1-0-0")
    return known, {one: rows(meter.home, one) for one in known}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """What `grown` makes, once; a home may be copied."""
    meter = Meter(tmp_path_factory.mktemp("grown"))
    known, before = grown(meter)
    age(meter.root)
    return meter, known, before


@pytest.fixture
def lived_in(template, tmp_path):
    """A copy of it: the meter, its snapshots, and the rows of each."""
    meter, known, before = template
    shutil.copytree(meter.root, tmp_path / "copy")
    return Meter(tmp_path / "copy"), known, before


def test_only_what_nothing_needs_goes(lived_in):
    meter, known, before = lived_in
    status = table_status(meter.home, meter.table)
    left = litter(meter.home)
    age(meter.home.root)
    needed = files(meter.home) - left
    looked = maintain(meter.home, ["meter"], dry=True, keep=3)
    assert files(meter.home) == needed | left
    done = maintain(meter.home, ["meter"], keep=3)
    assert [one.forgotten for one in done] == [one.forgotten for one in looked]
    gone = {one.path for upkeep in done for one in upkeep.removed}
    assert left <= gone
    # Besides the litter only metadata and lists of forgotten snapshots: no row of anything.
    assert {path.suffix for path in gone - left} <= {".avro", ".json"}
    assert files(meter.home) >= needed - gone
    table, landed = done
    assert (table.snapshots, table.pinned) == (4, 1)
    assert set(table.forgotten) == set(known) - {known[1], *known[-3:]}
    assert len(landed.removed) == 1
    assert table.bytes > 0
    for snapshot in (known[1], *known[-3:]):
        assert rows(Home(meter.home.root), snapshot).equals(before[snapshot])
    with pytest.raises(StateError, match="no snapshot"):
        rows(Home(meter.home.root), known[2])
    assert balanced(table_status(meter.home, meter.table))
    assert table_status(meter.home, meter.table) == status
    again = maintain(meter.home, ["meter"], keep=3)
    assert sum(len(one.forgotten) for one in again) == 0
    assert {p.suffix for one in again for p in (r.path for r in one.removed)} <= {".avro", ".json"}


def test_what_dry_says_is_what_is_done(lived_in):
    meter, _, _ = lived_in
    litter(meter.home)
    age(meter.home.root)
    said = {one.path for upkeep in maintain(meter.home, ["meter"], dry=True, keep=50) for one in
            upkeep.removed}  # fmt: skip
    done = {one.path for upkeep in maintain(meter.home, ["meter"], keep=50) for one in
            upkeep.removed}  # fmt: skip
    assert said == done


def test_life_goes_on_after_it(lived_in):
    """Everything that a ledger may want again is there: older rules, pending and other batches."""
    meter, known, _ = lived_in
    age(meter.home.root)
    shutil.rmtree(meter.home.warehouse / "plans")
    maintain(meter.home, ["meter"], keep=1)
    assert rows(meter.home, known[1]).num_rows == 4
    ingest(meter.table, SLOTS, meter.home)  # back to the older rule, whose files are still there
    with Ledger(meter.home) as ledger:
        pending = [b for b in ledger.batches("meter").values() if b.state == "pending"]
    assert len(pending) == 1
    rejudge(meter.table, pending[0], meter.home)
    meter.drop(SLOTS[9], [1, 2])
    ingest(meter.table, SLOTS, meter.home)
    assert balanced(table_status(meter.home, meter.table))


def test_what_is_young_is_spared(lived_in):
    meter, _, _ = lived_in
    left = litter(meter.home)
    for path in files(meter.home):
        path.touch()
    done = maintain(meter.home, ["meter"], keep=2)
    assert left <= files(meter.home)
    assert [one.removed for one in done] == [(), ()]
    assert sum(one.spared for one in done) >= len(left)


def test_it_waits_for_who_stages_files(meter):
    meter.drop_all(SLOTS[:2])
    ingest(meter.table, SLOTS, meter.home)
    left = litter(meter.home)
    age(meter.home.root)
    with staging_lock(meter.home), staging_lock(meter.home):
        with pytest.raises(StateError, match="an ingest was running"):
            maintain(meter.home, ["meter"], wait=0.1)
        assert left <= files(meter.home)
        maintain(meter.home, ["meter"], dry=True)
    maintain(meter.home, ["meter"], wait=0.1)
    assert not left & files(meter.home)
    with deletion_lock(meter.home, 0), pytest.raises(StateError), deletion_lock(meter.home, 0):
        raise AssertionError


def test_a_catalog_that_is_not_this_homes_deletes_nothing(lived_in, monkeypatch, tmp_path):
    meter, _, _ = lived_in
    age(meter.home.root)
    before = files(meter.home)
    monkeypatch.setenv("HEADRACE_CATALOG", f"sqlite:///{tmp_path / 'other.sqlite'}")
    with pytest.raises(StateError, match="the catalog has no such table"):
        maintain(meter.home, ["meter"])
    assert files(meter.home) == before


def test_a_table_that_never_was_published_is_passed_over(meter):
    meter.drop(SLOTS[0], [-1])
    ingest(meter.table, SLOTS, meter.home)
    age(meter.home.root)
    before = files(meter.home)
    done = maintain(meter.home, ["meter", "other"])
    assert [(one.table, one.snapshots) for one in done] == [("meter", 0), ("other", 0), ("", 0)]
    assert files(meter.home) == before


def at_work(root: Path) -> None:
    """Eight ingests, each of which a sweep may come between; two have, before the last."""
    meter = Meter(root)
    for number, slot in enumerate(SLOTS[:8]):
        while number == 7 and len(list(root.glob("swept-*"))) < 2:
            time.sleep(0.01)
        meter.drop(slot, [number, 2000 + number])
        ingest(meter.table, [slot], meter.home)


def test_beside_an_ingest_it_takes_nothing_that_is_needed(tmp_path):
    """Every file counts as old: only the lock keeps what is staged and not yet on record."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=at_work, args=(tmp_path,), daemon=True)
    process.start()
    sweeps = 0
    while process.is_alive():
        maintain(Meter(tmp_path).home, ["meter"], keep=2, young=0)
        (tmp_path / f"swept-{sweeps}").touch()
        sweeps += 1
    process.join()
    assert process.exitcode == 0
    assert sweeps > 1
    meter = Meter(tmp_path)
    assert sorted(rows(meter.home)["value"].to_pylist()) == list(range(8))
    assert balanced(table_status(meter.home, meter.table))


def maintained(root: Path) -> None:
    maintain(Meter(root).home, ["meter"], keep=2)


def killed_runs(template, tmp_path, kills: int) -> int:
    """Kill maintenance so many times, at random calls; what it should leave is there each time."""
    meter, known, before = template
    littered = tmp_path / "littered"
    shutil.copytree(meter.root, littered)
    litter(Home(littered / "home"))
    age(littered)
    whole = tmp_path / "whole"
    shutil.copytree(littered, whole)
    assert child(maintained, whole) == 0
    calls, chance, killed = int((whole / "calls").read_text()), random.Random(5), 0
    for number in range(kills):
        root = tmp_path / f"killed-{number}"
        shutil.copytree(littered, root)
        killed += child(maintained, root, chance.randrange(calls)) == -9
        home = Home(root / "home")
        for snapshot in (known[1], *known[-2:]):
            assert rows(home, snapshot).equals(before[snapshot])
        assert balanced(table_status(home, meter.table))
        maintain(home, ["meter"], keep=2)
        names = {p.relative_to(root / "home").parts[-2:] for p in files(home)}
        clean = {p.relative_to(whole / "home").parts[-2:] for p in files(Home(whole / "home"))}
        # Ids of metadata are drawn at random; files of rows and landed bytes are not.
        assert {n for n in names if n[0] != "metadata"} == {n for n in clean if n[0] != "metadata"}
        for snapshot in (known[1], *known[-2:]):
            assert rows(home, snapshot).equals(before[snapshot])
        if not number % 10:
            ingest(meter.table, SLOTS, home)
        shutil.rmtree(root)
    return killed


def test_killed_at_any_moment_it_loses_nothing(template, tmp_path):
    assert killed_runs(template, tmp_path, 3) >= 1


@pytest.mark.slow
def test_killed_two_hundred_times(template, tmp_path):
    assert killed_runs(template, tmp_path, 200) >= 150
