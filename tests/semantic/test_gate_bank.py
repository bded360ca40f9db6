"""The bank of real tables, tiny: its contracts load, its faults alter, its run counts."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.gate_bank.report import report
from headrace.gates.verdict import Result
from headrace.verification.gate_bank.faults import FAULTS, CleanDay, plantings
from headrace.verification.gate_bank.held_out import HELD_OUT
from headrace.verification.gate_bank.run import PLANTED_FROM, WARM_UP, evaluate, places_of
from headrace.verification.gate_bank.scoring import outcome_of
from headrace.verification.gate_bank.tables import BANK, csv_bytes


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


@pytest.mark.parametrize("name", [table.name for table in (*BANK, *HELD_OUT)])
def test_every_contract_loads_and_has_the_altered_columns(name):
    table = next(table for table in (*BANK, *HELD_OUT) if table.name == name)
    fields = table.contract.delivered
    names = {alias for field in fields for alias in (field.name, *field.aliases)}
    assert {*table.measures, *table.codes} <= names


def test_tables_are_left_out_that_share_no_data_set_with_the_others():
    names = [table.name for table in (*BANK, *HELD_OUT)]
    origins = [table.origin for table in (*BANK, *HELD_OUT)]
    assert len(set(names)) == len(set(origins)) == len(names)
    assert len(HELD_OUT) >= 16


def test_a_fault_alters_the_delivery(table):
    days = table.rows_by_day()
    names = list(days)
    day = CleanDay(table, names[5], days[names[5]], days[names[4]], 5)
    planted = {fault.name: change for fault, change in plantings(day)}
    assert len(FAULTS) >= 30
    assert "measure times 1000" in planted
    assert all(change.payload != csv_bytes(day.rows) for change in planted.values())


def test_clean_days_and_faults_are_counted(table):
    table = replace(table, read=lambda: calls(PLANTED_FROM + 4))
    outcome = evaluate(table, planted=2).as_json()
    assert outcome["clean"]["days"] == PLANTED_FROM + 4 - WARM_UP
    counts = {count["fault"]: count for count in outcome["faults"]}
    assert counts["measure times 1000"]["injected"] == counts["measure times 1000"]["eligible"] == 2
    assert counts["words in place of numbers"]["detected"] == 2
    for count in counts.values():
        assert count["detected"] <= count["injected"] <= count["eligible"]
        assert count["headline_right"] + count["headline_wrong"] <= count["injected"]
    lines = report({"faults": outcome["faults"], "clean": [outcome["clean"]]})
    assert any(line.startswith("| measure times 1000 | batch | 2 | 100% |") for line in lines)


def verdict(*results, publishes=False):
    return SimpleNamespace(failed=results, verdict=SimpleNamespace(publishes=publishes))


@pytest.mark.parametrize(
    ("result", "family", "columns", "head"),
    [
        (Result("", "semantic", "unit_change", ("fare",)), "unit", ("fare",), "right"),
        (Result("", "semantic", "unit_change", ("fare",)), "swap", ("fare", "tip"), "wrong"),
        (Result("", "semantic", "unit_change", ("tip",)), "unit", ("fare",), "wrong"),
        (Result("", "semantic", "far_from_usual", ("fare",)), "unit", ("fare",), "neutral"),
        (Result("", "semantic", "far_from_usual", ("tip",)), "unit", ("fare",), "wrong"),
        (Result("", "contract", "contract_violation", ("fare",)), "type", ("fare",), "right"),
        (Result("", "contract", "contract_violation", ("fare",)), "unit", ("fare",), "neutral"),
    ],
)
def test_a_headline_is_right_if_it_names_the_change_and_its_column(result, family, columns, head):
    assert outcome_of(verdict(result), frozenset(), None, family, columns).head == head


def test_a_part_is_stopped_if_exactly_its_rows_are_quarantined():
    published = verdict(publishes=True)
    places = frozenset({0, 2})

    def stop(altered):
        return outcome_of(published, places, altered, "unit", ("fare",)).stop

    assert stop(frozenset({0, 2})) == "stopped"
    assert stop(frozenset({0, 1})) == "passed"
    assert stop(None) == "passed"
    assert outcome_of(verdict(), places, None, "unit", ()).stop == "stopped"


def test_lines_are_places_of_rows_also_if_a_text_has_line_breaks():
    payload = csv_bytes([{"a": "1", "b": "x"}, {"a": "2", "b": "x\ny"}, {"a": "3", "b": "z"}])
    assert places_of(payload, {2, 3, 5}) == {0, 1, 2}
