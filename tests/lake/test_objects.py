"""Objects judged where they lie: the verdicts and rows of any other delivery, out of core."""

import getpass
import itertools
import random
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.contracts import conform, load_contract
from headrace.core.home import Home
from headrace.gates import judge, load_suite
from headrace.lake.ingest.object_batches import conformed_file, judged_file
from headrace.lake.ingest.protocol import ingest, outstanding
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.table import Table
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.operations.batch_actions import release
from headrace.sources.base import Delivery
from headrace.sources.delivery_reference import Reference, hash_of, version_of
from headrace.sources.objects import ParquetObjects
from headrace.sources.parse import read_rows
from headrace.sources.parsing import parquet_rows
from tests.killing import child
from tests.lake.kit import CONTRACT, SUITE, balanced
from tests.sources.buckets import PLACES, parquet_bytes, places

SLOT = "2024-01-03"
DAY = 1_704_240_000_000_000


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    yield from places(request.param, tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from places("folder", tmp_path, monkeypatch)


def rules(root: Path, limit: int = 1000):
    (root / "meter.yaml").write_text(CONTRACT)
    (root / f"suite{limit}.yaml").write_text(
        SUITE.replace("VERSION", "1").replace("LIMIT", str(limit))
    )
    return load_contract(root / "meter.yaml"), load_suite(root / f"suite{limit}.yaml")


def table_over(place, root: Path, limit: int = 1000) -> Table:
    source = ParquetObjects(
        "meters", place.address, "{slot}/*.parquet", "the meters", settle=place.settle
    )
    contract, suite = rules(root, limit)
    return Table("meter", source, contract, suite)


def readings(ids, values, unit="us") -> pa.Table:
    moments = [DAY + n * 1_000_000 for n in range(len(ids))]
    at = pa.array(moments, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "Europe/Paris"))
    return pa.table({"id": pa.array(ids, pa.int32()), "value": values, "read_at": at})


def test_objects_are_published_and_not_copied(place, tmp_path):
    home, table = Home(tmp_path / "home"), table_over(place, tmp_path)
    place.put(f"{SLOT}/a.parquet", readings([1, 2], [5, None], "ns"))
    place.put(f"{SLOT}/b.parquet", readings([3, 4], [7, 2000]))
    assert outstanding(table, [SLOT], home) == [SLOT]
    (result,) = ingest(table, [SLOT], home)
    assert (result.state, result.verdict) == ("published", "QUARANTINE")
    assert (result.published, result.quarantined) == (3, 1)
    rows = Lake(home).scan("meter", ["id", "value", "_line"]).to_pylist()
    assert sorted((row["id"], row["value"], row["_line"]) for row in rows) == [
        (1, 5, 1), (2, None, 2), (3, 7, 1)
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in home.landing.rglob("*.zst")) < 400
    assert outstanding(table, [SLOT], home) == []
    (again,) = ingest(table, [SLOT], home)
    assert not again.changed


def test_a_blocked_part_waits_and_the_others_go_on_until_it_is_replaced(place, tmp_path):
    home, table = Home(tmp_path / "home"), table_over(place, tmp_path)
    place.put(f"{SLOT}/a.parquet", readings([1], [-5]))
    place.put(f"{SLOT}/b.parquet", readings([3, 4], [7, 8]))
    (result,) = ingest(table, [SLOT], home)
    assert (result.state, result.published, result.pending) == ("pending", 2, 1)
    place.put(f"{SLOT}/a.parquet", readings([1, 2], [5, 6]), age=1800)
    (result,) = ingest(table, [SLOT], home)
    assert (result.state, result.published, result.pending) == ("published", 4, 0)
    assert balanced(table_status(home, table))
    with Ledger(home) as ledger:
        states = sorted(batch.state for batch in ledger.batches("meter").values())
    assert states == ["published", "published", "superseded"]


def test_rows_of_an_object_that_contradict_an_earlier_one_are_quarantined(folder, tmp_path):
    table, home = table_over(folder, tmp_path), Home(tmp_path / "home")
    folder.put(f"{SLOT}/a.parquet", parquet_bytes(readings([1, 2, 3], [10, 20, 30])))
    ingest(table, [SLOT], home)
    folder.put(f"{SLOT}/b.parquet", parquet_bytes(readings([1, 2, 4], [10, 21, 2000])))
    (result,) = ingest(table, [SLOT], home)
    assert (result.verdict, result.published, result.quarantined) == ("QUARANTINE", 4, 2)
    (batch,) = [row for row in batch_rows(home, table) if row["conflicts"]]
    kept = pq.read_table(batch["quarantine_path"])
    assert dict(zip(kept["id"].to_pylist(), kept["_reasons"].to_pylist(), strict=True)) == {
        2: ["conflict"],
        4: ["limit"],
    }
    assert balanced(table_status(home, table))


def test_a_published_object_that_changes_fails_its_slot_and_nothing_else(place, tmp_path):
    home, table = Home(tmp_path / "home"), table_over(place, tmp_path)
    place.put(f"{SLOT}/a.parquet", readings([1], [5]))
    ingest(table, [SLOT], home)
    place.put(f"{SLOT}/a.parquet", readings([1, 2], [6, 7]), age=1800)
    place.put(f"{SLOT}/b.parquet", readings([9], [9]))
    (result,) = ingest(table, [SLOT], home)
    assert (result.state, result.verdict, result.published) == ("failed", "ERROR", 2)
    assert "other bytes" in result.reasons[0]
    rows = history(home, "meter", ["id", "value"]).to_pylist()
    assert sorted((row["id"], row["value"]) for row in rows) == [(1, 5), (9, 9)]


def test_under_new_rules_the_object_is_read_again_and_must_be_the_same(folder, tmp_path):
    home = Home(tmp_path / "home")
    folder.put(f"{SLOT}/a.parquet", readings([1, 2], [5, 500]))
    ingest(table_over(folder, tmp_path), [SLOT], home)
    (result,) = ingest(table_over(folder, tmp_path, limit=100), [SLOT], home)
    assert (result.published, result.quarantined) == (1, 1)
    folder.put(f"{SLOT}/a.parquet", readings([1, 2], [5, 50]), age=1800)
    (result,) = ingest(table_over(folder, tmp_path, limit=90), [SLOT], home)
    assert result.verdict == "ERROR"
    (live,) = Lake(home).files("meter")
    assert live.rows == 1, "what was published stays"


def test_on_call_releases_rows_of_an_object(folder, tmp_path):
    home, table = Home(tmp_path / "home"), table_over(folder, tmp_path)
    folder.put(f"{SLOT}/a.parquet", readings([1, 2], [5, 2000]))
    (result,) = ingest(table, [SLOT], home)
    assert (result.published, result.quarantined) == (1, 1)
    given = {"principal": getpass.getuser(), "reason": "it is so", "scope": {"lines": [2]}}
    release(home, table, result.batches[0], **given)
    rows = history(home, "meter", ["id", "value"]).to_pylist()
    assert sorted(row["value"] for row in rows) == [5, 2000]


def run(root: Path) -> None:
    """Ingest what lies in a folder under `root`."""
    contract, suite = rules(root)
    source = ParquetObjects("m", str(root / "objects"), "{slot}/*.parquet", "x", settle="0s")
    ingest(Table("meter", source, contract, suite), [SLOT], Home(root / "home"))


def test_kills_change_nothing(tmp_path):
    """Passing, quarantined and blocked parts: each is registered, judged and published once."""

    def laid(root: Path) -> Path:
        parts = ([5, None], [7, 2000], [-1, 3])
        (root / "objects" / SLOT).mkdir(parents=True)
        for number, values in enumerate(parts):
            data = parquet_bytes(readings([number * 10, number * 10 + 1], values))
            (root / "objects" / SLOT / f"{number}.parquet").write_bytes(data)
        return root

    def content(root: Path):
        rows = history(Home(root / "home"), "meter", ["id", "value"])
        contract, suite = rules(root)
        table = Table("meter", ParquetObjects("m", "x", "{slot}", "x"), contract, suite)
        status = table_status(Home(root / "home"), table)
        return rows.drop_columns(["committed_at"]).to_pylist(), status

    calm = laid(tmp_path / "calm")
    assert child(run, calm) == 0
    calls, expected = int((calm / "calls").read_text()), content(calm)
    assert balanced(expected[1])
    assert (expected[1]["published"], expected[1]["quarantined"]) == (3, 1)
    moments, kills = random.Random(7), 0
    for number in itertools.count():
        root = laid(tmp_path / str(number))
        codes = [child(run, root, moments.randrange(calls)) for _ in range(2)]
        assert set(codes) <= {0, -signal.SIGKILL}
        kills += codes.count(-signal.SIGKILL)
        run(root)
        assert content(root) == expected
        staged = list((root / "home" / "staged").rglob("*.parquet"))
        assert len(staged) == 2
        if kills >= 6:
            return


def referring(uri: str, data: pa.Table) -> Delivery:
    sha = hash_of(uri, version_of(uri))
    size = len(Path(uri).read_bytes())
    payload = Reference(sha, size, data.num_rows).payload()
    return Delivery("meters", SLOT, payload, "objects", uri, 0, "the meters")


def generated(chance: random.Random, rows: int) -> pa.Table:
    """Nulls, repeats, contradictions and bad values, or none of them."""
    ids = [chance.randrange(rows * 2) for _ in range(rows)]
    faults = chance.random() < 0.6
    values = [
        chance.choice([None, -1 if chance.random() < 0.1 else 1, 2000]) if faults else n % 900
        for n in range(rows)
    ]
    made = readings(ids, pa.array(values, pa.int64()))
    if chance.random() < 0.4:
        same = pa.array([chance.randrange(rows) for _ in range(rows)])
        made = pa.concat_tables([made, made.take(same)])
    return made


@pytest.mark.parametrize("seed", range(12))
def test_the_verdict_is_that_of_the_same_rows_in_memory(folder, tmp_path, monkeypatch, seed):
    """Pieces of seven rows, so that repeats and contradictions lie in different ones."""
    chance = random.Random(seed)
    contract, suite = rules(tmp_path)
    suite = replace(suite, max_quarantined_share=1.0)
    data = generated(chance, chance.randrange(1, 40))
    delivery = referring(folder.put("a.parquet", data), data)
    conformed = conform(contract, read_rows(delivery), delivery.batch_id)
    expected = judge(suite, contract, conformed)
    monkeypatch.setattr(
        "headrace.lake.ingest.object_batches.pieces", lambda h: parquet_rows.pieces(h, 7)
    )
    lost = tmp_path / "lost.parquet"
    with conformed_file(contract, delivery, tmp_path / "staged.parquet") as (found, path):
        assert (found.violation_count, found.repeated) == (
            conformed.violation_count, conformed.repeated
        )  # fmt: skip
        got = judged_file(suite, contract, found, path, lost)
    assert got.to_json() == expected.to_json()
    if expected.quarantined.num_rows and expected.conformed:
        assert pq.read_table(lost).to_pylist() == expected.quarantined.to_pylist()
    assert list(tmp_path.glob(".staged*")) == [], "nothing is left behind"


BIG = """
import resource, sys
from pathlib import Path
from tests.lake.test_objects import Home, ParquetObjects, Table, ingest, rules
root = Path(sys.argv[1])
contract, suite = rules(root)
source = ParquetObjects("meters", str(root / "objects"), "{slot}/*.parquet", "x", settle="0s")
(result,) = ingest(Table("meter", source, contract, suite), ["2024-01-03"], Home(root / "home"))
print(result.published, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_object(folder, tmp_path):
    peaks = {}
    for rows in (200_000, 4_000_000):
        root = tmp_path / str(rows)
        (root / "objects" / SLOT).mkdir(parents=True)
        data = readings(range(rows), pa.array(range(rows), pa.int64()))
        data = data.set_column(1, "value", pa.array([n % 900 for n in range(rows)], pa.int64()))
        (root / "objects" / SLOT / "a.parquet").write_bytes(
            parquet_bytes(data, row_group_size=100_000)
        )
        done = subprocess.run(
            [sys.executable, "-c", BIG, str(root)], capture_output=True, text=True, check=True
        )
        published, peaks[rows] = map(int, done.stdout.split())
        assert published == rows
    assert peaks[4_000_000] < peaks[200_000] + 400, peaks
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
