"""Run the gate of `bench.gates` on one day of orders, with or without the days before it.

    python -m bench.gates_history history FILE ROWS
    python -m bench.gates_history plain|compared FILE ROWS

The first form writes the profiles of `DAYS` daily batches of ROWS orders to FILE. The second form
validates the next day as an ingest does (parse, contract, thirty checks, staged rows); `compared`
also makes the batch's profile and compares it with those in FILE. It prints JSON: seconds,
processor seconds, memory at its greatest, the verdict and the findings.
"""

import json
import resource
import sys
import time
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.gates_child import CONTRACT, Answer
from bench.peers import gates_data
from headrace.contracts import Contract, conform, load_contract
from headrace.contracts.drift import Baseline, examine, from_bytes, glance_at, to_bytes
from headrace.core.home import Home
from headrace.gates import Judgement, Suite, parse_suite
from headrace.lake.ingest.validator import BatchValidator, delivered_rows
from headrace.sources.base import Delivery

DAYS, DAY_US = 14, 86_400_000_000
_FIRST = np.datetime64("2024-03-01", "us")


class _WithoutHistory(BatchValidator):
    """Validator that does not prepare the comparison with earlier batches."""

    def _glance(self, *args: object) -> tuple[None, Judgement]:
        judgement = args[-1]
        assert isinstance(judgement, Judgement)
        return None, judgement


@cache
def _contract() -> Contract:
    return load_contract(CONTRACT)


def _suite(rows: int) -> Suite:
    document = gates_data.suite_document(rows)
    for expectation in document["expectations"]:
        if expectation["meta"]["id"] == "id_range":  # ids go on from day to day
            expectation["kwargs"]["max_value"] = 10**12
    return parse_suite(document)


def delivery(day: int, rows: int) -> Delivery:
    """Return the Parquet file with the orders of one day, which come at even intervals."""
    start = (_FIRST + day * DAY_US).astype(np.int64)
    chance = np.random.default_rng(day)
    file = BytesIO()
    writer = None
    for first in range(0, rows, gates_data.PIECE):
        count = min(gates_data.PIECE, rows - first)
        table = gates_data.orders(chance, day * rows + first, count, faulty=False)
        ordered = start + (first + np.arange(count)) * DAY_US // rows
        later = pa.array(ordered - table["ordered_at"].cast(pa.int64()).to_numpy())
        for name in ("ordered_at", "paid_at"):
            moved = pc.add(table[name].cast(pa.int64()), later)
            at = table.column_names.index(name)
            table = table.set_column(at, name, moved.cast(pa.timestamp("us", "UTC")))
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
    slot = str((_FIRST + day * DAY_US).astype("datetime64[D]"))
    return Delivery("orders", slot, file.getvalue(), "parquet", "bench", 0, slot)


def write_history(path: Path, rows: int) -> None:
    """Write the profiles of the days before, each with its marks, to one file."""
    reference = Baseline()
    with path.open("wb") as file:
        for day in range(DAYS):
            delivered = delivery(day, rows)
            parsed = delivered_rows(_contract(), delivered)
            conformed = conform(_contract(), parsed, delivered.batch_id)
            glance = glance_at(_contract(), parsed, conformed, delivered.slot)
            seen = examine(glance.look(_contract()), reference, glance.text)
            profile = replace(glance.profile, marks=seen.marks)
            reference.add(profile)
            data = to_bytes(profile)
            file.write(len(data).to_bytes(8, "big") + data)


def read_history(path: Path) -> Baseline:
    reference = Baseline()
    with path.open("rb") as file:
        while size := file.read(8):
            reference.add(from_bytes(file.read(int.from_bytes(size, "big"))))
    return reference


def validate(side: str, reference: Baseline, rows: int, delivered: Delivery) -> Answer:
    """Validate the delivery; return its verdict and findings."""
    kind = BatchValidator if side == "compared" else _WithoutHistory
    with TemporaryDirectory(prefix="gates-") as folder:
        validator = kind(_contract(), _suite(rows), "bench", Home(Path(folder)))
        batch = validator.judge(delivered)
        row = batch.row
        if side == "compared":
            assert batch.glance is not None
            row = validator.weigh(row, batch.glance, reference).row
    results = json.loads(row.judgement)["results"]
    kinds = [r["type"] for r in results if r["kind"] == "semantic"]
    return {"verdict": row.verdict, "findings": kinds}


def main(side: str, path: str, rows: str) -> None:
    if side == "history":
        write_history(Path(path), int(rows))
        return
    reference = read_history(Path(path))
    delivered = delivery(DAYS, int(rows))
    validate(side, Baseline(), 1000, delivery(DAYS, 1000))  # imports and caches
    before, start = time.process_time(), time.perf_counter()
    answer = validate(side, reference, int(rows), delivered)
    seconds, cpu = time.perf_counter() - start, time.process_time() - before
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "rss_mb": rss, **answer}))


if __name__ == "__main__":
    main(*sys.argv[1:])
