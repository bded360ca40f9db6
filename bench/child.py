"""One side in a process of its own: `python -m bench.child SIDE FOLDER URL OUT`; prints JSON.

Imports are done before the clock starts. What is only there to compare the answers, the frame of
all flights in `OUT/frame.arrow`, is made after it has stopped.
"""

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

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
    start, cpu = time.perf_counter(), time.process_time()
    result = module.work(Path(folder), url, Path(out))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    frame = result.frame()
    if frame is not None:
        pyarrow.feather.write_feather(frame, f"{out}/frame.arrow", compression="uncompressed")
    about = {"side": side, "seconds": seconds, "cpu_s": cpu, "rss_mb": peak}
    print(json.dumps({**about, "breakdown": result.breakdown, "losses": result.losses}))


if __name__ == "__main__":
    main(*sys.argv[1:])
