"""Training frames on a cluster: three exchanges, whatever the number of views.

Rows of the tables meet by primary key, versions and the spine by entity, columns and the spine by
row. See `docs/how-to/compute-on-spark.md`.
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

# As `headrace.features.History`, with rows on the cluster (or here, to be sent there).
ClusterHistory: TypeAlias = Callable[[str, list[str]], DataFrame | pa.Table]
Batches: TypeAlias = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class ClusterFrame:
    """A training set that the cluster computes when it is read.

    `data` is a DataFrame of `schema`, after a first column `spine_row` (int64), by which the rows
    are in the spine's order; they come in any order. `sent` are temporary views of the session,
    in which the cluster holds what was sent from here.
    """

    data: DataFrame
    schema: pa.Schema
    sent: tuple[str, ...] = ()

    def table(self) -> pa.Table:
        """The frame here, in the spine's order: what `headrace.features.training_frame` gives.

        Raises:
            HeadraceError: what the embedded host raises too; or the spine was not stable.
        """
        with remote_errors():
            rows = self.data.toArrow()
        order = np.argsort(np.asarray(rows[ROW]), kind="stable")
        return rows.take(pa.array(order)).select(self.schema.names).cast(self.schema)

    def forget(self) -> None:
        """Let the cluster drop what was sent to it; the frame cannot be computed after that."""
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
    """Return the spine with the columns of `views` added, each row as of its own `t`; on a cluster.

    Args:
        session: of Spark Connect, see `headrace.cluster.connect`.
        spine: as for `headrace.features.training_frame`, on the cluster or here.
        views: as there.
        history: as there, but the rows it gives may be DataFrames.
        contracts: as there.
        mode: as there.
        order: of a spine that is a DataFrame: its int64 column that numbers the rows, each once.
        reasons: as there.
        shards: how many groups keys, entities and rows are dealt out to; one must fit a worker.

    Raises:
        HeadraceError: the spine lacks a column, or its order; more comes when the frame is read.
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
    """The spine on the cluster with its rows numbered, and its columns apart from the number."""
    names = spine.schema.names
    if ROW in names and order != ROW:
        raise DeclarationError(
            f"the spine has a column {ROW!r} of its own",
            where="a training frame on a cluster",
            fix="give it another name; that one numbers the rows",
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
    """The columns of the frame, as the embedded host makes them of nothing."""

    def empty_table(table: str, columns: list[str]) -> pa.Table:
        fields = [(name, shapes[table].columns[name].type) for name in columns]
        times = [(name, pa.int64()) for name in ("event_time", "known_at", "committed_at")]
        return pa.schema(fields + times).empty_table()

    frame = embedded_frame(schema.empty_table(), views, empty_table, shapes, mode, reasons=reasons)
    return frame.schema


def _engine_types(schema: pa.Schema) -> pa.Schema:
    """The types in which the engine hands columns in and out."""
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    return to_arrow_schema(from_arrow_schema(schema), timezone="UTC")


def _rows(
    session: Session, history: ClusterHistory, job: Job, table: str, sent: list[str]
) -> tuple[DataFrame, bool]:
    """Rows of a table, and whether all columns are read; they are if content must settle a tie."""
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
    """Messages to their groups, and what the groups make of them.

    One group of many sides is what `cogroup` is for; but it takes two sides, and fails on Sail 0.7
    where a column holds a null.
    """
    together = sent[0]
    for table in sent[1:]:
        together = together.union(table)
    return together.groupBy("to").applyInArrow(work, schema)
