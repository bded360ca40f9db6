"""The year written by hand in DuckDB: the same duties and features, for this data set only.

Several forms were tried on two cores; this script uses the fastest ones:
- `json_transform` of the pages as they came, unnested: as fast as `read_ndjson` of a file that has
  to be written first.
- Times and checks once over all rows of a source, grouped by file; `COPY ... PARTITION_BY (file)`
  writes the deliveries with both cores, several times as fast as a `COPY` for each delivery.
- One `CASE` branch per time zone, with the name of the zone as a constant: `timezone(zone, moment)`
  with a column of zones looks up the zone of every row.
- Windows: running sums in the order of (entity, time), read at both ends by ASOF joins on a packed
  key. `RANGE BETWEEN` windows over the union of events and predictions, which share their sort,
  take 3 to 5 times as long, and so do sums over range joins. Maxima cannot be computed from running
  values, so they use such a window.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.peers import duckdb_features, raw
from bench.peers.learn import Marks, Result, train
from bench.peers.times import NEW_YORK, SPLITS, ZONES

INT, S, F = "BIGINT", "VARCHAR", "DOUBLE"
KEY = ("year", "month", "day", "carrier", "flight", "origin")
SCHEDULE = dict.fromkeys(KEY, INT) | {"carrier": S, "origin": S, "dest": S}
SCHEDULE |= dict.fromkeys(("sched_dep_time", "sched_arr_time", "distance"), INT)
OUTCOMES = {name: SCHEDULE[name] for name in list(SCHEDULE)[:-1]} | {"tailnum": S}
OUTCOMES |= dict.fromkeys(("dep_time", "arr_time", "dep_delay", "arr_delay", "air_time"), INT)
REALS = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
WEATHER = {"origin": S} | dict.fromkeys(("year", "month", "day", "hour", "wind_dir"), INT)
WEATHER |= dict.fromkeys(REALS, F) | {"time_hour": "TIMESTAMPTZ"}
SMALLEST_FILE = 600  # minimum number of rows of a complete file


def work(folder: Path, url: str, out: Path) -> Result:
    """Run the year from deliveries to dataset, model and baseline; write everything to `out`."""
    marks = Marks()
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        schedule(db, folder, out)
        outcomes(db, url, out)
        weather(db, url, out)
        for table in raw.REFERENCE:
            reference(db, folder, out, table)
        marks.mark("deliveries to tables")
        duckdb_features.features(db)
        marks.mark("features")
        labelled(db)
        rows = "SELECT * FROM frame WHERE split IS NOT NULL ORDER BY t, " + ", ".join(KEY)
        dataset = db.sql(rows).to_arrow_table()
        db.register("dataset", dataset)
        db.execute(f"COPY dataset TO '{out}/dataset.parquet'").fetchall()
        marks.mark("dataset")
        losses = train(dataset, out)
        marks.mark("training")
        frame = db.sql("SELECT * FROM frame ORDER BY t, " + ", ".join(KEY)).to_arrow_table()
    return Result(lambda: frame, marks.seconds, losses)


# Deliveries


def schedule(db: duckdb.DuckDBPyConnection, folder: Path, out: Path) -> None:
    files = [(name, digest) for name, digest, _ in raw.schedule_files(folder)]
    provenance(db, files)
    paths = [str(folder / "drop" / f"{name}.csv") for name, _ in files]
    make(
        db,
        "schedule_read",
        f"""
        SELECT d.*, r.* EXCLUDE (n, filename), n - min(n) OVER (PARTITION BY filename) + 2 AS line
        FROM (
            SELECT *, row_number() OVER () AS n
            FROM read_csv({paths}, header = true, auto_detect = false, columns = {SCHEDULE},
                          nullstr = ['NA', ''], filename = true)
        ) r JOIN files d ON d.file = parse_filename(filename, true)
        """,
    )
    make(
        db,
        "schedule_timed",
        f"""
        SELECT *, date_diff('minute', sched_dep_at, sched_arr_at) AS sched_minutes,
               sched_dep_at AS event_time,
               timezone('{NEW_YORK}', {day()} - INTERVAL 4 HOUR) AS known_at
        FROM ({with_schedule("schedule_read")})
        """,
    )
    published(
        db,
        out,
        "schedule",
        f"rows_ >= {SMALLEST_FILE}",
        [
            *places(),
            *ranges(sched_dep_time=(0, 2359), sched_arr_time=(0, 2359), flight=(1, 9999)),
            *ranges(distance=(10, 5500), sched_minutes=(30, 840)),
            "avg(sched_minutes), avg(distance)",
            "count_if(distance * 60 > 550 * sched_minutes)",
        ],
    )


def outcomes(db: duckdb.DuckDBPyConnection, url: str, out: Path) -> None:
    pages(db, url, "outcomes", OUTCOMES)
    make(
        db,
        "outcomes_status",
        f"""
        SELECT *, sched_dep_at + to_minutes(dep_delay) AS departed_at,
               CASE WHEN dep_time IS NULL THEN 'cancelled'
                    WHEN arr_time IS NULL THEN 'not_arrived' ELSE 'arrived' END AS status,
        FROM ({with_schedule("outcomes_read")})
        """,
    )
    diverted = "SELECT * FROM outcomes_status WHERE status = 'arrived' AND arr_delay IS NULL"
    make(db, "landed", next_clock(f"({diverted})", "departed_at", "arr_time", "landed_at"))
    make(
        db,
        "outcomes_timed",
        """
        SELECT *, date_diff('minute', sched_arr_at, arrived_at) AS arrival_delay,
               (date_diff('minute', sched_arr_at, arrived_at) > 15)::BIGINT AS late,
               CASE status WHEN 'arrived' THEN arrived_at
                           WHEN 'cancelled' THEN sched_dep_at ELSE departed_at END AS event_time,
               CASE status WHEN 'arrived' THEN arrived_at + INTERVAL 10 MINUTE
                           WHEN 'cancelled' THEN sched_dep_at + INTERVAL 4 HOUR
                           ELSE departed_at + INTERVAL 12 HOUR END AS known_at
        FROM (
            SELECT o.*, CASE WHEN o.status = 'arrived' THEN
                coalesce(o.sched_arr_at + to_minutes(o.arr_delay), landed_at) END AS arrived_at
            FROM outcomes_status o LEFT JOIN landed USING (file, line)
        )
        """,
    )
    published(
        db,
        out,
        "outcomes",
        "true",
        [
            *places(),
            *(f"avg((status = '{one}')::INT)" for one in ("arrived", "cancelled", "not_arrived")),
            "avg(late), avg(dep_delay), avg(arrival_delay)",
            *ranges(dep_delay=(-60, 1440), arr_delay=(-120, 1440), air_time=(10, 780)),
            *ranges(dep_time=(1, 2400), arr_time=(1, 2400)),
            unlike("tailnum", "N[1-9][0-9A-Z]{1,4}"),
            "count_if(arrived_at <= departed_at)",
            "count_if(air_time > date_diff('minute', departed_at, arrived_at) + 2)",
            "count_if(arr_time IS NOT NULL AND dep_time IS NULL)",
            "count_if(dep_time IS NOT NULL AND dep_delay IS NULL)",
        ],
    )


def weather(db: duckdb.DuckDBPyConnection, url: str, out: Path) -> None:
    pages(db, url, "weather", WEATHER)
    make(
        db,
        "weather_timed",
        f"""
        SELECT * REPLACE (round(precip * 100)::BIGINT AS precip), time_hour AS event_time,
               time_hour + INTERVAL 10 MINUTE AS known_at,
               timezone('{NEW_YORK}', time_hour) AS local
        FROM weather_read
        """,
    )
    published(
        db,
        out,
        "weather",
        "(wind_speed IS NULL OR wind_speed <= 200)",
        [
            *ranges(hour=(0, 23), temp=(-30, 120), dewp=(-40, 90), humid=(0, 100)),
            *ranges(wind_dir=(0, 360), wind_speed=(0, 200), wind_gust=(0, 250)),
            *ranges(precip=(0, 500), pressure=(900, 1080), visib=(0, 10)),
            "count(DISTINCT origin), count_if(origin NOT IN ('EWR', 'JFK', 'LGA'))",
            "count(*) - count(DISTINCT (origin, time_hour))",
            "count_if(dewp > temp), count_if(wind_gust < wind_speed)",
            "count_if(local <> make_timestamp(year, month, day, hour, 0, 0))",
        ],
    )


def reference(db: duckdb.DuckDBPyConnection, folder: Path, out: Path, table: str) -> None:
    digest, columns, rows = raw.reference(folder, table)
    provenance(db, [(table, digest)])
    cells = zip(*rows, strict=True)
    db.register("cells", pa.table(dict(zip(columns, map(list, cells), strict=True))))
    make(
        db,
        f"{table}_timed",
        "SELECT files.*, cells.*, row_number() OVER () AS line, updated_at::TIMESTAMPTZ AS"
        " event_time, updated_at::TIMESTAMPTZ AS known_at FROM cells, files",
    )
    published(db, out, table, "true", [])


def pages(db: duckdb.DuckDBPyConnection, url: str, name: str, columns: dict[str, str]) -> None:
    """Make the table `<name>_read`: the records of all days, without repetitions on other pages."""
    days = list(raw.feed(url, name))
    provenance(db, [(day.name, day.sha256) for day in days])
    bodies = [(day.name, place, body) for day in days for place, body in enumerate(day.bodies)]
    files, places_, texts = zip(*bodies, strict=True)
    table = pa.table({"file": files, "page": places_, "body": [text.decode() for text in texts]})
    db.register("pages", table)
    form = ", ".join(f'"{column}": "{kind}"' for column, kind in columns.items())
    make(
        db,
        f"{name}_all",
        f"""
        SELECT file, page, place, unnest(record) FROM (
            SELECT file, page, unnest(r) AS record, generate_subscripts(r, 1) AS place
            FROM (
                SELECT file, page, json_transform(body, '{{"records": [{{{form}}}]}}').records AS r
                FROM pages
            )
        )
        """,
    )
    key = ", ".join(KEY) if name == "outcomes" else "origin, time_hour"
    make(
        db,
        f"{name}_read",
        f"""
        SELECT files.*, r.* EXCLUDE (file, page, place),
               row_number() OVER (PARTITION BY r.file ORDER BY page, place) AS line
        FROM {name}_all r JOIN files USING (file)
        QUALIFY row_number() OVER (PARTITION BY r.file, {key} ORDER BY page, place) = 1
        """,
    )


def provenance(db: duckdb.DuckDBPyConnection, files: Sequence[tuple[str, str]]) -> None:
    names, digests = zip(*files, strict=True)
    db.register("files", pa.table({"file": names, "sha256": digests}))


# Times


def day() -> str:
    return "make_timestamp(year, month, day, 0, 0, 0)"


def clock(name: str) -> str:
    return f"to_minutes({name} // 100 * 60 + {name} % 100)"


def with_schedule(table: str) -> str:
    leaves = f"timezone('{NEW_YORK}', {day()} + {clock('sched_dep_time')})"
    rows = f"(SELECT *, {leaves} AS sched_dep_at FROM {table})"
    return next_clock(rows, "sched_dep_at", "sched_arr_time", "sched_arr_at")


def next_clock(rows: str, after: str, name: str, result: str) -> str:
    """Return a query for the first time after `after` at which the local clock shows `name`.

    No flight of the year arrives in an hour that a clock skips or shows twice.
    """
    zones = sorted(set(ZONES.values()))

    def shifted(moment: str) -> str:
        branches = "".join(f" WHEN '{zone}' THEN timezone('{zone}', {moment})" for zone in zones)
        return f"CASE zone{branches} END"

    wall = f"date_trunc('day', {shifted(after)}) + {clock(f'({name} % 2400)')}"
    return f"""
        SELECT * EXCLUDE (zone, wall, today), CASE WHEN today > {after} THEN today
            ELSE {shifted("wall + INTERVAL 1 DAY")} END AS {result}
        FROM (
            SELECT *, {shifted("wall")} AS today FROM (
                SELECT *, {wall} AS wall FROM (
                    SELECT *, (MAP {ZONES})[dest] AS zone FROM {rows}))
        )"""


# Checks, and one Parquet file per delivery


def published(
    db: duckdb.DuckDBPyConnection, out: Path, table: str, usable: str, checks: Sequence[str]
) -> None:
    """Count the failures in each delivery, drop unusable rows, and write each delivery."""
    (out / "checks").mkdir(parents=True, exist_ok=True)
    (out / "tables").mkdir(parents=True, exist_ok=True)
    nulls = "count(*) - count(COLUMNS(* EXCLUDE (file, sha256)))"
    counts = ", ".join(["count(*) AS rows_", nulls, *checks])
    make(
        db,
        f"{table}_checks",
        f"SELECT file, sha256, {counts} FROM {table}_timed GROUP BY ALL",
    )
    db.execute(f"COPY {table}_checks TO '{out}/checks/{table}.parquet'").fetchall()
    make(
        db,
        table,
        f"SELECT t.* FROM {table}_timed t JOIN (SELECT file, rows_ FROM {table}_checks)"
        f" USING (file) WHERE {usable}",
    )
    db.execute(
        f"COPY {table} TO '{out}/tables/{table}'"
        " (FORMAT parquet, PARTITION_BY (file), WRITE_PARTITION_COLUMNS true)"
    ).fetchall()


def ranges(**bounds: tuple[int, int]) -> list[str]:
    return [f"count_if({n} NOT BETWEEN {a} AND {b})" for n, (a, b) in bounds.items()]


def unlike(name: str, pattern: str) -> str:
    return f"count_if(NOT regexp_full_match({name}, '{pattern}'))"


def places() -> list[str]:
    return [
        unlike("carrier", "[A-Z0-9]{2}"),
        unlike("dest", "[A-Z]{3}"),
        "count_if(origin NOT IN ('EWR', 'JFK', 'LGA'))",
        *(f"avg((origin = '{origin}')::INT)" for origin in ("EWR", "JFK", "LGA")),
        "count(DISTINCT carrier), count(DISTINCT dest)",
        f"count(*) - count(DISTINCT ({', '.join(KEY)}))",
        "count_if(origin = dest)",
    ]


# Label and splits


def labelled(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `frame`: features, `late` and `split`; both are null outside of splits."""

    def case(place: int) -> str:
        branches = " ".join(
            f"WHEN t >= '{one[1]}'::TIMESTAMPTZ AND t < '{one[2]}'::TIMESTAMPTZ THEN {text}"
            for one, text in ((one, f"'{one[place]}'") for one in SPLITS)
        )
        return f"CASE {branches} END"

    make(
        db,
        "frame",
        f"""
        SELECT * EXCLUDE (cut, name, e, k, outcome),
               CASE WHEN chosen THEN outcome END AS late, CASE WHEN chosen THEN name END AS split
        FROM (
            SELECT *, coalesce(t + INTERVAL 48 HOUR <= cut AND k <= cut AND e >= t
                               AND e < t + INTERVAL 36 HOUR, false) AS chosen
            FROM (
                SELECT f.*, {case(0)} AS name, {case(3)}::TIMESTAMPTZ AS cut,
                       o.event_time AS e, o.known_at AS k, o.late AS outcome
                FROM features f
                LEFT JOIN (SELECT * FROM outcomes WHERE status = 'arrived') o
                USING ({", ".join(KEY)})
            )
        )
        """,
    )


def make(db: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    db.execute(f"CREATE OR REPLACE TABLE {name} AS {query}").fetchall()
