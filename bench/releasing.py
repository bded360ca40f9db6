"""Measure memory and time of a release: `python -m bench.releasing --rows 10_000_000`.

A frame with this number of rows and twenty columns besides its key is released into a new folder.
Then every thousandth row of its last tenth is changed, and the frame is released again.
"""

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from headrace.core.clock import HOUR, parse_iso
from headrace.datasets import DatasetSpec, InputTable, TimeSplits, release
from headrace.datasets.store.store import Store
from headrace.datasets.store.verify import verify
from headrace.features.spec import Label

SPEC = DatasetSpec(
    name="wide",
    key=("row",),
    label=Label("late", table="rows", key=("row",), columns=("late",), horizon="1h", settle="0h"),
    splits=TimeSplits("2013-09-01", "2013-11-01", "2014-01-01"),
    cutoff="2014-02-01",
    purpose="training",
)
INPUTS = {
    "rows": InputTable(
        snapshot_id=1,
        contract_version="1.0.0",
        contract_hash="0" * 64,
        licence="CC0-1.0",
        purposes=("training",),
    )
}


def frame(rows: int) -> pa.Table:
    """Return `t`, an int64 key, 14 floats, 4 integers, a text of few values and a label."""
    rng = np.random.default_rng(7)
    first, last = parse_iso("2013-01-01"), parse_iso("2014-01-01")
    t = np.sort(rng.integers(first // HOUR, last // HOUR, rows)) * HOUR
    floats = {f"view__f{n}": pa.array(rng.normal(size=rows)) for n in range(14)}
    whole = {f"view__n{n}": pa.array(rng.integers(0, 1_000, rows)) for n in range(4)}
    text = pa.array(["AA", "B6", "UA", "WN"]).take(pa.array(rng.integers(0, 4, rows)))
    return pa.table(
        {
            "row": pa.array(np.arange(rows)),
            "t": pa.array(t),
            **floats,
            **whole,
            "view__carrier": text,
            "late": pa.array(rng.integers(0, 2, rows)),
            "label_reason": pa.nulls(rows, pa.string()),
        }
    )


def changed(table: pa.Table) -> pa.Table:
    """Change a value in every thousandth row of the last tenth."""
    values = table["view__f0"].to_numpy().copy()
    values[-(len(values) // 10) :: 1_000] += 1.0
    return table.set_column(table.column_names.index("view__f0"), "view__f0", pa.array(values))


def resident() -> int:
    """Return the resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Peak:
    """Peak of the resident memory within a `with` block, sampled a hundred times a second."""

    def __enter__(self) -> Self:
        self.before = self.most = resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, resident())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def measured(rows: int, folder: Path) -> dict[str, object]:
    table = frame(rows)
    given = {
        "inputs": INPUTS, "definitions": {"view": "1" * 64}, "mode": "declared",
        "code_revision": "", "store": folder,
    }  # fmt: skip
    found: dict[str, object] = {"rows": rows, "columns": 20, "frame_bytes": table.nbytes}
    for name, one in (("first", table), ("second", changed(table))):
        size = sum(entry.size for entry in Store(folder).storage.walk(""))
        start = time.perf_counter()
        with Peak() as peak:
            manifest = release(SPEC, one, **given)
        found[name] = {
            "seconds": round(time.perf_counter() - start, 2),
            "memory_beyond_the_frame": peak.most - peak.before,
            "of_the_frame": round((peak.most - peak.before) / table.nbytes, 2),
            "parts": sum(len(split.parts) for split in manifest.splits.values()),
            "stored_bytes": sum(e.size for e in Store(folder).storage.walk("")) - size,
        }
    del table, one
    start = time.perf_counter()
    with Peak() as peak:
        ok = verify(Store(folder), manifest).ok
    found["verify"] = {
        "ok": ok,
        "seconds": round(time.perf_counter() - start, 2),
        "memory": peak.most - peak.before,
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(parser.parse_args().rows, Path(folder))
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
