"""Compare the year from deliveries to model with scripts written by hand for the same duties.

    python -m bench.year [--json] [--repeat 3] [--no-extras]

Both sides read the same deliveries, which a feed in a separate process serves. The sides take
turns; each run is a process of its own with an empty home, and imports are not timed. The peer is
the faster of a Polars and a DuckDB script (`bench/peers`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isclose, nan
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.feather

from bench.answers import differences
from bench.report import Comparison, alternating, compare
from headrace.core.home import default_root

NAME = "year from deliveries to model"
GOAL = 1 / 3
PEERS = ("polars", "duckdb")
# Maximum ratio of runs of one side; it is at most 1.1 on a machine that does nothing else.
STEADY = 1.3
Run = dict[str, Any]


@dataclass
class Year:
    """Results of the benchmark."""

    comparisons: list[Comparison]
    runs: dict[str, list[Run]]
    differences: dict[str, list[str]] = field(default_factory=dict)
    columns: int = 0

    def best(self, side: str) -> Run:
        """Return the fastest run, which other work disturbed least."""
        return min(self.runs[side], key=lambda run: run["seconds"])

    def spread(self, peer: str) -> float:
        """Return the ratio of the slowest to the fastest run, the greater one of both sides."""
        sides = [[run["seconds"] for run in self.runs[side]] for side in ("ours", peer)]
        return max(max(seconds) / min(seconds) for seconds in sides)

    def disturbed(self, peer: str) -> bool:
        """Return True if other work on the machine may have distorted the ratio."""
        return self.spread(peer) > STEADY

    def rounds(self, peer: str) -> list[float]:
        """Return the ratio of each round, whose runs are equally disturbed by other work."""
        pairs = zip(self.runs["ours"], self.runs[peer], strict=True)
        return [theirs["seconds"] / ours["seconds"] for ours, theirs in pairs]


def measure(repeat: int = 3, *, extras: bool = True) -> Year:
    """Run every side `repeat` times; with `extras` also the event log and one more day, once."""
    folder = deliveries()
    with feed(folder) as url, TemporaryDirectory(prefix="year-", dir=folder.parent) as work:
        bench = Bench(folder, url, Path(work))
        sides = ("ours", *PEERS, "shortest")
        runs = alternating({side: bench.side(side) for side in sides}, repeat)
        for side in ("dagster", "one more day") if extras else ():
            runs[side] = [bench.run(side)]
    found = judged(runs, bench.differences)
    found.columns = bench.columns
    return found


def judged(runs: dict[str, list[Run]], differing: dict[str, list[str]]) -> Year:
    seconds = {side: [run["seconds"] for run in done] for side, done in runs.items()}
    best = min(PEERS, key=lambda side: median(seconds[side]))
    memory = max(run["rss_mb"] for run in runs["ours"])

    def without(side: str, *parts: str) -> list[float]:
        spent = (run["breakdown"] for run in runs[side])
        left_out = (sum(one.get(part, 0.0) for part in parts) for one in spent)
        return [whole - out for whole, out in zip(seconds[side], left_out, strict=True)]

    def against(
        what: str, peer: str, goal: float | None, *ours: str, theirs: str = ""
    ) -> Comparison:
        return compare(
            NAME + what,
            without("ours", *ours),
            peer,
            without(peer, theirs),
            goal=goal,
            answers_equal=differing.get(peer) == [],  # not compared is not equal
            rss_mb=memory,
        )

    comparisons = [
        # Compare up to the model: no peer has monitors.
        against("", best, GOAL, "monitors"),
        against(", our monitors included", best, None),
        against(
            ", the same training left out", best, None, "monitors", "training", theirs="training"
        ),
        *(against("", side, None, "monitors") for side in PEERS if side != best),
        against(", peer without the duties", "shortest", None, "monitors"),
    ]
    return Year(comparisons, runs, differing)


@dataclass
class Bench:
    """Runner of the sides, with deliveries, their feed, and a work folder."""

    folder: Path
    url: str
    work: Path
    differences: dict[str, list[str]] = field(default_factory=dict)
    columns: int = 0
    losses: dict[str, float] = field(default_factory=dict)

    def side(self, name: str) -> "Any":  # a function for `alternating`
        return lambda: self.run(name)

    def run(self, side: str) -> Run:
        """Run a side in a separate process, compare its answer with ours, and remove its files."""
        out = self.work / side.replace(" ", "_")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        environment = {
            **os.environ,
            "HEADRACE_HOME": str(out / "home"),
            "FLIGHTS_DELIVERIES": str(self.folder),
            "FLIGHTS_FEED_URL": self.url,
        }
        environment.pop("HEADRACE_STORE", None)
        command = [sys.executable, "-m", "bench.child", side, str(self.folder), self.url, str(out)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        found: Run = json.loads(done.stdout.splitlines()[-1])
        if (out / "frame.arrow").exists():
            self._compare(side, out / "frame.arrow", found["losses"])
        shutil.rmtree(out)
        return found

    def _compare(self, side: str, answer: Path, losses: dict[str, float]) -> None:
        """Keep our answer; compare frame and models of every other run with it."""
        kept = self.work / "ours.arrow"
        if side == "ours":
            answer.replace(kept)
            self.losses = losses
            return
        ours, theirs = (pyarrow.feather.read_table(path) for path in (kept, answer))
        self.columns = ours.num_columns
        found = self.differences.setdefault(side, [])
        found += differences(ours, theirs)
        found += [
            f"log loss of the {name}: {losses.get(name)} against {ours_}"
            for name, ours_ in self.losses.items()
            if not isclose(losses.get(name, nan), ours_, rel_tol=1e-9)
        ]


def deliveries() -> Path:
    """Return the folder of the benchmark's own deliveries, which are made once."""
    from demo.flights import make_deliveries

    folder = default_root() / "bench" / "deliveries"
    make_deliveries(folder)
    return folder


@contextmanager
def feed(folder: Path) -> Iterator[str]:
    """Serve the feed in a separate process, and yield its URL."""
    command = [sys.executable, "-m", "demo.flights.server"]
    command += ["--folder", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def told(year: Year) -> str:
    """Return the breakdown as text."""
    lines = []
    for side, runs in year.runs.items():
        chosen = year.best(side)
        spread = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        cpu, peak = chosen["cpu_s"], max(run["rss_mb"] for run in runs)
        lines.append(f"{side}: {spread} s ({cpu:.1f} s of processor time), at most {peak:.0f} MB")
        lines += [f"    {spent:9.2f}  {what}" for what, spent in chosen["breakdown"].items()]
        if chosen["losses"]:
            shown = ", ".join(f"{name} {loss:.6f}" for name, loss in chosen["losses"].items())
            lines.append(f"    log loss on the test weeks: {shown}")
    for peer in PEERS:
        shown = ", ".join(f"{ratio:.3f}" for ratio in year.rounds(peer))
        lines.append(f"ratio to {peer} round by round: {shown}")
    lines += warnings(year)
    lines += [f"{side} differs: {text}" for side, all_ in year.differences.items() for text in all_]
    return "\n".join(lines)


def warnings(year: Year) -> list[str]:
    """Return a warning if other work on the machine may have distorted the ratios."""
    peer = year.comparisons[0].peer
    if not year.disturbed(peer):
        return []
    spread = f"runs of one side differ {year.spread(peer):.1f}-fold"
    advice = "Run it again on a machine that does nothing else."
    return [f"The machine was busy with other work ({spread}): do not use these ratios. {advice}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the reference year with scripts.")
    parser.add_argument("--json", action="store_true", help="only the JSON lines")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side (3)")
    parser.add_argument("--no-extras", action="store_true", help="skip event log and one more day")
    options = parser.parse_args()
    year = measure(options.repeat, extras=not (options.no_extras or options.json))
    if not options.json:
        print(told(year))
    else:
        print(*warnings(year), sep="\n", end="", file=sys.stderr)
    for comparison in year.comparisons:
        print(comparison.line())


if __name__ == "__main__":
    main()
