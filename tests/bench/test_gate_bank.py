"""The bank of real tables, tiny: its contracts load, its faults alter, its run counts."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest

from bench.gate_bank.faults import FAULTS, Day, Planted, plantings
from bench.gate_bank.run import WARM_UP, evaluate, is_stopped
from bench.gate_bank.tables import BANK, csv_bytes


def calls(days):
    """Rows of a call centre, twelve each day, more at noon."""
    return [
        {
            "DateTime": f"2003-{3 + day // 28:02d}-{day % 28 + 1:02d}T{hour:02d}:00:00Z",
            "Calls": str(100 + 20 * (6 - abs(hour - 14)) + (day * 7 + hour * 3) % 11),
        }
        for day in range(days)
        for hour in range(8, 20)
    ]


@pytest.fixture(scope="module")
def table():
    return replace(next(t for t in BANK if t.name == "calls"), read=lambda: calls(WARM_UP + 4))


@pytest.mark.parametrize("name", [table.name for table in BANK])
def test_every_contract_loads_and_has_the_altered_columns(name):
    table = next(table for table in BANK if table.name == name)
    fields = table.contract.delivered
    names = {alias for field in fields for alias in (field.name, *field.aliases)}
    assert {*table.measures, *table.codes} <= names


def test_a_fault_alters_the_delivery(table):
    days = table.rows_by_day()
    names = list(days)
    day = Day(table, names[5], days[names[5]], days[names[4]], 5)
    planted = {fault.name: change for fault, change in plantings(day)}
    assert len(FAULTS) >= 30
    assert "measure times 1000" in planted
    assert all(change.payload != csv_bytes(day.rows) for change in planted.values())


def test_clean_days_and_faults_are_counted(table):
    outcome = evaluate(table, every=2).as_json()
    assert outcome["clean"]["days"] == 4
    counts = {count["fault"]: count for count in outcome["faults"]}
    assert counts["measure times 1000"]["injected"] == 2
    assert counts["words in place of numbers"]["detected"] == 2
    assert all(count["detected"] <= count["injected"] for count in counts.values())


def test_a_part_is_stopped_if_exactly_its_rows_are_quarantined():
    lines = pa.table({"_line": [2, 4]})
    judgement = SimpleNamespace(
        verdict=SimpleNamespace(publishes=True), quarantined_count=2, quarantined=lines
    )
    assert is_stopped(judgement, Planted(b"", frozenset({0, 2})))
    assert not is_stopped(judgement, Planted(b"", frozenset({0, 1})))
    assert not is_stopped(judgement, Planted(b"", None))
