"""Selections of source rows for one dataset row, and readers of the selected rows.

A `RowLookup` selects rows by table, entity, event time and the time by which they were usable.
`TraceFacts` returns all versions of every key with a version in that selection, because versions
are resolved before anything else (rule 5). The rules have the numbers of
docs/reference/feature-semantics.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration
from headrace.features.kernel.arrays import FURTHEST, Numbering
from headrace.features.kernel.visibility import History
from headrace.features.oracle_audit import Near, reach
from headrace.features.spec import FeatureView, Label, Lookup, Spine
from headrace.features.table_shapes import Shapes, TableShape

ALWAYS, FOREVER = -FURTHEST, FURTHEST + 1


@dataclass(frozen=True)
class RowLookup:
    """Rows of `table` with these values and first <= event_time < end, usable by `at`.

    Moments are int64 microseconds UTC.
    """

    table: str
    columns: tuple[str, ...]
    values: tuple[Any, ...]
    first: int
    end: int
    at: int

    @property
    def is_null(self) -> bool:
        """True if a part of the entity is null, so that no rows are selected (rule 13)."""
        return None in self.values

    def anywhen(self) -> "RowLookup":
        """Return the same row lookup without limits on event time."""
        return replace(self, first=ALWAYS, end=FOREVER)


def look_of_view(view: FeatureView | Lookup, row: Mapping[str, Any]) -> RowLookup:
    """Return the row lookup of a view for a row with spine columns and `t` (int microseconds)."""
    first, end = reach(view, row["t"])
    values = tuple(row[name] for name in view.spine_entity)
    return RowLookup(view.table, view.entity, values, first, end, row["t"])


def look_of_spine(spine: Spine, shape: TableShape, row: Mapping[str, Any]) -> RowLookup:
    """Return the row lookup of all versions of the row's key; the spine uses the one at `t`."""
    values = tuple(row[name] for name in shape.primary_key)
    return RowLookup(spine.table, shape.primary_key, values, ALWAYS, FOREVER, row["t"])


def look_of_label(label: Label, row: Mapping[str, Any], cut: int) -> RowLookup:
    """Return the row lookup of the outcomes of the row, as known at its cut (rule 21)."""
    values = tuple(row[name] for name in label.spine_key)
    end = row["t"] + duration(label.horizon)
    return RowLookup(label.table, label.key, values, row["t"], end, cut)


class TraceFacts(Protocol):
    """Source of rows for a trace."""

    def rows(self, look: RowLookup) -> pa.Table:
        """Return all versions of every key that has a version in the row lookup.

        The columns are the contract's columns, `event_time`, `known_at`, `_batch`, `_line`, and
        `committed_at` and `_deleted` if the table has them.
        """
        ...

    def none(self, table: str) -> pa.Table:
        """Return a table with the same columns and no rows."""
        ...


@dataclass
class InMemory:
    """Tables in memory, each read once and indexed by the entities of the row lookups."""

    history: History
    shapes: Shapes
    _tables: dict[str, pa.Table] = field(default_factory=dict)
    _near: dict[tuple[str, tuple[str, ...]], Near] = field(default_factory=dict)

    def rows(self, look: RowLookup) -> pa.Table:
        near = self.near(look.table, look.columns)
        columns = entity_arrays(near.shape, look)
        code = int(near.numbering.of(columns)[0])
        return near.table.take(pa.array(np.sort(near.row_numbers(code, look.first, look.end))))

    def near(self, table: str, entity: Sequence[str]) -> Near:
        key = (table, tuple(entity))
        if key not in self._near:
            shape = self.shapes[table]
            self._near[key] = Near(self._read, shape, entity, list(shape.columns))
        return self._near[key]

    def table(self, name: str) -> pa.Table:
        """Return all rows in one chunk, with all columns."""
        if name not in self._tables:
            rows = self.history(name, list(self.shapes[name].columns))
            self._tables[name] = rows.combine_chunks()
        return self._tables[name]

    def none(self, table: str) -> pa.Table:
        return self.table(table).slice(0, 0)

    def _read(self, table: str, columns: list[str]) -> pa.Table:  # noqa: ARG002 - reads all columns
        return self.table(table)


def entity_arrays(shape: TableShape, look: RowLookup) -> list[pa.ChunkedArray]:
    """Return the values of a row lookup, in the types of the table."""
    return [
        pa.chunked_array([typed(value, shape.columns[name].type)])
        for name, value in zip(look.columns, look.values, strict=True)
    ]


def typed(value: object, kind: pa.DataType) -> pa.Array:
    """Return an array with one value; a time is given as int microseconds."""
    if pa.types.is_timestamp(kind) and isinstance(value, int):
        return pa.array([value], pa.int64()).view(kind)
    return pa.array([value], kind)


def is_entity(shape: TableShape, look: RowLookup, rows: pa.Table) -> np.ndarray:
    """Return the mask of the entity's rows, matched as the kernel matches them."""
    codes = Numbering(entity_arrays(shape, look)).of([rows[name] for name in look.columns])
    mask: np.ndarray = codes >= 0
    return mask
