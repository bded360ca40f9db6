"""Visibility of row versions (rules 2 to 8), the first step of every computation.

A version is visible in [k, x): from the time at which it becomes usable to the time at which a
greater version of the same primary key becomes usable. This does not depend on entities, windows or
filters.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core import compute
from headrace.core.errors import HeadraceError
from headrace.features.declaration_checks import check_mode
from headrace.features.kernel.arrays import (
    NEVER,
    Bools,
    Ints,
    Values,
    bools,
    expect_columns,
    expect_table,
    key_ranks,
    plain_floats,
    times,
    values_of,
    whole,
)
from headrace.features.kernel.republication import shown_before, winners
from headrace.features.kernel.row_content import content_bytes
from headrace.features.kernel.scaled_integers import quantised
from headrace.features.spec import Mode
from headrace.features.table_shapes import TableShape

# Function (table, columns) -> rows with these columns, event_time, known_at, in recorded mode
# committed_at (int64 microseconds), and _deleted if the table has deletions.
History: TypeAlias = Callable[[str, list[str]], pa.Table]
# Like History, but rows may also be a reader of record batches.
Streamed: TypeAlias = Callable[[str, list[str]], pa.Table | pa.RecordBatchReader]


@dataclass
class Versions:
    """Visible versions in event order.

    `e` is the event time, `k` the time from which a version is visible, `x` the time at which it is
    superseded; int64 microseconds.
    """

    shape: TableShape
    table: pa.Table
    rows: Ints  # row numbers of `table`
    e: Ints
    k: Ints
    x: Ints
    _arrays: dict[str, pa.Array] = field(default_factory=dict)
    _facts: dict[str, bool] = field(default_factory=dict)
    _values: dict[str, Values] = field(default_factory=dict)

    @property
    def _in_order(self) -> bool:
        if "in order" not in self._facts:
            self._facts["in order"] = bool(np.all(self.rows[1:] > self.rows[:-1]))
        return self._facts["in order"]

    @property
    def on_time(self) -> bool:
        """True if every version is visible from its event time on and none is ever superseded."""
        if "on_time" not in self._facts:
            plain = np.array_equal(self.k, self.e) and bool(np.all(self.x == NEVER))
            self._facts["on_time"] = plain
        return self._facts["on_time"]

    def array(self, column: str) -> pa.Array:
        """Return a column in event order, as the Arrow type that the contract declares."""
        if column not in self._arrays:
            array = whole(self.table[column])
            declared = self.shape.columns[column].type
            if array.type != declared:  # such as large_string for string
                array = array.cast(declared)
            if pa.types.is_float64(array.type):
                array = plain_floats(array)
            in_order = len(self.rows) == len(array) and self._in_order
            self._arrays[column] = array if in_order else array.take(pa.array(self.rows))
        return self._arrays[column]

    def values(self, column: str) -> Values:
        """Return a column as numbers, in event order."""
        if column not in self._values:
            self._values[column] = values_of(self.array(column))
        return self._values[column]

    def is_numeric(self, column: str) -> bool:
        """Return True if the column is int64, float64 or a timestamp."""
        return self.shape.columns[column].is_ordered

    def valid(self, column: str) -> Bools | None:
        """Return a mask of the rows with a value; None if all have one."""
        if self.is_numeric(column):
            return self.values(column).valid
        array = self.array(column)
        return bools(array.is_valid()) if array.null_count else None


def load_versions(shape: TableShape, columns: list[str], history: History, mode: Mode) -> Versions:
    """Read a table's history and resolve its visible versions.

    All columns are read only if rows have the same key, known-at and sequence, so that their
    content must decide.
    """
    needed = [*shape.primary_key, *([shape.sequence] if shape.sequence else []), *columns]
    table = read_rows(shape, needed, history)
    try:
        return resolve(shape, table, mode)
    except _NeedsContent:
        return resolve(shape, read_rows(shape, list(shape.columns), history), mode, complete=True)


def read_rows(shape: TableShape, columns: Sequence[str], history: History) -> pa.Table:
    """Read rows of a history; scaled columns become integers at the contract's scale."""
    columns = list(dict.fromkeys(columns))
    table = history(shape.name, columns)
    expect_table(table, f"the rows of table {shape.name}")
    expect_columns(table, columns, f"table {shape.name}")
    return quantised(shape, table, columns)


class _NeedsContent(Exception):  # noqa: N818
    """Two rows have the same key, known_at and sequence, and their content was not read."""


def resolve(shape: TableShape, table: pa.Table, mode: Mode, *, complete: bool = False) -> Versions:
    """Return the versions that are visible at any time.

    `complete` is True if `table` has all columns of the contract.
    """
    _refuse_null_keys(shape, table)
    e = event_times(table, shape.name)
    known_at = times(table, "known_at", f"table {shape.name}")
    k = usable(known_at, committed(table, shape, mode))
    keys = key_ranks([table[name] for name in shape.primary_key]) if len(e) else e
    x = superseded(shape, table, keys, known_at, k, complete=complete)
    visible = alive(table) & (k < x)
    sequence = sequences(shape, table)
    earlier = shown_before(table, known_at) if mode == "recorded" else None
    if earlier is not None:
        returned = _in_spans(shape, table, (keys, known_at, sequence, k), earlier)
        rows = np.flatnonzero(visible & ~np.isin(keys, keys[earlier[0]]))
        k, x = np.append(k[rows], returned[1]), np.append(x[rows], returned[2])
        rows = np.append(rows, returned[0])
        order = event_order(e[rows], sequence[rows], keys[rows])
        return Versions(shape, table, rows[order], e[rows[order]], k[order], x[order])
    if visible.all() and np.all(e[1:] > e[:-1]):  # already in event order, as often in logs
        return Versions(shape, table, np.arange(len(e)), e, k, x)
    if visible.all():
        order = event_order(e, sequence, keys)
        if np.array_equal(order, np.arange(len(e))):
            return Versions(shape, table, order, e, k, x)
    else:
        rows = np.flatnonzero(visible)
        order = rows[event_order(e[rows], sequence[rows], keys[rows])]
    e, k, x = _take_rows(order, e, k, x)
    return Versions(shape, table, order, e, k, x)


def _in_spans(
    shape: TableShape, table: pa.Table, of: tuple[Ints, ...], earlier: tuple[Ints, Ints, Ints]
) -> tuple[Ints, Ints, Ints]:
    """Return (row, from, until) of each period of visibility, for keys with a republished row.

    `of` has, for each row, the key, known-at, sequence, and the time from which the row is usable
    after its last publication.
    """
    keys, known_at, sequence, k = of
    earlier_spans: dict[int, list[tuple[int, int]]] = {}
    for row, since, until in zip(*(column.tolist() for column in earlier), strict=True):
        earlier_spans.setdefault(row, []).append((since, until))
    rows = np.flatnonzero(np.isin(keys, keys[earlier[0]]))
    rows = rows[np.lexsort((sequence[rows], known_at[rows], keys[rows]))]
    equal = [column[rows[1:]] == column[rows[:-1]] for column in (keys, known_at, sequence)]
    rows = _settle_ties(shape, table, rows, np.logical_and.reduce(equal))
    live = alive(table)
    spans: list[tuple[int, int, int]] = []
    for group in np.split(rows, np.flatnonzero(np.diff(keys[rows])) + 1):
        segments = [
            (rank, row, since, until)
            for rank, row in enumerate(group.tolist())
            for since, until in (*earlier_spans.get(row, ()), (int(k[row]), NEVER))
        ]
        spans += [winner for winner in winners(segments) if live[winner[0]]]
    columns = np.array(spans, dtype=np.int64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _take_rows(rows: Ints, *columns: Ints) -> list[Ints]:
    """Take rows of several columns, in threads if there are many."""
    if not compute.compiled(len(rows)):
        return [column[rows] for column in columns]
    from headrace.features.kernel import compiled

    with ThreadPoolExecutor(compute.threads()) as pool:
        return list(pool.map(lambda column: compiled.take(column, rows), columns))


def event_times(table: pa.Table, name: str) -> Ints:
    return times(table, "event_time", f"table {name}")


def committed(table: pa.Table, shape: TableShape, mode: Mode) -> Ints | None:
    check_mode(mode)
    return times(table, "committed_at", f"table {shape.name}") if mode == "recorded" else None


def usable(known_at: Ints, commit: Ints | None) -> Ints:
    """Return the time from which each row is usable (rules 2 and 3).

    A row must be known and, in recorded mode, committed.
    """
    return known_at if commit is None else np.maximum(known_at, commit)


def alive(table: pa.Table) -> Bools:
    """Return False for tombstones, which supersede other versions but are never visible."""
    if "_deleted" not in table.column_names:
        return np.ones(table.num_rows, dtype=np.bool_)
    return ~bools(table["_deleted"])


def sequences(shape: TableShape, table: pa.Table) -> Ints:
    """Return the sequence column, or zeros if none is declared; null sorts below all numbers."""
    if shape.sequence is None:
        return np.zeros(table.num_rows, dtype=np.int64)
    values = values_of(table[shape.sequence])
    data = np.asarray(values.data, dtype=np.int64)
    return data if values.valid is None else np.where(values.valid, data, np.iinfo(np.int64).min)


def event_order(e: Ints, sequence: Ints, keys: Ints) -> Ints:
    """Return row numbers in event order: by event time, sequence, primary key (rule 7)."""
    if np.all(e[1:] > e[:-1]):
        return np.arange(len(e))
    order = time_order(e)
    moments = e if np.all(e[1:] >= e[:-1]) else e[order]
    equal = moments[1:] == moments[:-1]
    tied = np.flatnonzero(np.concatenate([[False], equal]) | np.concatenate([equal, [False]]))
    rows = order[tied]
    order[tied] = rows[np.lexsort((keys[rows], sequence[rows], e[rows]))]
    return order


def time_order(e: Ints) -> Ints:
    """Return row numbers sorted by time; equal times keep their order.

    Logs are nearly sorted, so only the late rows are sorted, and then merged with the others.
    """
    if np.all(e[1:] >= e[:-1]):
        return np.arange(len(e))
    straggles = e < np.maximum.accumulate(e)
    late = np.flatnonzero(straggles)
    if late.size > len(e) // 8:
        return np.argsort(e, kind="stable")
    punctual = np.flatnonzero(~straggles)
    late = late[np.argsort(e[late], kind="stable")]
    # side="right": of rows with the same time, the late row has the greatest row number.
    order: Ints = np.insert(punctual, np.searchsorted(e[punctual], e[late], side="right"), late)
    return order


def superseded(
    shape: TableShape, table: pa.Table, keys: Ints, known_at: Ints, k: Ints, *, complete: bool
) -> Ints:
    """Return for each row when a greater version of its key becomes usable (rule 5)."""
    x = np.full(len(keys), NEVER, dtype=np.int64)
    rows = _repeated(keys)
    if not rows.size:
        return x
    sequence = sequences(shape, table)[rows]
    ordered = np.lexsort((sequence, known_at[rows], keys[rows]))
    rows, sequence = rows[ordered], sequence[ordered]
    group, moment = keys[rows], known_at[rows]
    equal = (
        (group[1:] == group[:-1]) & (moment[1:] == moment[:-1]) & (sequence[1:] == sequence[:-1])
    )
    if equal.any():
        if not complete and set(shape.columns) - set(table.column_names):
            raise _NeedsContent
        rows = _settle_ties(shape, table, rows, equal)
    x[rows] = _next_visible(keys[rows], k[rows])
    return x


def _repeated(keys: Ints) -> Ints:
    """Return the rows whose key occurs more than once."""
    if len(keys) < 2 or np.all(keys[1:] > keys[:-1]):
        return np.zeros(0, dtype=np.int64)
    low, span = int(keys.min()), int(keys.max()) - int(keys.min()) + 1
    if span <= 4 * len(keys):
        if compute.compiled(len(keys)):
            from headrace.features.kernel import compiled

            repeated_rows: Ints = compiled.repeated(keys, low, span)
            return repeated_rows
        spot = keys - low
        rows: Ints = np.flatnonzero((np.bincount(spot, minlength=span) > 1)[spot])
        return rows
    sorted_keys = np.sort(keys)
    twice = sorted_keys[1:][sorted_keys[1:] == sorted_keys[:-1]]
    if not twice.size:
        return np.zeros(0, dtype=np.int64)
    twice = twice[np.concatenate([[True], twice[1:] != twice[:-1]])]
    spot = np.minimum(np.searchsorted(twice, keys), len(twice) - 1)
    repeated: Ints = np.flatnonzero(twice[spot] == keys)
    return repeated


def _settle_ties(shape: TableShape, table: pa.Table, rows: Ints, equal: Bools) -> Ints:
    """Sort adjacent rows with the same (key, known_at, sequence) by content bytes (rule 6).

    `equal` is True for each row after the first that equals the previous one.
    """
    rows = rows.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        tied = rows[first : last + 1]
        cells = contents(shape, table, tied)
        rows[first : last + 1] = tied[sorted(range(len(tied)), key=cells.__getitem__)]
    return rows


def contents(shape: TableShape, table: pa.Table, rows: Ints) -> list[bytes]:
    """Return the canonical bytes of whole rows: contract columns, event time, `_deleted`."""
    picked = table.take(pa.array(rows))
    cells = {name: _plain_list(picked[name]) for name in (*shape.columns, "event_time")}
    marks = (~alive(picked)).tolist()
    return [
        content_bytes({**{name: column[i] for name, column in cells.items()}, "_deleted": mark})
        for i, mark in enumerate(marks)
    ]


def _plain_list(column: pa.ChunkedArray) -> list[Any]:
    array = whole(column)
    return list(
        (array.view(pa.int64()) if pa.types.is_timestamp(array.type) else array).to_pylist()
    )


def _next_visible(keys: Ints, k: Ints) -> Ints:
    """Return for each row the smallest `k` of the later versions of its key.

    Rows must be ordered by key and version.
    """
    x = np.full(len(k), NEVER, dtype=np.int64)
    pending = np.flatnonzero(keys[1:] == keys[:-1])
    x[pending] = k[pending + 1]
    if not np.all(k[pending + 1] >= k[pending]):  # recorded: the greater may be usable first
        for i in pending[::-1].tolist():
            x[i] = min(x[i], x[i + 1])
    return x


def _refuse_null_keys(shape: TableShape, table: pa.Table) -> None:
    for name in shape.primary_key:
        if table[name].null_count:
            raise HeadraceError(
                f"{table[name].null_count} rows have a null {name}, part of the primary key",
                where=f"table {shape.name}",
                fix="such rows belong in quarantine: check that the gate published the table",
            )
