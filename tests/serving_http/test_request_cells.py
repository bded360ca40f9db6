"""A request value by the quick way is what the parser of deliveries makes of it, to the bit."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.model import Field
from headrace.contracts.typed_cells import parse
from headrace.serving.request import _text
from headrace.serving.request_cell import OTHER, converter, stored
from tests.examples import examples


def field(kind, **about):
    return Field(name="x", type=kind, id=1, description="x", privacy="public", **about)


FIELDS = [
    field("integer"),
    field("integer", max_abs=1000, sentinels=(999, -1), null_tokens=("7", "")),
    field("number"),
    field("number", max_abs=1e6, sentinels=(-9.0,), null_tokens=("-1.5",)),
    field("number", scale=2, max_abs=10**9),
    field("number", scale=0),
    field("number", scale=6, sentinels=(1_000_000,)),
    field("number", scale=2, form="float", max_abs=10**9),
    field("number", scale=5, form="float"),
    field("string"),
    field("string", null_tokens=("NA", ""), sentinels=("none",)),
    field("timestamp"),
    field("timestamp", round_up=True),
    field("boolean"),
    field("boolean", null_tokens=("false",)),
]
INTEGERS = st.integers(-(2**66), 2**66) | st.integers(-1001, 1001)
FLOATS = st.floats() | st.sampled_from([0.125, 0.135, 1.005, 2.5, -0.0, -1.5, -9.0, 90071992547.41])
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal(text) for text in ("1.005", "1E+3", "1E-50", "1E+40", "92233720368547758.07", "2.675")]
)
TEXTS = st.text() | st.sampled_from(["NA", "", "none", "Zürich", "\ud800", "a\x00b"])
MOMENTS = (
    st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=30))))
    | st.sampled_from(
        [
            "2024-02-30T00:00:00Z",
            "2024-03-05T24:00:00Z",
            "2024-03-05T23:59:60Z",
            "2024-03-05 02:00:00Z",
            "2024-W10-1T02:00:00Z",
            "2024-03-05T02:00:00+",
            "2024-03-05T02:00:00.0000001Z",
            datetime(2024, 1, 1),  # noqa: DTZ001 - without a zone, on purpose
        ]
    )
)
VALUES = st.none() | st.booleans() | INTEGERS | FLOATS | DECIMALS | TEXTS | MOMENTS


class RefusedError(Exception):
    pass


def by_parser(of, value):
    """What a delivery's parser makes of the value; RefusedError where it takes it for wrong."""
    cells = parse(of, pa.array([_text(of, value, RefusedError)], pa.string()))
    if cells.wrong or cells.problems:
        raise RefusedError
    return stored(cells.values[0].as_py())


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


@pytest.mark.parametrize(
    "of", FIELDS, ids=lambda of: of.form_text + ("" if of.max_abs is None else "!")
)
@settings(max_examples=examples(150), deadline=None)
@given(value=VALUES)
def test_what_the_quick_way_takes_the_parser_takes_alike(of, value):
    found = converter(of, nullable=True)(value)
    if found is OTHER:
        return
    expected = by_parser(of, value)
    assert type(found) is type(expected)
    assert bits(found) == bits(expected)


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (FIELDS[0], 12),
        (FIELDS[2], 1.5),
        (FIELDS[2], 7),
        (FIELDS[4], 1.05),
        (FIELDS[4], Decimal("1.05")),
        (FIELDS[7], 1.05),
        (FIELDS[9], "north"),
        (FIELDS[11], "2024-03-05T02:00:00Z"),
        (FIELDS[13], True),
    ],
)
def test_usual_values_take_the_quick_way(of, value):
    assert converter(of, nullable=True)(value) is not OTHER


def test_null_is_quick_only_where_it_may_be():
    assert converter(FIELDS[0], nullable=True)(None) is None
    assert converter(FIELDS[0], nullable=False)(None) is OTHER
    assert converter(FIELDS[2], nullable=True)(float("nan")) is OTHER
