"""The leak test: change the future, before the spine is built, and nothing may move.

For a moment t, every fact not usable by t is altered: values are swapped and shifted, rows are
taken away and added, keys of the past get corrections and deletions that become known after t.
The spine is built anew from that history; its rows at exactly t, with all their features, must be
the same bytes as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.clock import DAY, iso
from headrace.features.arrays import Bools, Ints, times
from headrace.features.frame import training_frame
from headrace.features.resolve import History, committed, usable
from headrace.features.shapes import TIMESTAMP, Contracts, TableShape, shapes_of
from headrace.features.spec import Mode, Spine, View
from headrace.features.spines import build_spine

_CORRECTIONS = 500
_FILL = {"string": "leak", "int64": 7, "double": 7.5, "bool": True}


@dataclass(frozen=True)
class LeakReport:
    """`rows` compared, `moved` of them, and where, in words."""

    rows: int
    moved: int
    found: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        """True when something moved."""
        return self.moved > 0


def leaks(
    spine: Spine,
    views: Sequence[View],
    history: History,
    contracts: Contracts,
    cuts: Sequence[int],
    *,
    mode: Mode = "declared",
    seed: int = 0,
) -> LeakReport:
    """Compare the rows at each moment of `cuts` (int64 microseconds UTC) with an altered future.

    One spine and one small frame per cut; the whole altered history goes through the kernel.
    """
    shapes = shapes_of(contracts)
    tables = _Tables(history)
    whole_spine = build_spine(spine, tables.read, contracts, mode)
    wanted = _at(whole_spine, np.array(cuts, dtype=np.int64))
    before = training_frame(wanted, views, tables.read, contracts, mode)
    moved, found = 0, []
    for number, cut in enumerate(sorted(set(cuts))):
        altered = altered_history(tables, shapes, cut, mode, seed + number)
        moment = np.array([cut], dtype=np.int64)
        rows = _at(build_spine(spine, altered, contracts, mode), moment)
        after = training_frame(rows, views, altered, contracts, mode)
        names = _differing(_at(before, moment), after)
        if names:
            moved += max(after.num_rows, _at(before, moment).num_rows)
            found.append(f"at {iso(cut)}: {', '.join(names)}")
    return LeakReport(before.num_rows, moved, tuple(found))


def busy_moments(spine: pa.Table, moments: int, least: int, *, seed: int = 0) -> list[int]:
    """Up to `moments` random values of `t` that at least `least` rows of the spine share."""
    t, counts = np.unique(times(spine, "t", "the spine"), return_counts=True)
    busy = t[counts >= least]
    chosen = np.random.default_rng(seed).permutation(len(busy))[:moments]
    return sorted(busy[chosen].tolist())


@dataclass
class _Tables:
    """Reads each set of columns once."""

    history: History
    _read: dict[tuple[str, tuple[str, ...]], pa.Table] = field(default_factory=dict)

    def read(self, table: str, columns: list[str]) -> pa.Table:
        key = (table, tuple(columns))
        if key not in self._read:
            self._read[key] = self.history(table, columns)
        return self._read[key]


def altered_history(
    tables: _Tables, shapes: dict[str, TableShape], cut: int, mode: Mode, seed: int
) -> History:
    """The history with everything changed that is not usable by `cut`."""
    done: dict[str, pa.Table] = {}

    def read(table: str, columns: list[str]) -> pa.Table:
        names = list(shapes[table].columns)
        if table not in done:
            chance = np.random.default_rng(seed)
            done[table] = alter_future(tables.read(table, names), shapes[table], cut, mode, chance)
        altered = done[table]
        return altered.select([n for n in altered.column_names if n in columns or n not in names])

    return read


def alter_future(
    table: pa.Table, shape: TableShape, cut: int, mode: Mode, chance: np.random.Generator
) -> pa.Table:
    """`table` with its rows usable after `cut` altered, thinned out, and joined by new ones."""
    known = times(table, "known_at", shape.name)
    later = usable(known, committed(table, shape, mode)) > cut
    past, future = table.filter(pa.array(~later)), table.filter(pa.array(later))
    if "_deleted" not in table.column_names:
        empty = [pa.array(np.zeros(part.num_rows, dtype=np.bool_)) for part in (past, future)]
        past = past.append_column("_deleted", empty[0])
        future = future.append_column("_deleted", empty[1])
    kept = future.filter(pa.array(chance.random(future.num_rows) < 0.7))
    parts = [past, _shuffled(kept, shape, chance), _corrections(past, shape, cut, mode, chance)]
    altered = pa.concat_tables(part.select(past.column_names) for part in parts)
    return altered.take(pa.array(chance.permutation(altered.num_rows)))


def _shuffled(rows: pa.Table, shape: TableShape, chance: np.random.Generator) -> pa.Table:
    """The same keys and availability with values of other rows, and moved event times."""
    for name in shape.columns:
        if name not in shape.primary_key:
            order = pa.array(chance.permutation(rows.num_rows))
            rows = _replaced(rows, name, rows[name].take(order))
    shift = chance.integers(-3 * DAY, 3 * DAY, rows.num_rows)
    return _replaced(rows, "event_time", _moments(times(rows, "event_time", shape.name) + shift))


def _corrections(
    past: pa.Table, shape: TableShape, cut: int, mode: Mode, chance: np.random.Generator
) -> pa.Table:
    """Full rows for keys of the past, of other content or deleted, usable from just after `cut`."""
    rows = past.take(pa.array(chance.permutation(past.num_rows)[:_CORRECTIONS]))
    count = rows.num_rows
    for name, column in shape.columns.items():
        if name not in (*shape.primary_key, shape.sequence):
            filled = pc.fill_null(rows[name], _filler(column.type))
            rows = _replaced(rows, name, filled.take(pa.array(chance.permutation(count))))
    after = cut + 1 + chance.integers(0, 2, count) * chance.integers(0, DAY, count)
    rows = _replaced(rows, "known_at", _moments(after))
    if mode == "recorded":
        rows = _replaced(rows, "committed_at", pa.array(after))
    return _replaced(rows, "_deleted", pa.array(chance.random(count) < 0.3))


def _filler(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(_FILL.get(str(kind), 0), type=kind)


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _moments(us: Ints) -> pa.Array:
    return pa.array(us).view(TIMESTAMP)


def _at(frame: pa.Table, cuts: Ints) -> pa.Table:
    return frame.filter(pa.array(_is_at(frame, cuts)))


def _is_at(frame: pa.Table, cuts: Ints) -> Bools:
    return np.isin(times(frame, "t", "a frame"), cuts)


def _differing(before: pa.Table, after: pa.Table) -> list[str]:
    """Names of the columns that differ in any bit."""
    if before.num_rows != after.num_rows:
        return [f"{before.num_rows} rows became {after.num_rows}"]
    names: list[str] = before.column_names
    return [name for name in names if not _same(before[name], after[name])]


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if pa.types.is_float64(one.type):  # by bits: -0 is not +0
        one, other = (
            pa.chunked_array([part.combine_chunks().view(pa.int64())]) for part in (one, other)
        )
    return bool(one.equals(other))
