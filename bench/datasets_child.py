"""Run one side of hashing or of a diff: `python -m bench.datasets_child SIDE ...`; prints JSON.

`hash`, `hash in plain Python`, `write` and `write by default` process the given Arrow file.
`diff` (by Headrace), `join` and `join of hashes` (by DuckDB) compare two versions in the given
store. Imports and a small task of the same kind are done before the clock starts.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets_data import files, frame
from bench.peers.datasets_versions import load, peak_mb
from headrace.core.sql import ident, literal
from headrace.datasets import open_release
from headrace.datasets.diff import diff
from headrace.datasets.hashing.content_hash import canonical_schema
from headrace.datasets.hashing.row_digests import sum_of_digests
from headrace.datasets.store.store import Store

Work = Callable[[], object]


def hashing(table: pa.Table, *, compiled: bool) -> Work:
    schema = canonical_schema(table.schema)
    return lambda: f"{sum_of_digests(table, schema, compiled=compiled) % 2**256:064x}"


def writing(table: pa.Table, folder: str, **options: object) -> Work:
    return lambda: pq.write_table(table, f"{folder}/out.parquet", **options)


def our_settings(table: pa.Table) -> dict[str, object]:
    text = [field.name for field in table.schema if field.type == pa.string()]
    return {"row_group_size": 65_536, "compression": "zstd", "compression_level": 1,
            "use_dictionary": text}  # fmt: skip


def of_table(side: str, table: pa.Table, folder: str) -> Work:
    if side.startswith("hash"):
        return hashing(table, compiled=side == "hash")
    return writing(table, folder, **(our_settings(table) if side == "write" else {}))


def of_releases(side: str, store: str, before: str, after: str) -> Work:
    """Return a function that returns [added, removed, changed, moved, {column: cells}]."""
    if side.startswith("diff"):
        return lambda: ours(store, before, after, distributions=side != "diff")
    found = Store.find(store)
    one, other = (found.manifest("made", version) for version in (before, after))
    columns = [c.name for c in one.columns if c.name in {d.name for d in other.columns}]
    query = joined if side == "join" else joined_by_hash
    return lambda: query(files(found, one), files(found, other), columns)


def ours(store: str, before: str, after: str, *, distributions: bool) -> list:
    a, b = (open_release(f"made@{version}", store) for version in (before, after))
    found = diff(a, b, distributions=distributions)
    cells = {c.name: c.changed for c in found.columns if c.changed and c.name != "split"}
    rows = found.rows
    return [rows.added, rows.removed, rows.changed, rows.moved, dict(sorted(cells.items()))]


def joined(a: list[str], b: list[str], columns: list[str]) -> list:
    """Compare two versions by one full outer join over all columns."""
    counts, both = _counts(columns), "a.k IS NOT NULL AND b.k IS NOT NULL"
    row = _asked(
        f"SELECT count(*) FILTER (a.k IS NULL), count(*) FILTER (b.k IS NULL), "
        f"count(*) FILTER ({both} AND ({_any(columns)})), "
        f"{', '.join(f'count(*) FILTER ({both} AND {one})' for one in counts)} "
        f"FROM {_read(a)} a FULL OUTER JOIN {_read(b)} b ON a.k = b.k"
    )
    return _told(row, columns)


def joined_by_hash(a: list[str], b: list[str], columns: list[str]) -> list:
    """Compare by a full outer join of keys and row hashes, then by columns of differing rows."""
    listed = ", ".join(ident(name) for name in columns)
    hashed = [f"(SELECT k, hash({listed}) AS h FROM {_read(of)})" for of in (a, b)]
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TEMP TABLE d AS SELECT a.k AS one, b.k AS other FROM {hashed[0]} a "
            f"FULL OUTER JOIN {hashed[1]} b ON a.k = b.k WHERE a.h IS DISTINCT FROM b.h"
        ).fetchall()
        ends = connection.execute(
            "SELECT count(*) FILTER (one IS NULL), count(*) FILTER (other IS NULL) FROM d"
        ).fetchone()
        wanted = "(SELECT one FROM d WHERE one IS NOT NULL AND other IS NOT NULL)"
        rows = [f"(SELECT {listed} FROM {_read(of)} WHERE k IN {wanted})" for of in (a, b)]
        rest = connection.execute(
            f"SELECT count(*) FILTER ({_any(columns)}), "
            f"{', '.join(f'count(*) FILTER ({one})' for one in _counts(columns))} "
            f"FROM {rows[0]} a JOIN {rows[1]} b ON a.k = b.k"
        ).fetchone()
    return _told([*ends, *rest], columns)


def _read(paths: list[str]) -> str:
    return f"read_parquet([{', '.join(literal(path) for path in paths)}])"


def _counts(columns: list[str]) -> list[str]:
    return [f"a.{ident(name)} IS DISTINCT FROM b.{ident(name)}" for name in columns]


def _any(columns: list[str]) -> str:
    return " OR ".join(_counts([name for name in columns if name != "split"]))


def _asked(query: str) -> list:
    with duckdb.connect() as connection:
        return list(connection.execute(query).fetchone())


def _told(row: list, columns: list[str]) -> list:
    cells = dict(zip(columns, row[3:], strict=True))
    moved = cells.pop("split")
    return [*row[:3], moved, dict(sorted((name, n) for name, n in cells.items() if n))]


def main(side: str, *given: str) -> None:
    with TemporaryDirectory(prefix="datasets-") as folder:
        if side.startswith(("hash", "write")):
            of_table(side, frame(20_000), folder)()
            work = of_table(side, load(Path(given[0])), folder)
        else:
            of_releases(side, given[0], "0.0.1", "0.0.2")()
            work = of_releases(side, *given)
        before, start = time.process_time(), time.perf_counter()
        answer = work()
        seconds, cpu = time.perf_counter() - start, time.process_time() - before
    rss = peak_mb()
    print(json.dumps({"seconds": seconds, "cpu_s": cpu, "rss_mb": rss, "answer": answer}))


if __name__ == "__main__":
    main(*sys.argv[1:])
