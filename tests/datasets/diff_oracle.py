"""Releases made by hand, cut into parts anywhere, and a slow diff of them: a dict by key."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.files import sha256
from headrace.datasets.hashing.content_hash import content_sum
from headrace.datasets.manifest import Manifest, ManifestColumn, Part, SplitEntry
from headrace.datasets.reader import Dataset
from headrace.datasets.store.parts import ends_of
from headrace.datasets.store.store import Store
from headrace.datasets.table_shape import statistics
from headrace.datasets.vocabulary import EVALUATION, SPLITS

ARROW = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "string": pa.string(),
    "date": pa.date32(),
    "binary": pa.binary(),
}
RULE = {"by": "time", "train_until_us": 1, "valid_until_us": 2, "test_until_us": 3}
DRAFT = Manifest(
    name="made", version="1.0.0", change="FIRST", reasons=(), previous=None, content_hash="",
    rows=0, columns=(), label={"name": "late", "hash": "a", "target": "late"}, split_rule=RULE,
    cutoff_us=0, mode="recorded", splits={}, left_out={}, inputs={}, definitions={"v": "a"},
    fits={}, parameters={}, code_revision="", purpose="training", description="",
    licences=(),
)  # fmt: skip


def table_of(rows, columns):
    """`rows` are dicts; `columns` name -> canonical type."""
    return pa.table(
        {
            name: pa.array([whole(row[name], kind) for row in rows], ARROW[kind])
            for name, kind in columns.items()
        }
    )


def whole(value, kind):
    return int(value) if kind == "int64" and isinstance(value, bool) else value


def put(store, version, table, roles, *, cuts=(), row_group=1 << 16, **facts):
    """A release of `table`, its splits in order, cut into parts at these places."""
    key = tuple(name for name, role in roles.items() if role == "key")
    table = table.select(sorted(table.column_names))
    splits, total = {}, content_sum(table)
    there = set(table["split"].to_pylist())
    for split in (*SPLITS, *({EVALUATION} & there)):
        rows = table.filter(pa.array([v == split for v in table["split"].to_pylist()], pa.bool_()))
        rows = rows.sort_by([("t", "ascending")])
        places = [0, *sorted({cut for cut in cuts if 0 < cut < rows.num_rows}), rows.num_rows]
        parts = [_part(store, rows.slice(a, b - a), key, row_group) for a, b in pairwise(places)]
        entry = SplitEntry(tuple(parts), rows.num_rows, f"{content_sum(rows).total:064x}")
        splits[split] = replace(entry, statistics=statistics(rows))
    columns = tuple(
        ManifestColumn(name, kind, roles.get(name, "feature")) for name, kind in total.schema
    )
    told = {"version": version, "content_hash": total.hash, "rows": table.num_rows, **facts}
    manifest = replace(DRAFT, columns=columns, splits=splits, **told)
    return Dataset(store, manifest, SPLITS, tuple(column.name for column in columns))


def _part(store, rows, key, row_group):
    """Without syncing it: a test's store need not outlive a power cut."""
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, row_group_size=row_group)
    data = buffer.getvalue().to_pybytes()
    path = store.object_path(sha256(data), "parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    first, last = ends_of(rows, key)
    content = f"{content_sum(rows).total:064x}"
    return Part(sha256(data), len(data), rows.num_rows, content, first, last)


def new_store(folder):
    return Store.find(folder)


def canonical(value):
    """What the content hash sees of a cell: NaN is NaN, -0 is 0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def oracle(a, b, key, shared):
    """{added, removed, changed, moved, same, cells, moves} of two lists of dicts."""
    old, new = (
        {tuple(canonical(row[name]) for name in key): row for row in rows} for rows in (a, b)
    )
    found = {"added": len(new.keys() - old.keys()), "removed": len(old.keys() - new.keys())}
    counts, cells, moves = Counter(), Counter(), Counter()
    for one in old.keys() & new.keys():
        before, after = old[one], new[one]
        differ = [
            name for name in shared
            if (before[name] is None) != (after[name] is None)
            or canonical(before[name]) != canonical(after[name])
        ]  # fmt: skip
        cells.update(name for name in differ if name != "split")
        counts["changed"] += any(name != "split" for name in differ)
        counts["moved"] += "split" in differ
        counts["same"] += not differ
        if "split" in differ:
            moves[before["split"], after["split"]] += 1
    kinds = {name: counts[name] for name in ("changed", "moved", "same")}
    return {**found, **kinds, "cells": dict(cells), "moves": dict(moves)}


def told(found):
    """A diff in the form of the oracle."""
    rows = found.rows
    names = ("added", "removed", "changed", "moved", "same")
    cells = {c.name: c.changed for c in found.columns if c.changed and c.name != "split"}
    moves = {(a, b): n for a, b, n in rows.moves}
    return {**{name: getattr(rows, name) for name in names}, "cells": cells, "moves": moves}


def big(rows, seed=0, columns=12):
    """`rows` rows of key, t, numbers, texts and a split, in the order of time."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 365 * 86_400, rows)) * 1_000_000
    made = {"k": pa.array(np.arange(rows)), "t": pa.array(t, pa.timestamp("us", "UTC"))}
    for n in range(columns // 2):
        made[f"f{n}"] = pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.05)
    for n in range(columns // 3):
        made[f"i{n}"] = pa.array(rng.integers(0, 10 ** (n + 1), rows))
    words = pa.array([f"word {n}" for n in range(400)])
    made["s"] = words.take(pa.array(rng.integers(0, 400, rows)))
    names = np.array(SPLITS, dtype=object)
    made["split"] = pa.array(names[np.minimum(2, np.arange(rows) * 3 // max(1, rows))])
    return pa.table(made)
