"""Where two tables that should be the same differ: which cell of which row, column by column.

Rows are paired by their key, so one row that is missing does not make all others differ. Cells are
equal when the content hash takes them for equal: NaN is NaN, -0 is 0, null is not the empty text.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import iso
from headrace.core.sql import ident
from headrace.datasets.store.parts import json_value

MOST_LISTED = 50

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """A cell that differs; `stored` and `rebuilt` are JSON values, moments RFC 3339 in UTC."""

    key: dict[str, Any]
    split: str
    column: str
    stored: Any
    rebuilt: Any

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.split}, {key}: {self.column} is {self.stored!r}, rebuilt {self.rebuilt!r}"


@dataclass(frozen=True)
class Differences:
    """What differs. Counts are of everything; cells and rows are listed up to `MOST_LISTED`.

    Attributes:
        columns: differing cells by column.
        cells: the first of them, in the order of the stored rows, then of columns.
        only_stored, only_rebuilt: rows that the other side lacks.
        rows: keys of the first of these, with `side` (`stored` or `rebuilt`) and `split`.
        schema: columns that only one side has, or in another type.
    """

    columns: dict[str, int]
    cells: tuple[Cell, ...]
    only_stored: int
    only_rebuilt: int
    rows: tuple[dict[str, Any], ...]
    schema: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.columns or self.only_stored or self.only_rebuilt or self.schema)

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": self.columns,
            "cells": [vars(cell) for cell in self.cells],
            "only_stored": self.only_stored,
            "only_rebuilt": self.only_rebuilt,
            "rows": list(self.rows),
            "schema": list(self.schema),
        }


def locate(
    stored: pa.Table, rebuilt: pa.Table, key: Sequence[str], most: int = MOST_LISTED
) -> Differences:
    """Compare two tables of a release.

    Args:
        stored: has the key columns; its `split` (string) is told where there is one.
        rebuilt: likewise.
        key: columns that tell rows apart; rows that share their key are paired in order.
        most: how many cells, and how many rows, to list.
    """
    schema, common = _schemas(stored.schema, rebuilt.schema)
    if set(key) - set(common):
        return Differences({}, (), stored.num_rows, rebuilt.num_rows, (), schema)
    left, right, gone, new = _paired(stored, rebuilt, key)
    counts: dict[str, int] = {}
    found: list[tuple[int, str]] = []
    for name in common:
        ours, theirs = (_taken(stored, name, left), _taken(rebuilt, name, right))
        places = np.flatnonzero(_differs(ours, theirs))
        if len(places):
            counts[name] = len(places)
            found += [(int(place), name) for place in places[:most]]
    found.sort(key=lambda one: one[0])
    cells = tuple(
        Cell(
            key=_key(stored, key, int(left[place])),
            split=_split(stored, int(left[place])),
            column=name,
            stored=_value(stored, name, int(left[place])),
            rebuilt=_value(rebuilt, name, int(right[place])),
        )
        for place, name in found[:most]
    )
    rows = [
        {"side": side, "split": _split(table, int(row)), **_key(table, key, int(row))}
        for side, table, places in (("stored", stored, gone), ("rebuilt", rebuilt, new))
        for row in places[:most]
    ]
    return Differences(counts, cells, len(gone), len(new), tuple(rows[:most]), schema)


def _schemas(stored: pa.Schema, rebuilt: pa.Schema) -> tuple[tuple[str, ...], list[str]]:
    """What differs between the schemas in words, and the columns to compare."""
    told, common = [], []
    for name in dict.fromkeys((*stored.names, *rebuilt.names)):
        if name not in rebuilt.names:
            told.append(f"{name}: only stored")
        elif name not in stored.names:
            told.append(f"{name}: only rebuilt")
        elif stored.field(name).type != rebuilt.field(name).type:
            told.append(f"{name}: {stored.field(name).type}, rebuilt {rebuilt.field(name).type}")
        else:
            common.append(name)
    return tuple(told), common


def _paired(
    stored: pa.Table, rebuilt: pa.Table, key: Sequence[str]
) -> tuple[Places, Places, Places, Places]:
    """Places of the pairs on either side, then of rows without a pair: stored, rebuilt."""
    names = ", ".join(map(ident, key))
    same = " AND ".join(f"a.{ident(name)} IS NOT DISTINCT FROM b.{ident(name)}" for name in key)
    with closing(duckdb.connect()) as db:
        db.execute("SET TimeZone = 'UTC'")
        for side, table in (("stored", stored), ("rebuilt", rebuilt)):
            numbered = table.select(list(key)).append_column(
                "__place", pa.array(np.arange(table.num_rows), pa.int64())
            )
            db.register(f"{side}_rows", numbered)
        numbered = (
            "SELECT *, row_number() OVER (PARTITION BY {0} ORDER BY __place) AS __turn FROM {1}"
        )
        pairs = db.sql(
            f"SELECT a.__place AS a, b.__place AS b FROM ({numbered.format(names, 'stored_rows')})"  # noqa: S608
            f" AS a FULL JOIN ({numbered.format(names, 'rebuilt_rows')}) AS b"
            f" ON {same} AND a.__turn = b.__turn ORDER BY a, b"
        ).to_arrow_table()
    both = pc.and_(pairs["a"].is_valid(), pairs["b"].is_valid())
    paired = pairs.filter(both)
    return (
        paired["a"].to_numpy(),
        paired["b"].to_numpy(),
        pairs["a"].filter(pairs["b"].is_null()).to_numpy(),
        pairs["b"].filter(pairs["a"].is_null()).to_numpy(),
    )


def _taken(table: pa.Table, name: str, places: Places) -> pa.Array:
    column = table.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.take(pa.array(places))


def _differs(ours: pa.Array, theirs: pa.Array) -> npt.NDArray[np.bool_]:
    unequal = pc.not_equal(ours, theirs).fill_null(False)
    if pa.types.is_floating(ours.type):
        nans = pc.and_(pc.is_nan(ours), pc.is_nan(theirs)).fill_null(False)
        unequal = pc.and_not(unequal, nans)
    nulls = pc.xor(ours.is_null(), theirs.is_null())
    found: npt.NDArray[np.bool_] = pc.or_(unequal, nulls).to_numpy(zero_copy_only=False)
    return found


def _key(table: pa.Table, key: Sequence[str], row: int) -> dict[str, Any]:
    return {name: _value(table, name, row) for name in key}


def _split(table: pa.Table, row: int) -> str:
    return str(table.column("split")[row]) if "split" in table.column_names else ""


def _value(table: pa.Table, name: str, row: int) -> Any:  # noqa: ANN401 - a JSON value
    cell = table.column(name)[row]
    if cell.is_valid and pa.types.is_timestamp(cell.type):
        return iso(cell.cast(pa.timestamp("us", cell.type.tz)).cast(pa.int64()).as_py())
    return json_value(cell.as_py())
