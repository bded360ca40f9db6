"""Features of the flights, written by hand in DuckDB; times are whole minutes, as in the source."""

import duckdb

from bench.peers.polars_features import LAG, VIEWS, WINDOWS, D, H

KEY = ("year", "month", "day", "carrier", "flight", "origin")
SPAN = 1 << 22
CODE = {
    "carrier": "carrier",
    "origin": "origin",
    "dest": "dest",
    "route": "origin * 1000 + dest",
    "carrier_origin": "carrier * 10 + origin",
    "number": "(carrier * 10 + origin) * 10000 + flight",
}
SKY = ("temp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def features(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `features`, with one row per flight."""
    order = ", ".join(KEY)
    make(
        db,
        "spine",
        f"""
        SELECT row_number() OVER (ORDER BY t, {order}) AS i, * FROM (
            SELECT {order}, dest, distance, sched_minutes, sched_dep_at, sched_arr_at, known_at,
                   sched_dep_at - INTERVAL 2 HOUR AS t FROM schedule
        ) WHERE known_at <= t
        """,
    )
    for name in ("carrier", "origin", "dest"):
        db.execute(
            f"CREATE TYPE {name}_t AS ENUM (SELECT DISTINCT {name} FROM schedule ORDER BY 1)"
        ).fetchall()
    codes = ", ".join(
        f"enum_code({n}::{n}_t)::BIGINT AS {n}" for n in ("carrier", "origin", "dest")
    )
    minute = "epoch_us({}) // 60000000"
    make(db, "look", f"SELECT i, flight, {codes}, {minute.format('t')} AS t FROM spine")
    make(
        db,
        "happened",
        f"""
        SELECT flight, {codes}, status, arrival_delay, late, dep_delay, air_time,
               arrival_delay * arrival_delay AS squared, (air_time IS NOT NULL)::BIGINT AS flown,
               {minute.format("event_time")} AS e, {minute.format("known_at")} AS k,
               row_number() OVER (ORDER BY event_time, {order}) AS rank
        FROM outcomes
        """,
    )
    make(
        db,
        "planned",
        f"SELECT flight, {codes}, distance, {minute.format('event_time')} AS e FROM schedule",
    )
    parts = [past(db, view) for view in VIEWS]
    around, close, before = (H, 3 * H), (105, 135), (0, 2 * H)
    labels = {around: "in_1h_to_3h", close: "in_105m_to_135m", before: "in_0s_to_2h"}
    parts += [
        coming(db, "runway", "origin", {labels[w]: w for w in (around, close, before)}, {}),
        coming(db, "bank", "carrier_origin", {labels[around]: around}, {labels[before]: before}),
        coming(db, "inbound", "dest", {labels[around]: around}, {}),
    ]
    sky(db)
    joins = " ".join(f"JOIN {part} USING (i)" for part in parts)
    make(
        db,
        "features",
        f"""
        SELECT * EXCLUDE (i, known_at, minute), {calendar()}
        FROM (SELECT *, {minute.format("t")} AS minute FROM spine) {joins}
        LEFT JOIN sky USING (origin, minute)
        LEFT JOIN (SELECT faa AS dest, lat AS airport__lat, lon AS airport__lon,
                          alt AS airport__alt FROM airports) USING (dest)
        """,
    )


class Reads:
    """Lookups in tables of running sums: one ASOF join for each table and offset."""

    def __init__(self, code: str) -> None:
        self.code, self.joins = code, {}

    def at(self, table: str, minutes: int) -> str:
        """Return the alias of the join with the last row of `table` up to t + minutes."""
        alias = f"{table}_{minutes}".replace("-", "m")
        self.joins[alias] = (
            f"ASOF LEFT JOIN {table} {alias} ON look.spot + ({minutes}) >= {alias}.spot"
        )
        return alias

    def range(self, name: str, begin: tuple[str, int], end: tuple[str, int]) -> str:
        """Return the difference of the running sum `name` up to `end` and before `begin`."""
        first, last = self.at(begin[0], begin[1] - 1), self.at(*end)
        return f"(coalesce({last}.{name}, 0) - coalesce({first}.{name}, 0))"

    def query(self, columns: list[str]) -> str:
        look = f"(SELECT i, ({self.code}) * {SPAN} + t AS spot FROM look)"
        return f"SELECT i, {', '.join(columns)} FROM {look} look {' '.join(self.joins.values())}"


def running(db: duckdb.DuckDBPyConnection, name: str, rows: str, columns: tuple[str, ...]) -> None:
    """Make a table of sums over all rows up to each `spot`, ordered by (spot, rank).

    `last_*` are the values of the last of these rows.
    """
    sums = "".join(f", sum({column}) OVER w AS {column}" for column in columns)
    kept = "".join(f", max_by({column}, rank)::BIGINT AS {column}" for column in columns)
    values = "".join(f", {column} AS last_{column}" for column in columns)
    last = "".join(f", max_by(last_{column}, rank) AS last_{column}" for column in columns)
    make(
        db,
        name,
        f"""
        SELECT spot, max(n) AS n{kept}{last} FROM (
            SELECT spot, rank, row_number() OVER w AS n{sums}{values} FROM ({rows})
            WINDOW w AS (ORDER BY spot, rank ROWS UNBOUNDED PRECEDING)
        ) GROUP BY spot
        """,
    )


def past(db: duckdb.DuckDBPyConnection, view: str) -> str:
    """Make a table with the features of a view, from the events that were known by t."""
    rows, cancelled, values = VIEWS[view]
    reads = Reads(CODE[view])
    columns = tuple(sorted({column for column, *_ in values} | {"squared", "flown"}))

    def events(axis: str, status: str) -> str:
        at = f"({CODE[view]}) * {SPAN} + {axis} AS spot"
        return f"SELECT *, {at} FROM happened WHERE status IN ({status})"

    def tables(statuses: list[str]) -> tuple[str, str]:
        """Make the tables of running counts by event time and by known-at."""
        name = "count_" + "_".join(statuses)
        listed = ", ".join(f"'{status}'" for status in statuses)
        for axis in "ek":
            running(db, f"{name}_{axis}", events(axis, listed), ())
        return f"{name}_e", f"{name}_k"

    found = []
    # An event before the window was known by the window's end if its lag is not longer than it.
    for label, window in rows.items():
        e, k = tables([status for status, lag in LAG.items() if lag <= window])
        found.append(f"{reads.range('n', (e, -window), (k, 0))} AS {view}__rows_{label}")
    for label, window in cancelled.items():
        e, k = tables(["cancelled"])
        count = reads.range("n", (e, -window), (k, 0))
        found.append(f"{count} AS {view}__rows_where_status_cancelled_{label}")
    # Delays of flights that do not arrive become known only after the windows with these flights.
    running(db, "arrived", events("e", "'arrived'"), columns)
    end = ("arrived", -LAG["arrived"])
    for column, kind, label in values:
        begin = ("arrived", -WINDOWS[label])
        n = reads.range("flown" if column == "air_time" else "n", begin, end)
        name = f"{view}__{column}_{kind}_{label}"
        if kind == "max":
            greatest(db, view, column, WINDOWS[label] - LAG["arrived"], name)
            found.append(name)
            reads.joins[name] = f"JOIN {name} USING (i)"
            continue
        total, squares = reads.range(column, begin, end), reads.range("squared", begin, end)
        value = {
            "mean": f"{total} / {n}",
            "std": f"sqrt(({n} * {squares} - {total} * {total}) / ({n} * ({n} - 1)))",
            "last": f"{reads.at(*end)}.last_{column}",
        }[kind]
        found.append(f"CASE WHEN {n} > {int(kind == 'std')} THEN {value} END AS {name}")
    make(db, f"part_{view}", reads.query(found))
    return f"part_{view}"


def greatest(
    db: duckdb.DuckDBPyConnection, view: str, column: str, minutes: int, name: str
) -> None:
    make(
        db,
        name,
        f"""
        SELECT i, {name} FROM (
            SELECT i, max(v) OVER (PARTITION BY entity ORDER BY t
                RANGE BETWEEN {minutes} PRECEDING AND CURRENT ROW) AS {name}
            FROM (
                SELECT i, {CODE[view]} AS entity, t, NULL AS v FROM look UNION ALL
                SELECT NULL, {CODE[view]}, k, {column} FROM happened WHERE status = 'arrived'
            )
        ) WHERE i IS NOT NULL
        """,
    )


def coming(
    db: duckdb.DuckDBPyConnection,
    view: str,
    code: str,
    rows: dict[str, tuple[int, int]],
    miles: dict[str, tuple[int, int]],
) -> str:
    """Make features of flights planned for [t + a, t + b), which are all announced by t."""
    reads = Reads(CODE[code])
    flights = f"SELECT *, ({CODE[code]}) * {SPAN} + e AS spot, 1 AS rank FROM planned"
    running(
        db, "coming", flights.replace("1 AS rank", "row_number() OVER () AS rank"), ("distance",)
    )
    found = []
    for label, (a, b) in rows.items():
        count = reads.range("n", ("coming", a), ("coming", b - 1))
        found.append(f"{count} AS {view}__rows_{label}")
    for label, (a, b) in miles.items():
        n, total = (reads.range(x, ("coming", a), ("coming", b - 1)) for x in ("n", "distance"))
        found.append(f"CASE WHEN {n} > 0 THEN {total} / {n} END AS {view}__distance_mean_{label}")
    make(db, f"part_{view}", reads.query(found))
    return f"part_{view}"


def sky(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `sky`: by (origin, t) the last observation within 6 hours, and aggregates."""
    minute = "epoch_us(known_at) // 60000000"
    names = ", ".join(SKY)
    recent, day_ = 6 * H - 10, D - 10
    last = ", ".join(
        f"CASE WHEN minute - s.minute <= {recent} THEN s.{n}{' / 100' if n == 'precip' else ''} END"
        f" AS weather__{n}"
        for n in SKY
    )
    make(
        db,
        "sky",
        f"""
        WITH seen AS (SELECT origin, {minute} AS minute, {names} FROM weather),
        moments AS (SELECT DISTINCT origin, epoch_us(t) // 60000000 AS minute FROM spine),
        hours AS (
            SELECT origin, minute, asked, sum(precip) OVER six / 100 AS sky__precip_sum_6h,
                   sum(precip) OVER day / 100 AS sky__precip_sum_1d,
                   min(visib) OVER six AS sky__visib_min_6h,
                   max(wind_gust) OVER six AS sky__wind_gust_max_6h
            FROM (SELECT *, false AS asked FROM seen UNION ALL BY NAME
                  SELECT *, true AS asked FROM moments)
            WINDOW six AS (PARTITION BY origin ORDER BY minute
                           RANGE BETWEEN {recent} PRECEDING AND CURRENT ROW),
                   day AS (PARTITION BY origin ORDER BY minute
                           RANGE BETWEEN {day_} PRECEDING AND CURRENT ROW)
        )
        SELECT h.* EXCLUDE (asked), {last.replace("minute - s.minute", "h.minute - s.minute")},
               CASE WHEN p.minute <= h.minute THEN p.pressure END AS sky__pressure_first_6h
        FROM (SELECT * FROM hours WHERE asked) h
        ASOF LEFT JOIN seen s ON h.origin = s.origin AND h.minute >= s.minute
        ASOF LEFT JOIN (SELECT origin, minute, pressure FROM seen WHERE pressure IS NOT NULL) p
            ON h.origin = p.origin AND h.minute - {recent} <= p.minute
        """,
    )


def calendar() -> str:
    leaves, lands = (f"timezone('America/New_York', sched_{x}_at)" for x in ("dep", "arr"))
    cancelled = "__rows_where_status_cancelled_"
    return f"""
        CASE WHEN carrier__rows_1d <> 0 THEN carrier{cancelled}1d / carrier__rows_1d END
            AS carrier_cancelled_1d,
        CASE WHEN origin__rows_6h <> 0 THEN origin{cancelled}6h / origin__rows_6h END
            AS origin_cancelled_6h,
        hour({leaves}) * 60 + minute({leaves}) AS dep_minute, hour({leaves}) AS dep_hour,
        isodow({leaves}) - 1 AS dep_weekday, month({leaves}) AS dep_month,
        dayofyear({leaves}) AS dep_day_of_year,
        hour({lands}) * 60 + minute({lands}) AS arr_minute,
        distance AS miles, sched_minutes AS scheduled_minutes"""


def make(db: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    db.execute(f"CREATE OR REPLACE TABLE {name} AS {query}").fetchall()
