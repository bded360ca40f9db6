"""Compare thirty checks on five million rows with a bare scan and with common tools.

    python -m bench.gates [--json] [--scale 1.0] [--repeat 3] [--peers NAME] [--history]

There are two Parquet files, generated with a fixed seed: one without faults and one with faults.
Each side of each case runs in a process of its own, which does its imports and validates a small
file before the clock starts. All sides start from the file on disk, and must have the same verdict
on each of the thirty checks. In a bare scan, DuckDB computes the minimum, the maximum and the count
of every column.
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

from bench import gates_meaning, peer_env
from bench.peers import gates_data
from bench.report import Comparison, compare

Run = dict[str, Any]
ROWS, SMALL = 5_000_000, 5_000
MOST_SCAN, MOST_MB, MOST_MEANING = 2.5, 300, 0.05
# Cost of the comparison with earlier batches: greatest multiple of the gate without it, and seconds
# for a batch of a thousand rows.
MOST_COMPARED, MOST_THOUSAND = 1.15, 0.03
PEERS = Path(__file__).with_name("peers")
# Kind of peer -> its forms, of which the fastest counts, and the required ratio.
FORMS = {
    "great expectations": (("great expectations on pandas",), 10.0),
    "soda core": (("soda core on the file", "soda core on a table"), 1.0),
    "pandera": (("pandera on polars", "pandera on pandas"), 1.0),
}
_ARGUMENTS = {
    "soda core on the file": ("soda", "view"),
    "soda core on a table": ("soda", "table"),
    "pandera on polars": ("pandera", "polars"),
    "pandera on pandas": ("pandera", "pandas"),
}


def measure(scale: float = 1.0, repeat: int = 3, peers: str = "") -> Iterator[Comparison]:
    """Yield every comparison, first on the file without faults."""
    rows = int(ROWS * scale)
    with TemporaryDirectory(prefix="gates-") as name:
        folder = Path(name)
        for kind in ("clean", "faulty"):
            files = _write(folder, kind, rows)
            yield from _of_file(f"30 checks, {_number(rows)} rows, {kind}", files, repeat, peers)
    yield from of_history(rows, repeat)
    yield from _of_meaning(max(1, round(gates_meaning.DAYS * min(scale, 1.0))))


def _of_meaning(days: int) -> Iterator[Comparison]:
    """Yield the time that semantic change detection adds to a daily batch, by table."""
    command = [sys.executable, "-m", "bench.gates_meaning", str(days)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    for table, found in json.loads(done.stdout.splitlines()[-1]).items():
        yield compare(
            f"changes of meaning, a day of {table} ({found['rows']:.0f} rows)",
            [found["seconds"]], f"a limit of {MOST_MEANING} s", [MOST_MEANING],
            goal=1.0, answers_equal=True, rss_mb=0,
        )  # fmt: skip


def of_history(rows: int, repeat: int) -> Iterator[Comparison]:
    """Yield the cost of comparing a batch with 14 earlier ones, for `rows` and for 1,000 rows."""
    yield from _compared_with_history(f"{_number(rows)} rows", rows, repeat)
    yield from _compared_with_history("1k rows", 1000, repeat)


def _compared_with_history(size: str, rows: int, repeat: int) -> Iterator[Comparison]:
    name, without = f"ingest of {size}, compared with earlier batches", "the gate alone"
    runs: dict[str, list[Run]] = {"plain": [], "compared": []}
    with TemporaryDirectory(prefix="gates-") as folder:
        history = str(Path(folder) / "history")
        command = [sys.executable, "-m", "bench.gates_history"]
        subprocess.run([*command, "history", history, str(rows)], check=True)
        for _ in range(repeat):
            for side, done in runs.items():
                print(f"{name}: {side}", file=sys.stderr, flush=True)
                arguments = [*command, side, history, str(rows)]
                output = subprocess.run(arguments, stdout=subprocess.PIPE, check=True).stdout
                done.append(json.loads(output.splitlines()[-1]))
    plain, ours = runs["plain"], runs["compared"]
    equal = len({run["verdict"] for run in (*plain, *ours)}) == 1
    cpu, cpu_alone = (min(run["cpu_s"] for run in side) for side in (ours, plain))
    peak, peak_alone = (max(run["rss_mb"] for run in side) for side in (ours, plain))
    if rows == 1000:
        yield compare(
            f"{name}: processor seconds of the comparison", [max(cpu - cpu_alone, 1e-6)],
            f"a limit of {MOST_THOUSAND} s", [MOST_THOUSAND],
            goal=1.0, answers_equal=equal, rss_mb=peak,
        )  # fmt: skip
        return
    yield compare(
        f"{name}: processor seconds", [cpu], without, [cpu_alone],
        goal=1 / MOST_COMPARED, answers_equal=equal, rss_mb=peak,
    )  # fmt: skip
    yield _compared(name, ours, without, plain, None, equal=equal)
    yield compare(
        f"{name}: MB in memory, not seconds", [peak], without, [peak_alone],
        goal=None, answers_equal=equal, rss_mb=peak,
    )  # fmt: skip


def _number(rows: int) -> str:
    return f"{rows / 1e6:g}M" if rows >= 10**6 else f"{rows / 1e3:g}k"


def _write(folder: Path, kind: str, rows: int) -> dict[str, str]:
    """Write the file and a small one like it, each with its checks for the peers."""
    files = {"rows": str(rows)}
    for name, count in (("file", rows), ("small", SMALL)):
        files[name] = str(folder / f"{kind}-{name}.parquet")
        files[f"{name} checks"] = str(folder / f"{kind}-{name}.json")
        gates_data.write(Path(files[name]), count, faulty=kind == "faulty")
        Path(files[f"{name} checks"]).write_text(json.dumps(gates_data.checks(count)))
    return files


def _of_file(name: str, files: dict[str, str], repeat: int, peers: str) -> Iterator[Comparison]:
    sides = ["scan", "ours", "ours writing"]
    forms = [form for kind, (forms, _) in FORMS.items() if peers in kind for form in forms]
    runs: dict[str, list[Run]] = {side: [] for side in (*sides, *forms)}
    for turn in range(repeat):
        for side, done in runs.items():
            if side in sides or turn == 0 or done[0]["seconds"] < 60:
                print(f"{name}: {side}", file=sys.stderr, flush=True)
                done.append(_run(side, files))
    yield from _against_scan(name, runs)
    for kind, (listed, goal) in FORMS.items():
        if peers in kind:
            best = min(listed, key=lambda form: _least(runs[form]))
            for form in listed:
                yield _against(name, runs, form, goal if form == best else None)


def _least(runs: list[Run]) -> float:
    return min(run["seconds"] for run in runs)


def _against_scan(name: str, runs: dict[str, list[Run]]) -> Iterator[Comparison]:
    peak = max(run["rss_mb"] for run in runs["ours"])
    yield _compared(name, runs["ours"], "a scan", runs["scan"], 1 / MOST_SCAN, equal=True)
    scan, ours = ([run["cpu_s"] for run in runs[side]] for side in ("scan", "ours"))
    yield compare(
        f"{name}: processor seconds", [min(ours)], "a scan", [min(scan)],
        goal=None, answers_equal=True, rss_mb=peak,
    )  # fmt: skip
    yield compare(
        f"{name}: MB in memory, not seconds", [peak], f"a limit of {MOST_MB} MB", [MOST_MB],
        goal=1.0, answers_equal=True, rss_mb=peak,
    )  # fmt: skip
    same = runs["ours writing"][0]["verdicts"] == runs["ours"][0]["verdicts"]
    yield _compared(
        f"{name}, its rows written to two files", runs["ours writing"], "a scan", runs["scan"],
        None, equal=same,
    )  # fmt: skip


def _against(name: str, runs: dict[str, list[Run]], form: str, goal: float | None) -> Comparison:
    ours = runs["ours"][0]["verdicts"]
    theirs = runs[form][0]["verdicts"]
    differ = sorted(check for check in ours if theirs.get(check) != ours[check])
    if differ:
        print(f"{name}: {form} differs in {', '.join(differ)}", file=sys.stderr)
    return _compared(name, runs["ours"], form, runs[form], goal, equal=not differ)


def _compared(
    name: str, ours: list[Run], peer: str, theirs: list[Run], goal: float | None, *, equal: bool
) -> Comparison:
    """Compare the minimum times of both sides: other work on the machine only adds to a time."""
    return compare(
        name, [_least(ours)], peer, [_least(theirs)],
        goal=goal, answers_equal=equal, rss_mb=max(run["rss_mb"] for run in ours),
    )  # fmt: skip


def _run(side: str, files: dict[str, str]) -> Run:
    given = [files["file"], files["small"], files["small checks"], files["file checks"]]
    environment = dict(os.environ)
    if side in _ARGUMENTS:
        tool, form = _ARGUMENTS[side]
        command = [str(peer_env.python(tool)), str(PEERS / f"gates_{tool}.py"), form, *given]
        environment = peer_env.environment()
    elif side.startswith("great"):
        command = [sys.executable, "-m", "bench.peers.gates_gx", *given]
    else:
        command = [sys.executable, "-m", "bench.gates_child", side]
        command += [files["file"], files["rows"], files["small"]]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--history", action="store_true", help="only the comparison with history")
    parser.add_argument("--peers", default="", help="only peers with this in their name; or none")
    args = parser.parse_args()
    comparisons = (
        of_history(int(ROWS * args.scale), args.repeat)
        if args.history
        else measure(args.scale, args.repeat, args.peers)
    )
    for found in comparisons:
        if args.json:
            print(found.line(), flush=True)
        else:
            verdict = "met" if found.met else "missed" if found.goal else ""
            differ = "" if found.answers_equal else " ANSWERS DIFFER"
            told = f"{found.name}: {found.ours_s}, {found.peer} {found.peer_s}"
            print(f"{told}, {found.ratio}x {verdict}{differ}", flush=True)


if __name__ == "__main__":
    main()
