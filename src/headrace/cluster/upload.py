"""Upload of local tables to the cluster, in pieces below the protocol's size limit."""

import uuid
from collections.abc import Iterator
from functools import reduce

import pyarrow as pa

from headrace.cluster.messages import CHUNK, PACKED_DDL, packed
from headrace.cluster.session import DataFrame, Session, remote_errors

# A request holds at most 128 MB, and a plan contains inline data once for every use.
PIECE = 16 * 2**20
IN_PLAN = 2**20


def send(session: Session, rows: pa.Table, view_names: list[str]) -> DataFrame:
    """Send the table to the cluster as packed bytes, which keep its types.

    A small table becomes part of the plan. Each piece of a larger table becomes a temporary view of
    the session, whose name is added to `view_names`.
    """
    pieces = [packed(piece) for piece in _pieces(rows)]
    with remote_errors():
        frames = [session.createDataFrame(piece, schema=PACKED_DDL) for piece in pieces]
        if sum(piece.nbytes for piece in pieces) > IN_PLAN:
            frames = [_view(session, frame, view_names) for frame in frames]
        return reduce(lambda first, second: first.union(second), frames)


def _pieces(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield slices of about `PIECE` bytes, at least one."""
    width = max(1, rows.nbytes // max(1, rows.num_rows))
    step = max(1, min(CHUNK, PIECE // width))
    for start in range(0, max(1, rows.num_rows), step):
        yield rows.slice(start, step)


def _view(session: Session, frame: DataFrame, view_names: list[str]) -> DataFrame:
    name = f"headrace_sent_{uuid.uuid4().hex}"
    frame.createTempView(name)
    view_names.append(name)
    return session.table(name)
