"""Parts with the same rows by key, of which only the columns whose bytes differ are read.

A correction of some cells leaves the keys of a part, and with them its ends and the bytes of most
of its columns, as they were. So does a column that comes or goes.
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

# All that says, beside the bytes, how a column of a row group is to be read.
_TOLD = ("physical_type", "compression", "encodings", "num_values", "total_compressed_size")


def compare_twins(
    scans: tuple[Scan, Scan], parts: tuple[Part, Part], tally: Tally, sampler: Sampler | None
) -> bool:
    """Compare two parts; False, and nothing is done, if their keys are not the same bytes."""
    with ExitStack() as stack:
        sides = [_Side.of(scan, part, stack) for scan, part in zip(scans, parts, strict=True)]
        one, other = sides
        if one.rows != other.rows:
            return False
        groups = range(len(one.rows))
        if not all(_same(one, other, n, name) for n in groups for name in tally.key):
            return False
        for number in groups:
            names = [name for name in tally.types if not _same(one, other, number, name)]
            _compare(sides, number, names, tally, sampler)
    return True


@dataclass(frozen=True)
class _Side:
    """An open part: its file, its bytes, where its columns are, and the rows of its groups."""

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


def _same(one: _Side, other: _Side, number: int, name: str) -> bool:
    """Whether a column of a row group is stored in the same bytes; then its cells are the same."""
    a, b = one.chunk(number, name), other.chunk(number, name)
    if any(getattr(a, told) != getattr(b, told) for told in _TOLD):
        return False
    return bool(one.bytes(a).equals(other.bytes(b)))


def _compare(
    sides: Sequence[_Side], number: int, names: Sequence[str], tally: Tally, sampler: Sampler | None
) -> None:
    one, other = sides
    if not names:
        tally.rows["same"] += one.rows[number]
    else:
        # What examples show of a row, whether it differs or not.
        a = one.read(number, list(dict.fromkeys(["split", *names])))
        b = other.read(number, list(dict.fromkeys([*tally.key, "t", "split", *names])))
        tally.matched(a, b, names)
        if sampler:
            sampler.pairs(a, b, names)
    if sampler:
        sampler.common([name for name in tally.types if name not in names], one.rows[number])
