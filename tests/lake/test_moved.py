"""A home that was moved or copied is whole, and touches nothing of its original."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from headrace.core.home import Home
from headrace.core.sqlite import open_database
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.ledger.schema import MIGRATIONS
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.relocation import below, home_path
from tests.lake.kit import SLOTS


@pytest.mark.parametrize(
    ("location", "relative"),
    [
        ("/a/b/staged/meter/x-1.parquet", "staged/meter/x-1.parquet"),
        ("/a/quarantine/meter/x-1.parquet", "quarantine/meter/x-1.parquet"),
        (
            "/a/warehouse/headrace/meter/metadata/0-x.json",
            "warehouse/headrace/meter/metadata/0-x.json",
        ),
        ("/elsewhere/headrace/meter/metadata/0-x.json", ""),
        ("/a/landing/ab/x.zst", ""),
        ("s3://bucket/staged/meter/x.parquet", ""),
        ("", ""),
    ],
)
def test_a_path_is_read_by_its_end(location, relative):
    assert below(location) == relative
    assert home_path("/new/home", location) == (f"/new/home/{relative}" if relative else location)
    assert home_path("/new/home", home_path("/new/home", location)) == home_path(
        "/new/home", location
    )


def state(root):
    """Every file with its bytes; SQLite's shared memory is none of it."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in files if not path.name.endswith("-shm")}


def rows(home):
    return history(home, "meter", ["id", "value"])


def test_a_copy_works_and_leaves_its_original_alone(meter, tmp_path):
    meter.drop_all(SLOTS[:6])
    ingest(meter.table, SLOTS, meter.home)
    before, first = rows(meter.home), Lake(meter.home).snapshot_id("meter")
    original = state(meter.home.root)
    copied = Home(tmp_path / "copied" / "home")
    shutil.copytree(meter.home.root, copied.root, dirs_exist_ok=True)
    assert rows(copied).equals(before)
    assert outstanding(meter.table, SLOTS, copied) == []
    meter.drop_all(SLOTS)
    ingest(meter.table, SLOTS, copied)  # more files
    ingest(meter.with_limit(8), SLOTS, copied)  # other files in the place of these
    Lake(copied).pin("meter", first, "kept")
    assert state(meter.home.root) == original
    shutil.rmtree(meter.home.root)
    shutil.rmtree(copied.root / "warehouse" / "plans")
    assert rows(copied).num_rows > before.num_rows
    again = history(copied, "meter", ["id", "value"], snapshot_id=first)
    assert again.equals(before)


def test_a_home_may_be_moved_again_and_again(meter, tmp_path):
    root = meter.home.root
    for number in range(3):
        meter.drop(SLOTS[number], range(4))
        ingest(meter.table, SLOTS, Home(root))
        root = root.rename(tmp_path / f"at-{number}")
    home = Home(root)
    assert rows(home).num_rows == 12
    for file in Lake(home).files("meter"):
        assert file.path.startswith(str(root))
    with Ledger(home) as ledger:
        assert all(
            row.staged_path.startswith(str(root)) for row in ledger.judgements("meter").values()
        )
    assert outstanding(meter.table, SLOTS, home) == []


def test_a_ledger_with_absolute_paths_migrates(meter):
    meter.drop(SLOTS[0], [1, 2, 2000])
    ingest(meter.table, SLOTS, meter.home)
    with Ledger(meter.home) as ledger:
        known = ledger.judgements("meter")
        assert {bool(row.quarantine_path) for row in known.values()} == {True}
    with closing(sqlite3.connect(meter.home.ledger)) as old, old:
        for folder, column in (("staged", "staged_path"), ("quarantine", "quarantine_path")):
            stored = old.execute(f"SELECT {column} FROM judgements").fetchall()
            assert all(path.startswith(f"{folder}/meter/") for (path,) in stored)
            old.execute(f"UPDATE judgements SET {column} = '/old/home/' || {column}")
        old.execute("INSERT INTO returns VALUES ('meter', 'b', '/old/home/staged/meter/b-r.x', 5)")
        for added in ("pinned", "conflicts", "surveys"):
            old.execute(f"DROP TABLE {added}")
        old.execute("PRAGMA user_version = 5")
    open_database(meter.home.ledger, MIGRATIONS).close()
    with Ledger(meter.home) as ledger:
        assert ledger.judgements("meter") == known
        assert ledger.showings("meter")["b"] == [(5, f"{meter.home.root}/staged/meter/b-r.x")]
    assert outstanding(meter.table, SLOTS, meter.home) == []
