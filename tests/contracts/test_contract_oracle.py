# ruff: noqa: DTZ001  (wall clocks have no zone)
"""`conform` against the same rules in plain Python, and against zoneinfo, on random rows."""

import importlib.resources
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.contracts import conform, load_contract
from headrace.contracts.model import Field
from headrace.contracts.typed_cells import parse
from tests.contracts.given import FLIGHTS, OUTCOME, SMALL, flights, raw
from tests.contracts.plain import PARSERS, conform_row
from tests.examples import examples

CONTRACT = load_contract(SMALL)
NUMBERS = st.one_of(
    st.integers(-2000, 2000).map(str),
    st.decimals(-1001, 1001, places=3).map(str),
    st.sampled_from(
        ["-999", "0", "-0", "-0.0", "1000", "1001", "-1001", "1000.505", "1000.5", "950.1"]
    ),
    st.sampled_from(
        [
            "0.005",
            "0.015",
            "-0.025",
            "1e3",
            "1E-3",
            ".5",
            "5.",
            "1e400",
            "1e30",
            "99999999999999999999",
        ]
    ),
    st.floats(allow_nan=False).map(repr),
)
ODD = st.sampled_from(["nan", "NaN", "inf", "-Infinity"])
WRONG = st.sampled_from(
    ["", " 1", "1 ", "one", "0x10", "1,5", "1_0", "+1", "--1", "1e", "٣", "true "]
)
MOMENTS = st.one_of(
    st.datetimes(datetime(1960, 1, 1), datetime(2090, 1, 1)).map(lambda t: t.isoformat() + "Z"),
    st.sampled_from(
        [
            "2013-01-01T00:00:00.1234567Z",
            "1969-12-31T23:59:59.0000001Z",
            "2013-01-01T00:00:00.5000000Z",
        ]
    ),
)
NOT_MOMENTS = st.sampled_from(
    [
        "2013-01-01",
        "2013-02-30T00:00:00Z",
        "2013-01-01T00:00:00",
        "2013-01-01T00:00:00+00:00",
        "2013-01-01T24:00:00Z",
    ]
)
WHOLE = st.one_of(st.integers(-1100, 1100).map(str), st.just("-999"), st.just("00012"))


def cells(usual, *rare):
    """Mostly usual text, seldom null, seldom something else: else no batch would ever pass."""
    return st.integers(0, 60).flatmap(
        lambda n: st.none() if n < 3 else rare[0] if rare and n == 3 else usual
    )


ROWS = st.fixed_dictionaries(
    {
        "meter": cells(st.text("abπ ", max_size=2)),
        "read_at": cells(MOMENTS, NOT_MOMENTS),
        "sent": cells(MOMENTS, NOT_MOMENTS),
        "revision": st.integers(0, 10**9).map(str) | cells(WHOLE, WRONG),
        "count": cells(WHOLE, WRONG | st.integers().map(str)),
        "exact": cells(NUMBERS, WRONG | ODD),
        "rough": cells(NUMBERS, WRONG | ODD),
        "plain": cells(NUMBERS, WRONG | ODD),
        "good": cells(st.sampled_from(["true", "false"]), st.sampled_from(["True", "1", "yes"])),
        "note": cells(st.sampled_from(["-", "x", "NA", ""])),
    }
)


@given(
    st.lists(ROWS, min_size=1, max_size=8, unique_by=lambda row: (row["meter"], row["revision"]))
)
@settings(max_examples=examples(200), deadline=None)
def test_equals_plain_python(rows):
    got, want = conform(CONTRACT, raw(rows), "b"), [conform_row(row) for row in rows]
    wrong = {(line, name) for line, (_, names, _) in enumerate(want, 2) for name in names}
    if wrong:
        assert got.table is None
        assert {(v.line, v.field) for v in got.violations} == wrong
        assert got.violation_count == len(wrong)
        return
    assert got.violations == ()
    problems = {(line, *p) for line, (_, _, found) in enumerate(want, 2) for p in found}
    assert {(p.line, p.rule, p.field) for p in got.bad_rows} == problems
    for line, (row, (values, _, _)) in enumerate(zip(got.table.to_pylist(), want, strict=True), 2):
        assert row == values | {"_batch": "b", "_line": line}
        assert str(row["plain"]) == str(values["plain"])  # so that -0.0 is not 0.0


def scaled(scale, form="text"):
    return Field("x", "number", 10, "", "public", scale=scale, form=form, max_abs=2**63 - 1)


@given(
    st.lists(st.decimals(allow_nan=False, allow_infinity=False).map(str), min_size=1),
    st.integers(0, 6),
)
@example(["9" * 38 + ".9", "0." + "3" * 60, "1e-400", "-1e99", "0.5", "1.5", "2.5"], 0)
@example(["92233720368547758.07", "92233720368547758.08", "-92233720368547758.08"], 2)
@settings(max_examples=examples(150), deadline=None)
def test_scaled_text_is_exact_and_half_to_even(texts, scale):
    got = parse(scaled(scale), pa.array(texts, pa.string())).values.to_pylist()
    exact = Context(prec=9999, rounding=ROUND_HALF_EVEN, Emax=10**6, Emin=-(10**6))
    for text, value in zip(texts, got, strict=True):
        if Decimal(text).adjusted() > 100:
            assert value is None
            continue
        want = int(exact.quantize(exact.scaleb(Decimal(text), scale), Decimal(1)))
        assert value == (want if -(2**63) <= want < 2**63 else None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-999999999", 0),
        ("-1e-99999999999999999999", 0),
        ("0e-999999999", 0),
        ("0e99999999999999999999", 0),
        ("1e999999999", None),
        ("1e99999999999999999999", None),
        ("1e-2000", 0),
        ("0." + "0" * 300 + "1", 0),
        ("1e0000000000000000000000002", 10_000),
        ("25e-4", 0),
        ("75e-4", 1),
    ],
)
def test_no_exponent_is_too_much(text, value):
    """Arrow reads past the end of a table for some, and dies of it."""
    assert parse(scaled(2), pa.array([text, "1"])).values.to_pylist() == [value, 100]


def test_moments_are_those_of_a_calendar():
    field = Field("at", "timestamp", 10, "", "public")
    texts = ["0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    assert parse(field, pa.array(texts)).wrong == [0]


def zone(name):
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


ZONES = dict(
    line.split(",")[:2]
    for line in (FLIGHTS.parent / "reference" / "airport_zones.csv").read_text().splitlines()[1:]
)
DESTS = ["IAH", "PHX", "HNL", "SJU", "STT", "ANC", "LAX", "DEN", "BOS"]
CLOCKS = st.one_of(
    st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: t[0] * 100 + t[1]),
    st.sampled_from([0, 100, 130, 159, 200, 230, 300, 2359, 2400]),
)


def at_local(day, hhmm, zone, fold=0):
    """The instant of a wall clock; a gap moves on, as PEP 495 has it for fold=0."""
    hours, minutes = divmod(hhmm, 100)
    wall = datetime.combine(day, datetime.min.time()) + timedelta(hours=hours, minutes=minutes)
    first, other = (wall.replace(tzinfo=zone, fold=f).astimezone(UTC) for f in (0, fold))
    return max(first, other) if fold and other > first else first


def first_showing(after, hhmm, zone):
    day = after.astimezone(zone).date()
    showings = [
        at_local(day + timedelta(days), hhmm % 2400, zone, fold)
        for days in (0, 1)
        for fold in (0, 1)
    ]
    return min(moment for moment in showings if moment >= after)


def plain_outcome(row):
    """The outcomes contract in words of zoneinfo."""
    number = {
        name: None if text is None else int(text)
        for name, text in row.items()
        if (text or "0").lstrip("-").isdigit()
    }
    there, here = zone(ZONES[row["dest"]]), zone("America/New_York")
    planned = at_local(
        datetime(number["year"], number["month"], number["day"]).date(),
        number["sched_dep_time"],
        here,
    )
    due = first_showing(planned, number["sched_arr_time"], there)
    if row["dep_time"] is None:
        return {
            "status": "cancelled",
            "event_time": planned,
            "known_at": planned + timedelta(hours=4),
            "late": None,
        }
    left = planned + timedelta(minutes=number["dep_delay"])
    if row["arr_time"] is None:
        return {
            "status": "not_arrived",
            "event_time": left,
            "known_at": left + timedelta(hours=12),
            "late": None,
        }
    if row["arr_delay"] is None:
        landed = first_showing(left, number["arr_time"], there)
    else:
        landed = due + timedelta(minutes=number["arr_delay"])
    late = int(landed - due > timedelta(minutes=15))
    return {
        "status": "arrived",
        "event_time": landed,
        "known_at": landed + timedelta(minutes=10),
        "late": late,
    }


FLIGHT = st.fixed_dictionaries(
    {
        "date": st.dates(datetime(2013, 1, 1).date(), datetime(2013, 12, 31).date())
        | st.sampled_from(
            [datetime(2013, m, d).date() for m, d in ((3, 9), (3, 10), (11, 2), (11, 3))]
        ),
        "dest": st.sampled_from(DESTS),
        "sched_dep_time": CLOCKS,
        "sched_arr_time": CLOCKS,
        "arr_time": CLOCKS | st.none(),
        "dep_delay": st.integers(-40, 1300) | st.none(),
        "arr_delay": st.integers(-80, 1300) | st.none(),
    }
)


def outcome(number, flight):
    text = {name: None if value is None else str(value) for name, value in flight.items()}
    date = flight["date"]
    cancelled = flight["dep_delay"] is None
    if cancelled or flight["arr_time"] is None:
        text["arr_delay"] = None
    return (
        OUTCOME
        | {name: text[name] for name in text if name != "date"}
        | {
            "year": str(date.year),
            "month": str(date.month),
            "day": str(date.day),
            "flight": str(number),
            "dep_time": None if cancelled else "1",
            "arr_time": None if cancelled else text["arr_time"],
        }
    )


@given(st.lists(FLIGHT, min_size=1, max_size=30))
@settings(max_examples=examples(80), deadline=None)
def test_outcomes_equal_zoneinfo(given_flights):
    rows = [outcome(number, flight) for number, flight in enumerate(given_flights)]
    got = conform(flights("outcomes"), raw(rows), "b")
    assert (got.violations, got.bad_rows) == ((), ())
    for row, text in zip(got.table.to_pylist(), rows, strict=True):
        want = plain_outcome(text)
        assert {name: row[name] for name in want} == want


def test_the_oracle_covers_the_contract():
    assert list(PARSERS) == [field.name for field in CONTRACT.delivered if field.name != "extra"]


@pytest.mark.parametrize("text", ["9007199254740.9915", "-9007199254740.992", "1e300"])
def test_floats_without_an_exact_quantum_are_problems(text):
    cells = parse(scaled(3, "float"), pa.array([text]))
    assert [problem[1] for problem in cells.problems] == ["max_abs"]
