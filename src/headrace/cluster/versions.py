"""Step 1 on the cluster: find when each row version is visible, from all rows of its key.

Rows are grouped by primary key first, because a correction may move a row to another entity. The
resulting versions are then distributed by entity.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.cluster.messages import MESSAGE, chunks, letters, of_kind
from headrace.cluster.worker_context import VERSIONS, Job, Join
from headrace.core.errors import HeadraceError
from headrace.features.frames.shards import shards_of
from headrace.features.kernel.arrays import Ints, key_ranks, values_of, whole
from headrace.features.kernel.republication import SHOWN_BEFORE
from headrace.features.kernel.scaled_integers import quantised
from headrace.features.kernel.visibility import (
    Versions,
    _NeedsContent,
    event_order,
    resolve,
    sequences,
)
from headrace.features.table_shapes import TIMESTAMP, TableShape

# Columns of a version: event time, start and end of its visibility, int64 microseconds UTC.
MOMENTS = (":e", ":k", ":x")
_ALWAYS = ("event_time", "known_at", "committed_at", "_deleted", SHOWN_BEFORE)


def send_rows(job: Job, table: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Send the rows of a table to the shards of their primary keys."""
    shape = job.shapes[table]
    first = job.tables.index(table) * job.shards
    for rows in chunks(batches):
        typed = as_declared(shape, rows, [*job.read(table), *_ALWAYS])
        yield letters(typed, first + key_shards(shape, typed, job.shards), VERSIONS)


def key_shards(shape: TableShape, rows: pa.Table, count: int) -> Ints:
    """Return the shard of each row's primary key; null keys go to shard 0, which refuses them."""
    return np.maximum(shards_of([rows[name] for name in shape.primary_key], count), 0)


def as_declared(shape: TableShape, rows: pa.Table, columns: list[str]) -> pa.Table:
    """Select those of `columns` that `rows` has, cast to the types that the contract declares."""

    def declared(name: str) -> pa.Array:
        array = whole(rows[name])
        if name in shape.columns:
            return array.cast(shape.columns[name].type)
        return array.cast(TIMESTAMP) if pa.types.is_timestamp(array.type) else array

    rows = quantised(shape, rows, [name for name in columns if name in rows.column_names])
    present = [name for name in dict.fromkeys(columns) if name in rows.column_names]
    return pa.table({name: declared(name) for name in present})


def resolve_group(job: Job, messages: pa.Table) -> pa.Table:
    """Resolve the versions of one key shard; address them to the entity shards of every join."""
    table = job.tables[messages["to"][0].as_py() // job.shards]
    rows = of_kind(messages, VERSIONS)
    assert rows is not None
    versions = _resolved(job, table, rows)
    flat = flatten(versions, job.needed(table))
    sent = [
        letters(flat, _entity_groups(job, number, flat), VERSIONS)
        for number, join in enumerate(job.joins)
        if join.table == table
    ]
    return pa.Table.from_batches(sent, MESSAGE)


def _resolved(job: Job, table: str, rows: pa.Table) -> Versions:
    shape = job.shapes[table]
    try:
        return resolve(shape, rows, job.mode, complete=table in job.complete)
    except _NeedsContent as error:
        raise HeadraceError(
            "two rows with equal primary key, known_at and sequence appeared while the job ran",
            where=f"table {table}",
            fix="read a fixed snapshot of the table, not its latest state",
        ) from error


def _entity_groups(job: Job, number: int, flat: pa.Table) -> Ints:
    join = job.joins[number]
    kinds = [job.spine.field(name).type for name in join.spine_entity]
    columns = [
        whole(flat[name]).cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
        for name, kind in zip(join.entity, kinds, strict=True)
    ]
    shards = shards_of(columns, job.shards)
    return np.where(shards < 0, -1, number * job.shards + shards)


def flatten(versions: Versions, columns: list[str]) -> pa.Table:
    """Return the visible versions as a table: `columns`, then `MOMENTS`."""
    moments = (versions.e, versions.k, versions.x)
    picked = versions.table.select(columns).take(pa.array(versions.rows))
    for name, values in zip(MOMENTS, moments, strict=True):
        picked = picked.append_column(name, pa.array(values, pa.int64()))
    return picked


def gather(job: Job, join: Join, flat: pa.Table | None) -> Versions:
    """Merge versions from many key shards into event order (rule 7 of the feature semantics)."""
    shape = job.shapes[join.table]
    rows = empty_table(job, join.table) if flat is None else flat
    e, k, x = (np.asarray(values_of(rows[name]).data, dtype=np.int64) for name in MOMENTS)
    keys = key_ranks([rows[name] for name in shape.primary_key]) if len(e) else e
    order = event_order(e, sequences(shape, rows), keys)
    return Versions(shape, rows, order, e[order], k[order], x[order])


def empty_table(job: Job, table: str) -> pa.Table:
    """Return an empty table with the column types of versions."""
    columns = job.shapes[table].columns
    fields = [(name, columns[name].type) for name in job.needed(table)]
    return pa.schema(fields + [(name, pa.int64()) for name in MOMENTS]).empty_table()
