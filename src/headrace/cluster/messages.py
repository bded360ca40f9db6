"""Messages between workers: rows as serialised Arrow tables, each addressed to one group.

The engine only moves these bytes. So its handling of time zones, null, NaN and -0 cannot change a
value, one group can receive any number of different tables, and Sail and Spark run the same plan.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from headrace.features.kernel.arrays import Ints, stable_order

# `to` is the receiving group, `kind` the kind of rows (see `worker_context`).
MESSAGE = pa.schema([("to", pa.int64()), ("kind", pa.int64()), ("data", pa.binary())])
MESSAGE_DDL = "to long, kind long, data binary"
PACKED = pa.schema([("packed", pa.binary())])
PACKED_DDL = "packed binary"
# Rows that a sender buffers before distributing them to groups, which bounds its memory.
CHUNK = 2**17


def pack(rows: pa.Table) -> bytes:
    """Serialise a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return bytes(sink.getvalue())


def unpack(data: pa.ChunkedArray | pa.Array) -> list[pa.Table]:
    """Return the table in each Arrow stream of a column."""
    return [pa.ipc.open_stream(value.as_buffer()).read_all() for value in data]


def of_kind(messages: pa.Table, kind: int) -> pa.Table | None:
    """Return the rows of all messages of `kind`; None if there are none."""
    selected = messages.filter(pa.array(np.asarray(messages["kind"]) == kind))
    return pa.concat_tables(unpack(selected["data"])) if selected.num_rows else None


def letters(rows: pa.Table, groups: Ints, kind: int) -> pa.RecordBatch:
    """Return one message for each group that has rows; rows with group -1 are dropped."""
    size = int(groups.max(initial=-1)) + 1
    order = stable_order(groups + 1, size + 1)
    ends = np.cumsum(np.bincount(groups + 1, minlength=size + 1))
    dealt = rows.take(pa.array(order))
    used = [g for g in range(size) if ends[g + 1] > ends[g]]
    data = [pack(dealt.slice(ends[g], ends[g + 1] - ends[g])) for g in used]
    columns = [pa.array(used, pa.int64()), pa.array([kind] * len(used), pa.int64())]
    return pa.record_batch([*columns, pa.array(data, pa.binary())], schema=MESSAGE)


def chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the input of a worker as tables of about `CHUNK` rows; unpack packed tables."""
    buffered: list[pa.Table] = []
    rows = 0
    for batch in batches:
        packed = batch.schema.names == PACKED.names
        tables = unpack(batch.column(0)) if packed else [pa.Table.from_batches([batch])]
        for table in tables:
            buffered, rows = [*buffered, table], rows + table.num_rows
            if rows >= CHUNK:
                yield pa.concat_tables(buffered)
                buffered, rows = [], 0
    if rows:
        yield pa.concat_tables(buffered)


def packed(rows: pa.Table) -> pa.Table:
    """Pack a table into one value, which `chunks` unpacks; an empty table gives no value."""
    data = [pack(rows)] if rows.num_rows else []
    return pa.table([pa.array(data, pa.binary())], schema=PACKED)
