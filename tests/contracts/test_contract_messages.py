"""What the person on call reads when a delivery breaks its contract."""

import pytest

from headrace.contracts import conform
from headrace.contracts.conform import MOST_LISTED
from headrace.sources.base import Delivery
from headrace.sources.parse import read_rows
from headrace.sources.rows import no_rows
from tests.contracts.given import OUTCOME, PLAN, conformed, flights, raw


def csv(*rows, cut=0):
    lines = [
        ",".join(rows[0]),
        *(",".join(value or "NA" for value in row.values()) for row in rows),
    ]
    payload = "\n".join(lines).encode()[: -cut or None]
    return read_rows(Delivery("schedule", "2013-06-05", payload, "csv", "here", 0, "planning"))


def renamed(row, old, new):
    return {new if name == old else name: value for name, value in row.items()}


def test_a_renamed_column_names_its_likely_new_name():
    result = conformed(flights("schedule"), renamed(PLAN, "distance", "dist_mi"))
    (violation,) = result.violations
    assert result.table is None
    assert str(violation) == (
        "field 'distance': expected column 'distance' (integer, mile), got undeclared column "
        "'dist_mi' instead (fix: if it was only renamed and still means the same, add "
        "aliases: [dist_mi] to 'distance' in the contract; otherwise ask the producer)"
    )


def test_of_several_the_nearest_name_is_meant():
    row = renamed(renamed(PLAN, "sched_dep_time", "sched_departure_time"), "dest", "destination")
    got = {v.field: v.got for v in conformed(flights("schedule"), row).violations}
    assert got == {
        "sched_dep_time": "undeclared column 'sched_departure_time' instead",
        "dest": "undeclared column 'destination' instead",
    }


def test_a_missing_and_an_undeclared_column():
    gone = {name: value for name, value in PLAN.items() if name != "dest"}
    (violation,) = conformed(flights("schedule"), gone).violations
    assert (violation.field, violation.got) == ("dest", "no such column")
    (violation,) = conformed(flights("schedule"), PLAN | {"tailnum": "N14228"}).violations
    assert (violation.field, violation.got) == ("tailnum", "undeclared column 'tailnum'")
    assert "one of the columns year, month" in violation.expected


TYPES = [
    ("month", "June", "a whole number of at most 63 bits (integer)", "'June'"),
    ("distance", "1400.0", "a whole number of at most 63 bits (integer, mile)", "'1400.0'"),
    ("distance", "0x1F", "a whole number of at most 63 bits (integer, mile)", "'0x1F'"),
    ("distance", "9" * 19, "a whole number of at most 63 bits (integer, mile)", f"'{'9' * 19}'"),
    ("flight", "", "a whole number of at most 63 bits (integer)", "''"),
]


@pytest.mark.parametrize(("field", "text", "expected", "got"), TYPES)
def test_text_of_another_type_names_its_line(field, text, expected, got):
    result = conformed(flights("schedule"), PLAN, PLAN | {field: text})
    (violation,) = result.violations
    assert (violation.field, violation.line) == (field, 3)
    assert (violation.expected, violation.got) == (expected, got)
    assert result.table is None


def test_half_a_file_names_the_broken_line():
    result = conform(flights("schedule"), csv(PLAN, PLAN | {"flight": "2"}, cut=8), "batch")
    (violation,) = result.violations
    assert (violation.line, violation.expected) == (3, "a whole row")
    assert violation.got.startswith("2013,6,5,UA,2,EWR")
    assert violation.got.endswith("(expected 10 fields, got 9)")
    assert (result.table, result.delivered) == (None, 2)


def test_an_empty_file_is_refused_and_an_empty_answer_is_not():
    empty = Delivery("s", "d", b"", "csv", "here", 0, "p")
    assert conform(flights("schedule"), read_rows(empty), "b").violation_count == 1
    answer = conform(flights("schedule"), no_rows(), "b")
    assert (answer.violations, answer.table.num_rows) == ((), 0)
    assert answer.table.schema == flights("schedule").arrow_schema()


def test_many_violations_are_counted_and_not_all_listed():
    rows = [PLAN | {"month": "June", "day": "5th"}] * 300
    result = conform(flights("schedule"), raw(rows), "batch")
    assert (len(result.violations), result.violation_count) == (MOST_LISTED, 600)


def test_two_versions_that_nothing_orders_are_refused():
    contract = flights("outcomes")
    result = conformed(contract, OUTCOME, OUTCOME | {"air_time": "228"})
    (violation,) = result.violations
    assert (violation.field, violation.line, violation.got) == ("air_time", 3, "228")
    assert violation.expected.startswith("227 as on line 2, which has the same key and known-at")
    assert "different known-at times or sequence numbers" in violation.fix
    later = conformed(contract, OUTCOME, OUTCOME | {"arr_delay": "12"})  # known a minute later
    assert (later.violations, later.table.num_rows) == ((), 2)


def test_an_expression_that_fails_names_its_row(monkeypatch):
    contract = flights("outcomes")
    field = contract.field("dep_delay")
    monkeypatch.setitem(field.__dict__, "max_abs", None)  # which would have quarantined it
    rows = [OUTCOME | {"flight": str(n)} for n in range(20)]
    rows[13] = rows[13] | {"dep_delay": "9" * 18}
    (violation,) = conform(contract, raw(rows), "batch").violations
    assert (violation.field, violation.line) == ("departed_at", 15)
    assert "a value that can be derived" in violation.expected
