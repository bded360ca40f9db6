"""Reading parts with pyarrow: only the columns asked for, and only what may hold rows asked for.

Rows that cannot match are left out in three steps, each cheaper than the next: whole splits and
parts by what the manifest says of them, groups of rows by the footer of their file, and single rows
by the condition itself.
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
    Where,
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
    """What is read of a release: columns of the rows of some splits for which `where` holds."""

    store: Store
    manifest: Manifest
    splits: tuple[str, ...]
    columns: tuple[str, ...]
    where: Where = EVERY_ROW

    @cached_property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.manifest.columns}

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and dtypes of the columns, in order; from the manifest, no file is read."""
        whole = self._whole
        return pa.schema([whole.field(name) for name in self.columns])

    @cached_property
    def _whole(self) -> pa.Schema:
        return schema_of(self.manifest.columns)

    @cached_property
    def _read(self) -> list[str]:
        """The columns to read: those asked for, and those the condition needs after them."""
        extra = needed(self.where, self.types, self.manifest.ref) - set(self.columns)
        return [*self.columns, *sorted(extra)]

    @cached_property
    def _condition(self) -> "pc.Expression | None":
        return expression(self.where, self.types)

    def parts(self) -> list[Part]:
        """Those that may hold rows asked for, by the manifest, in the order of the rows."""
        found = []
        for name in self.splits:
            entry = self.manifest.splits[name]
            if self._may(entry):
                found += [part for part in entry.parts if self._part_may(part)]
        return found

    def _may(self, entry: SplitEntry) -> bool:
        known = entry.statistics
        return may_match(
            self.where, self.types, lambda name: stated(known.get(name), self.types[name])
        )

    def _part_may(self, part: Part) -> bool:
        def bound(name: str) -> Bound | None:
            ends = part.first and part.last and name == TIME
            return Bound(part.rows, 0, part.first[0], part.last[0]) if ends else None

        return may_match(self.where, self.types, bound)

    def path(self, part: Part) -> Path:
        """A file whose bytes are the part's. Raises StateError if there is none."""
        return local_part(self.store, part, self.manifest.ref)

    def counting(self) -> "Scan":
        """The same rows with as few columns as it takes to count them."""
        fewest = sorted(needed(self.where, self.types, self.manifest.ref)) or self.columns[:1]
        return replace(self, columns=tuple(fewest))

    def table(self) -> pa.Table:
        """All rows."""
        tables = list(self.tables())
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def file(self, part: Part) -> pq.ParquetFile:
        """An open part, whose bytes, columns, dtypes and number of rows are the manifest's.

        Raises:
            StateError: it is missing, or is not what was released.
        """
        path = self.path(part)
        with reading(part, f"{self.manifest.ref}, {path}"):
            file = pq.ParquetFile(path, memory_map=True)
            if problem := footer_problem(self.manifest, part, file):
                file.close()
                raise StateError(
                    f"object {part.object[:12]} is not the one of this release: {problem}",
                    where=f"{self.manifest.ref}, {path}",
                    fix="restore it from a copy of the store, or rebuild the release",
                )
        return file

    def tables(self) -> Iterator[pa.Table]:
        """A table for each part, in order; of one that holds no such row, none."""
        for part in self.parts():
            with self.file(part) as file, reading(part, self.manifest.ref):
                groups = self.groups(file)
                if groups == list(range(file.num_row_groups)):
                    table = file.read(columns=self._read)
                elif groups:
                    table = file.read_row_groups(groups, columns=self._read)
                else:
                    continue
            yield self._kept(table)

    def part(self, part: Part) -> "tuple[pa.Table, npt.NDArray[np.int64] | None]":
        """The rows asked for of a part, and their places in it; None if they are all its rows."""
        with self.file(part) as file, reading(part, self.manifest.ref):
            table = file.read(columns=self._read)
        if self._condition is None:
            return table, None
        import numpy as np

        # A column's name is never empty.
        numbered = table.append_column("", pa.array(np.arange(table.num_rows)))
        kept = numbered.filter(self._condition)
        return kept.select(list(self.columns)), kept.column("").to_numpy()

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """At most `rows` at a time; no more than a group of rows is in memory."""
        for part in self.parts():
            with self.file(part) as file, reading(part, self.manifest.ref):
                found = file.iter_batches(rows, self.groups(file), columns=self._read)
                for batch in found:
                    kept = self._kept(pa.Table.from_batches([batch]))
                    yield from kept.to_batches()

    def _kept(self, table: pa.Table) -> pa.Table:
        if self._condition is not None:
            table = table.filter(self._condition)
        return table if table.column_names == list(self.columns) else table.select(self.columns)

    def groups(self, file: pq.ParquetFile) -> list[int]:
        """Those of a file that may hold rows asked for, by its footer."""
        if not self.where:
            return list(range(file.num_row_groups))
        return [
            number
            for number in range(file.num_row_groups)
            if may_match(self.where, self.types, _bounds(file, number, self.types))
        ]


@dataclass(frozen=True)
class _Bounds:
    """Looks a column up in the footer of a group of rows."""

    group: Any
    places: Mapping[str, int]
    types: Mapping[str, str]

    def __call__(self, name: str) -> Bound | None:
        column = self.group.column(self.places[name])
        found = column.statistics if column.is_stats_set else None
        if found is None:
            return None
        low, high = (
            (_plain(found.min, self.types[name]), _plain(found.max, self.types[name]))
            if found.has_min_max
            else (None, None)
        )
        nulls = found.null_count if found.has_null_count else None
        return Bound(self.group.num_rows, nulls, low, high)


def _bounds(file: pq.ParquetFile, number: int, types: Mapping[str, str]) -> _Bounds:
    return _Bounds(file.metadata.row_group(number), _places(file.schema_arrow.names), types)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _plain(value: Any, kind: str) -> Any:  # noqa: ANN401 - of the column's dtype
    """As in a condition: a moment is microseconds."""
    if isinstance(value, datetime):
        return parse_iso(value.isoformat())
    if kind == "date" and not isinstance(value, date):
        return None
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN
        return None
    return value
