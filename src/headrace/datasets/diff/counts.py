"""Counts and examples of what differs, gathered one pair of tables after the other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.diff.cell_comparison import Marks, differing
from headrace.datasets.diff.json_values import cell, row
from headrace.datasets.diff.model import Cell, CellChange, Row, RowChange
from headrace.datasets.vocabulary import EVALUATION

Places = npt.NDArray[np.int64]


class Tally:
    """Add pairs of tables with `matched`, and rows of one release with `alone`."""

    def __init__(self, key: Sequence[str], types: Mapping[str, str], keep: int) -> None:
        """`types` are the canonical types of the columns to compare; `keep` examples of a kind."""
        self.key, self.types, self._keep = tuple(key), dict(types), keep
        self.rows: Counter[str] = Counter()
        self.cells: Counter[str] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()
        self.by_split: dict[str, Counter[str]] = {"added": Counter(), "removed": Counter()}
        self.examples: dict[str, list[Any]] = {
            kind: [] for kind in ("added", "removed", "changed", "moved")
        }
        self.of_column: dict[str, list[CellChange]] = {name: [] for name in types}

    def matched(self, a: pa.Table, b: pa.Table, names: Sequence[str] | None = None) -> None:
        """Two tables whose rows are the same by key, one by one.

        Only columns `names` are compared if they are given: the others are known to be equal.
        """
        marks = {
            name: found
            for name in (self.types if names is None else names)
            if (found := differing(a.column(name), b.column(name), self.types[name], name))
            is not None
        }
        moved = marks.pop("split", None)
        changed = np.logical_or.reduce(list(marks.values())) if marks else None
        same = a.num_rows
        if changed is not None or moved is not None:
            both = [one for one in (changed, moved) if one is not None]
            same -= int(np.logical_or.reduce(both).sum())
        self.rows["same"] += same
        if moved is not None:
            self._moved(a, b, moved)
        if changed is not None:
            self._changed(a, b, marks, changed)

    def alone(self, kind: str, rows: pa.Table) -> None:
        """Rows that were `added` or `removed`."""
        self.rows[kind] += rows.num_rows
        counted = pc.value_counts(rows.column("split")).to_pylist()
        self.by_split[kind].update({one["values"]: one["counts"] for one in counted})
        places = self._some(np.arange(rows.num_rows), self.examples[kind], rows)
        self.examples[kind] += [row(rows, place, self.key) for place in places]

    def _some(self, places: Places, held: list[Any], *tables: pa.Table) -> list[int]:
        """As many as there is room for. A row of the evaluation split is counted, never shown."""
        found: list[int] = []
        for place in places:
            if len(held) + len(found) >= self._keep:
                break
            if all(table.column("split")[place].as_py() != EVALUATION for table in tables):
                found.append(int(place))
        return found

    def _moved(self, a: pa.Table, b: pa.Table, marks: Marks) -> None:
        places = np.flatnonzero(marks)
        self.rows["moved"] += len(places)
        rows = pa.array(places)
        pairs = pa.table({"a": a.column("split").take(rows), "b": b.column("split").take(rows)})
        for pair in pairs.group_by(["a", "b"]).aggregate([([], "count_all")]).to_pylist():
            self.moves[pair["a"], pair["b"]] += pair["count_all"]
        self.examples["moved"] += [
            self._cell_change(a, b, place, "split")
            for place in self._some(places, self.examples["moved"], a, b)
        ]

    def _changed(
        self, a: pa.Table, b: pa.Table, marks: Mapping[str, Marks], changed: Marks
    ) -> None:
        self.rows["changed"] += int(changed.sum())
        for name, found in marks.items():
            self.cells[name] += int(found.sum())
            examples = self.of_column[name]
            places = self._some(np.flatnonzero(found), examples, a, b)
            examples += [self._cell_change(a, b, place, name) for place in places]
        for place in self._some(np.flatnonzero(changed), self.examples["changed"], a, b):
            cells: dict[str, tuple[Cell, Cell]] = {
                name: (cell(a, place, name), cell(b, place, name))
                for name, found in marks.items()
                if found[place]
            }
            self.examples["changed"].append(RowChange(self._row(b, place), cells))

    def _cell_change(self, a: pa.Table, b: pa.Table, place: int, name: str) -> CellChange:
        return CellChange(self._row(b, place), cell(a, place, name), cell(b, place, name))

    def _row(self, table: pa.Table, place: int) -> Row:
        return row(table, place, self.key)
