"""Training sets on a cluster, with three shuffles for any number of views.

The first shuffle groups table rows by primary key, the second groups row versions and spine rows by
entity, the third groups feature columns and spine rows by row number. See
`docs/how-to/compute-on-spark.md`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from headrace.cluster import assemble_columns, entity_features, versions
from headrace.cluster.messages import MESSAGE_DDL
from headrace.cluster.session import DataFrame, Session, remote_errors
from headrace.cluster.upload import send
from headrace.cluster.version_ties import has_ties
from headrace.cluster.worker_context import ROW, Job, joins_of
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.features.frames.training_frame import training_frame as embedded_frame
from headrace.features.spec import Mode, View
from headrace.features.table_shapes import Contracts, TableShape, shape_for, shapes_of

# Like `headrace.features.History`, but rows may be on the cluster; local rows are sent to it.
ClusterHistory: TypeAlias = Callable[[str, list[str]], DataFrame | pa.Table]
Batches: TypeAlias = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class ClusterFrame:
    """A training set that the cluster computes when it is read.

    `data` is a DataFrame with a first column `spine_row` (int64) and then the columns of `schema`.
    Its rows come in any order; sorting by `spine_row` gives the order of the spine. `sent` names
    the temporary views of the session that hold local tables sent to the cluster.
    """

    data: DataFrame
    schema: pa.Schema
    sent: tuple[str, ...] = ()

    def table(self) -> pa.Table:
        """Collect the rows in spine order, as `headrace.features.training_frame` returns them.

        Raises:
            HeadraceError: as in `headrace.features.training_frame`; or the spine changed
                between reads.
        """
        with remote_errors():
            rows = self.data.toArrow()
        order = np.argsort(np.asarray(rows[ROW]), kind="stable")
        return rows.take(pa.array(order)).select(self.schema.names).cast(self.schema)

    def forget(self) -> None:
        """Drop the temporary views on the cluster; the frame cannot be computed afterwards."""
        with remote_errors():
            for name in self.sent:
                self.data.sparkSession.catalog.dropTempView(name)


def training_frame(
    session: Session,
    spine: DataFrame | pa.Table,
    views: Sequence[View],
    history: ClusterHistory,
    contracts: Contracts,
    *,
    mode: Mode = "declared",
    order: str | None = None,
    reasons: bool = False,
    shards: int = 64,
) -> ClusterFrame:
    """Join the columns of `views` to the spine on a cluster, each row as of its own `t`.

    Args:
        session: Spark Connect session; see `headrace.cluster.connect`.
        spine: as for `headrace.features.training_frame`; a DataFrame on the cluster or a local
            table.
        views: as for `headrace.features.training_frame`.
        history: as for `headrace.features.training_frame`, but it may return DataFrames.
        contracts: as for `headrace.features.training_frame`.
        mode: as for `headrace.features.training_frame`.
        order: int64 column with a unique number for each row; required if `spine` is a DataFrame.
        reasons: as for `headrace.features.training_frame`.
        shards: number of shards for keys, entities and rows; one shard must fit into a worker.

    Raises:
        HeadraceError: the spine lacks a column, or `order` is missing. Other errors occur when the
            frame is read.
    """
    shapes = shapes_of(contracts)
    joins = joins_of(views)
    used = {
        join.table: shape_for(shapes, join.table, "a training frame on a cluster") for join in joins
    }
    sent: list[str] = []
    rows, schema = _spine(session, spine, order, sent)
    output = _output(schema, views, used, mode, reasons=reasons)
    engine = _engine_types(output.insert(0, pa.field(ROW, pa.int64())))
    job = Job(tuple(views), joins, used, schema, output, engine, mode, reasons, shards)
    tables: dict[str, DataFrame] = {}
    for table in job.tables:
        tables[table], complete = _rows(session, history, job, table, sent)
        job = replace(job, complete=job.complete | ({table} if complete else frozenset()))
    with remote_errors():
        return ClusterFrame(_plan(job, rows, tables), output, tuple(sent))


def _spine(
    session: Session, spine: DataFrame | pa.Table, order: str | None, sent: list[str]
) -> tuple[DataFrame, pa.Schema]:
    """Return the spine on the cluster with row numbers, and its schema without them."""
    names = spine.schema.names
    if ROW in names and order != ROW:
        raise DeclarationError(
            f"the spine already has a column {ROW!r}",
            where="a training frame on a cluster",
            fix="rename it; Headrace adds a column of this name with row numbers",
        )
    if isinstance(spine, pa.Table):
        numbers = pa.array(np.arange(spine.num_rows))
        return send(session, spine.add_column(0, ROW, numbers), sent), spine.schema
    if order not in names:
        raise HeadraceError(
            "rows on a cluster have no order",
            where="a training frame on a cluster",
            fix='name the int64 column of the spine that numbers its rows: order="..."',
        )
    with remote_errors():
        from pyspark.sql.pandas.types import to_arrow_schema

        schema = to_arrow_schema(spine.schema, timezone="UTC")
        columns = [spine[name] for name in names if name != ROW]
        numbered = spine.select(spine[order].cast("long").alias(ROW), *columns)
    fields = [field.with_nullable(True) for field in schema if field.name != ROW]
    return numbered, pa.schema(fields)


def _output(
    schema: pa.Schema,
    views: Sequence[View],
    shapes: dict[str, TableShape],
    mode: Mode,
    *,
    reasons: bool,
) -> pa.Schema:
    """Return the training set's schema, by joining an empty spine on this machine."""

    def empty_table(table: str, columns: list[str]) -> pa.Table:
        fields = [(name, shapes[table].columns[name].type) for name in columns]
        times = [(name, pa.int64()) for name in ("event_time", "known_at", "committed_at")]
        return pa.schema(fields + times).empty_table()

    frame = embedded_frame(schema.empty_table(), views, empty_table, shapes, mode, reasons=reasons)
    return frame.schema


def _engine_types(schema: pa.Schema) -> pa.Schema:
    """Return the types with which the engine passes these columns to and from workers."""
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    return to_arrow_schema(from_arrow_schema(schema), timezone="UTC")


def _rows(
    session: Session, history: ClusterHistory, job: Job, table: str, sent: list[str]
) -> tuple[DataFrame, bool]:
    """Return a table's rows, and True if all columns are read, which resolving ties needs."""
    shape = job.shapes[table]
    rows = history(table, job.needed(table))
    complete = set(shape.columns) <= set(rows.schema.names)
    if not complete:
        with remote_errors():
            complete = isinstance(rows, pa.Table) or has_ties(shape, rows)
        rows = history(table, list(shape.columns)) if complete else rows
    return (send(session, rows, sent) if isinstance(rows, pa.Table) else rows), complete


def _plan(job: Job, spine: DataFrame, tables: dict[str, DataFrame]) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    def of_table(table: str) -> Callable[[Batches], Batches]:
        return lambda batches: versions.send_rows(job, table, batches)

    def resolve(messages: pa.Table) -> pa.Table:
        return versions.resolve_group(job, messages)

    def join(messages: pa.Table) -> pa.Table:
        return entity_features.join_group(job, messages)

    def assemble_rows(messages: pa.Table) -> pa.Table:
        return assemble_columns.assemble_group(job, messages)

    def requests(batches: Batches) -> Batches:
        return entity_features.send_spine(job, batches)

    def assembled(batches: Batches) -> Batches:
        return assemble_columns.send_whole_spine(job, batches)

    frame = spine.mapInArrow(assembled, MESSAGE_DDL)
    if job.joins:
        sent = [rows.mapInArrow(of_table(name), MESSAGE_DDL) for name, rows in tables.items()]
        resolved = _exchange(sent, resolve, MESSAGE_DDL)
        columns = _exchange([resolved, spine.mapInArrow(requests, MESSAGE_DDL)], join, MESSAGE_DDL)
        sent = [frame, columns]
    else:
        sent = [frame]
    return _exchange(sent, assemble_rows, from_arrow_schema(job.engine))


def _exchange(
    sent: list[DataFrame], work: Callable[[pa.Table], pa.Table], schema: object
) -> DataFrame:
    """Shuffle messages to their groups and apply `work` to each group.

    `cogroup` is not used: it takes only two sides, and fails on Sail 0.7 if a column holds a null.
    """
    together = sent[0]
    for table in sent[1:]:
        together = together.union(table)
    return together.groupBy("to").applyInArrow(work, schema)
