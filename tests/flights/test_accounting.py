"""Every row of every delivery, recounted from the bytes that were delivered."""

import csv
import json
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from datetime import UTC
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from demo.flights import FeedServer, count_raw
from headrace.lake.ingest.landing import read_landed
from headrace.lake.tables.lake import Lake
from tests.flights.short_range import environment

FEEDS = {"outcomes": 1000, "weather": 50}
REFERENCE = ("planes", "airlines", "airports")
TABLES = ("schedule", *FEEDS, *REFERENCE)
SAMPLE = 100  # rows of each of the three large tables


@pytest.fixture(scope="module")
def status(built):
    """What the command says."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("headrace")), "status", "--json"],
        cwd=built.project,
        env=environment(built.home.root, built.deliveries),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tables(status):
    found = {table["table"]: table for table in status["tables"]}
    assert sorted(found) == sorted(TABLES)
    return found


@pytest.fixture(scope="module")
def raw_rows(built):
    """{table: rows that its source hands out}, counted without any code of the package."""
    drop = (built.deliveries / "drop").glob("schedule_*.csv")
    found = {"schedule": sum(len(path.read_text().splitlines()) - 1 for path in drop)}
    first, last = ("2013-01-01", "2014-01-02") if built.whole else ("2013-02-09", "2013-03-10")
    with FeedServer(built.deliveries) as server:
        for feed, size in FEEDS.items():
            days = [f"{day}" for day in np.arange(first, last, dtype="M8[D]")]
            found[feed] = sum(records(f"{server.url}/v1/{feed}", day, size) for day in days)
    with closing(sqlite3.connect(built.deliveries / "reference.db")) as database:
        for name in REFERENCE:
            (found[name],) = database.execute(f"SELECT count(*) FROM {name}").fetchone()
    return found


def records(url: str, day: str, size: int) -> int:
    """All records of a day, page by page."""
    count, cursor = 0, ""
    while cursor is not None:
        with urllib.request.urlopen(f"{url}?day={day}&limit={size}{cursor}") as answer:
            page = json.load(answer)
        count += len(page["records"])
        cursor = page["next"] and f"&cursor={page['next']}"
    return count


def test_delivered_rows_are_published_quarantined_pending_or_rejected(tables):
    for table in tables.values():
        fates = [table[name] for name in ("published", "quarantined", "pending", "rejected")]
        assert table["delivered"] == sum(fates)
        assert table["unjudged"] == 0


def test_every_raw_row_is_accounted_for(tables, raw_rows):
    for name, table in tables.items():
        twice = table["repeated"] + table["redelivered"]["rows"] + table["superseded"]["rows"]
        assert table["delivered"] + twice == raw_rows[name], name


def test_the_deliveries_own_recount_agrees(built, tables, raw_rows):
    for feed, size in FEEDS.items():
        recount = count_raw(built.deliveries, page_size=size)
        counted = (recount[feed]["rows"], recount[feed]["repeated"])
        assert (tables[feed]["delivered"], tables[feed]["repeated"]) == counted
    assert recount["schedule"]["rows"] == raw_rows["schedule"]
    files, schedule = recount["schedule"]["files"], tables["schedule"]
    again = {f"schedule_{day}_resent.csv" for day in ("2013-03-05", "2013-07-19", "2013-11-28")}
    halves = {f"schedule_{day}.csv" for day in ("2013-06-10", "2013-09-02")}
    for fate, names in (
        ("redelivered", again & files.keys()),
        ("superseded", halves & files.keys()),
    ):
        rows = sum(files[name] for name in names)
        assert schedule[fate] == {"batches": len(names), "rows": rows}
    assert len(again & files.keys()) == (3 if built.whole else 1)
    assert [tables[name]["delivered"] for name in REFERENCE] == [3322, 16, 1458]


def test_every_flight_and_every_observation_is_there(built, tables):
    recount = count_raw(built.deliveries)
    assert tables["schedule"]["published"] == recount["schedule"]["flights"]
    for feed in FEEDS:
        assert tables[feed]["delivered"] == recount[feed]["rows"]
    if built.whole:
        assert recount["schedule"]["flights"] == recount["outcomes"]["rows"] == 336_776
        assert recount["weather"]["rows"] == 26_115
    assert all(table["pending"] == table["rejected"] == 0 for table in tables.values())


def test_what_has_no_delivery_is_missing(built, tables):
    missing = {name: table["missing"] for name, table in tables.items() if table["missing"]}
    assert missing == ({"weather": ["2013-12-31"]} if built.whole else {})


def test_each_slot_with_a_delivery_has_a_verdict(built, tables):
    days = 365 if built.whole else 28
    assert tables["schedule"]["batches"] == {"PASS": days}
    assert {name: sum(table["batches"].values()) for name, table in tables.items()} == {
        "schedule": days,
        "outcomes": days + 1,
        "weather": days - 1 if built.whole else days,
        **dict.fromkeys(REFERENCE, 1),
    }


def test_quarantined_rows_are_kept_with_their_reasons(built, tables):
    for name, table in tables.items():
        kept = [pq.read_table(path) for path in (built.home.quarantine / name).glob("*.parquet")]
        assert sum(rows.num_rows for rows in kept) == table["quarantined"]
        assert all(all(rows["_reasons"].to_pylist()) for rows in kept)
    assert tables["weather"]["quarantined"] == 1  # the wind of 1048 mph


def test_the_table_holds_what_is_called_published(built, tables):
    lake = Lake(built.home)
    for name, table in tables.items():
        rows = lake.scan(name, ["_batch", "_line"])
        assert rows.num_rows == table["published"]
        assert rows.group_by(["_batch", "_line"]).aggregate([]).num_rows == rows.num_rows


def test_a_published_row_is_the_line_that_it_names(built):
    """300 random rows: the bytes that were landed, read here, say the same."""
    lake, chance = Lake(built.home), np.random.default_rng(1)
    for name in ("schedule", "outcomes", "weather"):
        fields = [f for f in built.pipeline.table(name).contract.fields if f.derivation is None]
        rows = lake.scan(name, [*(f.name for f in fields), "_batch", "_line"])
        chosen = chance.permutation(rows.num_rows)[:SAMPLE]
        for row in rows.take(chosen).to_pylist():
            raw = raw_row(read_landed(built.home, row["_batch"]), row["_line"])
            wanted = {f.name: as_published(raw[f.name], f) for f in fields}
            assert {f.name: row[f.name] for f in fields} == wanted


def raw_row(delivery, line: int) -> dict:
    """Line `line` of a file with a header, or record `line` of the pages; both from 1."""
    lines = delivery.payload.decode().splitlines()
    if delivery.format == "csv":
        return next(csv.DictReader([lines[0], lines[line - 1]]))
    pages = (json.loads(page, parse_float=str, parse_int=str)["records"] for page in lines)
    return [record for page in pages for record in page][line - 1]


def as_published(text, field):
    """By the letter of the contract, in Decimal and zoneless arithmetic."""
    if text in (None, "NA", ""):
        return None
    if field.scale is not None:
        return round(Decimal(text).scaleb(field.scale))
    if field.type == "timestamp":
        return np.datetime64(text.rstrip("Z")).astype("M8[us]").item().replace(tzinfo=UTC)
    return {"integer": int, "number": float, "string": str}[field.type](text)


def test_the_landed_bytes_are_those_that_were_delivered(built):
    lake = Lake(built.home)
    for batch in list(lake.live("schedule"))[:: 60 if built.whole else 6]:
        delivery = read_landed(built.home, batch)
        assert delivery.payload == Path(delivery.origin).read_bytes()


def test_release_and_model_are_listed(status):
    (release,) = status["releases"]
    (model,) = status["models"]
    assert release["ref"] == model["dataset"] == "flights_delay@1.0.0"
    assert release["content_hash"] == model["content_hash"]
    assert model["champion"]
