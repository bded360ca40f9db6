# ruff: noqa: DTZ001  (wall clocks have no zone: that is the point of this page)
"""The pinned zone table against zoneinfo, which reads the same files in its own way."""

import importlib.resources
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import time_zones
from headrace.core.clock import to_us
from headrace.core.errors import DeclarationError
from tests.examples import examples

NAMES = sorted(time_zones.zone_names())
USUAL = ["America/New_York", "America/Phoenix", "Pacific/Honolulu", "America/Puerto_Rico"]
AWKWARD = ["Australia/Lord_Howe", "Europe/Dublin", "Africa/Casablanca", "Pacific/Apia", "UTC"]
EPOCH = datetime(1970, 1, 1)
START, STOP = datetime(1970, 1, 3), datetime(2037, 12, 30)
names = st.sampled_from(USUAL) | st.sampled_from(AWKWARD) | st.sampled_from(NAMES)


def reference(name: str) -> ZoneInfo:
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def local_us(text: str) -> np.ndarray:
    return np.array([(datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)])


def utc_text(us: np.ndarray) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(us[0]))).strftime(
        "%d %H:%M"
    )


def near_changes(name: str) -> list[int]:
    """Instants around each change of offset between 1970 and 2037, and the changes themselves."""
    changes = time_zones.zone_table(name).changes
    changes = changes[(changes > to_us(START.replace(tzinfo=UTC)))]
    changes = changes[(changes < to_us(STOP.replace(tzinfo=UTC)))]
    steps = np.array([-7200, -3600, -1800, -1, 0, 1, 1799, 3599, 3600, 5400]) * 1_000_000
    return [int(t) for t in (changes[:, None] + steps).ravel()]


def check_utc(name: str, instants: list[int]) -> None:
    zone, got = reference(name), time_zones.to_local(np.array(instants, np.int64), name)
    for us, local in zip(instants, got, strict=True):
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        assert EPOCH + timedelta(microseconds=int(local)) == there.astimezone(zone).replace(
            tzinfo=None
        )


def expected_utc(moment: datetime, zone: ZoneInfo, ambiguous: str) -> int:
    first, last = (to_us(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if last < first:  # a gap: PEP 495's fold=0 is the shift forward
        return first
    return last if ambiguous == "last" else first


def check_local(name: str, moments: list[int]) -> None:
    zone, array = reference(name), np.array(moments, np.int64)
    for ambiguous in ("first", "last"):
        got = time_zones.to_utc(array, name, ambiguous=ambiguous)
        want = [expected_utc(EPOCH + timedelta(microseconds=us), zone, ambiguous) for us in moments]
        assert got.tolist() == want


@given(names, st.lists(st.datetimes(START, STOP), min_size=1, max_size=20))
@settings(max_examples=examples(150), deadline=None)
def test_equals_zoneinfo_at_random(name, moments):
    instants = [to_us(moment.replace(tzinfo=UTC)) for moment in moments]
    check_utc(name, instants)
    check_local(name, instants)


@pytest.mark.parametrize("name", USUAL + AWKWARD)
def test_equals_zoneinfo_around_every_change(name):
    instants = near_changes(name)
    check_utc(name, instants)
    check_local(name, [int(us) for us in time_zones.to_local(np.array(instants, np.int64), name)])


def test_every_zone_has_an_ascending_table():
    for name in NAMES:
        table = time_zones.zone_table(name)
        for starts in (table.changes, table.first[-60:], table.last[-60:]):
            assert (np.diff(starts) > 0).all(), name
        assert len(table.offsets) == len(table.changes) + 1, name


CASES = [
    # local time,        rule,    instant in UTC
    ("2013-01-01T12:00", "first", "01 17:00"),  # winter
    ("2013-07-01T12:00", "first", "01 16:00"),  # summer
    ("2013-11-03T01:30", "first", "03 05:30"),  # occurs twice
    ("2013-11-03T01:30", "last", "03 06:30"),
    ("2013-11-03T02:00", "first", "03 07:00"),  # once again unambiguous
    ("2013-03-10T01:59", "first", "10 06:59"),
    ("2013-03-10T02:30", "first", "10 07:30"),  # never occurs: 03:30 summer time
    ("2013-03-10T02:30", "last", "10 07:30"),
    ("2013-03-10T03:00", "first", "10 07:00"),
]


@pytest.mark.parametrize(("local", "rule", "instant"), CASES)
def test_new_york_at_the_edges(local, rule, instant):
    assert (
        utc_text(time_zones.to_utc(local_us(local), "America/New_York", ambiguous=rule)) == instant
    )


def test_refusals_name_the_time():
    with pytest.raises(ValueError, match=r"2013-11-03T01:30.*occurs twice in America/New_York"):
        time_zones.to_utc(local_us("2013-11-03T01:30"), "America/New_York", ambiguous="raise")
    with pytest.raises(ValueError, match=r"2013-03-10T02:30.*does not occur"):
        time_zones.to_utc(local_us("2013-03-10T02:30"), "America/New_York", missing="raise")
    with pytest.raises(ValueError, match="beyond the table"):
        time_zones.to_utc(local_us("2200-01-01T00:00"), "America/New_York")


@pytest.mark.parametrize("name", ["America/New_York", "Australia/Sydney", "Asia/Kolkata"])
def test_the_yearly_rule_holds_in_any_later_year(name):
    years = [*range(2195, 2206), 2399, 2400, 2437, 2599, 2600, 2601, 3000, 9998]
    texts = [f"{year}-{month:02d}-{day:02d}T06:30" for year in years
             for month in (1, 3, 4, 10, 11, 12) for day in (1, 7, 8, 14, 31) if day < 31 or
             month in {1, 3, 10, 12}]  # fmt: skip
    instants = np.concatenate([local_us(text) for text in texts])
    zone, got = reference(name), time_zones.to_local(instants, name)
    expected = [
        datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        for text in texts
    ]
    assert got.tolist() == [int(local_us(moment.isoformat())[0]) for moment in expected]
    time_zones.to_local(np.array([2**62, -(2**62)]), name)


def test_an_unknown_zone_is_refused_with_a_hint():
    with pytest.raises(DeclarationError, match="did you mean 'America/New_York'"):
        time_zones.zone_table("America/NewYork")


def test_the_hash_covers_what_was_asked_for():
    assert time_zones.zones_hash() == time_zones.zones_hash()
    assert time_zones.zones_hash("America/New_York") == time_zones.zones_hash("America/New_York")
    assert (
        len(
            {
                time_zones.zones_hash(),
                time_zones.zones_hash("UTC"),
                time_zones.zones_hash("America/Phoenix"),
            }
        )
        == 3
    )
