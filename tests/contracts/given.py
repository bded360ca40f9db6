"""What the contract tests share: the flights contracts, rows of text, and a small contract."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.contracts import Conformed, Contract, conform, load_contract
from headrace.sources.rows import Malformed, RawRows

FLIGHTS = Path(__file__).parents[2] / "pipelines" / "flights" / "contracts"
SMALL = Path(__file__).parent / "small.yaml"

Row = dict[str, str | None]

OUTCOME: Row = {
    "year": "2013",
    "month": "6",
    "day": "5",
    "carrier": "UA",
    "flight": "1545",
    "origin": "EWR",
    "dest": "IAH",
    "sched_dep_time": "515",
    "sched_arr_time": "819",
    "tailnum": "N14228",
    "dep_time": "517",
    "arr_time": "830",
    "dep_delay": "2",
    "arr_delay": "11",
    "air_time": "227",
}
PLAN: Row = {
    **{name: OUTCOME[name] for name in list(OUTCOME)[:9]},
    "distance": "1400",
}
HOUR: Row = {
    "origin": "EWR",
    "year": "2013",
    "month": "11",
    "day": "3",
    "hour": "1",
    "temp": "39.02",
    "dewp": "26.06",
    "humid": "59.37",
    "wind_dir": "270",
    "wind_speed": "10.357019999999999",
    "wind_gust": None,
    "precip": "0.01",
    "pressure": "1012",
    "visib": "10",
    "time_hour": "2013-11-03T05:00:00Z",
}


@cache
def flights(table: str) -> Contract:
    return load_contract(FLIGHTS / f"{table}.yaml")


def raw(
    rows: list[Row], columns: list[str] | None = None, malformed: tuple[Malformed, ...] = ()
) -> RawRows:
    """Rows as a reader would give them: the header is line 1, the first row line 2."""
    names = columns or list(rows[0])
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    )
    lines = np.arange(2, len(rows) + 2, dtype=np.int64)
    return RawRows(table, lines, tuple(names), malformed, len(rows) + len(malformed))


def conformed(contract: Contract, *rows: Row) -> Conformed:
    return conform(contract, raw(list(rows)), "batch")


def published(contract: Contract, row: Row) -> dict[str, object]:
    """The one row, which must be good."""
    result = conformed(contract, row)
    assert result.violations == ()
    assert result.bad_rows == ()
    return result.table.to_pylist()[0]


def shown(moment: object) -> str:
    """A moment as `06-05 12:30`, in UTC."""
    return f"{moment:%m-%d %H:%M}"
