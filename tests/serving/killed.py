"""Appends answers one by one, and says the number of each that is on disk, until it is killed."""

import sys
from pathlib import Path

import pyarrow as pa

from headrace.serving import Entry, ServedLog, Vector


def vector(number: int) -> Vector:
    row = pa.table({"trip": [number], "t": [number], "x": [number / 7]})
    return Vector(row, ("trip",), ("x",), {"arrivals": 1}, "d")


if __name__ == "__main__":
    log = ServedLog(Path(sys.argv[1]))
    for number in range(1_000_000):
        log.append([Entry(vector(number))])
        print(number, flush=True)  # noqa: T201
