"""Comparison of parts with the same keys, reading only the columns whose bytes differ.

Correcting some cells, or adding or removing a column, does not change the keys of a part or the
bytes of most columns.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.datasets.diff.counts import Tally
from headrace.datasets.diff.merge_join import opened
from headrace.datasets.diff.sample import Sampler
from headrace.datasets.loaders.scan import Scan
from headrace.datasets.manifest import Part

# Properties that, besides the bytes, determine how a column of a row group is decoded.
_CHUNK_PROPERTIES = (
    "physical_type",
    "compression",
    "encodings",
    "num_values",
    "total_compressed_size",
)


def compare_twins(
    scans: tuple[Scan, Scan], parts: tuple[Part, Part], tally: Tally, sampler: Sampler | None
) -> bool:
    """Compare two parts; if the bytes of their keys differ, return False without comparing."""
    with ExitStack() as stack:
        sides = [_Side.of(scan, part, stack) for scan, part in zip(scans, parts, strict=True)]
        before, after = sides
        if before.rows != after.rows:
            return False
        groups = range(len(before.rows))
        if not all(_equal_chunks(before, after, n, name) for n in groups for name in tally.key):
            return False
        for number in groups:
            names = [name for name in tally.types if not _equal_chunks(before, after, number, name)]
            _compare(sides, number, names, tally, sampler)
    return True


@dataclass(frozen=True)
class _Side:
    """An open part: its file, bytes, column positions, and the row count of each row group."""

    file: pq.ParquetFile
    data: Any
    places: dict[str, int]
    rows: tuple[int, ...]

    @classmethod
    def of(cls, scan: Scan, part: Part, stack: ExitStack) -> "_Side":
        file = stack.enter_context(opened(scan, part))
        data = stack.enter_context(pa.memory_map(str(scan.path(part))))
        places = {name: place for place, name in enumerate(file.schema_arrow.names)}
        groups = range(file.num_row_groups)
        rows = tuple(file.metadata.row_group(number).num_rows for number in groups)
        return cls(file, data, places, rows)

    def chunk(self, number: int, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        return self.file.metadata.row_group(number).column(self.places[name])

    def bytes(self, chunk: Any) -> pa.Buffer:  # noqa: ANN401
        first = chunk.data_page_offset
        if chunk.has_dictionary_page:
            first = min(first, chunk.dictionary_page_offset)
        self.data.seek(first)
        return self.data.read_buffer(chunk.total_compressed_size)

    def read(self, number: int, names: Sequence[str]) -> pa.Table:
        return self.file.read_row_group(number, columns=list(names)).select(list(names))


def _equal_chunks(before: _Side, after: _Side, number: int, name: str) -> bool:
    """True if a column of a row group has the same bytes in both parts, and so the same cells."""
    a, b = before.chunk(number, name), after.chunk(number, name)
    if any(
        getattr(a, name_of_property) != getattr(b, name_of_property)
        for name_of_property in _CHUNK_PROPERTIES
    ):
        return False
    return bool(before.bytes(a).equals(after.bytes(b)))


def _compare(
    sides: Sequence[_Side], number: int, names: Sequence[str], tally: Tally, sampler: Sampler | None
) -> None:
    before, after = sides
    if not names:
        tally.rows["same"] += before.rows[number]
    else:
        # Examples show the key, `t` and `split` of a row, whether they differ or not.
        a = before.read(number, list(dict.fromkeys(["split", *names])))
        b = after.read(number, list(dict.fromkeys([*tally.key, "t", "split", *names])))
        tally.matched(a, b, names)
        if sampler:
            sampler.pairs(a, b, names)
    if sampler:
        sampler.common([name for name in tally.types if name not in names], before.rows[number])
