"""Every failing row of every batch can be had, with its key and its reasons."""

from dataclasses import replace

import pytest

from headrace.lake.overrides.batch_case import open_case
from headrace.lake.overrides.failing_rows import failing_rows, flat
from tests.lake.kit import SLOTS, meter_csv
from tests.lake.kit_oncall import act, run

DAY = SLOTS[0]


def rows(meter, table=None, which=DAY, checks=()):
    return failing_rows(open_case(meter.home, table or meter.table, which), checks)


def short(found):
    return [(r["line"], r["fate"], [why["check"] for why in r["reasons"]]) for r in found]


def test_rows_of_a_blocked_batch_come_from_its_bytes(meter):
    """More of them than any sample holds."""
    meter.drop(DAY, [*range(-45, 0), 5])
    assert run(meter, [DAY])[0].state == "pending"
    found = rows(meter)
    assert len(found) == 45
    assert found[0]["key"] == {"id": 0}
    assert found[44]["values"]["value"] == -1
    assert {r["fate"] for r in found} == {"pending"}


def test_rows_that_break_the_contract_come_with_the_contracts_own_words(meter):
    meter.drop(DAY, [1, 2000, 3, 4])
    path = next(meter.folder.iterdir())
    path.write_bytes(path.read_bytes().replace(b"2,3,", b",3,"))
    run(meter, [DAY])
    found = rows(meter)
    assert short(found) == [(3, "quarantined", ["limit"]), (4, "quarantined", found_of(found, 4))]
    assert found[1]["reasons"][0]["check"].startswith("contract:")
    assert "id" in found[1]["reasons"][0]["why"]
    assert short(rows(meter, checks=["limit"])) == [(3, "quarantined", ["limit"])]


def found_of(found, line):
    return [w["check"] for r in found if r["line"] == line for w in r["reasons"]]


def test_of_a_delivery_that_breaks_its_contract_every_line_is_named(meter):
    """The verdict lists a hundred."""
    text = meter_csv(DAY, range(60)).replace(b"T00:", b"T99:") + b"short\n"
    (meter.folder / f"meter_{DAY}.csv").write_bytes(text)
    assert run(meter, [DAY])[0].verdict == "BLOCK"
    found = rows(meter)
    assert [r["line"] for r in found] == list(range(2, 63))
    assert found[0]["values"]["read_at"] == "2024-01-01T99:00:00Z"
    assert found[0]["reasons"][0]["check"] == "contract:type"
    assert found[60]["raw"] == "short"
    assert {r["fate"] for r in found} == {"pending"}


def test_a_column_that_is_missing_is_told_of_the_delivery(meter):
    (meter.folder / f"meter_{DAY}.csv").write_bytes(
        meter_csv(DAY, [1]).replace(b"read_at", b"seen")
    )
    run(meter, [DAY])
    assert rows(meter)[0]["line"] is None
    assert "read_at" in rows(meter)[0]["reasons"][0]["why"]


def test_what_people_did_is_among_the_reasons(meter):
    meter.drop(DAY, [1, 2000, 3000, 4, 5])
    run(meter, [DAY])
    act(meter, "quarantine", DAY, scope={"lines": [5]})
    act(meter, "reject", DAY, scope={"lines": [3]})
    act(meter, "release", DAY, scope={"lines": [4]})
    assert short(rows(meter)) == [
        (3, "rejected", ["limit", "reject:2"]),
        (4, "published", ["limit"]),
        (5, "quarantined", ["quarantine:1"]),
    ]


def test_checks_that_only_warn_tell_their_rows_too(meter):
    warn = replace(meter.table.suite.expectations[0], action="warn")
    table = replace(meter.table, suite=replace(meter.table.suite, expectations=(warn,)))
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY], table)
    found = rows(meter, table)
    assert short(found) == [(3, "published", ["limit"])]
    assert found[0]["reasons"][0]["does"] == "warn"


def test_under_rules_it_was_not_judged_by_yet_the_rows_kept_before_are_shown(meter):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    found = rows(meter, meter.with_limit(5))
    assert short(found) == [(3, "quarantined", ["limit"])]


def test_flat_rows_have_one_level(meter):
    meter.drop(DAY, [1, 2000, 3])
    run(meter, [DAY])
    (row,) = flat(rows(meter))
    assert (row["line"], row["id"], row["value"]) == (3, 1, 2000)
    assert row["reasons"].startswith("limit: ")


@pytest.mark.parametrize("state", ["rejected", "superseded"])
def test_rows_of_a_batch_that_is_set_aside_can_still_be_had(meter, state):
    meter.drop(DAY, [1, -5], arrived=1)
    batch = run(meter, [DAY])[0].batches[0]
    if state == "rejected":
        act(meter, "reject", DAY)
    else:
        meter.drop(DAY, [1, 5], name="_b", arrived=2)
        run(meter, [DAY])
    assert short(rows(meter, which=batch)) == [(3, state, ["negative"])]
