"""Orders to validate, generated with a fixed seed, and the thirty checks that every side runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

PIECE = 122_880  # rows of a row group, as DuckDB writes them
START = 1_600_000_000_000_000  # September 2020
SUITE = Path(__file__).parents[1] / "gates_suite.yaml"
TOWNS = [f"town{number:03}" for number in range(300)]
STATUS = ["open", "paid", "sent", "gone", "lost"]
# In a faulty file, one row in this many violates each of the rules that rows can violate.
ONE_IN = 2_000


def write(path: Path, rows: int, *, faulty: bool) -> None:
    """Write `rows` orders; in a faulty file some violate a range, set, pattern, order or key."""
    chance = np.random.default_rng(20)
    writer = None
    for first in range(0, rows, PIECE):
        table = orders(chance, first, min(PIECE, rows - first), faulty=faulty)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def orders(chance: np.random.Generator, first: int, rows: int, *, faulty: bool) -> pa.Table:
    def some() -> np.ndarray:
        return (chance.random(rows) < 1 / ONE_IN) & faulty

    number = np.arange(first, first + rows)
    ordered = START + number * 1_000_000
    paid = ordered + chance.integers(0, 10**10, rows)
    status = chance.integers(0, 4, rows)
    status[some()] = 4
    unpaid = (status == 0) | (some() & (status == 1))
    town = pa.array(TOWNS).take(pa.array(chance.zipf(1.2, rows) % 300))
    code = pc.utf8_lpad(pa.array(number * 7_654_321 % 10**8).cast(pa.string()), 8, "0")
    wrong = pa.array(some())
    columns = {
        "id": number * 7 + 3,
        "customer": chance.zipf(1.3, rows) % 200_000,
        "quantity": np.where(some(), 0, chance.integers(1, 100, rows)),
        "cents": chance.integers(0, 10**6, rows),
        "weight": pa.array(
            np.where(some(), -1.0, chance.gamma(2, 3, rows)), mask=chance.random(rows) < 0.01
        ),
        "score": chance.normal(0, 1, rows),
        "status": pa.array(STATUS).take(pa.array(status)),
        "town": pc.if_else(wrong, pc.utf8_upper(town), town),
        "code": pc.binary_join_element_wise("AB", code, ""),
        "ordered_at": ordered,
        "paid_at": pa.array(np.where(some(), ordered - 1, paid), mask=unpaid),
        "gift": chance.random(rows) < 0.1,
    }
    if faulty and rows > 1000:  # repeat the key of one order
        columns["id"][999] = columns["id"][998]
    moments = {name: pa.array(columns[name]).cast(pa.timestamp("us", "UTC"))
               for name in ("ordered_at", "paid_at")}  # fmt: skip
    return pa.table({**columns, **moments})


def suite_document(rows: int) -> dict[str, Any]:
    """Return the suite, with the limits for a file of `rows` rows."""
    limits = {"ROWS": rows, "MOST_ID": 7 * rows + 3, "LEAST_SUM": 450_000 * rows,
              "MOST_SUM": 550_000 * rows}  # fmt: skip
    document = yaml.safe_load(SUITE.read_text())
    for expectation in document["expectations"]:
        kwargs = expectation["kwargs"]
        expectation["kwargs"] = {
            key: limits.get(value, value) if isinstance(value, str) else value
            for key, value in kwargs.items()
        }
    return document


def checks(rows: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (id, type, kwargs) of each check."""
    listed = suite_document(rows)["expectations"]
    return [(e["meta"]["id"], e["type"], e["kwargs"]) for e in listed]
