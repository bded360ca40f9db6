"""Compute the same frame in process, on Sail and on Spark: `python -m bench.cluster --json`.

Input and output are Parquet files on this machine. Every side runs in a process of its own; imports
and a small frame are done before the clock starts. One machine shows the cost of using a cluster,
not the gain from many machines. Spark is skipped if its environment is missing (`make spark`).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.report import Comparison, alternating, compare
from headrace.cluster import connect, sail, training_frame
from headrace.features import (
    Column,
    Count,
    FeatureView,
    Last,
    Lookup,
    Max,
    Mean,
    Min,
    Rows,
    Std,
    Sum,
    TableShape,
    Window,
)
from headrace.features import training_frame as embedded_frame

EVENTS, SPINE, ENTITIES = 2_000_000, 200_000, 50_000
DAY = 86_400_000_000
SHAPE = TableShape(
    "events",
    "event",
    ("id",),
    {
        "id": Column(pa.int64()),
        "who": Column(pa.string()),
        "place": Column(pa.int64()),
        "amount": Column(pa.int64(), scale=2, max_abs=10**6),
        "x": Column(pa.float64()),
    },
    max_events=10**7,
)
WEEK, DAY_WINDOW = Window("-7d"), Window("-1d")
VIEWS = (
    FeatureView(
        "who",
        "events",
        ("who",),
        tuple(
            make("amount", window)
            for window in (DAY_WINDOW, WEEK)
            for make in (Count, Sum, Mean, Std, Min, Max, Last)
        ),
    ),
    FeatureView("place", "events", ("place",), (Rows(WEEK), Max("x", WEEK), Mean("amount", WEEK))),
    Lookup("state", "events", ("who",), ("amount", "x"), None),
)
CONTRACTS = {"events": SHAPE}


def make_data(folder: Path, scale: float) -> None:
    """Write a spine, and events with skewed entities, 2% corrections (also of the entity) and lag.

    One event in a hundred becomes known a day late.
    """
    chance = np.random.default_rng(1)
    events, spine = int(EVENTS * scale), int(SPINE * scale)
    ids = np.arange(events)
    again = chance.random(events) < 0.02
    ids[again] = chance.integers(0, events, again.sum())
    at = chance.integers(0, 60 * DAY, events)
    known = at + np.where(chance.random(events) < 0.01, DAY, 0) + np.where(again, 2 * DAY, 0)
    who = chance.zipf(1.3, events) % ENTITIES
    table = {
        "id": ids,
        "who": pc.binary_join_element_wise("w", pa.array(who).cast(pa.string()), ""),
        "place": chance.integers(0, 500, events),
        "amount": chance.integers(-(10**6), 10**6, events),
        "x": chance.normal(size=events),
        "event_time": at,
        "known_at": known,
    }
    pq.write_table(pa.table(table), folder / "events.parquet")
    asked = chance.zipf(1.3, spine) % ENTITIES
    rows = {
        "number": np.arange(spine),
        "who": pc.binary_join_element_wise("w", pa.array(asked).cast(pa.string()), ""),
        "place": chance.integers(0, 500, spine),
        "t": chance.integers(30 * DAY, 60 * DAY, spine),
    }
    pq.write_table(pa.table(rows), folder / "spine.parquet")


def embedded(folder: Path, out: Path) -> None:
    def history(name, columns):
        return pq.read_table(
            folder / f"{name}.parquet", columns=[*columns, "event_time", "known_at"]
        )

    spine = pq.read_table(folder / "spine.parquet")
    frame = embedded_frame(spine, VIEWS, history, CONTRACTS)
    out.mkdir()
    pq.write_table(frame, out / "frame.parquet")


def over(session):
    def work(folder: Path, out: Path) -> None:
        def history(name, columns):
            rows = session.read.parquet(str(folder / f"{name}.parquet"))
            return rows.select(*columns, "event_time", "known_at")

        spine = session.read.parquet(str(folder / "spine.parquet"))
        frame = training_frame(session, spine, VIEWS, history, CONTRACTS, order="number", shards=16)
        frame.data.write.parquet(str(out))

    return work


@contextmanager
def side_of(name: str, folder: Path):
    if name == "embedded":
        yield embedded
    elif name == "sail":
        with sail() as session:
            yield over(session)
    else:
        from tests.cluster.spark_env import server

        with server(folder) as url:
            session = connect(url)
            yield over(session)
            session.stop()


def run(name: str, small: Path, folder: Path) -> None:
    """Run one side in this process, and print JSON."""
    with tempfile.TemporaryDirectory() as own, side_of(name, Path(own)) as work:
        work(small, Path(own) / "small")
        start = time.perf_counter()
        work(folder, folder / name)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rss_mb": peak}))


def child(name: str, small: Path, folder: Path) -> dict:
    command = [sys.executable, "-m", "bench.cluster", "--side", name, str(small), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "bits": bits_of(folder / name)}


def bits_of(out: Path) -> pa.Table:
    """Return the frame in the spine's order, with floats as bits, and remove its files."""
    frame = pq.read_table(out)
    frame = frame.drop_columns([n for n in frame.column_names if n == "spine_row"])
    frame = frame.sort_by("number").combine_chunks()
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    columns = [frame[name].combine_chunks() for name in frame.column_names]
    plain = [
        a.fill_null(0.0).view(pa.int64()) if pa.types.is_float64(a.type) else a for a in columns
    ]
    valid = [pc.is_valid(a) for a in columns]
    return pa.table([*plain, *valid], names=[*frame.column_names, *map(str, range(len(valid)))])


def comparisons(scale: float = 1.0, repeat: int = 3, peers: str = "") -> list[Comparison]:
    from tests.cluster.spark_env import missing

    clusters = [name for name in ("sail", "spark") if peers in name]
    names = ["embedded", *(name for name in clusters if name != "spark" or not missing())]
    with tempfile.TemporaryDirectory() as one:
        small, folder = Path(one) / "small", Path(one) / "data"
        for where, size in ((small, min(0.005, scale)), (folder, scale)):
            where.mkdir()
            make_data(where, size)
        sides = {name: lambda name=name: child(name, small, folder) for name in names}
        found = alternating(sides, repeat)
    wanted = found["embedded"][0]["bits"]
    return [
        compare(
            f"training frame on {name}, {EVENTS * scale:,.0f} x {SPINE * scale:,.0f}",
            [one["seconds"] for one in found[name]],
            "embedded",
            [one["seconds"] for one in found["embedded"]],
            goal=None,
            answers_equal=all(one["bits"].equals(wanted) for one in found[name]),
            rss_mb=max(one["rss_mb"] for one in found[name]),
        )
        for name in names[1:]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", default="", help="only clusters with this in their name")
    parser.add_argument("--json", action="store_true", help="print JSON (always on)")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "SMALL", "FOLDER"))
    given = parser.parse_args()
    if given.side:
        name, small, folder = given.side
        run(name, Path(small), Path(folder))
        return
    for comparison in comparisons(given.scale, given.repeat, given.peers):
        print(comparison.line())


if __name__ == "__main__":
    main()
