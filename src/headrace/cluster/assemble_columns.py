"""Step 3 on the cluster: add the columns of all joins and the row transforms to the spine rows."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.cluster.entity_features import as_spine
from headrace.cluster.messages import chunks, letters, of_kind
from headrace.cluster.worker_context import OUTPUTS, ROW, SPINE, Job
from headrace.core.errors import HeadraceError
from headrace.features.frames.training_frame import apply_transforms
from headrace.features.kernel.arrays import Ints


def send_whole_spine(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Send all columns of the spine to the row shards."""
    for rows in chunks(batches):
        spine = as_spine(job, rows)
        yield letters(spine, np.asarray(spine[ROW]) % job.shards, SPINE)


def assemble_group(job: Job, messages: pa.Table) -> pa.Table:
    """Return the rows of the training set for one row shard, ordered by row number."""
    spine = of_kind(messages, SPINE)
    if spine is None:
        raise _unstable("the spine changed when it was read again")
    order = np.argsort(np.asarray(spine[ROW]), kind="stable")
    numbers = np.asarray(spine[ROW])[order]
    if np.any(numbers[1:] == numbers[:-1]):
        raise _unstable("two spine rows have the same number")
    frame = spine.take(pa.array(order))
    for number in range(len(job.joins)):
        columns = _of_rows(of_kind(messages, OUTPUTS + number), numbers)
        for name in columns.column_names[1:]:
            frame = frame.append_column(name, columns[name])
    return apply_transforms(frame, job.views).select(job.engine.names).cast(job.engine)


def _of_rows(columns: pa.Table | None, numbers: Ints) -> pa.Table:
    """Return the columns of a join, ordered as `numbers`; each row must occur exactly once."""
    rows = np.zeros(0, dtype=np.int64) if columns is None else np.asarray(columns[ROW])
    order = np.argsort(rows, kind="stable")
    if columns is None or not np.array_equal(rows[order], numbers):
        raise _unstable("the spine changed when it was read again")
    return columns.take(pa.array(order))


def _unstable(what: str) -> HeadraceError:
    return HeadraceError(
        what,
        where="the spine of a frame on a cluster",
        fix="write the spine to a table with a unique number in each row, and read it from there",
    )
