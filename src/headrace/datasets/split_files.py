"""A split as it is stored: cut into parts, each a Parquet file named by its bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.datasets.content_hash import ContentSum, content_sum
from headrace.datasets.manifest import Part, SplitEntry
from headrace.datasets.parts import ends_of, parts_of
from headrace.datasets.shape import statistics
from headrace.datasets.store import Store

_ROW_GROUP = 65_536


@dataclass(frozen=True)
class CutSplit:
    """A split ready to be stored: its rows, cut into parts, and the content of each part."""

    table: pa.Table
    parts: list[tuple[pa.Table, ContentSum]]
    left_out: Mapping[str, int]

    @property
    def content(self) -> ContentSum:
        return total(content for _, content in self.parts)


def cut_split(table: pa.Table, key: Sequence[str], left_out: Mapping[str, int]) -> CutSplit:
    """Rows in their fixed order, in the fixed shape of the release, cut by their `key`."""
    parts = [(part, content_sum(part)) for part in parts_of(table, key)]
    return CutSplit(table, parts, left_out)


def store_split(store: Store, split: CutSplit, key: Sequence[str]) -> SplitEntry:
    """Store the parts that the store has not, and describe them."""
    return SplitEntry(
        parts=tuple(_stored_part(store, table, content, key) for table, content in split.parts),
        rows=split.table.num_rows,
        row_sum=f"{split.content.total:064x}",
        left_out=dict(split.left_out),
        statistics=statistics(split.table),
    )


def total(contents: Iterable[ContentSum]) -> ContentSum:
    """The content of all of them together; there is at least one."""
    first, *rest = contents
    for content in rest:
        first = first + content
    return first


def _has_nan(column: pa.ChunkedArray) -> bool:
    floats = pa.types.is_floating(column.type)
    return floats and bool(pc.any(pc.is_nan(column)).as_py())


def _stored_part(store: Store, table: pa.Table, content: ContentSum, key: Sequence[str]) -> Part:
    temporary = store.temporary(f"{content.hash}.parquet")
    text = [field.name for field in table.schema if field.type == pa.string()]
    pq.write_table(
        table,
        temporary,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=text,
        # Engines believe the least and greatest value of a footer, which leave NaN out.
        write_statistics=[name for name in table.column_names if not _has_nan(table.column(name))],
    )
    size = temporary.stat().st_size
    first, last = ends_of(table, key)
    return Part(
        object=store.adopt(temporary, "parquet"),
        bytes=size,
        rows=table.num_rows,
        row_sum=f"{content.total:064x}",
        first=first,
        last=last,
    )
