"""Read parts with pyarrow: only the selected columns, and only row groups that may match.

Rows that cannot match are skipped in three steps, the cheapest first: splits and parts by the
statistics of the manifest, row groups by the footer of their file, and single rows by evaluating
the condition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.clock import parse_iso
from headrace.core.errors import StateError
from headrace.datasets.dtypes import schema_of
from headrace.datasets.loaders.objects import local_part
from headrace.datasets.loaders.row_filter import (
    EVERY_ROW,
    Bound,
    RowFilter,
    expression,
    may_match,
    needed,
    stated,
)
from headrace.datasets.manifest import Manifest, Part, SplitEntry
from headrace.datasets.store.object_files import footer_problem, reading
from headrace.datasets.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow.compute as pc

TIME = "t"


@dataclass(frozen=True)
class Scan:
    """Selection of a release to read: columns and splits, and the rows for which `where` holds."""

    store: Store
    manifest: Manifest
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    where: RowFilter = EVERY_ROW

    @cached_property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.manifest.columns}

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and dtypes of the columns, in order, from the manifest; no file is read."""
        full_schema = self._full_schema
        return pa.schema([full_schema.field(name) for name in self.columns])

    @cached_property
    def _full_schema(self) -> pa.Schema:
        return schema_of(self.manifest.columns)

    @cached_property
    def _read(self) -> list[str]:
        """Columns to read: the selected columns, followed by further columns of the condition."""
        extra = needed(self.where, self.types, self.manifest.ref) - set(self.columns)
        return [*self.columns, *sorted(extra)]

    @cached_property
    def _condition(self) -> "pc.Expression | None":
        return expression(self.where, self.types)

    def parts(self) -> list[Part]:
        """Parts that may hold matching rows according to the manifest, in row order."""
        parts = []
        for name in self.splits:
            entry = self.manifest.splits[name]
            if self._may(entry):
                parts += [part for part in entry.parts if self._part_may(part)]
        return parts

    def _may(self, entry: SplitEntry) -> bool:
        statistics = entry.statistics
        return may_match(
            self.where, self.types, lambda name: stated(statistics.get(name), self.types[name])
        )

    def _part_may(self, part: Part) -> bool:
        def bound(name: str) -> Bound | None:
            ends = part.first and part.last and name == TIME
            return Bound(part.rows, 0, part.first[0], part.last[0]) if ends else None

        return may_match(self.where, self.types, bound)

    def path(self, part: Part) -> Path:
        """Local file with the bytes of the part. Raises StateError if it is missing or damaged."""
        return local_part(self.store, part, self.manifest.ref)

    def counting(self) -> "Scan":
        """The same rows with the fewest columns needed to count them."""
        fewest = sorted(needed(self.where, self.types, self.manifest.ref)) or self.columns[:1]
        return replace(self, columns=tuple(fewest))

    def table(self) -> pa.Table:
        """All matching rows."""
        tables = list(self.tables())
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def file(self, part: Part) -> pq.ParquetFile:
        """Open a part after checking its bytes, columns, dtypes and row count against the manifest.

        Raises:
            StateError: the part is missing, or does not match the manifest.
        """
        path = self.path(part)
        with reading(part, f"{self.manifest.ref}, {path}"):
            file = pq.ParquetFile(path, memory_map=True)
            if problem := footer_problem(self.manifest, part, file):
                file.close()
                raise StateError(
                    f"object {part.object[:12]} does not belong to this release: {problem}",
                    where=f"{self.manifest.ref}, {path}",
                    fix="restore it from a copy of the store, or rebuild the release",
                )
        return file

    def tables(self) -> Iterator[pa.Table]:
        """Yield a table for each part, in order, except for parts that cannot match."""
        for part in self.parts():
            with self.file(part) as file, reading(part, self.manifest.ref):
                groups = self.groups(file)
                if groups == list(range(file.num_row_groups)):
                    table = file.read(columns=self._read)
                elif groups:
                    table = file.read_row_groups(groups, columns=self._read)
                else:
                    continue
            yield self._matching(table)

    def part(self, part: Part) -> "tuple[pa.Table, npt.NDArray[np.int64] | None]":
        """Matching rows of a part, and their row numbers (None if there is no condition)."""
        with self.file(part) as file, reading(part, self.manifest.ref):
            table = file.read(columns=self._read)
        if self._condition is None:
            return table, None
        import numpy as np

        # "" cannot clash: no released column has an empty name.
        numbered = table.append_column("", pa.array(np.arange(table.num_rows)))
        matching = numbered.filter(self._condition)
        return matching.select(list(self.columns)), matching.column("").to_numpy()

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield at most `rows` rows at a time; only one row group is in memory."""
        for part in self.parts():
            with self.file(part) as file, reading(part, self.manifest.ref):
                batches = file.iter_batches(rows, self.groups(file), columns=self._read)
                for batch in batches:
                    matching = self._matching(pa.Table.from_batches([batch]))
                    yield from matching.to_batches()

    def _matching(self, table: pa.Table) -> pa.Table:
        if self._condition is not None:
            table = table.filter(self._condition)
        return table if table.column_names == list(self.columns) else table.select(self.columns)

    def groups(self, file: pq.ParquetFile) -> list[int]:
        """Row groups that may hold matching rows according to the footer of the file."""
        if not self.where:
            return list(range(file.num_row_groups))
        return [
            number
            for number in range(file.num_row_groups)
            if may_match(self.where, self.types, _bounds(file, number, self.types))
        ]


@dataclass(frozen=True)
class _Bounds:
    """Function that looks up the bounds of a column in the footer of a row group."""

    group: Any
    places: Mapping[str, int]
    types: Mapping[str, str]

    def __call__(self, name: str) -> Bound | None:
        column = self.group.column(self.places[name])
        statistics = column.statistics if column.is_stats_set else None
        if statistics is None:
            return None
        low, high = (
            (_plain(statistics.min, self.types[name]), _plain(statistics.max, self.types[name]))
            if statistics.has_min_max
            else (None, None)
        )
        nulls = statistics.null_count if statistics.has_null_count else None
        return Bound(self.group.num_rows, nulls, low, high)


def _bounds(file: pq.ParquetFile, number: int, types: Mapping[str, str]) -> _Bounds:
    return _Bounds(file.metadata.row_group(number), _places(file.schema_arrow.names), types)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _plain(value: Any, kind: str) -> Any:  # noqa: ANN401 - of the column's dtype
    """A footer value in the form that conditions use: timestamps as microseconds."""
    if isinstance(value, datetime):
        return parse_iso(value.isoformat())
    if kind == "date" and not isinstance(value, date):
        return None
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN
        return None
    return value
