"""The year written by hand in Polars: the same duties and features, for this data set only.

Several forms were tried on two cores; this script uses the fastest ones:
- The pages of the feed are cut into lines and parsed at once as NDJSON: 6 times faster than
  `str.json_decode` of the pages, which is faster than `json.loads`.
- Times, and the checks of all deliveries of a source, are computed once over all rows and grouped
  by file: one delivery at a time takes 5 times as long.
- `sink_parquet` with `PartitionBy` is a quarter faster than a loop of `write_parquet`, with or
  without threads.
- Windows: `known_at` is the event time plus a lag that depends only on the status, so a window of
  known events is a range of the events of one status: running sums in the order of (entity, time)
  are read at both ends with `search_sorted`. This takes half the time of `join_asof` by entity, and
  a third of `rolling_sum_by`. Minimum and maximum cannot be computed from running values, and use
  `rolling_*_by`.
- Sums are of integers, so means and deviations are exact up to the last rounding.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from bench.peers import raw
from bench.peers.learn import Marks, Result, train
from bench.peers.polars_features import features
from bench.peers.times import NEW_YORK, SPLITS, ZONES

INT, S = pl.Int64, pl.String
KEY = ["year", "month", "day", "carrier", "flight", "origin"]
SCHEDULE = dict.fromkeys(KEY, INT) | {"carrier": S, "origin": S, "dest": S}
SCHEDULE |= dict.fromkeys(("sched_dep_time", "sched_arr_time", "distance"), INT)
OUTCOMES = {name: SCHEDULE[name] for name in list(SCHEDULE)[:-1]} | {"tailnum": S}
OUTCOMES |= dict.fromkeys(("dep_time", "arr_time", "dep_delay", "arr_delay", "air_time"), INT)
REALS = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
WEATHER = {"origin": S} | dict.fromkeys(("year", "month", "day", "hour", "wind_dir"), INT)
WEATHER |= dict.fromkeys(REALS, pl.Float64) | {"time_hour": S}
MINUTE = pl.duration(minutes=1)
SMALLEST_FILE = 600  # minimum number of rows of a complete file


def work(folder: Path, url: str, out: Path) -> Result:
    """Run the year from deliveries to dataset, model and baseline; write everything to `out`."""
    marks = Marks()
    frame = run(folder, url, out, marks)
    dataset = frame.filter(pl.col("split").is_not_null())
    dataset.write_parquet(out / "dataset.parquet")
    marks.mark("dataset")
    losses = train(dataset.to_arrow(), out)
    marks.mark("training")
    return Result(frame.to_arrow, marks.seconds, losses)


def run(folder: Path, url: str, out: Path, marks: Marks) -> pl.DataFrame:
    """Return the frame of all flights, computed from the deliveries and ordered by (t, key)."""
    schedule = published(out, "schedule", scheduled(read_schedule(folder)), schedule_checks())
    outcomes = happened(read_feed(url, "outcomes", OUTCOMES)).unique(
        [*KEY, "file"], maintain_order=True
    )
    outcomes = published(out, "outcomes", outcomes, outcome_checks())
    weather = observed(read_feed(url, "weather", WEATHER)).unique(
        ["origin", "time_hour", "file"], maintain_order=True
    )
    weather = published(out, "weather", weather, weather_checks())
    tables = {name: published(out, name, read_table(folder, name), []) for name in raw.REFERENCE}
    marks.mark("deliveries to tables")
    frame = features(schedule, outcomes, weather, tables["airports"])
    marks.mark("features")
    return labelled(frame, outcomes)


# Deliveries


def read_schedule(folder: Path) -> pl.DataFrame:
    files = list(raw.schedule_files(folder))
    bodies = [content.partition(b"\n")[2] for _, _, content in files]
    header = files[0][2].partition(b"\n")[0] + b"\n"
    table = pl.read_csv(header + b"".join(bodies), schema=SCHEDULE, null_values=["NA", ""])
    counts = [body.count(b"\n") for body in bodies]
    return table.hstack(provenance([f[:2] for f in files], counts, first=2))


def read_feed(url: str, name: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    days = list(raw.feed(url, name))
    lines = [[body[12 : body.rindex(b'],"next"')] for body in day.bodies] for day in days]
    lines = [b",".join(day).replace(b"},{", b"}\n{") + b"\n" for day in lines]
    table = pl.read_ndjson(b"".join(lines), schema=schema)
    counts = [day.count(b"\n") for day in lines]
    return table.hstack(provenance([(day.name, day.sha256) for day in days], counts, first=1))


def read_table(folder: Path, name: str) -> pl.DataFrame:
    digest, columns, rows = raw.reference(folder, name)
    table = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    known = pl.col("updated_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    return table.hstack(provenance([(name, digest)], [table.height], first=1)).with_columns(
        known.alias("event_time"), known.alias("known_at")
    )


def provenance(files: Sequence[tuple[str, str]], counts: list[int], first: int) -> pl.DataFrame:
    """Return file, hash and line of every row."""
    per_file = pl.DataFrame(files, schema=["file", "sha256"], orient="row")
    rows = per_file.with_columns(
        line=pl.int_ranges(first, pl.Series(counts, dtype=INT) + first, dtype=INT)
    )
    return rows.explode("line")


# Times


def scheduled(rows: pl.DataFrame) -> pl.DataFrame:
    rows = with_schedule(rows)
    return rows.with_columns(
        sched_minutes=(pl.col("sched_arr_at") - pl.col("sched_dep_at")).dt.total_minutes(),
        event_time="sched_dep_at",
        known_at=instant(local(date(), pl.lit(2000)) - pl.duration(days=1), NEW_YORK, "latest"),
    )


def happened(rows: pl.DataFrame) -> pl.DataFrame:
    rows = with_schedule(rows).with_columns(
        status=pl.when(pl.col("dep_time").is_null())
        .then(pl.lit("cancelled"))
        .when(pl.col("arr_time").is_null())
        .then(pl.lit("not_arrived"))
        .otherwise(pl.lit("arrived")),
        departed_at=pl.col("sched_dep_at") + pl.col("dep_delay") * MINUTE,
    )
    arrived = pl.col("status") == "arrived"
    key = [name for name in ("file",) if name in rows.columns]
    diverted = rows.filter(arrived & pl.col("arr_delay").is_null())
    landed = next_clock(diverted, "departed_at", "arr_time").alias("landed_at")
    landed_at = diverted.select(*key, "line").hstack([landed])
    rows = rows.join(landed_at, on=[*key, "line"], how="left", maintain_order="left")
    by_delay = pl.col("sched_arr_at") + pl.col("arr_delay") * MINUTE
    rows = rows.with_columns(
        arrived_at=pl.when(arrived).then(pl.coalesce(by_delay, "landed_at"))
    ).drop("landed_at")
    delay = (pl.col("arrived_at") - pl.col("sched_arr_at")).dt.total_minutes()
    cancelled = pl.col("status") == "cancelled"
    return rows.with_columns(
        arrival_delay=delay,
        late=(delay > 15).cast(INT),
        event_time=pl.when(arrived)
        .then("arrived_at")
        .otherwise(pl.when(cancelled).then("sched_dep_at").otherwise("departed_at")),
        known_at=pl.when(arrived)
        .then(pl.col("arrived_at") + 10 * MINUTE)
        .when(cancelled)
        .then(pl.col("sched_dep_at") + 240 * MINUTE)
        .otherwise(pl.col("departed_at") + 720 * MINUTE),
    )


def observed(rows: pl.DataFrame) -> pl.DataFrame:
    hour = pl.col("time_hour").str.to_datetime(
        "%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"
    )
    return rows.with_columns(
        (pl.col("precip") * 100).round().cast(INT), time_hour=hour, event_time=hour,
        known_at=hour + 10 * MINUTE,
    )  # fmt: skip


def date() -> pl.Expr:
    return pl.date("year", "month", "day").cast(pl.Datetime("us"))


def local(day: pl.Expr, clock: pl.Expr) -> pl.Expr:
    return day + (clock // 100 * 60 + clock % 100) * MINUTE


def instant(wall: pl.Expr, zone: str, ambiguous: str = "earliest") -> pl.Expr:
    """Return the UTC time of a wall clock time; null for a time that the clock skips."""
    aware = wall.dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")
    return aware.dt.convert_time_zone("UTC")


def with_schedule(rows: pl.DataFrame) -> pl.DataFrame:
    leaves = local(date(), pl.col("sched_dep_time"))
    skipped = instant(leaves + 60 * MINUTE, NEW_YORK)  # in the gap of spring: an hour later
    rows = rows.with_columns(sched_dep_at=pl.coalesce(instant(leaves, NEW_YORK), skipped))
    return rows.with_columns(
        next_clock(rows, "sched_dep_at", "sched_arr_time").alias("sched_arr_at")
    )


def next_clock(rows: pl.DataFrame, after: str, clock: str) -> pl.Series:
    """Return the first time after `after` at which the destination's clock shows `clock`."""
    zone = pl.col("dest").replace_strict(ZONES, return_dtype=S)
    rows = rows.select(
        pl.col(after).alias("after"), pl.col(clock).alias("clock"), zone.alias("zone")
    )
    parts = rows.with_row_index("row").partition_by("zone")
    found = pl.concat(_next_in_zone(part, part["zone"][0]) for part in parts)
    return found.sort("row")["found"]


def _next_in_zone(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    there = pl.col("after").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    # 2400 is midnight, and like any clock time means the next one after `after`.
    wall = local(there.dt.truncate("1d"), pl.col("clock") % 2400)
    rows = rows.with_columns(wall=wall).with_columns(found=instant(pl.col("wall"), zone))
    same_day = pl.col("found") > pl.col("after")
    # Few flights arrive on another day; only for these are other candidates computed.
    shown = [
        instant(pl.col("wall"), zone, "latest"),
        *(instant(pl.col("wall") + pl.duration(days=days), zone) for days in (1, 2)),
    ]
    later = [pl.when(moment > pl.col("after")).then(moment) for moment in shown]
    rest = rows.filter(~same_day.fill_null(value=False))
    rest = rest.with_columns(found=pl.min_horizontal(later))
    return pl.concat([rows.filter(same_day), rest]).select("row", "found")


# Checks, and one Parquet file per delivery


def published(out: Path, table: str, rows: pl.DataFrame, checks: Iterable[pl.Expr]) -> pl.DataFrame:
    """Count the failures in each delivery, write the usable rows of each, and return them."""
    counts = rows.group_by("file", "sha256", maintain_order=True).agg(
        pl.len().alias("rows"),
        pl.all().exclude("file", "sha256").null_count().name.prefix("null_"),
        *checks,
    )
    (out / "checks").mkdir(parents=True, exist_ok=True)
    counts.write_parquet(out / "checks" / f"{table}.parquet")
    if table == "schedule":
        parts = counts.filter(pl.col("rows") < SMALLEST_FILE)["file"]
        rows = rows.filter(~pl.col("file").is_in(parts.implode()))
    if table == "weather":
        rows = rows.filter(pl.col("wind_speed").is_null() | (pl.col("wind_speed") <= 200))
    rows.lazy().sink_parquet(
        pl.PartitionBy(out / "tables" / table, key="file", include_key=True), mkdir=True
    )
    return rows


def outside(name: str, low: float, high: float) -> pl.Expr:
    return (~pl.col(name).is_between(low, high)).sum().alias(f"{name}_outside_{low}_{high}")


def other(name: str, pattern: str) -> pl.Expr:
    return (~pl.col(name).str.contains(pattern)).sum().alias(f"{name}_unlike")


def places() -> list[pl.Expr]:
    origins = ["EWR", "JFK", "LGA"]
    return [
        other("carrier", "^[A-Z0-9]{2}$"),
        other("dest", "^[A-Z]{3}$"),
        (~pl.col("origin").is_in(origins)).sum().alias("origin_unknown"),
        *((pl.col("origin") == name).mean().alias(f"share_{name}") for name in origins),
        pl.col("carrier").n_unique().alias("carriers"),
        pl.col("dest").n_unique().alias("dests"),
        pl.struct(KEY).is_duplicated().sum().alias("repeated_keys"),
        (pl.col("origin") == pl.col("dest")).sum().alias("goes_nowhere"),
    ]


def schedule_checks() -> list[pl.Expr]:
    return [
        *places(),
        outside("sched_dep_time", 0, 2359),
        outside("sched_arr_time", 0, 2359),
        outside("flight", 1, 9999),
        outside("distance", 10, 5500),
        outside("sched_minutes", 30, 840),
        pl.col("sched_minutes").mean().alias("mean_sched_minutes"),
        pl.col("distance").mean().alias("mean_distance"),
        (pl.col("distance") * 60 > 550 * pl.col("sched_minutes")).sum().alias("too_fast"),
    ]


def outcome_checks() -> list[pl.Expr]:
    landed, left = pl.col("arrived_at"), pl.col("departed_at")
    trip = (landed - left).dt.total_minutes() + 2
    status = pl.col("status")
    return [
        *places(),
        *((status == name).mean().alias(name) for name in ("arrived", "cancelled", "not_arrived")),
        *(
            pl.col(name).mean().alias(f"mean_{name}")
            for name in ("late", "dep_delay", "arrival_delay")
        ),
        outside("dep_delay", -60, 1440),
        outside("arr_delay", -120, 1440),
        outside("air_time", 10, 780),
        outside("dep_time", 1, 2400),
        outside("arr_time", 1, 2400),
        other("tailnum", "^N[1-9][0-9A-Z]{1,4}$"),
        (landed <= left).sum().alias("landed_before_departure"),
        (pl.col("air_time") > trip).sum().alias("flew_longer_than_trip"),
        (pl.col("arr_time").is_not_null() & pl.col("dep_time").is_null()).sum().alias("never_left"),
        (pl.col("dep_time").is_not_null() & pl.col("dep_delay").is_null()).sum().alias("no_delay"),
    ]


def weather_checks() -> list[pl.Expr]:
    ranges = {
        "hour": (0, 23), "temp": (-30, 120), "dewp": (-40, 90), "humid": (0, 100),
        "wind_dir": (0, 360), "wind_speed": (0, 200), "wind_gust": (0, 250), "precip": (0, 500),
        "pressure": (900, 1080), "visib": (0, 10),
    }  # fmt: skip
    wall = pl.col("time_hour").dt.convert_time_zone(NEW_YORK)
    shown = (wall.dt.month() == pl.col("month")) & (wall.dt.day() == pl.col("day"))
    return [
        *(outside(name, *bounds) for name, bounds in ranges.items()),
        pl.col("origin").n_unique().alias("origins"),
        (~pl.col("origin").is_in(["EWR", "JFK", "LGA"])).sum().alias("origin_unknown"),
        pl.struct("origin", "time_hour").is_duplicated().sum().alias("repeated_keys"),
        (pl.col("dewp") > pl.col("temp")).sum().alias("dew_point_above"),
        (pl.col("wind_gust") < pl.col("wind_speed")).sum().alias("gust_below_wind"),
        (~(shown & (wall.dt.hour() == pl.col("hour")))).sum().alias("other_local_hour"),
    ]


# Label and splits


def labelled(frame: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Add the columns `late` and `split`; both are null if a flight is in no split."""
    found = outcomes.filter(pl.col("status") == "arrived").select(
        *KEY, "late", e=pl.col("event_time"), k=pl.col("known_at")
    )
    frame = frame.join(found, on=KEY, how="left", maintain_order="left")
    t, cut = pl.col("t"), pl.lit(None, pl.Datetime("us", "UTC"))
    split = pl.lit(None, S)
    for name, first, last, read in reversed(SPLITS):
        inside = (t >= first) & (t < last)
        split = pl.when(inside).then(pl.lit(name)).otherwise(split)
        cut = pl.when(inside).then(pl.lit(read)).otherwise(cut)
    settled = t + pl.duration(hours=48) <= cut
    within = pl.col("e").is_between(t, t + pl.duration(hours=36), closed="left")
    chosen = settled & within & (pl.col("k") <= cut)
    return frame.with_columns(
        late=pl.when(chosen).then("late"), split=pl.when(chosen).then(split)
    ).drop("e", "k")
