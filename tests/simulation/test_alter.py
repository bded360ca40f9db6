"""What is wrong with a delivery: seen by the gate's own readers, in both forms."""

import json
from random import Random

import pytest

from headrace.contracts import load_contract
from headrace.verification.simulation import delivery_faults
from headrace.verification.simulation.delivery_faults import OriginalDelivery
from headrace.verification.simulation.incidents import FAULTY
from headrace.verification.simulation.producers import records_of
from tests.rebuild.worlds import FACTS, contract_text

ROWS = [
    {"id": n, "part": "a", "n": n * 3, "x": n + 0.5, "happened": f"2024-03-01T{n:02}:00:00Z"}
    for n in range(10)
]


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    names = {name: FACTS[name] for name in ("id", "part", "n", "x", "happened", "sent")}
    rules = {"eventTime": {"expression": "happened", "description": "when it is"}}
    path = tmp_path_factory.mktemp("contract") / "facts.yaml"
    path.write_text(contract_text("facts", "event", ("id", "part"), names, rules))
    return load_contract(path)


@pytest.fixture(params=["csv", "ndjson"])
def given(request, contract) -> OriginalDelivery:
    maker = OriginalDelivery(b"", request.param, contract, Random(1))
    rows = [{**row, "sent": row["happened"]} for row in ROWS]
    payload = maker.written(rows)
    return OriginalDelivery(payload, request.param, contract, Random(1), before=b"earlier")


def test_every_fault_changes_something_or_says_that_it_cannot(given):
    for kind, change in FAULTY.items():
        made = change(given)
        assert made is None or made != given.payload, kind
    assert (delivery_faults.empty(given) is None) == (given.form == "ndjson")


def test_half_is_the_first_half(given):
    made = OriginalDelivery(delivery_faults.half(given), given.form, given.contract, given.chance)
    assert made.records == given.records[:5]


def test_a_record_is_cut_in_two(given):
    made = delivery_faults.cut(given)
    assert given.payload.startswith(made)
    assert not made.endswith(b"\n")
    assert given.payload[len(made) : len(made) + 1] != b"\n"


def test_a_renamed_column_keeps_its_values(given):
    made = OriginalDelivery(
        delivery_faults.renamed(given), given.form, given.contract, given.chance
    )
    (new,) = set(made.records[0]) - set(given.records[0])
    assert new.startswith("fld_")
    assert [list(row.values()) for row in made.records] == [
        list(row.values()) for row in given.records
    ]


def test_stuck_measures_say_the_same(given):
    made = OriginalDelivery(delivery_faults.stuck(given), given.form, given.contract, given.chance)
    assert len({json.dumps([row["n"], row["x"]]) for row in made.records}) == 1
    assert [row["id"] for row in made.records] == [row["id"] for row in given.records]


def test_of_a_day_without_records_no_level_is_missing(contract):
    header = OriginalDelivery(b"", "csv", contract, Random(1)).written(ROWS).split(b"\n")[0] + b"\n"
    assert delivery_faults.drifted(OriginalDelivery(header, "csv", contract, Random(1))) is None


def test_rewritten_holds_the_same_records(given):
    made = delivery_faults.rewritten(given)
    assert made != given.payload
    assert records_of(made, given.form) == records_of(given.payload, given.form)


def test_pages_hold_the_records_of_their_lines(contract):
    maker = OriginalDelivery(b"", "ndjson", contract, Random(1))
    lines = maker.written(ROWS)
    pages = [{"records": ROWS[:4], "next": "x"}, {"records": ROWS[4:], "next": None}]
    paged = "".join(json.dumps(page) + "\n" for page in pages).encode()
    assert records_of(paged, "pages") == records_of(lines, "ndjson")
    assert records_of(b"{broken\n", "pages") == records_of(b"{broken\n", "ndjson")
