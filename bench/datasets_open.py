"""Compare opening and loading a release with reading its bare Parquet files.

    python -m bench.datasets_open [--json] [--scale 1.0] [--repeat 5]

The release has two million rows of twenty columns, in parts. Each side of each case runs in a
process of its own. The files are in the page cache, and their bytes have been hashed before, as on
every opening except the first one on a machine; the first one has a separate line. The time to the
first batch is measured with the imports, from the program's first line on, and without them. The
time of loading is measured after the imports.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import datasets_data
from bench.report import Comparison, compare
from headrace.datasets.store.store import Store

Run = dict[str, Any]
ROWS = 2_000_000
VERSION = "1.0.0"
MOST_FIRST, MOST_LOADING = 0.2, 1.2
FIRST = ("first batch", "first batch, bare")
# Of each kind, the fastest form of the peers counts.
LOADING = {
    "Arrow": ("arrow", ("pyarrow, file by file", "pyarrow, read_table", "duckdb to Arrow")),
    "pandas": ("pandas", ("pyarrow to pandas", "pyarrow to pandas, by column", "duckdb to pandas")),
}


def measure(scale: float = 1.0, repeat: int = 5) -> Iterator[Comparison]:
    """Yield comparisons of the time to the first batch, then of loading, by minimum times."""
    rows = max(int(ROWS * scale), 1000)
    with TemporaryDirectory(prefix="open-") as name:
        folder = Path(name)
        store = Store(folder / "store")
        manifest = datasets_data.put(store, VERSION, datasets_data.frame(rows))
        paths = datasets_data.files(store, manifest)
        for path in paths:  # so old that the cache recognises it by its modification time
            os.utime(path, (1_000_000_000, 1_000_000_000))
        yield from _first(folder, paths, repeat, rows)
        yield from _load(folder, paths, repeat, rows)


def _first(folder: Path, paths: list[str], repeat: int, rows: int) -> Iterator[Comparison]:
    runs = _in_turn(folder, paths, FIRST, repeat)
    ours, bare = (runs[side] for side in FIRST)
    equal = ours[0]["answer"] == bare[0]["answer"]
    name = f"to the first batch of {rows / 1e6:g}M rows, a fresh process"
    for what, limit in (("seconds", MOST_FIRST), ("without_imports", MOST_FIRST)):
        told = f"{name}, imports {'included' if what == 'seconds' else 'apart'}"
        seconds = min(run[what] for run in ours)
        yield _row(told, seconds, f"a limit of {limit} s", limit, ours, equal=equal, goal=1.0)
        others = min(run[what] for run in bare)
        yield _row(told, seconds, "pyarrow on a bare file", others, ours, equal=equal)
    cold = _in_turn(folder, paths, FIRST[:1], repeat, forget=True)[FIRST[0]]
    told = f"{name}, its part hashed for the first time on this machine"
    yield _row(told, _least(cold), "hashed before", _least(ours), cold, equal=True)


def _load(folder: Path, paths: list[str], repeat: int, rows: int) -> Iterator[Comparison]:
    for kind, (side, peers) in LOADING.items():
        runs = _in_turn(folder, paths, (side, *peers), repeat)
        equal = [runs[side][0]["answer"] == runs[peer][0]["answer"] for peer in peers]
        best = min(peers, key=lambda peer: _least(runs[peer]))
        name = f"{rows / 1e6:g}M rows into {kind}"
        for peer, same in zip(peers, equal, strict=True):
            goal = 1 / MOST_LOADING if peer == best else None
            yield _row(name, _least(runs[side]), peer, _least(runs[peer]), runs[side],
                       equal=same, goal=goal)  # fmt: skip
        mine, theirs = (min(run["cpu_s"] for run in runs[one]) for one in (side, best))
        yield _row(f"{name}: processor seconds", mine, best, theirs, runs[side], equal=True)


def _row(
    name: str,
    ours: float,
    peer: str,
    theirs: float,
    runs: list[Run],
    *,
    equal: bool,
    goal: float | None = None,
) -> Comparison:
    peak = max(run["rss_mb"] for run in runs)
    return compare(name, [ours], peer, [theirs], goal=goal, answers_equal=equal, rss_mb=peak)


def _least(runs: list[Run]) -> float:
    return min(run["seconds"] for run in runs)


def _in_turn(
    folder: Path, paths: list[str], sides: tuple[str, ...], repeat: int, *, forget: bool = False
) -> dict[str, list[Run]]:
    """Run the sides in turn; a first turn that is not counted fills the caches.

    With `forget`, each turn has an empty cache, and the first turn counts.
    """
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for turn in range(repeat + 1):
        for side in sides:
            print(f"open: {side}", file=sys.stderr, flush=True)
            cache = folder / (f"cache-{turn}" if forget else "cache")
            given = [side, str(folder / "store"), *paths]
            done = subprocess.run(
                [sys.executable, "-m", "bench.datasets_open_child", *given],
                stdout=subprocess.PIPE, check=True,
                env={**os.environ, "HEADRACE_CACHE": str(cache)},
            )  # fmt: skip
            if turn or forget:
                runs[side].append(json.loads(done.stdout.splitlines()[-1]))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    for found in measure(args.scale, args.repeat):
        if args.json:
            print(found.line(), flush=True)
        else:
            verdict = "met" if found.met else "missed" if found.goal else ""
            told = f"{found.name}: {found.ours_s}, {found.peer} {found.peer_s}"
            print(f"{told}, {found.ratio}x {verdict}", flush=True)


if __name__ == "__main__":
    main()
