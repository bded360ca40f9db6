"""Run one side in our environment: `python -m bench.gates_child SIDE FILE ROWS SMALL`; prints JSON.

SIDE is `ours`, `ours writing` (passing and quarantined rows are written to files) or `scan` (DuckDB
computes the minimum, the maximum and the count of every column). Imports and the validation of a
small file are done before the clock starts.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CONTRACT = Path(__file__).with_name("gates.yaml")
Answer = dict[str, Any]


def ours(path: Path, rows: int, *, writing: bool = False) -> Callable[[], Answer]:
    from bench.peers import gates_data
    from headrace.contracts import load_contract
    from headrace.gates import judge_file, parse_suite

    suite = parse_suite(gates_data.suite_document(rows))
    contract = load_contract(CONTRACT)

    def work() -> Answer:
        with TemporaryDirectory(prefix="gates-") as folder:
            to = {name: Path(folder) / name for name in ("passing", "quarantined")}
            found = judge_file(suite, contract, path, **(to if writing else {}))
        failed = {result.id for result in found.failed}
        return {"verdicts": {e.id: e.id not in failed for e in suite.expectations}}

    return work


def scan(path: Path, rows: int) -> Callable[[], Answer]:
    import duckdb
    import pyarrow.parquet as pq

    del rows
    connection = duckdb.connect()
    listed = ", ".join(f'min("{n}"), max("{n}"), count("{n}")' for n in pq.read_schema(path).names)
    query = f"SELECT {listed} FROM read_parquet('{path}')"
    plan = connection.execute(f"EXPLAIN {query}").fetchall()
    if "READ_PARQUET" not in str(plan).upper():
        raise SystemExit(f"DuckDB does not read the file for this:\n{plan}")

    def work() -> Answer:
        connection.execute(query).fetchall()
        return {"verdicts": {}}

    return work


def side_of(side: str, path: Path, rows: int) -> Callable[[], Answer]:
    if side == "scan":
        return scan(path, rows)
    return ours(path, rows, writing=side == "ours writing")


def main(side: str, path: str, rows: str, small: str) -> None:
    side_of(side, Path(small), int(rows))()
    work = side_of(side, Path(path), int(rows))
    before = time.process_time()
    start = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - start
    cpu = time.process_time() - before
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "rss_mb": rss, **answer}))


if __name__ == "__main__":
    main(*sys.argv[1:])
