"""Measure the cost of profiles: ten million rows of fifty columns, Evidently's summary, a roll-up.

    python -m bench.monitoring [--json] [--scale 1.0] [--repeat 3] [--only NAME] [--cpu]

Each side runs in a process of its own, which does its imports before the clock starts. The long
table is read piece by piece from uncompressed Parquet while the clock runs, on two cores. In the
comparison with Evidently, both sides have the same rows in memory. `--cpu` measures processor time
divided by the number of threads instead of wall time, for a machine that is busy with other work.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from bench import monitoring_child, peer_env
from bench.report import Comparison, compare

Run = dict[str, Any]
ROWS = 10_000_000
LIMIT_US, LIMIT_MB, LIMIT_ROLL = 1.0, 1000, 0.01
EVIDENTLY = (100_000, 500_000)
TIMES = 100
ERROR = 1e-3  # relative error of a quantile: see headrace.sketches.histogram_cells


def measure(
    scale: float = 1.0, repeat: int = 3, only: str = "", *, cpu: bool = False
) -> Iterator[Comparison]:
    """Yield comparisons: profiles of a long table, then Evidently, then roll-ups."""
    key = "cpu_s" if cpu else "seconds"
    with TemporaryDirectory(prefix="profiles-") as name:
        folder = Path(name)
        for tell in (_long, _evidently, _rolled):
            if only in tell.__name__:
                yield from tell(folder, scale, repeat, key)


def _long(folder: Path, scale: float, repeat: int, key: str) -> Iterator[Comparison]:
    rows = int(ROWS * scale)
    path = folder / "long.parquet"
    monitoring_child.write(path, rows)
    sides = ("compiled", "numpy", "reading")
    runs = {side: [_child(side, path, key) for _ in range(repeat)] for side in sides}
    path.unlink()
    compiled, numpy = runs["compiled"], runs["numpy"]
    equal = compiled[0]["answers"] == numpy[0]["answers"]
    told = f"profiles of {rows / 1e6:g}M rows x 50 columns"
    limit = LIMIT_US * rows / 1e6
    for side, goal in (("compiled", 1.0), ("numpy", None), ("reading", None)):
        called = {"compiled": told, "numpy": f"{told}, without numba",
                  "reading": f"{told}, reading alone"}[side]  # fmt: skip
        yield _line(
            called, runs[side], f"a limit of {LIMIT_US:g} us a row", limit, key, goal, equal
        )
    peak = max(run["rss_mb"] for run in compiled + numpy)
    yield compare(
        f"{told}, MB", [peak], f"a limit of {LIMIT_MB} MB", [LIMIT_MB],
        goal=1.0, answers_equal=equal, rss_mb=peak,
    )  # fmt: skip


def _evidently(folder: Path, scale: float, repeat: int, key: str) -> Iterator[Comparison]:
    interpreter = peer_env.python("evidently")
    script = Path(__file__).with_name("peers") / "monitoring_evidently_summary.py"
    for rows in EVIDENTLY:
        size = max(int(rows * scale), 1000)
        path = folder / "same.parquet"
        monitoring_child.write(path, size)
        ours = [_child("memory", path, key) for _ in range(repeat)]
        print(f"monitoring: evidently, {size} rows", file=sys.stderr, flush=True)
        done = subprocess.run(
            [str(interpreter), str(script), str(path)],
            stdout=subprocess.PIPE, check=True, env=peer_env.environment(),
        )  # fmt: skip
        theirs = json.loads(done.stdout.splitlines()[-1])
        equal = _agree(ours[0]["answers"], theirs["answers"], size)
        yield _line(
            f"summary of {size / 1e3:g}k rows x 50 columns in memory", ours,
            "evidently DataSummaryPreset", theirs[key], key, float(TIMES), equal,
        )  # fmt: skip


def _agree(ours: dict[str, Any], theirs: dict[str, Any], rows: int) -> bool:
    """Compare nulls, minimum and maximum exactly, and quantiles up to a cell and a few ranks."""
    for name, found in theirs.items():
        own = ours[name]
        if found.get("nulls", own["nulls"]) != own["nulls"]:
            return False
        if not own["bounds"]:
            continue
        if [found["MinValue"], found["MaxValue"]] != own["bounds"]:
            return False
        for share, near in zip(monitoring_child.SHARES, own["near"], strict=True):
            low, high = near  # a few ranks on either side: libraries place a quantile differently
            value = found.get(str(share))
            if (
                value is not None
                and not low - abs(low) * ERROR <= value <= high + abs(high) * ERROR
            ):
                return False
    return rows > 0


def _rolled(folder: Path, scale: float, repeat: int, key: str) -> Iterator[Comparison]:
    """Time roll-ups of a year of daily profiles of a thousand rows each; no rows are read."""
    path = folder / "year.parquet"
    monitoring_child.write(path, max(int(365_000 * scale), 3650))
    runs = [_child("rolled", path, key) for _ in range(repeat)]
    for what in ("week", "quarter"):
        for part in ("counts on bins", "sketches"):
            took = [run[f"{what}, {part}"] for run in runs]
            goal = 1.0 if part == "counts on bins" else None
            yield compare(
                f"roll-up of a {what} of 50 columns, {part}", [median(took)],
                f"a limit of {LIMIT_ROLL} s", [LIMIT_ROLL],
                goal=goal, answers_equal=True, rss_mb=runs[0]["rss_mb"],
            )  # fmt: skip


def _child(side: str, path: Path, key: str) -> Run:
    rows = pq.read_metadata(path).num_rows
    print(f"monitoring: {side}, {rows} rows", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "bench.monitoring_child", side, str(path)],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    run: Run = json.loads(done.stdout.splitlines()[-1])
    if key == "cpu_s":
        run["cpu_s"] /= run["threads"]
    return run


def _line(
    name: str, ours: list[Run], peer: str, theirs: float, key: str, goal: float | None, equal: bool
) -> Comparison:
    return compare(
        name, [run[key] for run in ours], peer, [theirs],
        goal=goal, answers_equal=equal, rss_mb=max(run["rss_mb"] for run in ours),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="long, evidently or rolled")
    parser.add_argument("--cpu", action="store_true", help="processor time divided by threads")
    args = parser.parse_args()
    for found in measure(args.scale, args.repeat, args.only, cpu=args.cpu):
        if args.json:
            print(found.line(), flush=True)
        else:
            verdict = "met" if found.met else "missed" if found.goal else ""
            told = f"{found.name}: {found.ours_s}, {found.peer} {found.peer_s}"
            differ = "" if found.answers_equal else " ANSWERS DIFFER"
            print(f"{told}, {found.ratio}x {verdict}{differ}", flush=True)


if __name__ == "__main__":
    main()
