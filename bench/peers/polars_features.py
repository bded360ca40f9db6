"""Features of the flights, written by hand in Polars; times are whole minutes, as in the source."""

import polars as pl

from bench.peers.times import NEW_YORK

KEY = ["year", "month", "day", "carrier", "flight", "origin"]
INT = pl.Int64
H, D = 60, 24 * 60
# Minutes from the event until it is known, by status.
LAG = {"arrived": 10, "cancelled": 4 * H, "not_arrived": 12 * H}
_SPAN, _ZERO = 1 << 22, 22_000_000  # all times are within _SPAN minutes from minute _ZERO on
# Codes of entities, combined from the codes of their parts.
CODE = {
    "carrier": pl.col("carrier"),
    "origin": pl.col("origin"),
    "dest": pl.col("dest"),
    "route": pl.col("origin") * 1000 + pl.col("dest"),
    "carrier_origin": pl.col("carrier") * 10 + pl.col("origin"),
    "number": (pl.col("carrier") * 10 + pl.col("origin")) * 10_000 + pl.col("flight"),
}

# view: {windows of rows}, {of cancelled rows}, [(column, kind, window)]
VIEWS = {
    "carrier": (
        {"1d": D}, {"1d": D},
        [("arrival_delay", "mean", "3h"), ("arrival_delay", "mean", "1d"),
         ("arrival_delay", "std", "7d"), ("late", "mean", "1d"), ("late", "mean", "28d")],
    ),
    "origin": (
        {"3h": 3 * H, "6h": 6 * H}, {"6h": 6 * H},
        [("dep_delay", "mean", "3h"), ("dep_delay", "max", "3h"), ("arrival_delay", "mean", "3h"),
         ("arrival_delay", "mean", "1d"), ("arrival_delay", "std", "1d"), ("late", "mean", "6h"),
         ("late", "mean", "7d")],
    ),
    "dest": (
        {"6h": 6 * H}, {},
        [("arrival_delay", "mean", "6h"), ("arrival_delay", "mean", "1d"),
         ("arrival_delay", "std", "7d"), ("late", "mean", "7d"), ("late", "mean", "28d")],
    ),
    "route": (
        {"7d": 7 * D}, {},
        [("arrival_delay", "mean", "1d"), ("arrival_delay", "mean", "7d"),
         ("arrival_delay", "std", "28d"), ("air_time", "mean", "7d"), ("late", "mean", "28d"),
         ("arrival_delay", "last", "1d")],
    ),
    "carrier_origin": (
        {}, {},
        [("dep_delay", "mean", "6h"), ("arrival_delay", "mean", "6h"), ("late", "mean", "1d"),
         ("late", "mean", "7d"), ("arrival_delay", "max", "6h"), ("arrival_delay", "last", "6h"),
         ("dep_delay", "last", "6h")],
    ),
    "number": (
        {"28d": 28 * D}, {},
        [("arrival_delay", "mean", "28d"), ("late", "mean", "28d"),
         ("arrival_delay", "last", "7d")],
    ),
}  # fmt: skip
WINDOWS = {"3h": 3 * H, "6h": 6 * H, "1d": D, "7d": 7 * D, "28d": 28 * D}


def minutes(name: str) -> pl.Expr:
    return pl.col(name).dt.epoch("us") // 60_000_000


def features(
    schedule: pl.DataFrame, outcomes: pl.DataFrame, weather: pl.DataFrame, airports: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per flight, ordered by (t, key)."""
    t = pl.col("sched_dep_at") - pl.duration(hours=2)
    spine = schedule.filter(pl.col("known_at") <= t).select(
        *KEY, "dest", "distance", "sched_minutes", "sched_dep_at", "sched_arr_at", t=t
    )
    spine = spine.sort("t", *KEY)
    # In the order of events, (event time, key), which sorting by entity keeps.
    events = outcomes.sort("event_time", *KEY)
    look, happened, planned = coded(
        spine.with_columns(at=minutes("t")),
        events.with_columns(at=minutes("event_time")),
        schedule.with_columns(at=minutes("event_time")),
    )
    columns = [one for view, wanted in VIEWS.items() for one in past(view, look, happened, *wanted)]
    around, before = {"in_1h_to_3h": (H, 3 * H)}, {"in_0s_to_2h": (0, 2 * H)}
    close = {"in_105m_to_135m": (105, 135)}
    columns += coming("runway", "origin", look, planned, around | close | before, {})
    columns += coming("bank", "carrier_origin", look, planned, around, before)
    columns += coming("inbound", "dest", look, planned, around, {})
    columns += sky(spine, weather)
    where = airports.select(
        pl.col("faa").alias("dest"),
        *(pl.col(name).alias(f"airport__{name}") for name in ("lat", "lon", "alt")),
    )
    frame = spine.hstack(columns).join(where, on="dest", how="left", maintain_order="left")
    return frame.with_columns(calendar())


def coded(*tables: pl.DataFrame) -> list[pl.DataFrame]:
    """Replace carrier, origin and dest by numbers, which are the same in all tables."""
    names = ["carrier", "origin", "dest"]
    codes = pl.concat(table.select(names) for table in tables)
    codes = codes.select(pl.all().cast(pl.Categorical).to_physical().cast(INT))
    ends = [0]
    for table in tables:
        ends.append(ends[-1] + table.height)
    pairs = zip(tables, ends[:-1], strict=True)
    return [table.with_columns(codes.slice(start, table.height)) for table, start in pairs]


class Ordered:
    """Events sorted by (entity, minute), so that a range of an entity's minutes is a slice."""

    def __init__(
        self, view: str, events: pl.DataFrame, look: pl.Series, columns: list[str]
    ) -> None:
        at = place(view)
        self.look, self.columns = look, columns
        # The sort is stable, and the events are already in order of time.
        self.events = events.select(at.alias("at"), *columns).sort("at", maintain_order=True)
        running = [pl.col(name).fill_null(0).cum_sum() for name in columns]
        zero = pl.DataFrame({name: [0] for name in columns}, schema=dict.fromkeys(columns, INT))
        self.running = pl.concat([zero, self.events.select(running)])
        self._found: dict[tuple[int, str], pl.Series] = {}

    def index(self, minutes: int, side: str) -> pl.Series:
        """Count the events before (`left`) or up to (`right`) t + minutes."""
        if (minutes, side) not in self._found:
            found = self.events["at"].search_sorted(self.look + minutes, side=side)
            self._found[minutes, side] = found.cast(INT)
        return self._found[minutes, side]

    def count(self, first: int, end: tuple[int, str]) -> pl.Series:
        return self.index(*end) - self.index(first, "left")

    def total(self, name: str, first: int, end: tuple[int, str]) -> pl.Series:
        running = self.running[name]
        return running.gather(self.index(*end)) - running.gather(self.index(first, "left"))


def place(view: str) -> pl.Expr:
    return CODE[view] * _SPAN + pl.col("at") - _ZERO


def past(
    view: str,
    look: pl.DataFrame,
    events: pl.DataFrame,
    rows: dict[str, int],
    cancelled: dict[str, int],
    values: list[tuple[str, str, str]],
) -> list[pl.Series]:
    """Return features of known events: for a status with lag l, from t - window to t - l."""
    looks = look.select(place(view)).to_series()
    # Searching in order is three times as fast as searching in the spine's order.
    order = looks.arg_sort()
    looks = looks.gather(order)
    found = []
    by_status: dict[str, Ordered] = {}
    squared = pl.col("arrival_delay").pow(2).alias("squared")
    flown = pl.col("air_time").is_not_null().cast(INT).alias("flown")
    for status in LAG:
        chosen = events.filter(pl.col("status") == status).with_columns(squared, flown)
        needed = sorted({column for column, *_ in values} | {"squared", "flown"})
        by_status[status] = Ordered(view, chosen, looks, needed if status == "arrived" else [])

    def count(status: str, window: int) -> pl.Series:
        lag = LAG[status]
        if window < lag:
            return pl.Series([0], dtype=INT).new_from_index(0, len(looks))
        return by_status[status].count(-window, (-lag, "right"))

    for label, window in rows.items():
        total = sum((count(status, window) for status in LAG), start=pl.Series([0], dtype=INT))
        found.append(total.alias(f"{view}__rows_{label}"))
    for label, window in cancelled.items():
        name = f"{view}__rows_where_status_cancelled_{label}"
        found.append(count("cancelled", window).alias(name))
    arrived = by_status["arrived"]
    known = (-LAG["arrived"], "right")
    # Every arrived flight has delays. Delays of other flights are known after 12 hours, which is
    # longer than the windows over departure delays.
    for column, kind, label in values:
        first = -WINDOWS[label]
        n = (
            arrived.total("flown", first, known)
            if column == "air_time"
            else arrived.count(first, known)
        )
        if kind == "max":
            value = greatest(arrived, column, WINDOWS[label])
        elif kind == "last":
            last = (arrived.index(*known) - 1).clip(0)
            value = arrived.events[column].gather(last)
        else:
            total = arrived.total(column, first, known)
            squares = arrived.total("squared", first, known) if kind == "std" else total
            value = moment(kind, n, total, squares)
        enough = n > (1 if kind == "std" else 0)
        value = pl.select(pl.when(enough).then(value)).to_series()
        found.append(value.alias(f"{view}__{column}_{kind}_{label}"))
    back = pl.DataFrame({"order": order}).with_row_index("row").sort("order")["row"]
    return pl.DataFrame(found)[back].get_columns()


def moment(kind: str, n: pl.Series, total: pl.Series, squares: pl.Series) -> pl.Series:
    if kind == "mean":
        return total / n
    spread, pairs = n * squares - total * total, n * (n - 1)
    return (spread / pairs).sqrt()


def greatest(events: Ordered, column: str, window: int) -> pl.Series:
    """Return rolling maxima over the union of events and spine rows, by the minute of knowledge."""
    at = events.events["at"] + LAG["arrived"]
    entity_end = len(at)
    both = pl.DataFrame(
        {
            "at": pl.concat([at, events.look]),
            "value": events.events[column].extend_constant(None, len(events.look)),
        }
    ).with_row_index("row")
    both = both.sort("at")
    # The minutes of different entities are far apart, so one window serves all entities.
    best = pl.col("value").rolling_max_by(
        "at", window_size=f"{window - LAG['arrived']}i", closed="both"
    )
    return (
        both.with_columns(best.alias("best"))
        .filter(pl.col("row") >= entity_end)
        .sort("row")["best"]
    )


def coming(
    view: str,
    code: str,
    look: pl.DataFrame,
    planned: pl.DataFrame,
    rows: dict[str, tuple[int, int]],
    miles: dict[str, tuple[int, int]],
) -> list[pl.Series]:
    """Return features of flights planned for [t + a, t + b), which are all announced by t."""
    looks = look.select(place(code)).to_series()
    flights = Ordered(code, planned, looks, ["distance"] if miles else [])
    found = []
    for label, (a, b) in rows.items():
        found.append(flights.count(a, (b, "left")).alias(f"{view}__rows_{label}"))
    for label, (a, b) in miles.items():
        n, total = flights.count(a, (b, "left")), flights.total("distance", a, (b, "left"))
        mean = pl.select(pl.when(n > 0).then(total / n)).to_series()
        found.append(mean.alias(f"{view}__distance_mean_{label}"))
    return found


def sky(spine: pl.DataFrame, weather: pl.DataFrame) -> list[pl.Series]:
    """Return the last observation within 6 hours, and aggregates of the last hours.

    Many flights share a time, so features are computed once for each origin and time.
    """
    names = ["temp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    number = (
        pl.col("origin").replace_strict({"EWR": 0, "JFK": 1, "LGA": 2}, return_dtype=INT) * _SPAN
    )
    cents = pl.col("precip") / 100
    seen = weather.select(*names, at=number + minutes("known_at")).sort("at")
    looks = spine.select(at=number + minutes("t"))
    moments = looks.unique().sort("at")
    last = moments.join_asof(
        seen.with_columns(cents, seen=pl.col("at")),
        on="at",
        strategy="backward",
        tolerance=6 * H - 10,
    )
    last = last.select("at", pl.col(names).name.prefix("weather__"))
    both = pl.concat([moments.with_columns(asked=True), seen], how="diagonal").sort("at")
    recent = {"window_size": f"{6 * H - 10}i", "closed": "both"}
    day = {"window_size": f"{D - 10}i", "closed": "both"}
    hours = both.select(
        "at",
        "asked",
        sky__precip_sum_6h=rained(recent),
        sky__precip_sum_1d=rained(day),
        sky__visib_min_6h=pl.col("visib").rolling_min_by("at", **recent),
        sky__wind_gust_max_6h=pl.col("wind_gust").rolling_max_by("at", **recent),
    )
    hours = hours.filter("asked").drop("asked")
    # The first pressure since t - 6 h, if it is known by t.
    pressures = seen.filter(pl.col("pressure").is_not_null())
    pressures = pressures.select(sky__pressure_first_6h="pressure", at="at", seen="at")
    since = moments.with_columns(from_=pl.col("at") - (6 * H - 10)).join_asof(
        pressures, left_on="from_", right_on="at", strategy="forward"
    )
    known = pl.col("seen") <= pl.col("at")
    first = since.select("at", pl.when(known).then("sky__pressure_first_6h"))
    found = last.hstack(hours.drop("at")).hstack(first.drop("at"))
    return looks.join(found, on="at", how="left", maintain_order="left").drop("at").get_columns()


def rained(window: dict[str, str]) -> pl.Expr:
    """Return inches; null without an observation, for which a rolling sum would be 0."""
    cents = pl.col("precip")
    observed = cents.rolling_min_by("at", **window).is_not_null()
    return pl.when(observed).then(cents.rolling_sum_by("at", **window) / 100)


def calendar() -> list[pl.Expr]:
    leaves = pl.col("sched_dep_at").dt.convert_time_zone(NEW_YORK)
    lands = pl.col("sched_arr_at").dt.convert_time_zone(NEW_YORK)
    cancelled = "__rows_where_status_cancelled_"
    return [
        per(f"carrier{cancelled}1d", "carrier__rows_1d").alias("carrier_cancelled_1d"),
        per(f"origin{cancelled}6h", "origin__rows_6h").alias("origin_cancelled_6h"),
        (leaves.dt.hour().cast(INT) * 60 + leaves.dt.minute()).alias("dep_minute"),
        leaves.dt.hour().cast(INT).alias("dep_hour"),
        (leaves.dt.weekday().cast(INT) - 1).alias("dep_weekday"),
        leaves.dt.month().cast(INT).alias("dep_month"),
        leaves.dt.ordinal_day().cast(INT).alias("dep_day_of_year"),
        (lands.dt.hour().cast(INT) * 60 + lands.dt.minute()).alias("arr_minute"),
        pl.col("distance").alias("miles"),
        pl.col("sched_minutes").alias("scheduled_minutes"),
    ]


def per(top: str, bottom: str) -> pl.Expr:
    return pl.when(pl.col(bottom) != 0).then(pl.col(top) / pl.col(bottom))
