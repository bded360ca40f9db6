"""Run one side of `bench.monitoring` in a separate process: SIDE FILE; prints JSON.

Imports and compilation are done before the clock starts.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.child import Family

PIECE = 65_536
SHARES = (0.25, 0.5, 0.75)


def pieces(path: str) -> Iterator[pa.RecordBatch]:
    return pq.ParquetFile(path, pre_buffer=False).iter_batches(PIECE)  # type: ignore[no-any-return]


def main(side: str, path: str) -> None:
    os.environ["HEADRACE_KERNEL"] = "numpy" if side == "numpy" else "compiled"
    from headrace.core.compute import threads
    from headrace.sketches.piecewise import sketch_pieces

    sketch_pieces([next(pieces(path)).slice(0, 1000)])
    if side == "rolled":
        print(json.dumps(rolled(path)))
        return
    held = [pq.read_table(path).combine_chunks()] if side == "memory" else None
    family, start = Family(), time.perf_counter()
    found = {}
    if side == "reading":
        for _ in pieces(path):
            pass
    else:
        found = sketch_pieces(held or pieces(path))
    seconds = time.perf_counter() - start
    cpu, peak = family.stop()
    about = {"seconds": seconds, "cpu_s": cpu, "rss_mb": peak, "threads": threads()}
    answers = {name: answer(one) for name, one in found.items()}
    print(json.dumps({**about, "answers": answers}))


def answer(one: Any) -> dict[str, Any]:
    """Return figures that peers also have; `near` are values a few ranks around each quantile."""
    rows = int(one.rows[0] - one.nulls[0])
    around = [(max(0.0, q - 3 / rows), min(1.0, q + 3 / rows)) for q in SHARES]
    return {
        "nulls": int(one.nulls[0]),
        "distinct": round(one.distinct()),
        "near": [[one.quantile(low), one.quantile(high)] for low, high in around],
        "bounds": list(one.bounds()) if one.kind != "level" else [],
    }


def rolled(path: str) -> dict[str, Any]:
    """Return the seconds of roll-ups of a year of days, each the median of 20."""
    from statistics import median

    from headrace.monitoring.profiles.bins import freeze
    from headrace.monitoring.profiles.profiles import sketch_days

    family = Family()
    table = pq.read_table(path)
    day = np.sort(np.arange(table.num_rows) % 365)
    daily = sketch_days(table, day, table.column_names)
    bins = [freeze(name, one, 28) for name, one in daily.roll(0, 28).items()]
    profiles = daily.binned(bins)
    found: dict[str, Any] = {}
    for what, days in (("week", 7), ("quarter", 91)):
        for part, roll in (("counts on bins", profiles.roll), ("sketches", daily.roll)):
            took = []
            for first in range(0, 200, 10):
                start = time.perf_counter()
                roll(first, first + days)
                took.append(time.perf_counter() - start)
            found[f"{what}, {part}"] = median(took)
    cpu, peak = family.stop()
    return {**found, "cpu_s": cpu, "rss_mb": peak, "threads": 1}


def frame(rows: int, seed: int) -> pa.Table:
    """Return 25 real, 15 integer and 10 text columns; every fifth column has 2% nulls."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for n in range(25):
        kind = n % 5
        if kind == 0:
            values = rng.lognormal(n / 5, 1, rows)
        elif kind == 1:
            values = rng.normal(0, 1 + n, rows)
        elif kind == 2:
            values = np.round(rng.normal(60, 20, rows), 1)
        elif kind == 3:
            values = np.round(rng.gamma(2, 50, rows), 2)
        else:
            values = rng.random(rows)
        columns[f"real_{n}"] = pa.array(values)
    for n in range(15):
        values = (
            rng.poisson(5 * (n + 1), rows) if n % 3 else rng.integers(0, 10 ** (n // 3 + 2), rows)
        )
        columns[f"integer_{n}"] = pa.array(values.astype(np.int64))
    for n in range(10):
        levels = pa.array([f"level {i}" for i in range(3 + n * n * 5)])
        codes = np.minimum(rng.geometric(0.05, rows), len(levels)) - 1
        columns[f"text_{n}"] = pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32)), levels
        )
    for at, name in enumerate(list(columns)):
        if at % 5 == 0:
            there = pa.array(rng.random(rows) >= 0.02)
            columns[name] = pa.compute.if_else(there, columns[name], None)
    return pa.table(columns)


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Write the table piece by piece, since it is larger than the allowed memory."""
    writer = None
    for start in range(0, rows, PIECE):
        piece = frame(min(PIECE, rows - start), seed + start)
        writer = writer or pq.ParquetWriter(
            path,
            piece.schema,
            compression="none",
            use_dictionary=[n for n in piece.schema.names if n.startswith("text")],
        )
        writer.write_table(piece)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
