"""Run one side in a separate process: `python -m bench.child SIDE FOLDER URL OUT`; prints JSON.

Imports are done before the clock starts. The frame of all flights (`OUT/frame.arrow`), which only
serves to compare the answers, is made after the clock has stopped.
"""

import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Event, Thread

import pyarrow.feather

SIDES = {
    "polars": "bench.peers.polars_year",
    "duckdb": "bench.peers.duckdb_year",
    "shortest": "bench.peers.shortest_year",
    "ours": "bench.ours",
    "dagster": "bench.ours_dagster",
    "one more day": "bench.ours_day",
}


def main(side: str, folder: str, url: str, out: str) -> None:
    module = import_module(SIDES[side])
    family = Family()
    start = time.perf_counter()
    result = module.work(Path(folder), url, Path(out))
    seconds = time.perf_counter() - start
    cpu, peak = family.stop()
    frame = result.frame()
    if frame is not None:
        pyarrow.feather.write_feather(frame, f"{out}/frame.arrow", compression="uncompressed")
    about = {"side": side, "seconds": seconds, "cpu_s": cpu, "rss_mb": peak}
    print(json.dumps({**about, "breakdown": result.breakdown, "losses": result.losses}))


class Family(Thread):
    """Thread that measures the memory and processor time of this process and its children.

    It takes a sample ten times a second. The peak of this process alone is known exactly, and is a
    lower bound.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen = 0
        self._cpu: dict[str, float] = {}
        self._before = time.process_time()
        self._over = Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.1):
            pids = ["self", *children()]
            self._seen = max(self._seen, sum(map(resident, pids)))
            self._cpu |= {pid: max(busy(pid), self._cpu.get(pid, 0.0)) for pid in pids[1:]}

    def stop(self) -> tuple[float, float]:
        """Stop, and return the seconds of processor time and the peak memory in MB."""
        own = time.process_time() - self._before
        self._over.set()
        self.join()
        status = Path("/proc/self/status").read_text()
        alone = int(status.split("VmHWM:")[1].split()[0]) * 1024
        return own + sum(self._cpu.values()), max(alone, self._seen) / 2**20


def children() -> list[str]:
    """Return the process ids of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [pid for task in tasks for pid in task.read_text().split()]


def resident(pid: str) -> int:
    """Return the resident memory of a process in bytes; 0 if the process has ended."""
    fields = read(pid, "statm")
    return int(fields[1]) * resource.getpagesize() if fields else 0


def busy(pid: str) -> float:
    """Return the seconds of processor time of a process; 0 if the process has ended."""
    fields = read(pid, "stat")
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def read(pid: str, name: str) -> list[str]:
    try:
        return Path("/proc", pid, name).read_text().split()
    except OSError:
        return []


if __name__ == "__main__":
    main(*sys.argv[1:])
