"""Times that are split over columns, and times that nobody named."""

from datetime import UTC, datetime

import pytest

from headrace.core.errors import DeclarationError
from tests.scaffold.test_look import held, looked

NEW_YORK = datetime(2013, 7, 5, 9, 17, tzinfo=UTC)  # 05:17 there
HERE = datetime(2013, 7, 5, 5, 17, tzinfo=UTC)
DAY = datetime(2013, 7, 5, tzinfo=UTC)
ROW = {"year": "2013", "month": "7", "day": "5"}


def file(tmp_path, row, **more):
    """Two rows, so that nothing varies but the id."""
    header = ",".join(["id", *row])
    rows = [",".join([id_, *row.values()]) for id_ in ("a", "b")]
    return looked(tmp_path, header, *rows, **more)


@pytest.mark.parametrize(
    ("row", "time", "expected"),
    [
        ({**ROW, "dep_time": "517"}, "year,month,day,dep_time", HERE),
        ({**ROW, "dep_time": "0517"}, "year, month, day, dep_time", HERE),
        ({**ROW, "hour": "5", "minute": "17"}, "year,month,day,hour,minute", HERE),
        ({**ROW, "clock": "5:17"}, "year,month,day,clock", HERE),
        ({**ROW}, "year,month,day", DAY),
        ({"on": "5.7.2013", "at": "05:17:00"}, "on,at", HERE),
        ({"on": "20130705", "at": "517"}, "on,at", HERE),
        ({"on": "07/25/2013", "at": "5:17 AM"}, "on,at", HERE.replace(day=25)),
        ({"on": "2013-07-05", "hr": "5"}, "on,hr", HERE.replace(minute=0)),
    ],
)
def test_columns_of_a_calendar_and_a_clock(tmp_path, row, time, expected):
    found = held(file(tmp_path, row, time=time))
    assert found.table["event_time"].to_pylist() == [expected, expected]


@pytest.mark.parametrize("clock", ["517", "5:17"])
def test_one_zone_is_that_of_the_moment_and_of_the_days(tmp_path, clock):
    row = {**ROW, "at": clock}
    found = held(file(tmp_path, row, time="year,month,day,at", zone="America/New_York"))
    assert found.table["event_time"].to_pylist() == [NEW_YORK, NEW_YORK]
    assert found.contract.slot_zone == "America/New_York"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {**ROW, "dep_time": "NA", "sched_dep_time": "517"},
            ["year", "month", "day", "sched_dep_time"],
        ),
        ({**ROW, "hour": "5", "n": "3"}, ["year", "month", "day", "hour"]),
        ({"updated_at": "2013-07-06 01:00", "ordered_at": "2013-07-05 05:17"}, ["ordered_at"]),
        ({"birthday": "1970-01-01", "date": "2013-07-05", "time": "05:17"}, ["date", "time"]),
        ({"price": "20130705", "day": "20130705"}, ["day"]),
        ({"n": "1372999999", "ts": "1372999999"}, ["ts"]),
    ],
)
def test_times_that_nobody_named(tmp_path, row, expected):
    seen = file(tmp_path, row, time="")
    assert [column.header for column in seen.times] == expected
    assert seen.found_time


@pytest.mark.parametrize(
    ("row", "time", "what"),
    [
        ({"a": "x", "b": "y"}, "", "no column says when"),
        ({"on": "05/07/2013"}, "", "both '%m/%d/%Y' and '%d/%m/%Y'"),
        ({**ROW, "kind": "x"}, "year,month,day,kind", "not a part of a date or a clock: 'kind'"),
        ({"month": "7", "hour": "5"}, "month,hour", "no date in month, hour"),
        ({**ROW, "hour": "5"}, "year,month,when", "no column 'when'"),
    ],
)
def test_times_that_cannot_be_read(tmp_path, row, time, what):
    with pytest.raises(DeclarationError) as refused:
        file(tmp_path, row, time=time)
    assert what in str(refused.value)
    assert "--time" in f"{refused.value.where} {refused.value.fix}"


def test_a_clock_that_is_missing_is_no_time(tmp_path):
    rows = [f"{n},2013,7,{1 + n % 28},{'NA' if n == 7 else 517}" for n in range(200)]
    found = held(looked(tmp_path, "id,year,month,day,at", *rows, time="year,month,day,at"))
    assert found.table.num_rows == 199
    assert found.undated == (9,)
