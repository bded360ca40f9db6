"""Rows that delete, from a delivery to features and history."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from headrace.contracts import load_contract
from headrace.features import FeatureView, Rows, Window, training_frame
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.tables.history import history, history_batches
from headrace.lake.tables.lake import Lake
from headrace.serving.online import MemoryStore, layout_of, materialise
from headrace.serving.online.kernel.plain import Plain
from headrace.serving.online.view_values import values
from headrace.sources.files import DropFolder
from tests.lake.kit import CONTRACT, SUITE, Meter

DAY = 86_400_000_000
NOON = 1_704_067_200_000_000  # 2024-01-01T00:00Z
RULE = """
      - {property: deleted, value: {expression: value = 0, description: It was taken away.}}
      - property: coverage"""


def deleting(meter: Meter, folder: Path):
    """The meter's table under a contract that knows deletions; `value` 0 is one."""
    path = folder / "meter.yaml"
    path.write_text(CONTRACT.replace("\n      - property: coverage", RULE, 1))
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.replace("VERSION", "1").replace("LIMIT", "1000"))
    source = DropFolder("meter", meter.folder, "meter_{slot}*.csv", "the meter")
    contract = load_contract(path)
    return replace(meter.table, source=source, contract=contract, suite=load_suite(suite))


def counted(home, contract, at):
    spine = pa.table({"id": [0, 1], "t": pa.array([at, at])})
    views = (FeatureView("m", "meter", ("id",), (Rows(Window("-10d")),)),)

    def read(table, columns):
        return history(home, table, columns)

    return training_frame(spine, views, read, {"meter": contract})["m__rows_10d"].to_pylist()


def test_a_tombstone_takes_its_key_away_from_its_known_at_on(tmp_path):
    meter = Meter(tmp_path)
    table = deleting(meter, tmp_path)
    (meter.folder / "meter_2024-01-01.csv").write_text(
        "id,value,read_at\n0,5,2024-01-01T00:00:00Z\n1,6,2024-01-01T00:00:00Z\n"
    )
    (meter.folder / "meter_2024-01-03.csv").write_text(
        "id,value,read_at\n0,0,2024-01-03T00:00:00Z\n"
    )
    (meter.folder / "meter_2024-01-05.csv").write_text(
        "id,value,read_at\n0,7,2024-01-05T00:00:00Z\n"
    )
    results = ingest(table, ["2024-01-01", "2024-01-03", "2024-01-05"], meter.home)
    assert [result.verdict for result in results] == ["PASS"] * 3
    rows = history(meter.home, "meter", ["id"]).to_pylist()
    assert sorted((row["id"], row["_deleted"]) for row in rows) == [
        (0, False), (0, False), (0, True), (1, False)
    ]  # fmt: skip
    frames = [counted(meter.home, table.contract, NOON + n * DAY) for n in (2, 4, 6)]
    assert frames == [[1, 1], [0, 1], [1, 1]]


def test_rows_from_before_the_rule_delete_nothing(tmp_path):
    meter = Meter(tmp_path)
    meter.drop("2024-01-01", [5])
    ingest(meter.table, ["2024-01-01"], meter.home)
    meter.drop("2024-01-02", [0])
    table = deleting(meter, tmp_path)
    ingest(table, ["2024-01-02"], meter.home)
    snapshot = Lake(meter.home).snapshot_id("meter")
    batches = history_batches(meter.home, "meter", ["id"], snapshot_id=snapshot)
    assert {row["_deleted"] for row in pa.concat_tables(batches).to_pylist()} == {None, True}
    assert counted(meter.home, table.contract, NOON + 9 * DAY) == [1, 0]


def test_the_online_store_forgets_the_key_as_training_does(tmp_path):
    meter = Meter(tmp_path)
    table = deleting(meter, tmp_path)
    contracts = {"meter": table.contract}
    views = (FeatureView("m", "meter", ("id",), (Rows(Window("-10d")),)),)
    layout, store = layout_of(views, contracts, "declared"), MemoryStore()
    for day, value in ((1, 5), (3, 0), (5, 7)):
        slot = f"2024-01-{day:02}"
        row = f"0,{value},{slot}T00:00:00Z"
        (meter.folder / f"meter_{slot}.csv").write_text(f"id,value,read_at\n{row}\n")
        ingest(table, [slot], meter.home)
        materialise(meter.home, layout, store)
    moments = [NOON + n * DAY for n in (2, 4, 6)]
    with store.reading() as reader:
        found = values(reader, layout, Plain(), [{"id": 0}] * 3, moments)
    assert [one["m__rows_10d"] for one in found] == [1, 0, 1]
    assert [counted(meter.home, table.contract, at)[0] for at in moments] == [1, 0, 1]
