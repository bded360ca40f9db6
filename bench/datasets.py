"""Compare content hash, diff, ten versions and opening of a dataset with common other tools.

    python -m bench.datasets [--json] [--scale 1.0] [--repeat 3] [--only hash,diff,versions,open]

Each side runs in a process of its own, which does its imports and a small task before the clock
starts. Times are the minimum of the runs, because other work on the machine can only add to them.
Each peer has a line for each of its best tuned forms.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from bench import datasets_data as data
from bench import peer_env
from bench.report import Comparison, compare
from headrace.datasets.store.store import Store

Run = dict[str, Any]
ROWS, WIDE_ROWS, VERSIONED = 10_000_000, 328_000, 1_000_000
MOST_OF_A_WRITE, LEAST_JOINS = 1.6, 10.0
VERSIONS, SHARE = 10, 0.01
PEERS = Path(__file__).with_name("peers")
# (tool, its environment, its forms)
KEEPERS = (
    ("DVC", "dvc", ("file", "files")),
    ("Delta Lake", "delta", ("overwrite", "merge")),
    ("Hugging Face", "hugging_face", ("save_to_disk", "parquet")),
)

_WRITES = {
    "write": "a Parquet write, our settings",
    "write by default": "a Parquet write, pyarrow's defaults",
}


def measure(
    scale: float = 1.0, repeat: int = 3, only: str = "hash,diff,versions,open"
) -> Iterator[Comparison]:
    """Yield every comparison."""
    for name, part in (("hash", _hash), ("diff", _diff), ("versions", _versions), ("open", _open)):
        if name in only.split(","):
            yield from part(scale, repeat)


# Hash


def _hash(scale: float, repeat: int) -> Iterator[Comparison]:
    rows, wide = int(ROWS * scale), int(WIDE_ROWS * scale)
    for name, make in (
        (f"hash, {_number(rows)} rows x 19 columns", lambda: data.frame(rows)),
        (f"hash, {_number(wide)} rows x 87 columns", lambda: _wide(wide)),
    ):
        with TemporaryDirectory(prefix="datasets-") as folder:
            path = Path(folder) / "table.arrow"
            _write(path, make())
            yield from _of_table(name, path, repeat)


def _of_table(name: str, path: Path, repeat: int) -> Iterator[Comparison]:
    sides = ("hash", "hash in plain Python", "write", "write by default")
    runs = _in_turn(name, {side: [side, str(path)] for side in sides}, repeat)
    hashes = {run["answer"] for side in sides[:2] for run in runs[side]}
    for side, said in zip(sides[:2], ("", ", without numba"), strict=True):
        for peer, called in _WRITES.items():
            goal = 1 / MOST_OF_A_WRITE
            yield _compared(f"{name}{said}", runs[side], called, runs[peer], goal,
                            equal=len(hashes) == 1)  # fmt: skip


def _wide(rows: int) -> pa.Table:
    """Return a table like a training set: mostly numbers, a fifth of them null."""
    rng = np.random.default_rng(1)
    table = data.frame(rows)
    for n in range(68):
        values = rng.normal(size=rows).round(3) if n % 3 else rng.integers(0, 400, rows)
        table = table.append_column(f"x{n}", pa.array(values, mask=rng.random(rows) < 0.2))
    return table


# Diff


def _diff(scale: float, repeat: int) -> Iterator[Comparison]:
    rows = int(ROWS * scale)
    with TemporaryDirectory(prefix="datasets-") as folder:
        store = Store.find(folder)
        cases = _put_versions(store, rows)
        for version, (case, goal) in cases.items():
            name = f"diff, {_number(rows)} rows x 20 columns, {case}"
            sides = ("diff", "diff with distributions", "join", "join of hashes")
            commands = {side: [side, folder, "1.0.0", version] for side in sides}
            # Keep the cache between the runs, as it is kept for users.
            runs = _in_turn(name, commands, repeat, {"HEADRACE_CACHE": f"{folder}/cache"})
            best = min(sides[2:], key=lambda side: _least(runs[side]))
            for ours, told in ((sides[0], name), (sides[1], f"{name}, distributions too")):
                for peer in sides[2:] if ours == "diff" else [best]:
                    equal = runs[ours][0]["answer"] == runs[peer][0]["answer"]
                    limit = goal if (ours, peer) == ("diff", best) else None
                    called = f"DuckDB, full outer {peer}"
                    yield _compared(told, runs[ours], called, runs[peer], limit, equal=equal)


def _put_versions(store: Store, rows: int) -> dict[str, tuple[str, float | None]]:
    """Store a first version, and versions that change 1% of the files, all files, or add a column.

    Returns:
        {version: (name of the change, goal)} of the later versions.
    """
    table = data.frame(rows)
    first = data.put(store, "1.0.0", table)
    parts = first.splits["train"].parts
    count = sum(len(split.parts) for split in first.splits.values())
    files = max(1, round(count / 100))
    begins = [part.first[1] for part in parts[-files:]]
    places = np.concatenate([np.arange(at + 100, at + 1_100) for at in begins])
    edited = data.corrected(table, places, 1)
    gone = np.isin(np.arange(rows), places[:10])
    data.put(store, "1.0.1", edited.filter(pa.array(~gone)))
    data.put(store, "1.0.2", data.corrected(table, np.arange(7, rows, 1_000), 1))
    data.put(store, "1.0.3", edited.append_column("more", pa.array(np.arange(rows) % 7)))
    small = data.frame(5_000)
    data.put(store, "0.0.1", small)
    data.put(store, "0.0.2", data.corrected(small, np.arange(10), 1))
    return {
        "1.0.1": (f"{files} of {count} files differ", LEAST_JOINS),
        "1.0.2": ("all files differ", None),
        "1.0.3": ("a column was added", None),
    }


# Ten versions


def _versions(scale: float, repeat: int) -> Iterator[Comparison]:
    rows = int(VERSIONED * scale)
    for case, places in (("clustered", data.clustered), ("scattered", data.scattered)):
        with TemporaryDirectory(prefix="datasets-") as folder:
            _write_versions(Path(folder), rows, places)
            name = f"ten versions, {_number(rows)} rows, 1% changed, {case}"
            yield from _kept(name, Path(folder), repeat)


def _write_versions(folder: Path, rows: int, places: Any) -> None:
    table = data.frame(rows)
    _write(folder / "1.arrow", table)
    for n in range(2, VERSIONS + 1):
        found = places(rows, SHARE, n)
        table = data.corrected(table, found, n)
        _write(folder / f"{n}.arrow", table)
        _write(folder / f"{n}.changed.arrow", table.take(pa.array(found)))
    order = np.random.default_rng(1).permutation(rows)
    _write(folder / "resorted.arrow", table.take(pa.array(order)))


def _kept(name: str, folder: Path, repeat: int) -> Iterator[Comparison]:
    ours = _keep(name, "ours", "", "", folder, repeat)
    for tool, environment, forms in KEEPERS:
        for form in forms:
            peer, theirs = f"{tool}, {form}", _keep(name, tool, environment, form, folder, repeat)
            equal = ours[0]["answers"] == theirs[0]["answers"]
            rss = max(run["rss_mb"] for run in ours)
            for what, key in (
                (name, "seconds"),
                (f"{name}: MB stored, not seconds", "mb"),
                (f"{name}: then the same rows in another order", "again_seconds"),
                (f"{name}: MB of that, not seconds", "again_mb"),
            ):
                # Replace 0 by 0.01: a ratio needs a number above 0.
                mine, other = ([max(0.01, run[key]) for run in runs] for runs in (ours, theirs))
                yield compare(what, [min(mine)], peer, [min(other)], goal=None,
                              answers_equal=equal, rss_mb=rss)  # fmt: skip


def _keep(
    name: str, tool: str, environment: str, form: str, folder: Path, repeat: int
) -> list[Run]:
    print(f"{name}: {tool} {form}", file=sys.stderr, flush=True)
    found = []
    for _ in range(repeat):
        with TemporaryDirectory(prefix="datasets-") as work:
            variables = dict(os.environ)
            command = [sys.executable, "-m", "bench.datasets_ours", "ours"]
            if environment:
                script = PEERS / f"datasets_{environment}.py"
                command = [str(peer_env.python(environment)), str(script), form]
                variables = {**peer_env.environment(), "DVC_NO_ANALYTICS": "1",
                             "HF_HOME": f"{work}/.hugging_face", "HF_HUB_OFFLINE": "1"}  # fmt: skip
            found.append(_run([*command, str(folder), work], variables))
    return found


# Open


def _open(scale: float, repeat: int) -> Iterator[Comparison]:
    if find_spec("bench.datasets_open") is None:
        return
    from bench import datasets_open

    yield from datasets_open.measure(scale, repeat)


# Running


def _in_turn(
    name: str, sides: dict[str, list[str]], repeat: int, variables: dict[str, str] | None = None
) -> dict[str, list[Run]]:
    environment = {**os.environ, **(variables or {})}
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(repeat):
        for side, given in sides.items():
            print(f"{name}: {side}", file=sys.stderr, flush=True)
            command = [sys.executable, "-m", "bench.datasets_child", *given]
            runs[side].append(_run(command, environment))
    return runs


def _run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def _compared(
    name: str, ours: list[Run], peer: str, theirs: list[Run], goal: float | None, *, equal: bool
) -> Comparison:
    """Compare the minimum times of both sides."""
    return compare(
        name, [_least(ours)], peer, [_least(theirs)],
        goal=goal, answers_equal=equal, rss_mb=max(run["rss_mb"] for run in ours),
    )  # fmt: skip


def _least(runs: list[Run]) -> float:
    return min(run["seconds"] for run in runs)


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as handle, pa.ipc.new_file(handle, table.schema) as file:
        file.write_table(table)


def _number(rows: int) -> str:
    return f"{rows / 1e6:g}M" if rows >= 10**6 else f"{rows / 1e3:g}k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor for the number of rows; 0.01 is quick"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="hash,diff,versions,open")
    args = parser.parse_args()
    for found in measure(args.scale, args.repeat, args.only):
        if args.json:
            print(found.line(), flush=True)
        else:
            verdict = "met" if found.met else "missed" if found.goal else ""
            differ = "" if found.answers_equal else " ANSWERS DIFFER"
            told = f"{found.name}: {found.ours_s}, {found.peer} {found.peer_s}"
            print(f"{told}, {found.ratio}x {verdict}{differ}, {found.rss_mb} MB", flush=True)


if __name__ == "__main__":
    main()
