"""Compare training frames with Polars, DuckDB and Feast: the same events, times and answers.

    python -m bench.features [--json] [--scale 1.0] [--repeat 1] [--only NAME] [--peers NAME]

Each side of each case runs in a process of its own, which reads the same tables into memory before
the clock starts. Peers come in several formulations (`bench/peers/features_*.py`); the fastest one
counts. `--scale 0.01` is a quick run, in which start-up takes longer than the work. A peer that
needs more than `--limit` seconds, or more memory than the machine has, is stopped and reported.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from bench.peers import features_data as data
from bench.peers.features_data import Case
from bench.report import Comparison, compare

Run = dict[str, Any]
POLARS = ("polars rolling", "polars searched", "polars running", "polars rolling_by")
DUCKDB = ("duckdb window", "duckdb running", "duckdb joined")
RICH = ("polars rolling", "polars mixed", "duckdb window")
MEMORY_MB = 2048


@dataclass(frozen=True)
class Test:
    """Test case: a table of events, a spine, the kind of features, and the peers."""

    name: str
    case: Case
    what: str  # plain, rich, asof, feast, memory
    peers: tuple[str, ...]
    goals: tuple[tuple[str, float], ...] = ()  # by the first word of the peer

    def goal(self, peer: str) -> float | None:
        return dict(self.goals).get(peer.split(maxsplit=1)[0])


ZERO_LAG = "20 features, 10M x 1M, zero lag"
LATE = "20 features, 10M x 1M, 2% corrected and 1% late"
TESTS = (
    Test(
        ZERO_LAG, Case(), "plain", (*POLARS, *DUCKDB), (("polars", 2.5), ("duckdb", 40.0))
    ),
    Test(LATE, Case(corrected=0.02, late=0.01), "plain", (), ()),
    Test("32 features with std, last, distinct, 10M x 1M", Case(), "rich", RICH,
         (("polars", 10.0), ("duckdb", 10.0))),
    Test("32 features with std, last, distinct, 1M x 100k", Case(1_000_000, 100_000), "rich", RICH,
         (("polars", 10.0), ("duckdb", 10.0))),
    Test("20 features, 1M x 100k", Case(1_000_000, 100_000), "plain", POLARS, (("polars", 1.0),)),
    Test("20 features, one entity with a tenth of all events", Case(hot=0.1), "plain",
         ("polars searched", "polars rolling")),
    Test("as of only, 10M x 1M", Case(), "asof", ("duckdb asof",), (("duckdb", 1 / 1.3),)),
    Test("as of, 100k x 10k, skewed", Case(100_000, 10_000, 1_000), "feast", ("feast",),
         (("feast", 20.0),)),
    Test("as of, 1M x 100k, uniform", Case(1_000_000, 100_000, skew=0.0), "feast", ("feast",)),
    Test("20 features, 50M x 5M, out of core", Case(50_000_000, 5_000_000), "memory", ()),
)  # fmt: skip


def measure(
    scale: float = 1.0, repeat: int = 1, only: str = "", limit: float = 900, peers: str = ""
) -> Iterator[Comparison]:
    """Yield every comparison, one test after the other."""
    zero_lag: list[float] = []
    for test in TESTS:
        if only not in test.name:
            continue
        chosen = tuple(peer for peer in test.peers if peers in peer)
        sized = replace(test, peers=chosen)
        if scale != 1:
            sized = replace(sized, case=test.case.scaled(scale))
        with TemporaryDirectory(prefix="features-") as folder:
            runs = _runs(sized, Path(folder), repeat, limit)
        yield from _judged(sized, runs)
        if test.name == ZERO_LAG:
            zero_lag = [run["seconds"] for run in runs["ours"]]
        if test.name == LATE and zero_lag:
            yield _compared(test.name, runs["ours"], "ours at zero lag", zero_lag, 0.5, equal=True)


def _runs(test: Test, folder: Path, repeat: int, limit: float) -> dict[str, list[Run]]:
    _write(test, folder)
    sides = ("ours", *test.peers)
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    reference = None
    for _ in range(repeat):
        for side in sides:
            if any("stopped" in run for run in runs[side]):
                continue
            print(f"{test.name}: {side}", file=sys.stderr, flush=True)
            run = _run(test, side, folder, limit)
            if side == "ours":
                reference = reference or _answer(folder / "ours.arrow")
            elif "seconds" in run:
                _judge(run, reference, folder / f"{side}.arrow")
            runs[side].append(run)
    return runs


def _write(test: Test, folder: Path) -> None:
    """Write the tables once for all sides; write a long log piece by piece."""
    if test.what == "memory":
        import pyarrow.parquet as pq

        piece = 2_000_000
        with pq.ParquetWriter(folder / "events.parquet", data.events(test.case, 0, 1).schema) as to:
            for first in range(0, test.case.events, piece):
                to.write_table(
                    data.events(test.case, first, min(piece, test.case.events - first)),
                    row_group_size=250_000,
                )
    else:
        feather.write_feather(
            data.events(test.case), folder / "events.arrow", compression="uncompressed"
        )
    feather.write_feather(data.spine(test.case), folder / "spine.arrow", compression="uncompressed")


def _run(test: Test, side: str, folder: Path, limit: float) -> Run:
    out = str(folder / f"{side}.arrow")
    if side == "feast":
        from bench import feast_env

        script = Path(__file__).with_name("peers") / "features_feast.py"
        command = [str(feast_env.python()), str(script), str(folder), out]
        environment = feast_env.environment()
    else:
        command = [sys.executable, "-m", "bench.features_child", side, test.what, str(folder), out]
        environment = dict(os.environ)
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, timeout=limit, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"stopped": f"after {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        if side == "ours" or error.returncode != -signal.SIGKILL:
            raise
        return {"stopped": "by the system, which had no memory left"}
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def _answer(path: Path) -> pa.Table | None:
    if not path.exists():
        return None
    table = feather.read_table(path, memory_map=False)
    return table.sort_by("row") if "row" in table.column_names else table


def _judge(run: Run, ours: pa.Table | None, path: Path) -> None:
    theirs = _answer(path)
    if ours is None or theirs is None:
        run["differences"] = ["not compared"]
        return
    run["rows_lost"] = ours.num_rows - theirs.num_rows
    if run["rows_lost"]:  # reported separately; the answers for all other rows must be equal
        kept = pc.is_in(ours["row"], value_set=theirs["row"].combine_chunks())
        ours = ours.filter(kept)
    names = [name for name in ours.column_names if name in theirs.column_names]
    run["differences"] = [name for name in names if not _same(ours, theirs, name)]


def _same(ours: pa.Table, theirs: pa.Table, name: str) -> bool:
    """Compare to 1e-14, because Polars divides by a constant by multiplying with its inverse.

    Standard deviations are compared to 1e-6, because peers add floats.
    """
    mine, other = (
        np.asarray(table[name].combine_chunks().cast(pa.float64()).fill_null(np.nan))
        for table in (ours, theirs)
    )
    close = 1e-6 if name.startswith("std") else 1e-14
    return len(mine) == len(other) and bool(
        np.allclose(mine, other, rtol=close, atol=close, equal_nan=True)
    )


def _judged(test: Test, runs: dict[str, list[Run]]) -> Iterator[Comparison]:
    if test.what == "memory":
        peak = max(run["rss_mb"] for run in runs["ours"])
        seconds = median(run["seconds"] for run in runs["ours"])
        yield compare(
            f"{test.name} ({seconds:.0f} s): MB in memory, not seconds", [peak],
            f"a limit of {MEMORY_MB} MB", [MEMORY_MB], goal=1.0, answers_equal=True, rss_mb=peak,
        )  # fmt: skip
        return
    best: set[str] = set()
    for kind in dict.fromkeys(peer.split()[0] for peer in test.peers):
        done = [p for p in test.peers if p.split()[0] == kind and "seconds" in runs[p][0]]
        if done:
            best.add(min(done, key=lambda p: median(run["seconds"] for run in runs[p])))
    for peer in test.peers:
        if "stopped" in runs[peer][0]:
            print(f"{test.name}: {peer} stopped {runs[peer][0]['stopped']}", file=sys.stderr)
            continue
        seconds = [run["seconds"] for run in runs[peer]]
        goal = test.goal(peer) if peer in best or peer == "duckdb window" else None
        lost = max(run.get("rows_lost", 0) for run in runs[peer])
        called = f"{peer}, {lost} rows lost" if lost else peer
        differ = sorted({name for run in runs[peer] for name in run["differences"]})
        if differ:
            print(f"{test.name}: {peer} differs in {', '.join(differ)}", file=sys.stderr)
        equal = not differ
        yield _compared(test.name, runs["ours"], called, seconds, goal, equal=equal)


def _compared(
    name: str, ours: list[Run], peer: str, seconds: list[float], goal: float | None, *, equal: bool
) -> Comparison:
    return compare(
        name,
        [run["seconds"] for run in ours],
        peer,
        seconds,
        goal=goal,
        answers_equal=equal,
        rss_mb=max(run["rss_mb"] for run in ours),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="", help="only tests with this in their name")
    parser.add_argument("--peers", default="", help="only peers with this in their name")
    parser.add_argument("--limit", type=float, default=900, help="maximum seconds of one side")
    args = parser.parse_args()
    for found in measure(args.scale, args.repeat, args.only, args.limit, args.peers):
        if args.json:
            print(found.line(), flush=True)
        else:
            verdict = "met" if found.met else "missed" if found.goal else ""
            print(
                f"{found.name}: {found.ours_s} s, {found.peer} {found.peer_s} s,"
                f" {found.ratio}x {verdict}{'' if found.answers_equal else ' ANSWERS DIFFER'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
