"""Training frames larger than memory, computed in parts; bit for bit equal to `training_frame`.

Each table is processed in four steps:

1. Its keys are read in batches, to count rows and to find out if the keys ascend. Keys that ascend
   are unique.
2. The visibility of row versions is resolved: batch by batch if keys ascend, otherwise in parts by
   hash of the primary key.
3. The visible versions are written to disk in parts by entity, with only the columns that the views
   read. The kernel computes one part at a time.
4. The results of all parts are merged in the spine's order, chunk by chunk.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core import compute as engine
from headrace.core.errors import HeadraceError
from headrace.features.frames.shards import shards_of
from headrace.features.frames.spill import Spill, empty_batch
from headrace.features.frames.training_frame import (
    Host,
    Progress,
    columns_by_table,
    refuse_doubled,
    transformed,
)
from headrace.features.kernel.arrays import (
    Ints,
    Numbering,
    expect_columns,
    expect_one_unit,
    expect_table,
    key_ranks,
    values_of,
    whole,
)
from headrace.features.kernel.scaled_integers import quantised
from headrace.features.kernel.visibility import (
    Streamed,
    Versions,
    _NeedsContent,
    event_order,
    resolve,
    sequences,
)
from headrace.features.spec import FeatureView, Lookup, Mode, RowTransform, View
from headrace.features.table_shapes import Contracts, TableShape, shape_for, shapes_of

Stored: TypeAlias = FeatureView | Lookup

# Bytes of memory that the kernel needs for one row version, including its columns.
_PER_ROW = 240
_BATCH = 250_000
_MOST_PARTS = 512
_MOMENTS = ("_e", "_k", "_x")
_ROW = "_row"


@contextmanager
def training_batches(
    spine: pa.Table,
    views: Sequence[View],
    history: Streamed,
    contracts: Contracts,
    mode: Mode = "declared",
    *,
    memory: int = 2**30,
    reasons: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """Yield the result of `training_frame` as record batches in the spine's order.

    Args:
        spine: the spine in memory, as for `training_frame`.
        views: as for `training_frame`.
        history: function `(table, columns) -> rows`. Rows are a table or, to limit memory, a
            RecordBatchReader. It is called several times and must return the same rows each time.
        contracts: contracts of all tables used, by name.
        mode: `declared` or `recorded`.
        memory: memory limit in bytes, without the spine. It is exceeded if one entity has too many
            rows, because the rows of an entity are not split.
        reasons: add the reasons of null values.
        folder: folder for the parts; by default the system's folder for temporary files.
        progress: called to report progress.
        threads: number of threads; by default all that the process may use.

    Raises:
        HeadraceError: as `training_frame` does.
    """
    with (
        engine.limited_to(threads),
        TemporaryDirectory(prefix="frame-", dir=folder) as work,
    ):
        frame = _Frame(spine, views, history, contracts, mode, memory, Path(work), progress)
        parts = frame.compute(reasons=reasons)
        batches = frame.assemble(parts)
        first = next(batches)
        yield pa.RecordBatchReader.from_batches(first.schema, _chained(first, batches))


def _chained(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


@dataclass
class _Join:
    """Views that join the same table by the same entity, and the spine's entities, numbered."""

    table: str
    entity: tuple[str, ...]
    spine_entity: tuple[str, ...]
    views: list[Stored]
    numbering: Numbering

    def parts_of(self, codes: Ints, parts: int) -> Ints:
        return np.where(codes < 0, -1, codes % parts)


@dataclass
class _Frame:
    spine: pa.Table
    views: Sequence[View]
    history: Streamed
    contracts: Contracts
    mode: Mode
    memory: int
    folder: Path
    progress: Progress | None
    needed: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise HeadraceError(
                f"the limit of memory is {self.memory} bytes",
                where="a training frame computed in parts",
                fix="give memory in bytes, such as memory=2**30",
            )
        expect_table(self.spine, "the spine")
        refuse_doubled(self.spine, self.views, reasons=False)
        self.shapes = shapes_of(self.contracts)
        self.needed = columns_by_table(self.views)
        Host.over(self.spine.slice(0, 0), self.views, _no_history, self.contracts, self.mode)

    def say(self, what: str, completed: int, total: int = 0) -> None:
        if self.progress is not None:
            self.progress(what, completed, total)

    def compute(self, *, reasons: bool) -> list[tuple[list[str], Spill]]:
        """Compute all joins; return the output column names and the spill of each join."""
        outputs: list[tuple[list[str], Spill]] = []
        joins = self._joins()
        for table in self.needed:
            table_joins = [join for join in joins if join.table == table]
            shape = shape_for(self.shapes, table, "a training frame")
            rows, ascending = self._survey(shape)
            parts = min(max(1, math.ceil(rows * _PER_ROW / self.memory)), _MOST_PARTS)
            try:
                spills = self._partition(
                    shape, table_joins, parts, ascending=ascending, complete=False
                )
            except _NeedsContent:
                spills = self._partition(
                    shape, table_joins, parts, ascending=ascending, complete=True
                )
            for join, spill in zip(table_joins, spills, strict=True):
                outputs.append(self._computed(join, spill, reasons=reasons, number=len(outputs)))
        return outputs

    def _joins(self) -> list[_Join]:
        joins_by_key: dict[tuple[str, tuple[str, ...], tuple[str, ...]], _Join] = {}
        for view in self.views:
            if isinstance(view, RowTransform):
                continue
            key = (view.table, view.entity, view.spine_entity)
            if key not in joins_by_key:
                missing = [n for n in view.spine_entity if n not in self.spine.column_names]
                if missing:
                    raise HeadraceError(
                        f"the spine has no column {missing[0]!r}",
                        where="a training frame",
                        fix="add it to the spine, or map the entity to another spine column",
                    )
                numbering = Numbering([self.spine[name] for name in view.spine_entity])
                joins_by_key[key] = _Join(*key, [], numbering)
            joins_by_key[key].views.append(view)
        return list(joins_by_key.values())

    def _read(self, shape: TableShape, columns: Sequence[str]) -> Iterator[pa.Table]:
        rows = self.history(shape.name, list(dict.fromkeys(columns)))
        if not isinstance(rows, pa.RecordBatchReader):
            expect_table(rows, f"the rows of table {shape.name}")
        expect_columns(rows.schema.empty_table(), columns, f"table {shape.name}")
        if isinstance(rows, pa.Table):
            rows = quantised(shape, rows, columns)
            yield from (rows.slice(at, _BATCH) for at in range(0, max(rows.num_rows, 1), _BATCH))
        else:
            with rows:
                # Yield an empty batch first, so that an empty table also has column types.
                yield quantised(shape, rows.schema.empty_table(), columns)
                for batch in rows:
                    yield quantised(shape, pa.Table.from_batches([batch]), columns)

    def _survey(self, shape: TableShape) -> tuple[int, bool]:
        """Return the number of rows, and True if the key is one integer column that ascends."""
        count, last, ascending = 0, -(2**63), len(shape.primary_key) == 1
        for batch in self._read(shape, shape.primary_key):
            count += batch.num_rows
            column = batch[shape.primary_key[0]]
            if not ascending or not batch.num_rows:
                continue
            if not pa.types.is_int64(column.type) or column.null_count:
                ascending = False
                continue
            keys = np.asarray(whole(column))
            ascending = (count == len(keys) or int(keys[0]) > last) and bool(
                np.all(keys[1:] > keys[:-1])
            )
            last = int(keys[-1])
        return count, ascending

    def _columns(self, shape: TableShape, *, complete: bool) -> list[str]:
        if complete:
            return list(shape.columns)
        sequence = [shape.sequence] if shape.sequence else []
        return list(dict.fromkeys([*shape.primary_key, *sequence, *self.needed[shape.name]]))

    def _partition(
        self, shape: TableShape, joins: list[_Join], parts: int, *, ascending: bool, complete: bool
    ) -> list[Spill]:
        """Resolve the visible versions; write them to a spill per join, in parts by entity."""
        columns = self._columns(shape, complete=complete)
        needed = self._columns(shape, complete=False)
        spills = [
            Spill(self.folder, f"{shape.name}-{i}-{int(complete)}", parts)
            for i in range(len(joins))
        ]
        tables = (
            self._read(shape, columns)
            if ascending or parts == 1
            else self._by_key(shape, columns, parts)
        )
        if parts == 1 and not ascending:
            tables = iter([pa.concat_tables(tables)])
        completed = 0
        for table in tables:
            versions = resolve(shape, table, self.mode, complete=complete)
            flat = flatten(versions, needed)
            for join, spill in zip(joins, spills, strict=True):
                codes = join.numbering.of([versions.array(name) for name in join.entity])
                spill.write(flat, join.parts_of(codes, parts))
            completed += table.num_rows
            self.say(f"rows of {shape.name} resolved", completed)
        for spill in spills:
            spill.close()
        return spills

    def _by_key(self, shape: TableShape, columns: list[str], parts: int) -> Iterator[pa.Table]:
        """Yield the table in parts by primary key; all rows of a key are in the same part."""
        spill = Spill(self.folder, f"{shape.name}-keys-{len(columns)}", parts)
        for batch in self._read(shape, columns):
            keys = shards_of([batch[name] for name in shape.primary_key], parts)
            spill.write(batch, np.maximum(keys, 0))  # resolving the part refuses null keys
        spill.close()
        for part in range(parts):
            table = spill.read(part)
            if table is not None:
                yield table

    def _computed(
        self, join: _Join, spill: Spill, *, reasons: bool, number: int
    ) -> tuple[list[str], Spill]:
        """Compute the join's columns for all spine rows, in parts.

        Each part has one batch for each chunk of the spine, and a column of spine row numbers.
        """
        out = Spill(self.folder, f"answers-{number}", spill.parts)
        codes = join.numbering.codes
        spine_columns = list(dict.fromkeys([*join.spine_entity, "t"]))
        part_of = np.where(codes < 0, 0, codes % spill.parts)  # a null entity may be in any part
        names: list[str] = []
        for part in range(spill.parts):
            rows = np.flatnonzero(part_of == part)
            spine = self.spine.select(spine_columns).take(pa.array(rows))
            columns = self._columns_of(join, spill.read(part), spine, reasons=reasons)
            names = [name for name, _ in columns]
            table = pa.table([pa.array(rows), *(column for _, column in columns)], [_ROW, *names])
            chunks = np.searchsorted(
                rows, np.arange(0, max(self.spine.num_rows, 1) + _BATCH, _BATCH)
            )
            for start, end in zip(chunks[:-1].tolist(), chunks[1:].tolist(), strict=True):
                out.append(part, table.slice(start, end - start))
                out.flush(part)  # one batch on disk per chunk of the spine
            del columns, table, spine, rows
            pa.default_memory_pool().release_unused()
            self.say(f"parts of {', '.join(v.name for v in join.views)} computed", part + 1,
                     spill.parts)  # fmt: skip
        out.close()
        return names, out

    def _columns_of(
        self, join: _Join, flat: pa.Table | None, spine: pa.Table, *, reasons: bool
    ) -> list[tuple[str, pa.Array]]:
        shape = self.shapes[join.table]
        host = Host.over(spine, join.views, _no_history, self.contracts, self.mode)
        if flat is None:
            flat = _empty_versions(shape, self._columns(shape, complete=False))
        versions = gather(shape, flat)
        versions.table = versions.table.select(self.needed[join.table])  # keys are not needed now
        expect_one_unit(host.t, versions.e, f"table {join.table}")
        host.give(join.table, versions)
        del flat, versions
        return [column for view in join.views for column in host.columns(view, reasons=reasons)]

    def assemble(self, parts: list[tuple[list[str], Spill]]) -> Iterator[pa.RecordBatch]:
        """Yield chunks of the frame in the spine's order; one empty chunk for an empty spine."""
        with ExitStack() as stack:
            readers = []
            for _, spill in parts:
                open_ = [spill.batches(part) for part in range(spill.parts)]
                for reader in open_:
                    stack.callback(reader.close)
                readers.append(open_)
            for start in range(0, max(self.spine.num_rows, 1), _BATCH):
                stored: dict[str, pa.ChunkedArray] = {}
                for (names, _), open_ in zip(parts, readers, strict=True):
                    pieces = pa.Table.from_batches([next(reader) for reader in open_])
                    order = np.argsort(np.asarray(whole(pieces[_ROW])))
                    pieces = pieces.take(pa.array(order))
                    stored |= {name: pieces[name] for name in names}
                yield self._chunk(self.spine.slice(start, _BATCH), stored)
                self.say("rows of the frame", min(start + _BATCH, self.spine.num_rows),
                         self.spine.num_rows)  # fmt: skip

    def _chunk(self, spine: pa.Table, stored: dict[str, pa.ChunkedArray]) -> pa.RecordBatch:
        columns = list(zip(spine.column_names, spine.columns, strict=True))
        for view in self.views:
            if isinstance(view, RowTransform):
                columns.append((view.name, transformed(columns, view)))
            else:
                for name in view.outputs:
                    reason = f"{name}__reason"
                    columns += [(n, stored[n]) for n in (name, reason) if n in stored]
        names, arrays = zip(*columns, strict=True)
        table = pa.table(list(arrays), names=list(names)).combine_chunks()
        if table.num_rows:
            return table.to_batches()[0]
        return empty_batch(table.schema)


def flatten(versions: Versions, columns: list[str]) -> pa.Table:
    """Return visible versions as a table: columns, event time, start and end of visibility."""
    picked = versions.table.select(columns).take(pa.array(versions.rows))
    for name, moments in zip(_MOMENTS, (versions.e, versions.k, versions.x), strict=True):
        picked = picked.append_column(name, pa.array(moments, pa.int64()))
    return picked


def gather(shape: TableShape, flat: pa.Table) -> Versions:
    """Build versions from a table that `flatten` returned, in event order (rule 7)."""
    e, k, x = (np.asarray(values_of(flat[name]).data, dtype=np.int64) for name in _MOMENTS)
    keys = key_ranks([flat[name] for name in shape.primary_key]) if len(e) else e
    order = event_order(e, sequences(shape, flat), keys)
    k = e if np.array_equal(k, e) else k
    if np.array_equal(order, np.arange(len(e))):
        return Versions(shape, flat.drop_columns(_MOMENTS), order, e, k, x)
    return Versions(shape, flat.drop_columns(_MOMENTS), order, e[order], k[order], x[order])


def _empty_versions(shape: TableShape, columns: list[str]) -> pa.Table:
    fields = [(name, shape.columns[name].type) for name in columns]
    return pa.schema(fields + [(name, pa.int64()) for name in _MOMENTS]).empty_table()


def _no_history(table: str, columns: list[str]) -> pa.Table:
    raise AssertionError(table, columns)
