"""Run one side in a separate process: `python -m bench.datasets_open_child SIDE STORE FILE...`.

Prints JSON. No large module is imported before the clock of the first batch starts.
"""

import sys
import time

REF = "made@1.0.0"
BATCH = 1024


def main(side: str, store: str, paths: list[str]) -> None:
    if side == "first batch":
        found = first(store)
    elif side == "first batch, bare":
        found = first_bare(paths[0])
    else:
        found = loading(side, store, paths)
    import json
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**found, "rss_mb": used.ru_maxrss / 1024}))


def first(store):
    start = time.perf_counter()
    import headrace
    from headrace.datasets import reader

    imported = time.perf_counter()
    assert reader
    batch = next(headrace.open(REF, store).batches(BATCH))
    return told(start, imported, batch)


def first_bare(path):
    start = time.perf_counter()
    import pyarrow.parquet as pq

    imported = time.perf_counter()
    batch = next(pq.ParquetFile(path, memory_map=True).iter_batches(BATCH))
    return told(start, imported, batch)


def told(start, imported, batch):
    end = time.perf_counter()
    answer = str(batch.slice(0, 5).to_pylist())
    return {"seconds": end - start, "without_imports": end - imported, "answer": answer}


def loading(side, store, paths):
    import duckdb
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    import headrace
    from headrace.datasets import reader

    # Both import modules at the first conversion, which is not part of loading rows.
    pa.table({"a": [1], "b": ["c"]}).to_pandas()
    duckdb.sql("SELECT 1 AS a, 'b' AS c").df()
    assert reader
    assert pd

    def by_file():
        return pa.concat_tables([pq.ParquetFile(path, memory_map=True).read() for path in paths])

    forms = {
        "arrow": lambda: headrace.open(REF, store).arrow,
        "pyarrow, file by file": by_file,
        "pyarrow, read_table": lambda: pq.read_table(paths, memory_map=True),
        "duckdb to Arrow": lambda: duckdb.read_parquet(paths).to_arrow_table(),
        "pandas": lambda: headrace.open(REF, store).df,
        "pyarrow to pandas": lambda: by_file().to_pandas(),
        "pyarrow to pandas, by column": lambda: by_file().to_pandas(
            split_blocks=True, self_destruct=True
        ),
        "duckdb to pandas": lambda: duckdb.read_parquet(paths).df(),
    }
    before, start = time.process_time(), time.perf_counter()
    loaded = forms[side]()
    seconds, cpu = time.perf_counter() - start, time.process_time() - before
    table = loaded if isinstance(loaded, pa.Table) else pa.Table.from_pandas(loaded)
    sums = [str(pa.compute.sum(table.column(name)).as_py()) for name in ("k", "i1", "i2", "y")]
    ends = [str(table.column("id")[place].as_py()) for place in (0, -1)]
    return {"seconds": seconds, "cpu_s": cpu, "answer": [table.num_rows, *sums, *ends]}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
