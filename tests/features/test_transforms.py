"""Row transforms look at one row; calendars follow the pinned zone table."""

import datetime as dt
import os
import time
from datetime import UTC, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.core.clock import to_us
from headrace.core.errors import DeclarationError
from headrace.features import (
    FeatureView,
    Rows,
    RowTransform,
    Window,
    calendar,
    ratio,
    training_frame,
)
from headrace.features.kernel.calendar import PARTS
from headrace.features.purity import outside_reads
from headrace.features.table_shapes import TIMESTAMP
from headrace.features.transforms import apply, prove_row_local
from tests.features.logs import SHAPES, random_log


def double(column):
    return pc.multiply(column, 2)


def centred(column):
    return pc.subtract(pc.cast(column, pa.float64()), pc.mean(column))


def previous(column):
    return pa.array([None, *column.to_pylist()[:-1]], pa.int64())


def ranked(column):
    return pc.cast(pc.rank(column), pa.int64())


def by_size(column):
    return column if len(column) > 10 else pa.nulls(len(column), pa.int64())


def shorter(column):
    return column.drop_null()


def other_type(column):
    return pc.cast(column, pa.float64())


def filled_with_last(column):
    return pc.fill_null_forward(column)


def no_array(column):
    return column.to_pylist()


CALLS = []


def counting(column):
    CALLS.append(1)
    return pc.add(column, len(CALLS))


def by_thousand(column):
    return column if len(column) <= 1000 else pc.negate(column)


def far_neighbour(column):
    """Null where the value 500 rows before is null."""
    before = pa.concat_arrays([pa.array([0] * 500, pa.int64()), column])[: len(column)]
    return pc.if_else(pc.is_null(before), pa.scalar(None, pa.int64()), column)


def breaks_on_null(column):
    return pa.array([value + 1 for value in column.to_pylist()])


@pytest.mark.parametrize(
    ("fn", "why"),
    [
        (centred, "batch size"),
        (previous, "batch size"),
        (ranked, "batch size"),
        (by_size, "batch size"),
        (shorter, "expected int64"),
        (other_type, "expected int64"),
        (filled_with_last, "batch size"),
        (no_array, "expected int64"),
        (counting, "deterministic"),
        (by_thousand, "batch size: 20011 rows"),
        (far_neighbour, "batch size: 20011 rows"),
        (breaks_on_null, "TypeError"),
    ],
)
def test_what_is_not_row_local_is_refused(fn, why):
    dtype = "float64" if fn is centred else "int64"
    with pytest.raises(DeclarationError, match=why):
        prove_row_local(RowTransform("r", ("n",), fn, dtype), [pa.int64()])


def age_in_years(column):
    return pc.subtract(column, dt.date.today().year)  # noqa: DTZ011


def helper():
    return now()


def through_a_helper(column):
    return pc.add(column, int(helper().year < 1970))


def imported_inside(column):
    import time as clock

    return pc.add(column, int(clock.time()) // 10**12)


def in_a_comprehension(column):
    from random import random as chance

    return pa.array([None if v is None else v + int(chance() / 2) for v in column.to_pylist()])


def numpy_today(column):
    return pc.add(column, int(np.datetime64("today") < np.datetime64("1970-01-01")))


def numpy_chance(column):
    return pc.add(column, int(np.random.default_rng(5).random() / 2))


def environment(column):
    return pc.add(column, len(os.environ.get("NOT_SET", "")))


def text_hash(column):
    return pc.add(column, hash("a") * 0)


def by_default(column, when=dt.datetime.now):
    return pc.add(column, int(when().year < 1970))


now = dt.datetime.now


@pytest.mark.parametrize(
    ("fn", "reads"),
    [
        (age_in_years, "date.today"),
        (through_a_helper, "datetime.now"),
        (imported_inside, "time.time"),
        (in_a_comprehension, "random.random"),
        (numpy_today, "numpy.datetime64"),
        (numpy_chance, "numpy.random.default_rng"),
        (environment, "os.environ"),
        (text_hash, "builtins.hash"),
        (by_default, "datetime.now"),
    ],
)
def test_what_reads_a_clock_or_chance_is_refused_though_it_is_elementwise(fn, reads):
    with pytest.raises(DeclarationError, match=f"reads {reads}"):
        prove_row_local(RowTransform("r", ("n",), fn, "int64"), [pa.int64()])


def moment_of(column):
    """Uses of the same modules that read nothing but their arguments."""
    parsed = [dt.datetime(1970, 1, 1).year + time.gmtime(0).tm_yday for _ in column]  # noqa: DTZ001
    return pc.add(column, len({*parsed, np.datetime64("1970-01-01")}) * 0)


def test_dates_of_arguments_are_allowed():
    assert outside_reads(moment_of) == []
    for transform in (calendar("c", "at", "hour", "UTC"), ratio("r", "n", "m")):
        assert outside_reads(transform.fn) == []


def test_elementwise_functions_pass_and_give_plain_floats():
    prove_row_local(RowTransform("r", ("n",), double, "int64"), [pa.int64()])
    column = apply(
        RowTransform("r", ("n",), double, "float64"), [pa.array([-0.0, float("nan"), 1.5])]
    )
    assert repr(column.to_pylist()) == "[0.0, None, 3.0]"


def test_a_transform_reads_the_spine_and_features_before_it():
    log = random_log(0)
    view = FeatureView("v", "facts", ("who",), (Rows(Window("-9us"), name="r"),))
    views = [view, RowTransform("more", ("v__r",), double, "int64")]
    frame = training_frame(log.spine_table, views, log.history, SHAPES)
    assert frame["more"].to_pylist() == [
        None if value is None else 2 * value for value in frame["v__r"].to_pylist()
    ]
    with pytest.raises(DeclarationError, match="no column 'v__r'"):
        training_frame(log.spine_table, views[::-1], log.history, SHAPES)


def local(moment, *parts):
    found = []
    for part in parts:
        transform = calendar("c", "at", part, "America/New_York")
        found.append(apply(transform, [pa.array([moment], TIMESTAMP)]).to_pylist()[0])
    return tuple(found)


@pytest.mark.parametrize(
    ("utc", "hour", "minute_of_day"),
    [
        (dt.datetime(2013, 3, 10, 6, 59, tzinfo=UTC), 1, 119),
        (dt.datetime(2013, 3, 10, 7, 0, tzinfo=UTC), 3, 180),  # 02:00 does not exist
        (dt.datetime(2013, 11, 3, 5, 30, tzinfo=UTC), 1, 90),  # the first 01:30
        (dt.datetime(2013, 11, 3, 6, 30, tzinfo=UTC), 1, 90),  # the second
        (dt.datetime(2013, 11, 3, 7, 0, tzinfo=UTC), 2, 120),
    ],
)
def test_calendar_across_daylight_saving(utc, hour, minute_of_day):
    assert local(utc, "hour", "minute_of_day") == (hour, minute_of_day)


def test_calendar_dates_equal_those_of_the_standard_library():
    for day in range(0, 1200, 7):
        noon = dt.datetime(2011, 12, 30, 17, tzinfo=UTC) + timedelta(days=day)
        date = (noon - timedelta(hours=4)).date()
        assert local(noon, "weekday", "day", "month", "day_of_year") == (
            date.weekday(),
            date.day,
            date.month,
            date.timetuple().tm_yday,
        )


def test_every_calendar_part_is_row_local():
    for part in PARTS:
        prove_row_local(calendar("c", "at", part, "Pacific/Auckland"), [TIMESTAMP])
    assert to_us(dt.datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000


def test_an_unknown_zone_is_refused():
    with pytest.raises(DeclarationError):
        calendar("c", "at", "hour", "America/NewYork")
