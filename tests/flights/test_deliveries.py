"""The deliveries: everything in them once, imperfect only where they say so, always the same."""

import json
import shutil
import sqlite3
import urllib.error
import urllib.request
import zlib
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from demo.flights import FeedServer, count_raw, make_deliveries, source, times
from demo.flights.imperfections import LATE_FILES, PARTIAL_FIRST, RESENT
from headrace.sources.files import DropFolder
from headrace.sources.http import CursorApi
from headrace.sources.parse import read_rows
from headrace.sources.sql import TableSnapshot

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def counts(flights_deliveries):
    return count_raw(flights_deliveries)


@pytest.fixture(scope="module")
def server(flights_deliveries):
    with FeedServer(flights_deliveries) as running:
        yield running


@pytest.fixture
def api(server):
    made = []

    def open_api(feed: str, page_size: int = 500) -> CursorApi:
        slot = {"day": "{slot}"}
        made.append(CursorApi(feed, server.url, f"/v1/{feed}", slot, "airport", page_size))
        return made[-1]

    yield open_api
    for one in made:
        one.close()


def stored(folder: Path, feed: str) -> list[tuple[str, dict]]:
    connection = sqlite3.connect(folder / "feed.sqlite")
    query = "SELECT day, body FROM slots WHERE feed = ? ORDER BY day"
    rows = connection.execute(query, (feed,)).fetchall()
    connection.close()
    return [
        (day, record)
        for day, body in rows
        for record in json.loads(b"[%b]" % b",".join(zlib.decompress(body).splitlines()))
    ]


# What is there


def test_every_fact_is_there(counts):
    assert counts["schedule"]["flights"] == counts["outcomes"]["rows"] == 336_776
    assert counts["weather"]["rows"] == 26_115
    assert [counts[name] for name in ("planes", "airlines", "airports")] == [3322, 16, 1458]


def test_the_summary_says_what_the_recount_finds(flights_deliveries, counts):
    summary = make_deliveries(flights_deliveries)
    assert (summary.flights, summary.weather) == (336_776, 26_115)
    assert (summary.cancelled, summary.not_arrived, summary.diverted) == (8255, 458, 717)
    files, odd = counts["schedule"]["files"], summary.imperfections
    assert len(files) == 365 + odd["schedule_files_repeated"] + odd["schedule_files_partial_first"]
    assert set(odd) >= {"outcomes_late", "weather_late", "outcomes_out_of_order"}
    assert all(odd.values())


def test_outcomes_hold_each_flight_once_and_as_the_source_has_it(flights_deliveries):
    found = stored(flights_deliveries, "outcomes")
    key = ("year", "month", "day", "carrier", "flight", "origin")
    assert len({tuple(record[name] for name in key) for _, record in found}) == 336_776
    records = [record for _, record in found]
    assert sum(r["dep_time"] is None for r in records) == 8255
    assert sum(r["dep_time"] is not None and r["arr_time"] is None for r in records) == 458
    assert sum(r["arr_time"] is not None and r["arr_delay"] is None for r in records) == 717
    flights = source.read_raw().table("flights")
    for name in ("dep_delay", "arr_delay", "air_time", "sched_arr_time"):
        total = sum(int(value) for value in flights[name].to_pylist() if value)
        assert sum(r[name] for r in records if r[name] is not None) == total
    tails = Counter(flights["tailnum"].to_pylist())
    assert Counter(r["tailnum"] for r in records) == tails


def test_days_without_deliveries(counts):
    weather, outcomes = counts["weather"]["slots"], counts["outcomes"]["slots"]
    assert (min(weather), max(weather)) == ("2013-01-01", "2013-12-30")
    assert (min(outcomes), max(outcomes), len(outcomes)) == ("2013-01-01", "2014-01-01", 366)


def test_the_schedule_tells_nothing_that_is_known_later(flights_deliveries):
    header, *rows = (flights_deliveries / "drop/schedule_2013-01-14.csv").read_text().splitlines()
    assert header == (
        "year,month,day,carrier,flight,origin,dest,sched_dep_time,sched_arr_time,distance"
    )
    planned = [int(row.split(",")[7]) for row in rows]
    assert planned == sorted(planned)  # the source lists flights as they left


def test_reference_tables_have_natural_types(flights_deliveries):
    connection = sqlite3.connect(flights_deliveries / "reference.db")
    (row,) = connection.execute("SELECT * FROM planes WHERE tailnum = 'N10156'").fetchall()
    (zone,) = connection.execute("SELECT count(*) FROM airports WHERE tzone IS NULL").fetchone()
    connection.close()
    assert row == ("N10156", 2004, "Fixed wing multi engine", "EMBRAER", "EMB-145XR", 2, 55, None,
                   "Turbo-fan", "2012-12-15T00:00:00Z")  # fmt: skip
    assert zone == 3


# When it is there


def test_files_are_there_on_the_evening_before(flights_deliveries):
    for path in (flights_deliveries / "drop").glob("schedule_????-??-??.csv"):
        day = datetime.fromisoformat(path.stem.removeprefix("schedule_"))
        evening = (day - timedelta(hours=4)).replace(tzinfo=NEW_YORK).timestamp()
        late = path.stat().st_mtime - evening
        assert (late > 86_400) if day.date().isoformat() in LATE_FILES else (late == 0), path


@pytest.mark.parametrize("day", RESENT)
def test_repeated_files_are_one_batch(flights_deliveries, day):
    first, again = schedule(flights_deliveries).deliveries(day)
    assert first.batch_id == again.batch_id
    assert again.origin.endswith("_resent.csv")


@pytest.mark.parametrize("day", PARTIAL_FIRST)
def test_partial_files_are_followed_by_the_whole(flights_deliveries, day):
    part, whole = schedule(flights_deliveries).deliveries(day)
    assert whole.payload.startswith(part.payload)
    assert 0 < read_rows(part).table.num_rows < read_rows(whole).table.num_rows
    assert part.arrived_at < whole.arrived_at


def schedule(folder: Path) -> DropFolder:
    return DropFolder("schedule", folder / "drop", "schedule_{slot}*.csv", "airport")


BY_HAND = [  # flight, the day of its slot, why
    ((1, 1, "UA", 1545, "EWR"), "2013-01-01", "arrived in Houston at 08:30, 14:30 UTC"),
    ((1, 1, "MQ", 4525, "LGA"), "2013-01-02", "diverted, landed at 19:34 Central, 01:34 UTC"),
    ((6, 28, "US", 297, "JFK"), "2013-06-29", "diverted, landed at 00:17 Eastern, 04:17 UTC"),
    ((1, 1, "EV", 4204, "EWR"), "2013-01-02", "left at 20:16 and never arrived, known 13:16 UTC"),
    ((9, 30, "WN", 464, "EWR"), "2013-09-30", "left at 05:59 and never arrived, known 21:59 UTC"),
    ((1, 1, "AA", 791, "LGA"), "2013-01-02", "cancelled, was to leave at 19:35, known 04:35 UTC"),
]


@pytest.fixture(scope="module")
def slots(flights_deliveries):
    return {key(record): day for day, record in stored(flights_deliveries, "outcomes")}


def key(record: dict) -> tuple:
    names = ("year", "month", "day", "carrier", "flight", "origin")
    return tuple(record[name] for name in names)


def test_days_by_hand(slots):
    for flight, slot, why in BY_HAND:
        assert slots[2013, *flight] == slot, why


def test_each_outcome_is_reported_on_the_day_it_is_known_or_the_next(slots):
    raw = source.read_raw()
    zones = {name: ZoneInfo(zone) for name, zone in times.zones_of(raw.table("airports")).items()}
    late = Counter()
    rows = [typed(row) for row in raw.table("flights").to_pylist()]
    for number, row in enumerate(rows):
        diverted = row["arr_time"] is not None and row["arr_delay"] is None
        if diverted or number % 29 == 0:
            known = known_at(row, zones[row["dest"]]).date()
            late[(datetime.fromisoformat(slots[key(row)]).date() - known).days] += 1
    assert set(late) == {0, 1}
    assert late[1] < 0.01 * late[0]


def typed(row: dict) -> dict:
    text = {"carrier", "origin", "dest", "tailnum", "time_hour"}
    return {k: v if k in text or v is None else int(v) for k, v in row.items()}


def known_at(row: dict, zone: ZoneInfo) -> datetime:
    """The rule a flight at a time, from the source's own UTC hour and the clock readings."""
    minute = timedelta(minutes=1)
    planned = datetime.fromisoformat(row["time_hour"]) + row["minute"] * minute
    left = planned + (row["dep_delay"] or 0) * minute
    if row["dep_time"] is None:
        return planned + timedelta(hours=4)
    if row["arr_time"] is None:
        return left + timedelta(hours=12)
    if row["arr_delay"] is None:
        return clock_shows(row["arr_time"], left, zone) + 10 * minute
    return clock_shows(row["sched_arr_time"], planned, zone) + (row["arr_delay"] + 10) * minute


def clock_shows(reading: int, after: datetime, zone: ZoneInfo) -> datetime:
    """Step through the minutes after `after` until the clock on the wall shows `reading`."""
    wanted = (reading // 100 % 24, reading % 100)
    ahead = after + timedelta(minutes=1)
    ahead += timedelta(minutes=(wanted[1] - ahead.minute) % 60)  # these zones differ by whole hours
    while (local := ahead.astimezone(zone)) and (local.hour, local.minute) != wanted:
        ahead += timedelta(hours=1)
    return ahead


def test_observations_are_reported_on_the_day_they_are_known_or_the_next(flights_deliveries):
    late = Counter()
    for day, record in stored(flights_deliveries, "weather"):
        known = datetime.fromisoformat(record["time_hour"]) + timedelta(minutes=10)
        late[(datetime.fromisoformat(day).date() - known.date()).days] += 1
    summary = make_deliveries(flights_deliveries)
    assert late == {0: 26_115 - late[1], 1: summary.imperfections["weather_late"]}


# How it is served


@pytest.mark.parametrize("size", [1, 2, 7, 500, 1000])
def test_pages_hold_every_record_and_repeat_only_at_boundaries(counts, api, size):
    for feed, days in {
        "outcomes": ["2014-01-01"] if size < 100 else sorted(counts["outcomes"]["slots"])[::20],
        "weather": sorted(counts["weather"]["slots"])[::10],
    }.items():
        for day in days:
            (delivery,) = api(feed, size).deliveries(day)
            raw = read_rows(delivery)
            rows = raw.table.to_pylist()
            distinct = {tuple(row.values()) for row in rows}
            assert raw.malformed == ()
            assert len(distinct) == counts[feed]["slots"][day]
            repeats = sum(a == b for a, b in pairwise(rows))
            assert len(rows) == len(distinct) + repeats


def test_the_year_over_http_is_the_recount(counts, api):
    for feed in ("outcomes", "weather"):
        source_ = api(feed)
        days = counts[feed]["slots"]
        rows = sum(read_rows(source_.deliveries(day)[0]).table.num_rows for day in days)
        assert rows == counts[feed]["delivered"]


def test_a_day_without_records_is_no_delivery(api):
    assert api("weather").deliveries("2013-12-31") == []
    assert api("outcomes").deliveries("2012-12-31") == []


def test_asking_twice_gives_the_same_batch(api):
    first, again = (api("outcomes").deliveries("2013-07-04")[0] for _ in range(2))
    assert first.batch_id == again.batch_id


def test_numbers_are_the_source_s_text(api):
    found = [
        row
        for delivery in api("weather").deliveries("2013-02-12")
        for row in read_rows(delivery).table.to_pylist()
        if row["time_hour"] == "2013-02-12T08:00:00Z" and row["origin"] == "EWR"
    ]
    rows = source.read_raw().table("weather").to_pylist()
    assert found == [
        r for r in rows if (r["time_hour"], r["origin"]) == (found[0]["time_hour"], "EWR")
    ]
    assert found[0]["wind_speed"].startswith("1048.36")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/v1/outcomes?day=2013-01-01", 200),
        ("/v1/outcomes", 400),
        ("/v1/outcomes?day=yesterday", 400),
        ("/v1/outcomes?day=20130101", 400),
        ("/v1/outcomes?day=2013-01-01&limit=0", 400),
        ("/v1/outcomes?day=2013-01-01&limit=1001", 400),
        ("/v1/outcomes?day=2013-01-01&limit=x", 400),
        ("/v1/outcomes?day=2013-01-01&cursor=x", 400),
        ("/v1/outcomes?day=2013-01-01&day=2013-01-02", 400),
        ("/v1/outcomes?day=2013-01-01&page=2", 400),
        ("/v1/flights?day=2013-01-01", 404),
        ("/", 404),
    ],
)
def test_answers(server, path, status):
    try:
        with urllib.request.urlopen(server.url + path) as answer:
            found, body = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            found, body = error.code, json.load(error)
    assert found == status
    assert ("error" in body) == (status != 200)


def test_a_cursor_is_good_for_its_own_day_only(server):
    def get(url):
        with urllib.request.urlopen(server.url + url) as answer:
            return json.load(answer)

    cursor = get("/v1/outcomes?day=2013-01-01&limit=5")["next"]
    assert get(f"/v1/outcomes?day=2013-01-01&limit=5&cursor={cursor}")["records"]
    for other in ("/v1/outcomes?day=2013-01-02", "/v1/weather?day=2013-01-01"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{other}&limit=5&cursor={cursor}")
        caught.value.close()
        assert caught.value.code == 400


def test_a_server_without_a_feed_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make_deliveries"):
        FeedServer(tmp_path)


def test_the_reference_tables_are_snapshots(flights_deliveries, counts):
    url = f"sqlite:///{flights_deliveries}/reference.db"
    for table, column in (("planes", "tailnum"), ("airlines", "carrier"), ("airports", "faa")):
        snapshot = TableSnapshot(table, url, table, (column,), "airport")
        raw = read_rows(snapshot.deliveries("snapshot")[0])
        assert raw.table.num_rows == counts[table]
        assert set(raw.table["updated_at"].to_pylist()) == {"2012-12-15T00:00:00Z"}


# How it is made


def contents(folder: Path) -> dict[str, tuple[bytes, float]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (
            path.read_bytes(),
            path.stat().st_mtime if path.parent.name == "drop" else 0,
        )
        for path in files
    }


def test_made_again_it_is_the_same_to_the_byte(flights_deliveries, tmp_path):
    told = []
    first = make_deliveries(tmp_path, progress=lambda share, what: told.append((share, what)))
    assert first == make_deliveries(flights_deliveries)
    assert contents(tmp_path) == contents(flights_deliveries)
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][0] == 1.0


def test_made_already_nothing_is_touched(flights_deliveries):
    before = {path: path.stat().st_ctime_ns for path in flights_deliveries.rglob("*")}
    make_deliveries(flights_deliveries)
    assert {path: path.stat().st_ctime_ns for path in flights_deliveries.rglob("*")} == before


def test_an_interrupted_run_is_made_good(flights_deliveries, tmp_path):
    folder = shutil.copytree(flights_deliveries, tmp_path / "copy")
    (folder / "deliveries.json").unlink()
    (folder / "drop/schedule_2013-01-01.csv").write_text("half")
    (folder / "drop/schedule_2013-01-02.csv.part").write_text("half")
    (folder / "feed.sqlite").write_bytes(b"half")
    make_deliveries(folder)
    assert contents(folder) == contents(flights_deliveries)


def test_daylight_saving_by_hand():
    eastern = "America/New_York"

    def utc(local: str) -> str:
        second = np.array([local], "datetime64[s]").astype(np.int64)
        return str(times.first_shown(second, eastern).astype("datetime64[s]")[0])

    assert utc("2013-03-10T01:59:59") == "2013-03-10T06:59:59"
    assert utc("2013-03-10T02:30:00") == "2013-03-10T07:30:00"  # in the gap: shows 03:30
    assert utc("2013-11-03T01:30:00") == "2013-11-03T05:30:00"  # the first of two
    assert utc("2013-11-03T02:00:00") == "2013-11-03T07:00:00"
