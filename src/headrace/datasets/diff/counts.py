"""Counts and examples of differing rows and cells, added up over pairs of tables."""

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
    """Totals of a comparison: `matched` adds row pairs, `add_unmatched` rows of one release."""

    def __init__(self, key: Sequence[str], types: Mapping[str, str], keep: int) -> None:
        """Start at zero. `types` maps columns to canonical types, `keep` limits the examples."""
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
        """Add two tables whose rows have the same keys, in the same order.

        If `names` is given, only these columns are compared: the others are known to be equal.
        """
        marks = {
            name: column_marks
            for name in (self.types if names is None else names)
            if (column_marks := differing(a.column(name), b.column(name), self.types[name], name))
            is not None
        }
        split_marks = marks.pop("split", None)
        changed = np.logical_or.reduce(list(marks.values())) if marks else None
        unchanged = a.num_rows
        if changed is not None or split_marks is not None:
            both = [mask for mask in (changed, split_marks) if mask is not None]
            unchanged -= int(np.logical_or.reduce(both).sum())
        self.rows["same"] += unchanged
        if split_marks is not None:
            self._add_moved(a, b, split_marks)
        if changed is not None:
            self._add_changed(a, b, marks, changed)

    def add_unmatched(self, kind: str, rows: pa.Table) -> None:
        """Add rows that were `added` or `removed`."""
        self.rows[kind] += rows.num_rows
        counted = pc.value_counts(rows.column("split")).to_pylist()
        self.by_split[kind].update({entry["values"]: entry["counts"] for entry in counted})
        places = self._pick_examples(np.arange(rows.num_rows), self.examples[kind], rows)
        self.examples[kind] += [row(rows, place, self.key) for place in places]

    def _pick_examples(self, places: Places, examples: list[Any], *tables: pa.Table) -> list[int]:
        """Row numbers of further examples, up to the limit, never from the evaluation split."""
        picked: list[int] = []
        for place in places:
            if len(examples) + len(picked) >= self._keep:
                break
            if all(table.column("split")[place].as_py() != EVALUATION for table in tables):
                picked.append(int(place))
        return picked

    def _add_moved(self, a: pa.Table, b: pa.Table, marks: Marks) -> None:
        places = np.flatnonzero(marks)
        self.rows["moved"] += len(places)
        rows = pa.array(places)
        pairs = pa.table({"a": a.column("split").take(rows), "b": b.column("split").take(rows)})
        for pair in pairs.group_by(["a", "b"]).aggregate([([], "count_all")]).to_pylist():
            self.moves[pair["a"], pair["b"]] += pair["count_all"]
        self.examples["moved"] += [
            self._cell_change(a, b, place, "split")
            for place in self._pick_examples(places, self.examples["moved"], a, b)
        ]

    def _add_changed(
        self, a: pa.Table, b: pa.Table, marks: Mapping[str, Marks], changed: Marks
    ) -> None:
        self.rows["changed"] += int(changed.sum())
        for name, column_marks in marks.items():
            self.cells[name] += int(column_marks.sum())
            examples = self.of_column[name]
            places = self._pick_examples(np.flatnonzero(column_marks), examples, a, b)
            examples += [self._cell_change(a, b, place, name) for place in places]
        for place in self._pick_examples(np.flatnonzero(changed), self.examples["changed"], a, b):
            cells: dict[str, tuple[Cell, Cell]] = {
                name: (cell(a, place, name), cell(b, place, name))
                for name, column_marks in marks.items()
                if column_marks[place]
            }
            self.examples["changed"].append(RowChange(self._row(b, place), cells))

    def _cell_change(self, a: pa.Table, b: pa.Table, place: int, name: str) -> CellChange:
        return CellChange(self._row(b, place), cell(a, place, name), cell(b, place, name))

    def _row(self, table: pa.Table, place: int) -> Row:
        return row(table, place, self.key)
