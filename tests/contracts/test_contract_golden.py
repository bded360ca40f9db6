"""The rules of the flights contracts, one row at a time."""

import pytest

from tests.contracts.given import HOUR, OUTCOME, PLAN, conformed, flights, published, shown

OUTCOMES = [
    # what,                     changed columns,                       expected columns
    (
        "an ordinary flight",  # 05:15 and 08:19 New York and Houston summer time
        {},
        {
            "status": "arrived",
            "sched_dep_at": "06-05 09:15",
            "sched_arr_at": "06-05 13:19",
            "departed_at": "06-05 09:17",
            "arrived_at": "06-05 13:30",
            "arrival_delay": 11,
            "late": 0,
            "event_time": "06-05 13:30",
            "known_at": "06-05 13:40",
        },
    ),
    ("15 minutes are not late", {"arr_delay": "15"}, {"late": 0, "arrival_delay": 15}),
    ("16 minutes are", {"arr_delay": "16"}, {"late": 1}),
    (
        "a cancelled flight is known four hours after it should have left",
        {"dep_time": None, "arr_time": None, "dep_delay": None, "arr_delay": None},
        {
            "status": "cancelled",
            "departed_at": None,
            "arrived_at": None,
            "arrival_delay": None,
            "late": None,
            "event_time": "06-05 09:15",
            "known_at": "06-05 13:15",
        },
    ),
    (
        "one that left and did not arrive, twelve hours after it left",
        {"arr_time": None, "arr_delay": None},
        {
            "status": "not_arrived",
            "arrived_at": None,
            "late": None,
            "event_time": "06-05 09:17",
            "known_at": "06-05 21:17",
        },
    ),
    (
        "one that landed without a delay has it from the clock",
        {"arr_delay": None, "arr_time": "1130"},
        {"status": "arrived", "arrived_at": "06-05 16:30", "arrival_delay": 191, "late": 1},
    ),
    (
        "and on the next day, if the clock has gone round",
        {"arr_delay": None, "arr_time": "300"},
        {"arrived_at": "06-06 08:00", "arrival_delay": 1121},
    ),
    (
        "an arrival after midnight",
        {"sched_dep_time": "2200", "sched_arr_time": "119", "arr_delay": "-4"},
        {"sched_dep_at": "06-06 02:00", "sched_arr_at": "06-06 06:19", "arrived_at": "06-06 06:15"},
    ),
    (
        "2400 is midnight",
        {"sched_dep_time": "2400", "sched_arr_time": "2400", "dest": "BOS"},
        {"sched_dep_at": "06-06 04:00", "sched_arr_at": "06-06 04:00"},
    ),
    (
        "2400 on a clock that comes later",
        {"sched_dep_time": "2100", "sched_arr_time": "2400"},
        {"sched_arr_at": "06-06 05:00"},
    ),
    ("Phoenix has no summer time", {"dest": "PHX"}, {"sched_arr_at": "06-05 15:19"}),
    ("Honolulu neither", {"dest": "HNL"}, {"sched_arr_at": "06-05 18:19"}),
    ("San Juan", {"dest": "SJU"}, {"sched_arr_at": "06-05 12:19"}),
    ("Aguadilla", {"dest": "BQN"}, {"sched_arr_at": "06-05 12:19"}),
    ("Ponce", {"dest": "PSE"}, {"sched_arr_at": "06-05 12:19"}),
    ("St. Thomas", {"dest": "STT"}, {"sched_arr_at": "06-05 12:19"}),
    (
        "a departure in the hour that spring skips moves on by the gap",
        {"month": "3", "day": "10", "sched_dep_time": "230"},
        {"sched_dep_at": "03-10 07:30"},
    ),
    (
        "an arrival there as well",
        {
            "month": "3",
            "day": "9",
            "sched_dep_time": "2300",
            "sched_arr_time": "230",
            "dest": "BOS",
        },
        {"sched_dep_at": "03-10 04:00", "sched_arr_at": "03-10 07:30"},
    ),
    (
        "a departure in the hour that autumn repeats is the first one",
        {"month": "11", "day": "3", "sched_dep_time": "130"},
        {"sched_dep_at": "11-03 05:30"},
    ),
    (
        "an arrival there is the first one after departure",
        {
            "month": "11",
            "day": "3",
            "sched_dep_time": "130",
            "sched_arr_time": "115",
            "dest": "BOS",
        },
        {"sched_dep_at": "11-03 05:30", "sched_arr_at": "11-03 06:15"},
    ),
    (
        "from before that hour it is the first one",
        {
            "month": "11",
            "day": "2",
            "sched_dep_time": "2300",
            "sched_arr_time": "115",
            "dest": "BOS",
        },
        {"sched_dep_at": "11-03 03:00", "sched_arr_at": "11-03 05:15"},
    ),
    (
        "delays are minutes that pass, not minutes on a clock",
        {"month": "3", "day": "9", "sched_dep_time": "2300", "dep_delay": "240"},
        {"departed_at": "03-10 08:00"},
    ),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in OUTCOMES], ids=[c[0] for c in OUTCOMES]
)
def test_outcomes(change, expected):
    row = published(flights("outcomes"), OUTCOME | change)
    got = {name: row[name] for name in expected}
    assert {name: shown(v) if hasattr(v, "hour") else v for name, v in got.items()} == expected


def test_a_schedule_is_known_the_evening_before():
    row = published(flights("schedule"), PLAN)
    assert (shown(row["event_time"]), shown(row["known_at"])) == ("06-05 09:15", "06-05 00:00")
    assert row["sched_minutes"] == 244
    winter = published(flights("schedule"), PLAN | {"month": "3", "day": "1"})
    assert shown(winter["known_at"]) == "03-01 01:00"  # 20:00 on the last day of February


def test_a_schedule_says_nothing_that_is_known_later():
    names = set(flights("schedule").arrow_schema().names)
    later = {
        "tailnum",
        "dep_time",
        "arr_time",
        "dep_delay",
        "arr_delay",
        "air_time",
        "status",
        "late",
    }
    assert not names & later


def test_weather_of_the_hour_that_occurs_twice():
    contract = flights("weather")
    second = HOUR | {"time_hour": "2013-11-03T06:00:00Z"}
    rows = conformed(contract, HOUR, second).table.to_pylist()
    assert [row["local_clock"] for row in rows] == [201311030100, 201311030100]
    assert [shown(row["known_at"]) for row in rows] == ["11-03 05:10", "11-03 06:10"]
    assert rows[0]["precip"] == 1


QUARANTINED = [
    ("outcomes", {"dest": "XXX"}, "zone", "dest 'XXX' is not in airport_zones.csv"),
    ("outcomes", {"sched_dep_time": "2575"}, "clock", "sched_dep_time is 2575, not an HHMM clock"),
    ("outcomes", {"sched_dep_time": "2401"}, "clock", "sched_dep_time is 2401, not an HHMM clock"),
    ("outcomes", {"sched_dep_time": "-1"}, "clock", "sched_dep_time is -1, not an HHMM clock"),
    ("outcomes", {"month": "2", "day": "30"}, "date", "2013-2-30 is not a date from 1900 to 2198"),
    ("outcomes", {"dest": None}, "required", "dest is null"),
    ("outcomes", {"flight": None}, "primary_key", "flight is null"),
    (
        "outcomes",
        {"dep_delay": "10001"},
        "max_abs",
        "dep_delay is 10001, beyond its greatest absolute",
    ),
    ("outcomes", {"arr_delay": "9" * 18}, "max_abs", "arr_delay is 999999999999999999"),
    ("weather", {"temp": "Infinity"}, "infinity", "the value is infinite"),
    ("weather", {"precip": "99"}, "max_abs", "precip is 99, beyond its greatest absolute value 20"),
    (
        "weather",
        {"time_hour": "2250-01-01T00:00:00Z"},
        "date",
        "time_hour is not a moment from 1900",
    ),
]


@pytest.mark.parametrize(("table", "change", "rule", "reason"), QUARANTINED)
def test_rows_that_cannot_be_used_are_listed_and_do_not_stop_the_batch(table, change, rule, reason):
    good = {"outcomes": OUTCOME, "weather": HOUR}[table]
    result = conformed(flights(table), good | {"origin": "JFK"}, good | change)
    assert result.violations == ()
    assert result.table.num_rows == 2
    assert [(problem.line, problem.rule) for problem in result.bad_rows] == [(3, rule)]
    assert result.bad_rows[0].reason.startswith(reason)


def test_a_flight_that_left_without_a_delay_has_no_time_unless_it_arrived():
    lost = OUTCOME | {"dep_delay": None, "arr_time": None, "arr_delay": None}
    (problem,) = conformed(flights("outcomes"), lost).bad_rows[:1]
    assert (problem.rule, problem.field) == ("event_time", "event_time")
    assert published(flights("outcomes"), OUTCOME | {"dep_delay": None})["departed_at"] is None
