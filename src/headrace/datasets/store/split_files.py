"""Stored form of a split: parts, each a Parquet file named by the sha256 of its bytes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.core.errors import StateError
from headrace.core.progress import report
from headrace.datasets.hashing.content_hash import ContentSum, content_sum
from headrace.datasets.manifest import Manifest, Part, SplitEntry
from headrace.datasets.store.parts import ends_of, parts_of
from headrace.datasets.store.store import Store
from headrace.datasets.table_shape import statistics

_ROW_GROUP = 65_536

PartsBySum = Mapping[tuple[str, int], Part]


@dataclass(frozen=True)
class CutSplit:
    """A split ready to be stored: its rows, and its parts with their content sums."""

    table: pa.Table
    parts: list[tuple[pa.Table, ContentSum]]
    excluded: Mapping[str, int]

    @property
    def content(self) -> ContentSum:
        return total(content for _, content in self.parts)


def cut_split(table: pa.Table, key: Sequence[str], excluded: Mapping[str, int]) -> CutSplit:
    """Cut the rows of a split into parts by `key`; `table` is in the release's order and schema."""
    parts = [(part, content_sum(part)) for part in parts_of(table, key)]
    return CutSplit(table, parts, excluded)


def known_parts(manifest: Manifest | None, draft: Manifest) -> PartsBySum:
    """Parts of an earlier release that `draft` can reuse, by row sum and row count.

    Equal sums mean equal rows in the fixed order, so a reused part is not written again. If the
    columns differ, no part can be reused.
    """
    if manifest is None or manifest.columns != draft.columns:
        return {}
    parts = [part for split in manifest.splits.values() for part in split.parts]
    return {(part.row_sum, part.rows): part for part in parts if part.first}


def store_splits(
    store: Store, splits: Mapping[str, CutSplit], key: Sequence[str], earlier: PartsBySum
) -> dict[str, SplitEntry]:
    """Store all splits of a release and report progress."""
    count, stored = sum(len(split.parts) for split in splits.values()), 0
    entries = {}

    def report_part() -> None:
        nonlocal stored
        stored += 1
        report("parts", stored, count)

    report("parts", 0, count)
    for name, split in splits.items():
        entries[name] = store_split(store, split, key, earlier, report_part)
    return entries


def store_split(
    store: Store,
    split: CutSplit,
    key: Sequence[str],
    earlier: PartsBySum | None = None,
    report_part: Callable[[], None] = lambda: None,
) -> SplitEntry:
    """Store the parts that do not exist yet; call `report_part` after each part."""
    parts = []
    for table, content in split.parts:
        existing = _existing_part(store, content, earlier or {})
        parts.append(existing or _stored_part(store, table, content, key))
        report_part()
    return SplitEntry(
        parts=tuple(parts),
        rows=split.table.num_rows,
        row_sum=f"{split.content.total:064x}",
        left_out=dict(split.excluded),
        statistics=statistics(split.table),
    )


def check_there(store: Store, manifest: Manifest) -> None:
    """Check, before the release is published, that all its objects exist.

    Raises StateError if an object was removed after it was written.
    """
    parts = [part for split in manifest.splits.values() for part in split.parts]
    lists = [source.batch_list for source in manifest.inputs.values()]
    documents = [
        *manifest.fits.values(),
        manifest.lineage,
        manifest.coverage,
        manifest.card,
        *lists,
    ]
    expected: list[tuple[str, str, int | None]] = [
        (part.object, "parquet", part.bytes) for part in parts
    ]
    expected += [(digest, "json", None) for digest in documents if digest]
    for digest, suffix, size in expected:
        actual = store.storage.size(store.object_name(digest, suffix))
        if actual is None or size not in {None, actual}:
            raise StateError(
                f"object {digest[:12]} disappeared while its release was being made",
                where=store.storage.address,
                fix="release again",
            )


def total(contents: Iterable[ContentSum]) -> ContentSum:
    """Sum of `contents`, which must not be empty."""
    first, *rest = contents
    for content in rest:
        first = first + content
    return first


def _has_nan(column: pa.ChunkedArray) -> bool:
    floats = pa.types.is_floating(column.type)
    return floats and bool(pc.any(pc.is_nan(column)).as_py())


def _existing_part(store: Store, content: ContentSum, earlier: PartsBySum) -> Part | None:
    part = earlier.get((f"{content.total:064x}", content.rows))
    if part is None:
        return None
    size = store.storage.size(store.object_name(part.object, "parquet"))
    return part if size == part.bytes else None


def _stored_part(store: Store, table: pa.Table, content: ContentSum, key: Sequence[str]) -> Part:
    """Write a part; equal rows give equal bytes with the same version of the Parquet writer."""
    temporary = store.temporary(f"{content.hash}.parquet")
    pq.write_table(
        table,
        temporary,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=[field.name for field in table.schema if field.type == pa.string()],
        # Engines trust the bounds in a footer, but bounds do not cover NaN.
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
