"""The year by hand without duties: no hashes, checks or files per delivery, but the same dataset.

The difference to the time of `polars_year` is the cost of tracing, validating and stopping
deliveries.
"""

from pathlib import Path

import polars as pl

from bench.peers import raw
from bench.peers.learn import Marks, Result, train
from bench.peers.polars_features import features
from bench.peers.polars_year import (
    KEY,
    OUTCOMES,
    SCHEDULE,
    WEATHER,
    happened,
    labelled,
    observed,
    scheduled,
)


def work(folder: Path, url: str, out: Path) -> Result:
    """Run the year from deliveries to dataset, model and baseline."""
    marks = Marks()
    # Files that came twice or incompletely have no rows that are not in the complete file.
    drop = folder / "drop" / "schedule_*.csv"
    schedule = scheduled(pl.read_csv(drop, schema=SCHEDULE, null_values=["NA"]).unique(KEY))
    outcomes = happened(records(url, "outcomes", OUTCOMES).unique(KEY).with_row_index("line"))
    weather = observed(records(url, "weather", WEATHER).unique(["origin", "time_hour"]))
    weather = weather.filter(~(pl.col("wind_speed") > 200).fill_null(value=False))
    _, columns, rows = raw.reference(folder, "airports")
    airports = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    marks.mark("deliveries to tables")
    frame = features(schedule, outcomes, weather, airports)
    marks.mark("features")
    frame = labelled(frame, outcomes)
    dataset = frame.filter(pl.col("split").is_not_null())
    dataset.write_parquet(out / "dataset.parquet")
    marks.mark("dataset")
    losses = train(dataset.to_arrow(), out)
    marks.mark("training")
    return Result(frame.to_arrow, marks.seconds, losses)


def records(url: str, name: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Return every record of a feed."""
    pages = [body for day in raw.feed(url, name) for body in day.bodies]
    lines = [body[12 : body.rindex(b'],"next"')].replace(b"},{", b"}\n{") for body in pages]
    return pl.read_ndjson(b"\n".join(lines), schema=schema)
