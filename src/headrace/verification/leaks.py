"""Leakage test: perturb all future data and check that no spine row or feature changes.

For a time t, all rows that are not usable by t are perturbed: values are shuffled, event times are
shifted, rows are removed, and corrections and deletions of past keys are added, which become known
after t. The spine is rebuilt from the perturbed history. Its rows at exactly t, with all their
features, must have the same bytes as before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import DAY, duration, iso
from headrace.core.progress import report
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import Bools, Ints, times
from headrace.features.kernel.visibility import History, committed, usable
from headrace.features.spec import FeatureView, Lookup, Mode, Spine, View
from headrace.features.spines import build_spine
from headrace.features.table_shapes import TIMESTAMP, Contracts, TableShape, shapes_of

_CORRECTIONS = 500
# Rows are read up to these distances beyond the reach; event times are shifted by at most 3 days.
_BEYOND, _BEYOND_BACK = 10 * DAY, DAY
_FILL = {"string": "leak", "int64": 7, "double": 7.5, "bool": True}


Build: TypeAlias = Callable[[Spine, History, Contracts, Mode], pa.Table]
Frame: TypeAlias = Callable[[pa.Table, Sequence[View], History, Contracts, Mode], pa.Table]


@dataclass(frozen=True)
class TimeReach:
    """Time around t in which rows affect features: microseconds `back` (None: all) and `ahead`."""

    back: int | None
    ahead: int


@dataclass(frozen=True)
class LeakReport:
    """Result of a leakage test: numbers of compared and changed rows; `found` names the changes."""

    rows: int
    moved: int
    found: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        document = {"rows": self.rows, "moved": self.moved}
        return document | ({"found": list(self.found)} if self.moved else {})

    def __bool__(self) -> bool:
        """True if any row changed, so that there is a leak."""
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
    near: Mapping[str, TimeReach] | None = None,
    known: pa.Table | None = None,
    build: Build = build_spine,
    frame: Frame = training_frame,
) -> LeakReport:
    """Compare the rows at each time of `cuts` before and after a perturbation of their future.

    Builds one spine and one small frame per cut, over the perturbed history.

    Args:
        spine: definition of the rows.
        views: the features.
        history: as for `training_frame`.
        contracts: contracts of all tables in use.
        cuts: the times to test, int64 microseconds UTC.
        mode: `declared` or `recorded`.
        seed: seed of the perturbations.
        near: {table: time reach} from `reach_of`. The perturbed history then holds only rows within
            reach of the cut: omitted past rows cannot affect a feature, and omitted future rows are
            one more perturbation. By default the complete history is perturbed.
        known: the spine of the original history, if it was built before.
        build: function that builds the spine; pass another one to test it.
        frame: function that builds the training frame; pass another one to test it.
    """
    shapes = shapes_of(contracts)
    tables = _Tables(history, near or {})
    whole_spine = build(spine, history, contracts, mode) if known is None else known
    moments = sorted(set(cuts))
    spine_rows = _at(whole_spine, np.array(moments, dtype=np.int64))
    before = frame(spine_rows, views, history, contracts, mode)
    changed, differences = 0, []
    for number, cut in enumerate(moments):
        perturbed = altered_history(tables, shapes, cut, mode, seed + number)
        moment = np.array([cut], dtype=np.int64)
        rows = _at(build(spine, perturbed, contracts, mode), moment)
        after = frame(rows, views, perturbed, contracts, mode)
        names = _differing(_at(before, moment), after)
        if names:
            changed += max(after.num_rows, _at(before, moment).num_rows)
            differences.append(f"at {iso(cut)}: {', '.join(names)}")
        report("leaks", number + 1, len(moments))
    return LeakReport(before.num_rows, changed, tuple(differences))


def reach_of(views: Sequence[View], spine: Spine | None = None) -> dict[str, TimeReach]:
    """Return, by table, how far before and after t a row's event time can affect the features."""
    reaches: dict[str, TimeReach] = {}
    parts: list[tuple[str, int | None, int]] = []
    for view in views:
        if isinstance(view, Lookup):
            age = None if view.max_age is None else duration(view.max_age)
            parts.append((view.table, age, 0))
        elif isinstance(view, FeatureView):
            windows = [feature.window for feature in view.features]
            parts.append((view.table, -min(w.a for w in windows), max(w.b for w in windows)))
    if spine is not None:
        parts.append((spine.table, abs(spine.offset), abs(spine.offset)))
    for table, back, ahead in parts:
        before = reaches.get(table, TimeReach(0, 0))
        longest = None if back is None or before.back is None else max(before.back, back)
        reaches[table] = TimeReach(longest, max(before.ahead, ahead))
    return reaches


def random_moments(spine: pa.Table, rows: int, *, seed: int = 0) -> list[int]:
    """Return random values of `t` from the spine that together have at least `rows` spine rows."""
    t, counts = np.unique(times(spine, "t", "the spine"), return_counts=True)
    chance = np.random.default_rng(seed)
    order = np.repeat(np.arange(len(t)), counts)[chance.permutation(spine.num_rows)]
    picks = order[np.sort(np.unique(order, return_index=True)[1])]
    enough = int(np.searchsorted(np.cumsum(counts[picks]), rows)) + 1
    return sorted(t[picks[:enough]].tolist())


def busy_moments(spine: pa.Table, moments: int, min_rows: int, *, seed: int = 0) -> list[int]:
    """Return up to `moments` random values of `t` that at least `min_rows` rows share."""
    t, counts = np.unique(times(spine, "t", "the spine"), return_counts=True)
    busy = t[counts >= min_rows]
    picks = np.random.default_rng(seed).permutation(len(busy))[:moments]
    return sorted(busy[picks].tolist())


@dataclass
class _Tables:
    """Tables of a history, each read once with all columns and sorted by event time."""

    history: History
    near: Mapping[str, TimeReach]
    _read: dict[str, tuple[pa.Table, Ints]] = field(default_factory=dict)

    def read(self, table: str, columns: list[str], cut: int) -> pa.Table:
        """Return the rows within reach of `cut`, sorted by event time."""
        rows, e = self._ordered(table, columns)
        reach = self.near.get(table)
        if reach is None:
            return rows
        lo = 0 if reach.back is None else np.searchsorted(e, cut - reach.back - _BEYOND_BACK)
        hi = np.searchsorted(e, cut + reach.ahead + _BEYOND)
        return rows.slice(int(lo), int(hi - lo))

    def _ordered(self, table: str, columns: list[str]) -> tuple[pa.Table, Ints]:
        if table not in self._read:
            rows = self.history(table, columns)
            e = times(rows, "event_time", table)
            order = np.argsort(e, kind="stable")
            self._read[table] = rows.take(pa.array(order)).combine_chunks(), e[order]
        return self._read[table]


def altered_history(
    tables: _Tables, shapes: dict[str, TableShape], cut: int, mode: Mode, seed: int
) -> History:
    """Return the history with all rows perturbed that are not usable by `cut`."""
    cache: dict[str, pa.Table] = {}

    def read(table: str, columns: list[str]) -> pa.Table:
        names = list(shapes[table].columns)
        if table not in cache:
            chance = np.random.default_rng(seed)
            cache[table] = alter_future(
                tables.read(table, names, cut), shapes[table], cut, mode, chance
            )
        rows = cache[table]
        return rows.select([n for n in rows.column_names if n in columns or n not in names])

    return read


def alter_future(
    table: pa.Table, shape: TableShape, cut: int, mode: Mode, chance: np.random.Generator
) -> pa.Table:
    """Perturb the rows of `table` usable after `cut`: change, remove and add rows."""
    known_at = times(table, "known_at", shape.name)
    later = usable(known_at, committed(table, shape, mode)) > cut
    past, future = table.filter(pa.array(~later)), table.filter(pa.array(later))
    if "_deleted" not in table.column_names:
        empty = [pa.array(np.zeros(part.num_rows, dtype=np.bool_)) for part in (past, future)]
        past = past.append_column("_deleted", empty[0])
        future = future.append_column("_deleted", empty[1])
    retained = future.filter(pa.array(chance.random(future.num_rows) < 0.7))
    parts = [past, _shuffled(retained, shape, chance), _corrections(past, shape, cut, mode, chance)]
    combined = pa.concat_tables(part.select(past.column_names) for part in parts)
    return combined.take(pa.array(chance.permutation(combined.num_rows)))


def _shuffled(rows: pa.Table, shape: TableShape, chance: np.random.Generator) -> pa.Table:
    """Shuffle the values between rows and shift event times; keys and availability stay."""
    for name in shape.columns:
        if name not in shape.primary_key:
            order = pa.array(chance.permutation(rows.num_rows))
            rows = _replaced(rows, name, rows[name].take(order))
    shift = chance.integers(-3 * DAY, 3 * DAY, rows.num_rows)
    return _replaced(rows, "event_time", _moments(times(rows, "event_time", shape.name) + shift))


def _corrections(
    past: pa.Table, shape: TableShape, cut: int, mode: Mode, chance: np.random.Generator
) -> pa.Table:
    """Return corrections and deletions of past keys that become usable after `cut`."""
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
    """Return the names of columns that differ in any bit."""
    if before.num_rows != after.num_rows:
        return [f"{before.num_rows} rows became {after.num_rows}"]
    names: list[str] = before.column_names
    return [name for name in names if not _equal_bits(before[name], after[name])]


def _equal_bits(before: pa.ChunkedArray, after: pa.ChunkedArray) -> bool:
    if pa.types.is_float64(before.type):  # by bits: -0 is not +0
        before, after = (
            pa.chunked_array([part.combine_chunks().view(pa.int64())]) for part in (before, after)
        )
    return bool(before.equals(after))
