"""The plan of incidents: the same for the same seed, apart from each other, of every kind."""

from itertools import pairwise

import pytest

from headrace.core.clock import DAY, HOUR, days, parse_iso
from headrace.verification.simulation.incidents import (
    DOWN,
    DRIFT,
    FAULTY,
    KINDS,
    MACHINE,
    Chance,
    SimulatedIncident,
    kinds_for,
    plan,
)

FIRST, LAST = parse_iso("2024-01-01"), parse_iso("2024-06-30")


def chance(table: str, *, keeps: bool = True) -> Chance:
    slots = {slot: parse_iso(slot) + DAY + HOUR for slot in days("2024-01-01", "2024-06-29")}
    kinds = kinds_for(side_by_side=keeps, snapshot=False, able=frozenset({*DRIFT, *FAULTY}))
    return Chance(table, slots, keeps, kinds)


CHANCES = [
    chance("files"),
    chance("feed", keeps=False),
    Chance(
        "whole", {"snapshot": FIRST}, side_by_side=False, kinds=frozenset({*DOWN, "type changed"})
    ),
]


@pytest.fixture(scope="module")
def planned() -> list[SimulatedIncident]:
    return plan(CHANCES, FIRST, LAST, 60, seed=4)


def test_the_same_seed_makes_the_same_plan(planned):
    assert plan(CHANCES, FIRST, LAST, 60, seed=4) == planned
    assert plan(CHANCES, FIRST, LAST, 60, seed=5) != planned


def test_it_has_as_many_as_asked_for_and_every_kind(planned):
    assert len(planned) == 60
    assert {one.kind for one in planned} == set(KINDS)
    assert len({one.name for one in planned}) == 60
    assert [one.begins for one in planned] == sorted(one.begins for one in planned)


def test_incidents_of_a_table_are_a_day_apart(planned):
    for table in ("files", "feed", "whole"):
        own = [one for one in planned if one.table == table]
        for one, other in pairwise(own):
            assert one.ends + DAY < other.begins


def test_what_cannot_happen_to_a_table_does_not(planned):
    assert not {one.kind for one in planned if one.table == "feed"} & {"twice", "clock went back"}
    assert {one.kind for one in planned if one.table == "whole"} <= {*DOWN, "type changed"}
    assert {one.table for one in planned if one.kind in MACHINE} == {""}


def test_where_there_is_no_room_there_are_fewer():
    found = plan(CHANCES, FIRST, FIRST + 3 * DAY, 60, seed=1)
    assert 0 < len(found) < 20


@pytest.mark.parametrize("span", [-3 * DAY, 0, HOUR])
def test_where_there_is_no_time_nothing_goes_wrong(span):
    assert plan(CHANCES, FIRST, FIRST + span, 60, seed=1) == []


def test_what_an_incident_concerns():
    faulty = SimulatedIncident("i1", "partial", "files", "2024-02-01", FIRST, FIRST + HOUR)
    assert faulty.concerns("files", "2024-02-01")
    assert not faulty.concerns("files", "2024-02-02")
    begins = parse_iso("2024-02-10")
    outage = SimulatedIncident(
        "i2", "down for days", "feed", "2024-02-09", begins, begins + 3 * DAY
    )
    assert [outage.concerns("feed", f"2024-02-{day:02}") for day in (7, 8, 14, 15)] == [
        False,
        True,
        True,
        False,
    ]
