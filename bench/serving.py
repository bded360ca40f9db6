"""Measure the online store.

    python -m bench.serving [--json] [--scale 1] [--repeat 3] [--no-http] [--peers none]

`OnlineService.get` computes twenty windowed features of one entity in process, for a complete
request. It is compared with the budgets, and with Feast's in-process path, which is given the
values and computes nothing. The seconds are 100,000 times the named percentile of the time of a
vector. Ingest runs in one process, with one fsynced transaction for each 100,000 events. SQLite
stores the same bytes as LMDB.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from bench import feast_env, serving_http
from bench.features_child import SHAPE, view
from bench.peers.features_data import Case, events
from bench.peers.sqlite_store import SqliteStore
from bench.report import Comparison, compare

CASE = Case(events=1_000_000, spine=1_000, entities=100_000)
BATCH = 100_000
VECTORS = 100_000
BUDGETS = {"typical": 50e-6, "hottest": 1e-3}
RATE = 200_000
TYPES = pa.timestamp("us", "UTC")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rows_of(case):
    rows = events(case)
    for name in ("event_time", "known_at"):
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(TYPES))
    return rows


def ingest(store, rows):
    """Apply all rows, and return the seconds."""
    from headrace.serving.online import apply, layout_of

    layout = layout_of((view(rich=False),), {"events": SHAPE}, "declared")
    start = time.perf_counter()
    for begin in range(0, rows.num_rows, BATCH):
        apply(store, layout, "events", rows.slice(begin, BATCH))
    return time.perf_counter() - start


def ingests(rows, repeat):
    from headrace.serving.online import LmdbStore

    seconds = {"lmdb": [], "sqlite": []}
    for i in range(repeat):
        with TemporaryDirectory(prefix="serving-") as folder:
            lmdb, sqlite = LmdbStore(Path(folder)), SqliteStore(f"{folder}/{i}.sqlite")
            seconds["lmdb"].append(ingest(lmdb, rows))
            seconds["sqlite"].append(ingest(sqlite, rows))
            lmdb.close()
            sqlite.close()
    return seconds


def timed(service, entities, at):
    """Return the seconds of each vector."""
    found = []
    for number in entities:
        request = {"entity": int(number), "asked_at": serving_http.ASKED}
        start = time.perf_counter()
        service.get(request, at)
        found.append(time.perf_counter() - start)
    return found


def feast(folder, store, entities):
    python, repo = feast_env.python(), folder / f"feast_{store}"
    repo.mkdir()
    peers = Path(__file__).parent / "peers"
    env = feast_env.environment()
    setup = [python, peers / "feast_http.py", repo, store]
    subprocess.run([*setup, folder / "values.parquet"], stdout=sys.stderr, env=env, check=True)
    asked = folder / "asked.json"
    asked.write_text(json.dumps([int(number) for number in entities]))
    try:
        command = [python, peers / "feast_inprocess.py", repo, asked]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=True)
    finally:
        subprocess.run([*setup, "--remove"], stdout=sys.stderr, env=env, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def equal(service, at, entities, answers):
    """Return True if Feast's values are equal to those of Headrace."""
    for number, theirs in zip(entities, answers, strict=False):
        request = {"entity": int(number), "asked_at": serving_http.ASKED}
        ours = service.get(request, at)
        if {name: theirs.get(name, theirs.get(name.partition("__")[2])) for name in ours} != ours:
            return False
    return True


def latencies(case, repeat, scale, peers):
    """Compare Headrace with the budgets, and with Feast unless peers are excluded."""
    found = []
    with TemporaryDirectory(prefix="serving-") as name:
        folder = Path(name)
        serving_http.prepare(folder, case)
        service, at = serving_http.service(folder), serving_http.AT
        asked = events(case)["entity"].to_numpy()
        numbers, counts = np.unique(asked, return_counts=True)
        hot = int(numbers[counts.argmax()])
        asks = max(500, int(20_000 * min(scale, 1)))
        chosen = np.random.default_rng(3).choice(numbers, asks)
        sides = {"typical": chosen, "hottest": np.full(asks // 10, hot)}
        timed(service, [*chosen[:200], hot], at)
        runs = {kind: [timed(service, n, at) for _ in range(repeat)] for kind, n in sides.items()}
        for kind, times in runs.items():
            for percent in (50, 99):
                ours = [VECTORS * float(np.percentile(one, percent)) for one in times]
                goal = 1.0 if percent == 99 else None
                budget = [VECTORS * BUDGETS[kind]]
                title = f"{VECTORS:,} vectors of the {kind} entity at p{percent}, in process"
                peer = f"budget of {BUDGETS[kind] * 1e6:.0f} us"
                found.append(
                    compare(title, ours, peer, budget, goal=goal, answers_equal=True, rss_mb=peak())
                )
        for store in serving_http.stores(peers):
            theirs = feast(folder, store, chosen[:500])
            same = equal(service, at, chosen, theirs["answers"])
            for percent in (50, 99):
                ours = [VECTORS * float(np.percentile(one, percent)) for one in runs["typical"]]
                other = [VECTORS * float(np.percentile(theirs["seconds"], percent))]
                title = f"{VECTORS:,} vectors of a typical entity at p{percent}, in process"
                found.append(
                    compare(
                        title,
                        ours,
                        f"feast in process, {store}",
                        other,
                        goal=10.0,
                        answers_equal=same,
                        rss_mb=peak(),
                    )
                )
        service.store.close()
    return found


def comparisons(
    *, scale: float = 1.0, repeat: int = 3, http: bool = True, peers: str = "feast"
) -> Iterator[Comparison]:
    case = CASE.scaled(scale)
    rows = rows_of(case)
    ingest_s = ingests(rows, repeat)
    title = f"{case.events:,} events into the embedded store"
    yield compare(
        title, ingest_s["lmdb"], f"budget of {RATE:,} events/s", [case.events / RATE],
        goal=1.0, answers_equal=True, rss_mb=peak(),
    )  # fmt: skip
    yield compare(
        title, ingest_s["lmdb"], "the same bytes in SQLite", ingest_s["sqlite"],
        goal=None, answers_equal=True, rss_mb=peak(),
    )  # fmt: skip
    yield from latencies(case, repeat, scale, peers)
    if http:
        yield from serving_http.comparisons(repeat=repeat, scale=scale, peers=peers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the online store.")
    parser.add_argument("--json", action="store_true", help="only the JSON lines")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of events")
    parser.add_argument("--no-http", action="store_true", help="skip the endpoint")
    parser.add_argument("--peers", default="feast", help="'none' skips Feast")
    options = parser.parse_args()
    given = {"scale": options.scale, "repeat": options.repeat, "peers": options.peers}
    for comparison in comparisons(http=not options.no_http, **given):
        print(comparison.line(), flush=True)


if __name__ == "__main__":
    main()
