import multiprocessing
import subprocess
import sys
from dataclasses import dataclass, replace
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.contracts import Contract
from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.lake.tables import iceberg
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import load_plan
from tests.lake.kit import ROWS, meter_contract, meter_rows, staged


def batch(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


@pytest.fixture
def lake(meter) -> Lake:
    return Lake(meter.home)


@dataclass(frozen=True)
class Evolved:
    """A contract whose published schema differs from the one it stands in for."""

    contract: Contract
    schema: pa.Schema

    @property
    def table(self):
        return self.contract.table

    @property
    def hash(self):
        return "evolved"

    def arrow_schema(self):
        return self.schema

    table_schema = arrow_schema


def evolved(*, rename=None, add=None, retype=None):
    schema = meter_contract().arrow_schema()
    for old, new in (rename or {}).items():
        at = schema.get_field_index(old)
        schema = schema.set(at, schema.field(at).with_name(new))
    for name, kind in (retype or {}).items():
        at = schema.get_field_index(name)
        schema = schema.set(at, schema.field(at).with_type(kind))
    for name, field_id in (add or {}).items():
        extra = pa.field(name, pa.float64(), metadata={b"PARQUET:field_id": str(field_id).encode()})
        schema = schema.insert(0, extra)
    return Evolved(meter_contract(), schema)


def test_publishing_makes_rows_visible_in_one_snapshot(lake):
    files = [staged(lake.home, meter_contract(), batch(n)) for n in range(7)]
    snapshot = lake.publish(meter_contract(), files)
    assert set(snapshot.added) == {batch(n) for n in range(7)}
    assert lake.snapshot_id("meter") == snapshot.snapshot_id
    assert lake.live("meter") == {f.batch_id: str(f.path) for f in files}
    rows = lake.scan("meter")
    assert rows.num_rows == 7 * ROWS
    assert rows.schema.equals(meter_contract().arrow_schema().remove_metadata())
    expected = pa.concat_tables([meter_rows(meter_contract(), b) for b in sorted(snapshot.added)])
    assert rows.equals(expected)


def test_publishing_again_commits_nothing(lake):
    files = [staged(lake.home, meter_contract(), batch(n)) for n in range(3)]
    first = lake.publish(meter_contract(), files)
    again = lake.publish(meter_contract(), files)
    assert again.added == ()
    assert again.snapshot_id == first.snapshot_id
    assert again.committed_at == first.committed_at


def test_a_batch_that_is_live_is_not_added_again_from_another_file(lake):
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1), "r1")])
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1), "r2")])
    assert lake.live("meter")[batch(1)].endswith("-r1.parquet")


def test_replacing_exchanges_the_file_in_one_snapshot(lake):
    files = [staged(lake.home, meter_contract(), batch(n)) for n in range(4)]
    before = lake.publish(meter_contract(), files)
    new = staged(lake.home, meter_contract(), batch(2), "r2", count=2)
    fresh = staged(lake.home, meter_contract(), batch(9), "r2")
    after = lake.publish(meter_contract(), [fresh], [new])
    assert (after.added, after.replaced) == ((batch(9),), (batch(2),))
    assert lake.live("meter")[batch(2)] == str(new.path)
    assert lake.scan("meter").num_rows == 4 * ROWS + 2
    table = iceberg.load(lake._catalog(), "meter")
    assert table.snapshot_by_id(after.snapshot_id).parent_snapshot_id == before.snapshot_id
    assert lake.scan("meter", snapshot_id=before.snapshot_id).num_rows == 4 * ROWS


def test_replacing_by_nothing_only_removes(lake):
    lake.publish(
        meter_contract(), [staged(lake.home, meter_contract(), batch(n)) for n in range(2)]
    )
    gone = replace(staged(lake.home, meter_contract(), batch(1), "r2"), rows=0)
    lake.publish(meter_contract(), [], [gone])
    assert set(lake.live("meter")) == {batch(0)}


def test_a_fresh_reader_sees_the_same(lake):
    lake.publish(
        meter_contract(), [staged(lake.home, meter_contract(), batch(n)) for n in range(3)]
    )
    other = Lake(Home(lake.home.root))
    assert other.live("meter") == lake.live("meter")
    assert other.scan("meter", ["id"]).column_names == ["id"]


def test_reading_a_planned_snapshot_needs_no_pyiceberg(lake):
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1))])
    lake.live("meter")
    code = (
        "import sys; from headrace.core.home import Home; "
        "from headrace.lake.tables.lake import Lake\n"
        f"rows = Lake(Home.find({str(lake.home.root)!r})).scan('meter').num_rows\n"
        "print(rows, 'pyiceberg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(ROWS), "False"]


def test_what_a_publish_remembers_is_what_the_manifests_say(lake):
    for number in range(3):
        lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(number))])
    again = staged(lake.home, meter_contract(), batch(1), "r2", count=2)
    snapshot = lake.publish(meter_contract(), [], [again])
    remembered = lake.plan("meter")
    assert remembered == lake._make_plan("meter", snapshot.snapshot_id)
    assert remembered == load_plan(lake.home, "meter", snapshot.snapshot_id)


def test_columns_follow_their_field_ids(lake):
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1))])
    later = evolved(rename={"value": "reading"}, add={"quality": 20})
    old = lake.snapshot_id("meter")
    lake.publish(later, [staged(lake.home, later, batch(2))])
    rows = lake.scan("meter")
    assert rows.column("reading").to_pylist() == [*range(ROWS)] * 2
    assert rows.column("quality").null_count == ROWS
    assert "value" not in rows.column_names
    assert "value" in lake.scan("meter", snapshot_id=old).column_names


def test_a_field_that_the_contract_dropped_stays_readable(lake):
    wide = evolved(add={"quality": 20})
    lake.publish(wide, [staged(lake.home, wide, batch(1))])
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(2))])
    assert lake.scan("meter").column("quality").null_count == ROWS


def test_a_changed_type_is_refused(lake):
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1))])
    changed = evolved(retype={"value": pa.string()})
    with pytest.raises(StateError, match="new field id"):
        lake.publish(changed, [staged(lake.home, changed, batch(2))])


def test_a_file_of_two_batches_is_refused(lake):
    wrong = staged(lake.home, meter_contract(), batch(1))
    rows = pa.concat_tables([meter_rows(meter_contract(), batch(n)) for n in (1, 2)])
    pq.write_table(rows, wrong.path)
    with pytest.raises(StateError, match="exactly one batch"):
        lake.publish(meter_contract(), [wrong])
    assert lake.live("meter") == {}


def test_snapshots_expire_unless_they_are_pinned(lake, monkeypatch):
    monkeypatch.setattr(iceberg, "KEEP_SNAPSHOTS", 5)
    taken = []
    for number in range(12):
        file = staged(lake.home, meter_contract(), batch(number))
        taken.append(lake.publish(meter_contract(), [file]).snapshot_id)
        if number == 2:
            lake.pin("meter", taken[2], "release-1")
            lake.pin("meter", taken[2], "release-1")
    kept = {s.snapshot_id for s in iceberg.load(lake._catalog(), "meter").snapshots()}
    assert kept == {taken[2], *taken[-5:]}
    fresh = Lake(lake.home)
    assert len(fresh.files("meter", taken[2])) == 3
    assert len(fresh.files("meter")) == 12
    with pytest.raises(StateError, match="no snapshot"):
        fresh.pin("meter", taken[0], "late")
    with pytest.raises(StateError, match="a pin never moves"):
        fresh.pin("meter", taken[-1], "release-1")
    fresh.unpin("meter", "release-1")
    fresh.unpin("meter", "release-1")


def test_manifests_are_merged(lake):
    for number in range(45):
        lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(number))])
    table = iceberg.load(lake._catalog(), "meter")
    assert len(table.current_snapshot().manifests(table.io)) <= 20
    assert len(lake.live("meter")) == 45


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda lake: lake.scan("meter"), "nothing was published"),
        (lambda lake: lake.schema("meter"), "nothing was published"),
        (lambda lake: lake.pin("meter", 1, "x"), "nothing was published"),
    ],
)
def test_reading_before_anything_was_published(lake, call, words):
    assert lake.live("meter") == {}
    assert lake.snapshot_id("meter") is None
    with pytest.raises(StateError, match=words):
        call(lake)


def test_an_unknown_column_is_named(lake):
    lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(1))])
    with pytest.raises(StateError, match="no column speed"):
        lake.scan("meter", ["speed"])


def _publish_some(root, numbers):
    lake = Lake(Home(root))
    for number in numbers:
        lake.publish(meter_contract(), [staged(lake.home, meter_contract(), batch(number))])


def test_concurrent_publishers_lose_nothing(lake):
    """Two processes, half of their batches in common, each with its own commits."""
    spawn = multiprocessing.get_context("spawn")
    shares = (range(12), range(6, 18))
    workers = [spawn.Process(target=_publish_some, args=(lake.home.root, s)) for s in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert set(lake.live("meter")) == {batch(n) for n in range(18)}
    assert lake.scan("meter").num_rows == 18 * ROWS
