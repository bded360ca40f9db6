"""Context that all workers of a job share: definitions, table shapes, shards."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from headrace.features.frames.training_frame import used_columns
from headrace.features.spec import FeatureView, Lookup, Mode, RowTransform, View
from headrace.features.table_shapes import TableShape

ROW = "spine_row"
SPINE = 0  # kind of message: rows of the spine
VERSIONS = 1  # kind of message: versions of a table
OUTPUTS = 2  # and above, kind of message: columns of one join


@dataclass(frozen=True)
class Join:
    """Views that read the same table by the same entity, so that they share sorting and search."""

    table: str
    entity: tuple[str, ...]
    spine_entity: tuple[str, ...]
    views: tuple[FeatureView | Lookup, ...]


@dataclass(frozen=True)
class Job:
    """Computation of one training set.

    `output` is the schema of the training set; `engine` is the same schema after the row number, in
    the types of the engine. `complete` names the tables that are read with all columns.
    """

    views: tuple[View, ...]
    joins: tuple[Join, ...]
    shapes: dict[str, TableShape]
    spine: pa.Schema
    output: pa.Schema
    engine: pa.Schema
    mode: Mode
    reasons: bool
    shards: int
    complete: frozenset[str] = frozenset()

    @property
    def tables(self) -> list[str]:
        return list(dict.fromkeys(join.table for join in self.joins))

    def needed(self, table: str) -> list[str]:
        """Return the columns of the table that views use or that order its versions."""
        shape = self.shapes[table]
        used = [
            name
            for join in self.joins
            if join.table == table
            for view in join.views
            for name in (*view.entity, *used_columns(view))
        ]
        sequence = [shape.sequence] if shape.sequence else []
        return list(dict.fromkeys([*shape.primary_key, *sequence, *used]))

    def read(self, table: str) -> list[str]:
        """Return the columns to read: the needed ones, or all if ties are resolved by content."""
        return list(self.shapes[table].columns) if table in self.complete else self.needed(table)


def joins_of(views: Sequence[View]) -> tuple[Join, ...]:
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[FeatureView | Lookup]] = {}
    for view in views:
        if not isinstance(view, RowTransform):
            groups.setdefault((view.table, view.entity, view.spine_entity), []).append(view)
    return tuple(Join(*key, tuple(members)) for key, members in groups.items())
