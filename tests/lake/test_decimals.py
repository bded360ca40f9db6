"""Scaled columns are DECIMAL to other engines, and int64 to everything that computes."""

import itertools
import random
import signal
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts import load_contract
from headrace.gates import load_suite
from headrace.lake.ingest.deduplication import same_rows
from headrace.lake.ingest.protocol import ingest, rejudge
from headrace.lake.ingest.reconcile import rename_files
from headrace.lake.ledger.batch_listing import batch_rows, find_batches
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action
from headrace.lake.overrides.recall import recall, restore
from headrace.lake.tables import iceberg
from headrace.lake.tables.decimal_rewrite import pending, rewrite
from headrace.lake.tables.decimals import file_sql, read_rows, to_decimals, to_integers, write_rows
from headrace.lake.tables.history import history, history_batches
from headrace.lake.tables.lake import Lake
from headrace.lake.tables.snapshot_files import warehouse_root
from headrace.operations.batch_actions import release
from tests.killing import child
from tests.lake.kit import CONTRACT, SLOTS, Meter, balanced
from tests.lake.kit_oncall import GIVEN

SCALED = CONTRACT.replace(
    "logicalType: integer\n        description: what the meter showed\n"
    "        customProperties: [{property: fieldId, value: 11}]",
    "logicalType: number\n        description: what the meter showed\n        customProperties:\n"
    "          - {property: fieldId, value: 11}\n          - {property: scale, value: 2}\n"
    "          - {property: maxAbs, value: 5000}",
)
FIRST, SECOND = SLOTS[:2]
READINGS = ["23.62", "0.05", "", "10"]
STORED = [2362, 5, None, 1000]


@pytest.fixture
def scaled(tmp_path) -> Meter:
    """The meter with a value of two decimals."""
    path = tmp_path / "meter.yaml"
    path.write_text(SCALED)
    meter = Meter(tmp_path)
    # The limits of the suite, at most 1000 and at least 0, are in stored units.
    meter.table = replace(meter.table, contract=load_contract(path))
    return meter


def as_of_before(meter: Meter) -> Lake:
    """Create the table as 0.1.0 did."""
    lake = Lake(meter.home)
    arrow = meter.table.contract.arrow_schema()
    iceberg.load_or_create(lake._catalog(), "meter", arrow, warehouse_root(meter.home))
    return lake


def published(meter: Meter, slot=FIRST, readings=READINGS, name="") -> str:
    meter.drop(slot, readings, name=name)
    ingest(meter.table, [slot], meter.home)
    return next(f.path for f in Lake(meter.home).files("meter") if f.batch_id)


def numbers(meter: Meter, **more) -> list:
    return Lake(meter.home).scan("meter", ["value"], **more)["value"].to_pylist()


@pytest.fixture
def wide(scaled, tmp_path):
    """The same without limits."""
    path = tmp_path / "suite.yaml"
    path.write_text("name: wide\nmeta: {table: meter, max_quarantined_share: 0.9}\n")
    scaled.table = replace(scaled.table, suite=load_suite(path, scaled.table.contract))
    return scaled


def test_other_engines_read_the_value_and_headrace_the_integer(wide):
    path = published(wide)
    decimals = [None if q is None else Decimal(q).scaleb(-2) for q in STORED]
    with duckdb.connect() as db:
        assert [row[0] for row in db.sql(f"SELECT value FROM '{path}'").fetchall()] == decimals
    table = Lake(wide.home).iceberg_table("meter")
    assert str(table.schema().find_field("value").field_type) == "decimal(18, 2)"
    assert table.scan().to_arrow()["value"].to_pylist() == decimals
    assert pq.ParquetFile(path).schema.column(1).physical_type == "INT64"
    assert numbers(wide) == STORED
    rows = history(wide.home, "meter", ["value"])
    assert (rows["value"].to_pylist(), rows.schema.field("value").type) == (STORED, pa.int64())
    snapshot = Lake(wide.home).snapshot_id("meter")
    some = pa.concat_tables(
        history_batches(wide.home, "meter", ["value"], snapshot_id=snapshot, files=[path])
    )
    assert some["value"].to_pylist() == STORED


def test_a_table_of_before_stays_as_it_is(wide):
    lake = as_of_before(wide)
    path = published(wide)
    assert str(lake.iceberg_table("meter").schema().find_field("value").field_type) == "long"
    assert pq.read_table(path)["value"].to_pylist() == STORED
    assert numbers(wide) == STORED
    published(wide, SECOND)
    assert numbers(wide) == STORED * 2
    ingest(wide.table, SLOTS[:2], wide.home)
    assert numbers(wide) == STORED * 2


def test_files_of_both_forms_are_read_side_by_side(wide, tmp_path):
    path = published(wide)
    other = tmp_path / "before.parquet"
    schema = wide.table.contract.arrow_schema()
    pq.write_table(read_rows(path).cast(schema), other)
    relation = Lake(wide.home).relation("meter", ["value"], files=[path, str(other)])
    with duckdb.connect() as db:
        assert [q for (q,) in db.sql(f"SELECT * FROM {relation}").fetchall()] == STORED * 2
    assert same_rows(path, str(other), wide.table.contract)


def test_rows_in_quarantine_are_decimals_too(scaled):
    scaled.drop(FIRST, ["23.62", "4", *[str(n / 100) for n in range(6)]])
    ingest(scaled.table, [FIRST], scaled.home)
    (kept,) = (scaled.home.quarantine / "meter").iterdir()
    with duckdb.connect() as db:
        assert db.sql(f"SELECT value FROM '{kept}'").fetchall() == [(Decimal("23.62"),)]
    assert read_rows(kept)["value"].to_pylist() == [2362]


def test_a_row_delivered_in_another_order_is_the_same(wide):
    published(wide)
    wide.drop(FIRST, READINGS, name="_again", arrived=5)
    text = (wide.folder / f"meter_{FIRST}_again.csv").read_text().splitlines()
    (wide.folder / f"meter_{FIRST}_again.csv").write_text("\n".join([text[0], *text[:0:-1]]) + "\n")
    ingest(wide.table, [FIRST], wide.home)
    assert numbers(wide) == STORED


@given(
    st.integers(1, 18),
    st.booleans(),
    st.lists(st.none() | st.integers(-(10**18) + 1, 10**18 - 1), max_size=6),
)
def test_every_integer_survives_as_a_decimal(tmp_path_factory, scale, wide, values):
    kind = pa.decimal128(19 if wide else 18, scale)
    chunks = [pa.array(values, pa.int64()), pa.array([None, *values], pa.int64()).slice(1)]
    table = pa.table({"q": pa.chunked_array(chunks)})
    decimals = to_decimals(table, pa.schema([("q", kind)]))
    decimals.validate(full=True)
    assert to_integers(decimals).equals(table)
    path = tmp_path_factory.mktemp("decimals") / "q.parquet"
    write_rows(decimals, path)
    with duckdb.connect() as db:
        found = db.sql(file_sql(path, ["q"])).fetchall()
    assert [q for (q,) in found] == [*values, *values]


def test_a_column_may_get_more_digits(wide):
    published(wide)
    path = wide.root / "meter.yaml"
    text = path.read_text().replace("maxAbs, value: 5000", "maxAbs, value: 50000000000000000")
    path.write_text(text)
    wide.table = replace(wide.table, contract=load_contract(path))
    published(wide, SECOND, ["12345678901234567.89"])
    found = Lake(wide.home).iceberg_table("meter").schema().find_field("value").field_type
    assert str(found) == "decimal(19, 2)"
    assert 1234567890123456789 in numbers(wide)


@pytest.fixture
def before(wide) -> Meter:
    """Two slots in a table of 0.1.0; a row of the first was usable from its first verdict on."""
    as_of_before(wide)
    published(wide)
    published(wide, SECOND)
    return wide


def rows_of(meter: Meter, **more) -> pa.Table:
    return history(meter.home, "meter", ["id", "value"], **more)


def test_a_rewrite_changes_nothing_but_the_type(before):
    rows, snapshot = rows_of(before), Lake(before.home).snapshot_id("meter")
    assert pending(before.home, before.table.contract).columns == ("value",)
    done = rewrite(before.home, before.table.contract)
    lake = Lake(before.home)
    assert (done.columns, done.files) == (("value",), 2)
    assert done.snapshot_id == lake.snapshot_id("meter") != snapshot
    assert str(lake.iceberg_table("meter").schema().find_field("value").field_type) == (
        "decimal(18, 2)"
    )
    assert lake.iceberg_table("meter").scan().to_arrow()["value"][0].as_py() == Decimal("23.62")
    assert rows_of(before).equals(rows), "since when a row is usable, too"
    assert rows_of(before, snapshot_id=snapshot).equals(rows)
    assert rewrite(before.home, before.table.contract).columns == ()
    assert pending(before.home, before.table.contract).columns == ()
    results = ingest(before.table, SLOTS[:2], before.home)
    assert lake.snapshot_id("meter") == done.snapshot_id
    assert [one.changed for one in results] == [False, False]
    published(before, SLOTS[2])
    assert numbers(before) == STORED * 3


def test_a_rewrite_that_was_killed_after_its_commit_is_completed(before):
    rows = rows_of(before)
    with Ledger(before.home) as ledger:
        judged = [row.staged_path for row in ledger.judgements("meter").values()]
    rewrite(before.home, before.table.contract)
    with Ledger(before.home) as ledger:  # as if the ledger had not been told
        rename_files(ledger, "meter", {p.replace(".p", "-decimal.p"): p for p in judged})
    assert rows_of(before).equals(rows)
    results = ingest(before.table, SLOTS[:2], before.home)
    assert [one.changed for one in results] == [False, False]
    assert rows_of(before).equals(rows)
    with Ledger(before.home) as ledger:
        assert all("-decimal" in row.staged_path for row in ledger.judgements("meter").values())


def test_a_batch_that_is_restored_after_a_rewrite_fits_the_table(before):
    first = Lake(before.home).files("meter")[0]
    recall(before.home, Action("ana", "recall", "meter", "loose", batch_id=first.batch_id))
    rewrite(before.home, before.table.contract)
    restored = Action("ana", "restore", "meter", "it was not", batch_id=first.batch_id)
    restore(before.home, before.table, restored)
    assert sorted(q or 0 for q in numbers(before)) == sorted(q or 0 for q in STORED * 2)
    assert pq.read_schema(first.path).field("value").type == pa.int64(), "an old snapshot has it"


def test_a_file_of_an_earlier_snapshot_is_never_written_again(before):
    rows, snapshot = rows_of(before), Lake(before.home).snapshot_id("meter")
    paths = [file.path for file in Lake(before.home).files("meter")]
    rewrite(before.home, before.table.contract)
    with Ledger(before.home) as ledger:
        batches = list(ledger.batches("meter").values())
    for batch in batches:
        rejudge(before.table, batch, before.home)
    assert rows_of(before).equals(rows)
    assert rows_of(before, snapshot_id=snapshot).equals(rows)
    assert all(pq.read_schema(path).field("value").type == pa.int64() for path in paths)


@pytest.mark.parametrize("of_before", [False, True])
def test_rows_that_contradict_an_earlier_delivery_are_shown_in_the_contracts_unit(wide, of_before):
    if of_before:
        as_of_before(wide)
    published(wide)
    published(wide, readings=["23.62", "7.5", "", "10"], name="_again")
    assert numbers(wide) == [*STORED, 2362, None, 1000]
    (held,) = (row for row in batch_rows(wide.home, wide.table) if row["verdict"] == "QUARANTINE")
    (report,) = find_batches(wide.home, wide.table, held["batch"])
    (result,) = (r for r in report["judgement"]["results"] if r["type"] == "conflict")
    assert result["sample"][0]["values"] == {"value": 7.5}
    assert result["sample"][0]["earlier"]["values"] == {"value": 0.05}
    kept = read_rows(held["quarantine_path"])
    assert kept["value"].to_pylist() == [750]


# A rewrite while batches wait: one is blocked, of another the run died before its commit

BLOCKED, WAITING = SLOTS[2:4]
KILLS = 6


def limited(root: Path) -> Meter:
    """The scaled meter over a folder that may have been worked in; the suite has its limits."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "meter.yaml").write_text(SCALED)
    meter = Meter(root)
    meter.table = replace(meter.table, contract=load_contract(root / "meter.yaml"))
    return meter


def interrupted(root: Path) -> Meter:
    """A table of 0.1.0 with two slots, a blocked batch, and a verdict that was not published."""
    meter = limited(root)
    as_of_before(meter)
    for slot in SLOTS[:2]:
        published(meter, slot, ["3.62", "0.05", "", "10"])
    meter.drop(BLOCKED, ["0.07", "-1"])
    ingest(meter.table, [BLOCKED], meter.home)
    meter.drop(WAITING, ["0.09", "4"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lake, "publish", _without_power)
        with pytest.raises(OSError, match="power"):
            ingest(meter.table, [WAITING], meter.home)
    return meter


def _without_power(*_, **__):
    raise OSError("the power is lost")


def rewrite_at(root: Path) -> None:
    meter = limited(root)
    rewrite(meter.home, meter.table.contract)


def gone_on(meter: Meter):
    """What is published once the waiting batches have been: ids and stored values; the account."""
    ingest(meter.table, SLOTS[:4], meter.home)
    (blocked,) = (row for row in batch_rows(meter.home, meter.table) if row["state"] == "pending")
    release(meter.home, meter.table, blocked["batch"], **GIVEN)
    ingest(meter.table, SLOTS[:4], meter.home)
    rows = Lake(meter.home).scan("meter", ["id", "value"]).to_pylist()
    return sorted((row["id"], row["value"]) for row in rows), table_status(meter.home, meter.table)


def test_a_rewrite_killed_at_any_moment_leaves_waiting_batches_as_they_were(tmp_path):
    calm = interrupted(tmp_path / "calm")
    expected, account = gone_on(calm)
    assert {400, 9, 7} <= {value for _, value in expected}
    counted = interrupted(tmp_path / "counted")
    assert child(rewrite_at, counted.root) == 0
    calls = int((counted.root / "calls").read_text())
    assert gone_on(counted) == (expected, account)
    moments, kills = random.Random(42), 0
    for number in itertools.count():
        meter = interrupted(tmp_path / str(number))
        rows = rows_of(meter)
        codes = [child(rewrite_at, meter.root, moments.randrange(calls)) for _ in range(2)]
        assert set(codes) <= {0, -signal.SIGKILL}
        rewrite_at(meter.root)
        assert rows_of(meter).equals(rows)
        assert pending(meter.home, meter.table.contract).columns == ()
        assert gone_on(meter) == (expected, account)
        files = Lake(meter.home).files("meter")
        assert {str(pq.read_schema(file.path).field("value").type) for file in files} == {
            "decimal128(18, 2)"
        }
        assert balanced(table_status(meter.home, meter.table))
        kills += codes.count(-signal.SIGKILL)
        if kills >= KILLS:
            return
