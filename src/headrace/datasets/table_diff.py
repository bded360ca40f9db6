"""Cell-by-cell differences of two tables that should be equal.

Rows are paired by key, so a missing row does not affect the others. Cells are compared as in the
content hash: NaN equals NaN, -0 equals 0, null differs from the empty text.
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
    """A cell that differs; `stored` and `rebuilt` are JSON values, timestamps RFC 3339 in UTC."""

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
    """Differences of two tables: complete counts, with cells and rows listed up to a limit.

    Attributes:
        columns: number of differing cells by column.
        cells: the first differing cells, in the order of the stored rows, then of columns.
        only_stored, only_rebuilt: number of rows that only this side has.
        rows: keys of the first such rows, with `side` (`stored` or `rebuilt`) and `split`.
        schema: one text for each column that only one side has, or whose types differ.
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
    stored: pa.Table, rebuilt: pa.Table, key: Sequence[str], limit: int = MOST_LISTED
) -> Differences:
    """Compare the stored and the rebuilt table of a release.

    Args:
        stored: stored table, with the key columns; its `split` (string), if any, is reported.
        rebuilt: rebuilt table, likewise.
        key: columns that identify rows; rows with the same key are paired in order.
        limit: maximum number of cells, and of rows, to list.
    """
    schema, common = _schemas(stored.schema, rebuilt.schema)
    if set(key) - set(common):
        return Differences({}, (), stored.num_rows, rebuilt.num_rows, (), schema)
    left, right, only_stored, only_rebuilt = _paired(stored, rebuilt, key)
    counts: dict[str, int] = {}
    differing: list[tuple[int, str]] = []
    for name in common:
        stored_column, rebuilt_column = (
            _cells_at(stored, name, left),
            _cells_at(rebuilt, name, right),
        )
        places = np.flatnonzero(_differs(stored_column, rebuilt_column))
        if len(places):
            counts[name] = len(places)
            differing += [(int(place), name) for place in places[:limit]]
    differing.sort(key=lambda entry: entry[0])
    cells = tuple(
        Cell(
            key=_key(stored, key, int(left[place])),
            split=_split(stored, int(left[place])),
            column=name,
            stored=_value(stored, name, int(left[place])),
            rebuilt=_value(rebuilt, name, int(right[place])),
        )
        for place, name in differing[:limit]
    )
    rows = [
        {"side": side, "split": _split(table, int(row)), **_key(table, key, int(row))}
        for side, table, places in (
            ("stored", stored, only_stored),
            ("rebuilt", rebuilt, only_rebuilt),
        )
        for row in places[:limit]
    ]
    return Differences(
        counts, cells, len(only_stored), len(only_rebuilt), tuple(rows[:limit]), schema
    )


def _schemas(stored: pa.Schema, rebuilt: pa.Schema) -> tuple[tuple[str, ...], list[str]]:
    """Differences of the schemas as text, and the columns to compare."""
    differences, common = [], []
    for name in dict.fromkeys((*stored.names, *rebuilt.names)):
        if name not in rebuilt.names:
            differences.append(f"{name}: only stored")
        elif name not in stored.names:
            differences.append(f"{name}: only rebuilt")
        elif stored.field(name).type != rebuilt.field(name).type:
            differences.append(
                f"{name}: {stored.field(name).type}, rebuilt {rebuilt.field(name).type}"
            )
        else:
            common.append(name)
    return tuple(differences), common


def _paired(
    stored: pa.Table, rebuilt: pa.Table, key: Sequence[str]
) -> tuple[Places, Places, Places, Places]:
    """Row numbers of paired rows (stored, rebuilt), then of unpaired rows (stored, rebuilt)."""
    names = ", ".join(map(ident, key))
    join_condition = " AND ".join(
        f"a.{ident(name)} IS NOT DISTINCT FROM b.{ident(name)}" for name in key
    )
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
            f" ON {join_condition} AND a.__turn = b.__turn ORDER BY a, b"
        ).to_arrow_table()
    both = pc.and_(pairs["a"].is_valid(), pairs["b"].is_valid())
    paired = pairs.filter(both)
    return (
        paired["a"].to_numpy(),
        paired["b"].to_numpy(),
        pairs["a"].filter(pairs["b"].is_null()).to_numpy(),
        pairs["b"].filter(pairs["a"].is_null()).to_numpy(),
    )


def _cells_at(table: pa.Table, name: str, places: Places) -> pa.Array:
    column = table.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.take(pa.array(places))


def _differs(stored: pa.Array, rebuilt: pa.Array) -> npt.NDArray[np.bool_]:
    unequal = pc.not_equal(stored, rebuilt).fill_null(False)
    if pa.types.is_floating(stored.type):
        nans = pc.and_(pc.is_nan(stored), pc.is_nan(rebuilt)).fill_null(False)
        unequal = pc.and_not(unequal, nans)
    nulls = pc.xor(stored.is_null(), rebuilt.is_null())
    flags: npt.NDArray[np.bool_] = pc.or_(unequal, nulls).to_numpy(zero_copy_only=False)
    return flags


def _key(table: pa.Table, key: Sequence[str], row: int) -> dict[str, Any]:
    return {name: _value(table, name, row) for name in key}


def _split(table: pa.Table, row: int) -> str:
    return str(table.column("split")[row]) if "split" in table.column_names else ""


def _value(table: pa.Table, name: str, row: int) -> Any:  # noqa: ANN401 - a JSON value
    cell = table.column(name)[row]
    if cell.is_valid and pa.types.is_timestamp(cell.type):
        return iso(cell.cast(pa.timestamp("us", cell.type.tz)).cast(pa.int64()).as_py())
    return json_value(cell.as_py())
