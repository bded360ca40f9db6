"""Reader of the rows that row lookups select, from pinned snapshots.

Each table is scanned twice, for any number of row lookups. The first scan reads keys, entities and
times, to find the keys that have a version in a row lookup. The second reads all versions of these
keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.home import Home
from headrace.core.sql import ident
from headrace.features.table_shapes import Shapes, TableShape
from headrace.lake.tables.history import history_batches
from headrace.lake.tables.lake import Lake
from headrace.lineage.row_trace.lookups import ALWAYS, FOREVER, InMemory, RowLookup

_ORDER = [("_batch", "ascending"), ("_line", "ascending")]


@dataclass
class PinnedFacts:
    """Source rows in the snapshots that a release pinned.

    Attributes:
        home: where the tables are.
        shapes: shape of every table that is used.
        snapshots: {table: snapshot id}, from the manifest.
    """

    home: Home
    shapes: Shapes
    snapshots: Mapping[str, int]
    _read: dict[str, tuple[frozenset[RowLookup], InMemory]] = field(default_factory=dict)

    def prepare(self, looks: Iterable[RowLookup]) -> None:
        """Read the rows of all these row lookups at once."""
        by_table: dict[str, list[RowLookup]] = {}
        for look in looks:
            by_table.setdefault(look.table, []).append(look)
        for table, table_looks in by_table.items():
            self._read[table] = (
                frozenset(table_looks),
                self._over(table, self.scan(table, table_looks)),
            )

    def rows(self, look: RowLookup) -> pa.Table:
        looks, facts = self._read.get(look.table, (frozenset[RowLookup](), None))
        if facts is None or look not in looks:
            facts = self._over(look.table, self.scan(look.table, [look]))
        return facts.rows(look)

    def none(self, table: str) -> pa.Table:
        if table in self._read:
            return self._read[table][1].none(table)
        return self.scan(table, [])

    def _over(self, table: str, rows: pa.Table) -> InMemory:
        return InMemory(lambda _name, _columns: rows, {table: self.shapes[table]})

    def scan(self, table: str, looks: Sequence[RowLookup]) -> pa.Table:
        """Return all versions of the keys that these row lookups select, by batch and line."""
        shape = self.shapes[table]
        parts = list(
            history_batches(
                self.home, table, list(shape.columns), snapshot_id=self.snapshot(table),
                keys=self._keys(shape, looks), pinned=True,
            )
        )  # fmt: skip
        return pa.concat_tables(parts).sort_by(_ORDER).combine_chunks()

    def snapshot(self, table: str) -> int:
        if self.snapshots.get(table) is None:
            raise StateError(
                f"the release pins no snapshot of {table}",
                where="the release's manifest",
                fix="the table may have been empty at the release; none of its rows can be traced",
            )
        return self.snapshots[table]

    def _keys(self, shape: TableShape, looks: Sequence[RowLookup]) -> pa.Table:
        keys = shape.primary_key
        names = dict.fromkeys(
            [*keys, *(name for look in looks for name in look.columns), "event_time", "known_at"]
        )
        relation = Lake(self.home).relation(shape.name, list(names), self.snapshot(shape.name))
        values: list[Any] = []
        tests = [_test(look, shape, values) for look in dict.fromkeys(looks)] or ["false"]
        columns = ", ".join(map(ident, keys))
        with closing(duckdb.connect()) as db:
            db.execute("SET TimeZone = 'UTC'")
            return db.sql(
                f"SELECT DISTINCT {columns} FROM {relation}"  # noqa: S608 - quoted, values bound
                f" WHERE {' OR '.join(tests)}",
                params=values,
            ).to_arrow_table()


def _test(look: RowLookup, shape: TableShape, values: list[Any]) -> str:
    """Return an SQL condition for a row lookup; append its parameters to `values`."""
    parts = []
    for name, value in zip(look.columns, look.values, strict=True):
        values.append(value)
        moment = pa.types.is_timestamp(shape.columns[name].type)
        parts.append(f"{ident(name)} = {'make_timestamptz(?)' if moment else '?'}")
    for bound, op in ((look.first, ">="), (look.end, "<")):
        if bound not in {ALWAYS, FOREVER}:
            values.append(bound)
            parts.append(f"event_time {op} make_timestamptz(?)")
    values.append(look.at)
    parts.append("known_at <= make_timestamptz(?)")
    return f"({' AND '.join(parts)})"
