"""A split as it is stored: cut into parts, each a Parquet file named by its bytes."""

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

Known = Mapping[tuple[str, int], Part]


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


def known_parts(manifest: Manifest | None, draft: Manifest) -> Known:
    """Parts of an earlier release that one with the same columns can take over, by sum and rows.

    Equal sums are equal rows, and rows have one order: there is nothing to write.
    """
    if manifest is None or manifest.columns != draft.columns:
        return {}
    parts = [part for split in manifest.splits.values() for part in split.parts]
    return {(part.row_sum, part.rows): part for part in parts if part.first}


def store_splits(
    store: Store, splits: Mapping[str, CutSplit], key: Sequence[str], known: Known
) -> dict[str, SplitEntry]:
    """Store all splits of a release, and say how far it is."""
    count, done = sum(len(split.parts) for split in splits.values()), 0
    entries = {}

    def tell() -> None:
        nonlocal done
        done += 1
        report("parts", done, count)

    report("parts", 0, count)
    for name, split in splits.items():
        entries[name] = store_split(store, split, key, known, tell)
    return entries


def store_split(
    store: Store,
    split: CutSplit,
    key: Sequence[str],
    known: Known | None = None,
    tell: Callable[[], None] = lambda: None,
) -> SplitEntry:
    """Store the parts that the store has not, and describe them; `tell` is called after each."""
    parts = []
    for table, content in split.parts:
        there = _there(store, content, known or {})
        parts.append(there or _stored_part(store, table, content, key))
        tell()
    return SplitEntry(
        parts=tuple(parts),
        rows=split.table.num_rows,
        row_sum=f"{split.content.total:064x}",
        left_out=dict(split.left_out),
        statistics=statistics(split.table),
    )


def check_there(store: Store, manifest: Manifest) -> None:
    """Look at every object once more before the release is seen.

    Raises StateError: something cleared one up between its writing and now.
    """
    parts = [part for split in manifest.splits.values() for part in split.parts]
    lists = [given.batch_list for given in manifest.inputs.values()]
    said = [*manifest.fits.values(), manifest.lineage, manifest.coverage, manifest.card, *lists]
    wanted: list[tuple[str, str, int | None]] = [
        (part.object, "parquet", part.bytes) for part in parts
    ]
    wanted += [(one, "json", None) for one in said if one]
    for digest, suffix, size in wanted:
        found = store.storage.size(store.object_name(digest, suffix))
        if found is None or size not in {None, found}:
            raise StateError(
                f"object {digest[:12]} has gone while its release was made",
                where=store.storage.address,
                fix="release again",
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


def _there(store: Store, content: ContentSum, known: Known) -> Part | None:
    part = known.get((f"{content.total:064x}", content.rows))
    if part is None:
        return None
    found = store.storage.size(store.object_name(part.object, "parquet"))
    return part if found == part.bytes else None


def _stored_part(store: Store, table: pa.Table, content: ContentSum, key: Sequence[str]) -> Part:
    """Equal rows give equal bytes, as long as the writer of Parquet is the same."""
    temporary = store.temporary(f"{content.hash}.parquet")
    pq.write_table(
        table,
        temporary,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=[field.name for field in table.schema if field.type == pa.string()],
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
