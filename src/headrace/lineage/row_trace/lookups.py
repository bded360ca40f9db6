"""What one row of a dataset looks at: an entity of a table in an interval, as of a moment.

A look names rows by what decides whether they matter: their table, their entity, when they happened
and by when they were usable. `Facts` are asked for it; they give every version of every key that
has some version there, because a key is resolved before anything else is asked of it (rule 5).
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
class Look:
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
        """Whether a part of the entity is null: then it looks at nothing (rule 13)."""
        return None in self.values

    def anywhen(self) -> "Look":
        """The same entity at any event time."""
        return replace(self, first=ALWAYS, end=FOREVER)


def look_of_view(view: FeatureView | Lookup, row: Mapping[str, Any]) -> Look:
    """What a view looks at for one row: its spine columns and `t` (int microseconds)."""
    first, end = reach(view, row["t"])
    values = tuple(row[name] for name in view.spine_entity)
    return Look(view.table, view.entity, values, first, end, row["t"])


def look_of_spine(spine: Spine, shape: TableShape, row: Mapping[str, Any]) -> Look:
    """All versions of the row's own key: which one holds at `t` is what the spine is made of."""
    values = tuple(row[name] for name in shape.primary_key)
    return Look(spine.table, shape.primary_key, values, ALWAYS, FOREVER, row["t"])


def look_of_label(label: Label, row: Mapping[str, Any], cut: int) -> Look:
    """The outcomes of the row as read at its cut (rule 21)."""
    values = tuple(row[name] for name in label.spine_key)
    end = row["t"] + duration(label.horizon)
    return Look(label.table, label.key, values, row["t"], end, cut)


class Facts(Protocol):
    """Where a trace finds rows."""

    def rows(self, look: Look) -> pa.Table:
        """All versions of the keys with a version of that entity in that interval.

        Contract columns, `event_time`, `known_at`, `_batch`, `_line`, and where there are any
        `committed_at` and `_deleted`.
        """
        ...

    def none(self, table: str) -> pa.Table:
        """The same columns without a row."""
        ...


@dataclass
class InMemory:
    """Whole tables, each read once and indexed by the entities that are asked for."""

    history: History
    shapes: Shapes
    _tables: dict[str, pa.Table] = field(default_factory=dict)
    _near: dict[tuple[str, tuple[str, ...]], Near] = field(default_factory=dict)

    def rows(self, look: Look) -> pa.Table:
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
        """All rows, in one piece, with all columns."""
        if name not in self._tables:
            rows = self.history(name, list(self.shapes[name].columns))
            self._tables[name] = rows.combine_chunks()
        return self._tables[name]

    def none(self, table: str) -> pa.Table:
        return self.table(table).slice(0, 0)

    def _read(self, table: str, columns: list[str]) -> pa.Table:  # noqa: ARG002 - all, always
        return self.table(table)


def entity_arrays(shape: TableShape, look: Look) -> list[pa.ChunkedArray]:
    """The values looked for, in the types of the table."""
    return [
        pa.chunked_array([typed(value, shape.columns[name].type)])
        for name, value in zip(look.columns, look.values, strict=True)
    ]


def typed(value: object, kind: pa.DataType) -> pa.Array:
    """One value; a moment is int microseconds."""
    if pa.types.is_timestamp(kind) and isinstance(value, int):
        return pa.array([value], pa.int64()).view(kind)
    return pa.array([value], kind)


def is_entity(shape: TableShape, look: Look, rows: pa.Table) -> np.ndarray:
    """Which rows are of the entity, by the kernel's own matching."""
    found = Numbering(entity_arrays(shape, look)).of([rows[name] for name in look.columns])
    mask: np.ndarray = found >= 0
    return mask
