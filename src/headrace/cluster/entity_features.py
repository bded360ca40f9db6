"""Step 2 on the cluster: run the kernel on the spine rows and row versions of each entity."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.cluster.messages import MESSAGE, chunks, letters, of_kind
from headrace.cluster.versions import gather
from headrace.cluster.worker_context import OUTPUTS, ROW, SPINE, VERSIONS, Job, Join
from headrace.core.errors import HeadraceError
from headrace.features.frames.shards import shards_of
from headrace.features.frames.training_frame import Host
from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.visibility import Versions


def send_spine(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Send the spine columns that each join needs to the entity shards."""
    for rows in chunks(batches):
        spine = as_spine(job, rows)
        for number, join in enumerate(job.joins):
            requests = spine.select(list(dict.fromkeys([ROW, "t", *join.spine_entity])))
            groups = number * job.shards + spine_shards(spine, join, job.shards)
            yield letters(requests, groups, SPINE)


def as_spine(job: Job, rows: pa.Table) -> pa.Table:
    """Cast the spine from the engine's types back to its own types."""
    schema = job.spine.insert(0, pa.field(ROW, pa.int64()))
    return rows.select(schema.names).cast(schema)


def spine_shards(spine: pa.Table, join: Join, count: int) -> Ints:
    """Return each spine row's entity shard; rows with a null entity are spread over all shards."""
    shards = shards_of([spine[name] for name in join.spine_entity], count)
    return np.where(shards < 0, np.asarray(spine[ROW]) % count, shards)


@dataclass
class Gathered(Host):
    """Kernel host that reads the row versions gathered on this worker."""

    gathered: Versions | None = None

    def versions(self, table: str) -> Versions:
        assert self.gathered is not None
        assert self.gathered.shape.name == table
        return self.gathered


def join_group(job: Job, messages: pa.Table) -> pa.Table:
    """Compute the columns of one join for one entity shard; address them to the row shards."""
    number = messages["to"][0].as_py() // job.shards
    spine = of_kind(messages, SPINE)
    if spine is None:  # no spine row needs these versions
        return MESSAGE.empty_table()
    join = job.joins[number]
    host = Gathered.over(spine, join.views, _not_read, job.shapes, job.mode)
    assert isinstance(host, Gathered)
    host.gathered = gather(job, join, of_kind(messages, VERSIONS))
    pairs = [pair for view in join.views for pair in host.columns(view, reasons=job.reasons)]
    rows = pa.table([spine[ROW], *(a for _, a in pairs)], names=[ROW, *(n for n, _ in pairs)])
    sent = letters(rows, np.asarray(rows[ROW]) % job.shards, OUTPUTS + number)
    return pa.Table.from_batches([sent], MESSAGE)


def _not_read(table: str, columns: list[str]) -> pa.Table:
    raise HeadraceError(f"{', '.join(columns)} of {table} are not available on this worker")
