"""The catalogue that the gate is measured with: what is in it, how it is planted, how it counts."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.contracts import load_contract
from headrace.gates import parse_suite
from headrace.verification.injected_faults import faults_of
from headrace.verification.injected_faults.project import Task, TaskResult, _clean
from headrace.verification.injected_faults.run import measure
from tests.semantic import rides

CONTRACTS = Path(__file__).parents[2] / "pipelines" / "flights" / "contracts"
SUITE = parse_suite({"name": "rides", "meta": {"table": "rides"}, "expectations": []})
FAULTS = faults_of(rides.contract())


def test_the_flights_are_planted_with_at_least_fourteen_kinds():
    kinds = set()
    for name in ("schedule", "outcomes", "weather"):
        kinds |= {fault.kind for fault in faults_of(load_contract(CONTRACTS / f"{name}.yaml"))}
    assert kinds >= {
        "unit_change", "duplicates", "stale_rows", "truncation", "missing_hours", "zone_shift",
        "timestamp_precision", "sentinel", "frozen", "new_level", "recoding", "swap", "rename",
        "decimal_comma",
    }  # fmt: skip


def test_every_pair_of_one_type_is_swapped_and_every_column_renamed():
    delivered = rides.contract().delivered
    labels = {fault.label for fault in FAULTS}
    for one in delivered:
        assert f"rename: {one.name}" in labels
        for other in delivered[delivered.index(one) + 1 :]:
            assert (f"swap: {one.name} and {other.name}" in labels) == (one.type == other.type)
    assert "rename: all columns" in labels


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label)
def test_a_fault_is_planted_in_the_same_way_each_time_and_changes_something(fault):
    day = rides.day(20)
    one, again = fault.plant(day), fault.plant(day)
    if one is None:
        assert again is None
        return
    assert one.table.equals(again.table)
    assert not one.table.equals(day.rows.table)
    assert one.delivered == one.table.num_rows == len(one.lines)
    assert day.rows.table.equals(rides.rides(20).table)


def test_shares_are_those_that_are_claimed():
    day = rides.day(20)
    rows = day.rows.table.num_rows
    by_label = {fault.label: fault for fault in FAULTS}

    def planted(label: str) -> pa.Table:
        return by_label[label].plant(day).table

    assert planted("duplicates: 0.5% of rows").num_rows == rows + 2
    assert planted("truncation: the last tenth").num_rows == rows - rows // 10
    values = planted("sentinel: -999 in wait").column("wait").to_pylist()
    assert values.count("-999") == 2
    miles = [float(v) for v in planted("unit: miles in kilometre").column("miles").to_pylist()]
    before = [float(v) for v in day.rows.table.column("miles").to_pylist()]
    assert miles == pytest.approx([1.609344 * v for v in before], abs=1e-4)


def test_a_day_has_one_variant_of_each_kind_and_the_days_go_round():
    batches = [(rides.slot(n), rides.rides(n)) for n in range(17)]
    told = []
    measured = measure(SUITE, rides.contract(), batches, on_slot=told.append)
    assert told == [slot for slot, _ in batches]
    assert measured.evaluable == told[14:]
    assert set(measured.verdicts.values()) == {"PASS"}
    swaps = [c.injected for c in measured.counts if c.fault.kind == "swap" and c.fault.keyed]
    assert sum(swaps) == 3
    for count in measured.counts:
        assert count.identified <= count.injected
        assert count.stopped <= count.injected <= count.attempts
    found = [c.document("city", "rides") for c in measured.counts if c.injected]
    assert {"fault", "table", "injected", "detected", "named", "keyed"} <= found[0].keys()
    assert sum(one["named"] for one in found) >= 0.9 * sum(one["injected"] for one in found)


def test_clean_days_count_once_whatever_number_of_tables_alarmed():
    days = [f"2024-02-{n:02d}" for n in range(1, 6)]
    a = TaskResult(
        [], dict(zip(days, ["PASS", "BLOCK", "WARN", "PASS", "QUARANTINE"], strict=True)), days[1:]
    )
    b = TaskResult(
        [], dict(zip(days, ["BLOCK", "WARN", "WARN", "PASS", "WARN"], strict=True)), days[1:]
    )
    found = _clean("g", {Task("g", "a", 1, False): a, Task("g", "b", 1, False): b})
    assert found["days"] == 4  # the first has too little history
    assert (found["block_days"], found["warn_days"], found["quarantine_days"]) == (1, 2, 1)
