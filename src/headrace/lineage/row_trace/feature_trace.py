"""Trace of one row: the source rows of its features, spine and label, and the recomputed row.

The traced rows are sufficient: from them alone, `recomputed` builds spine, features and label with
the same kernel, and gives the same bits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core.errors import StateError
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import Ints
from headrace.features.kernel.republication import SHOWN_BEFORE
from headrace.features.labels import attach_label
from headrace.features.spec import FeatureView, Label, Lookup, Mode, RowTransform, Spine, View
from headrace.features.spines import build_spine
from headrace.features.table_shapes import Contracts, TableShape, shapes_of
from headrace.lineage.row_trace.contributing_rows import (
    Role,
    Roles,
    UsableVersions,
    of_label,
    of_spine,
    of_view,
)
from headrace.lineage.row_trace.lookups import (
    RowLookup,
    TraceFacts,
    look_of_label,
    look_of_spine,
    look_of_view,
)

SPINE, LABEL = "spine", "label"
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Parts:
    """Declarations of a pipeline from which a row is computed."""

    spine: Spine
    views: tuple[View, ...]
    label: Label
    contracts: Contracts
    mode: Mode = "declared"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of all tables from which a row is computed, sorted."""
        stored = (view.table for view in self.views if not isinstance(view, RowTransform))
        return tuple(sorted({self.spine.table, self.label.table, *stored}))

    def looks(self, row: Row, cut: int) -> Iterator[RowLookup]:
        """Yield all row lookups that the row needs."""
        shapes = shapes_of(self.contracts)
        yield look_of_spine(self.spine, shapes[self.spine.table], row)
        for view in self.views:
            if not isinstance(view, RowTransform):
                look = look_of_view(view, row)
                if not look.is_null:
                    yield look
        label = look_of_label(self.label, row, cut)
        if not label.is_null:
            yield label


@dataclass(frozen=True)
class Traced:
    """Source of one column of a row.

    `rows` are row numbers of `RowTrace.tables[table]` by role. `inputs` are the columns that a row
    transform reads; it has no rows of its own. `window` is [first, end) in event time, and `at` is
    the time of the read, both in int64 microseconds UTC.
    """

    column: str
    table: str = ""
    rows: Mapping[Role, Ints] = field(default_factory=dict, hash=False)
    inputs: tuple[str, ...] = ()
    window: tuple[int, int] | None = None
    at: int | None = None

    @property
    def contributing(self) -> Ints:
        return Roles(dict(self.rows)).contributing


@dataclass
class RowTrace:
    """Sources of one row.

    `tables` has each traced row once, even if several columns use it; `columns` has the sources of
    each column, of the `spine` and of the `label`.
    """

    row: Row
    cut: int
    tables: dict[str, pa.Table]
    columns: dict[str, Traced]

    def history(self, table: str, columns: list[str]) -> pa.Table:
        """Return the traced rows in the form of a table's history."""
        rows = self.tables[table]
        names = [name for name in _ALWAYS if name in rows.column_names and name not in columns]
        return rows.select([*columns, *names])

    def recomputed(self, parts: Parts) -> pa.Table:
        """Return the row, recomputed from the traced rows only; empty if they do not give a row.

        The table has spine, features, label, and `<feature>__reason` for each feature of a view or
        lookup.
        """
        spine = build_spine(parts.spine, self.history, parts.contracts, parts.mode)
        shape = shapes_of(parts.contracts)[parts.spine.table]
        mask = _is_row(spine, shape, self.row)
        frame = training_frame(
            spine.filter(pa.array(mask)), parts.views, self.history, parts.contracts, parts.mode,
            reasons=True,
        )  # fmt: skip
        return attach_label(frame, parts.label, self.history, parts.contracts, self.cut, parts.mode)


_ALWAYS = (
    "event_time", "known_at", "_batch", "_line", "committed_at", "_deleted", SHOWN_BEFORE,
)  # fmt: skip


def _is_row(spine: pa.Table, shape: TableShape, row: Row) -> np.ndarray:
    from headrace.features.oracle_audit import plain_values

    mask: np.ndarray = np.asarray(spine["t"]) == row["t"]
    for name in shape.primary_key:
        mask &= np.array([value == row[name] for value in plain_values(spine[name])], dtype=bool)
    return mask


def trace_row(parts: Parts, facts: TraceFacts, row: Row, cut: int) -> RowTrace:
    """Trace one row.

    Args:
        parts: the declarations of the row.
        facts: the source of the rows of tables.
        row: spine columns and `t` of the row; times are int64 microseconds UTC.
        cut: the time at which the label was read.

    Raises:
        StateError: the spine's table has no such row at that time.
    """
    collected = _Collected(parts, facts)
    shapes = shapes_of(parts.contracts)
    look = look_of_spine(parts.spine, shapes[parts.spine.table], row)
    versions = collected.see(look)
    roles = of_spine(versions)
    if "decides" not in roles.rows:
        key = dict(zip(look.columns, look.values, strict=True))
        raise StateError(
            f"no row of {parts.spine.table} with {key} was visible at the row's time",
            where=f"table {parts.spine.table}",
            fix="trace against the release's own snapshots and declaration",
        )
    collected.add(SPINE, versions, roles, None)
    for view in parts.views:
        if isinstance(view, RowTransform):
            collected.columns[view.name] = Traced(view.name, inputs=view.inputs)
        else:
            _add_view(collected, view, row)
    label = look_of_label(parts.label, row, cut)
    if label.is_null:
        collected.columns[LABEL] = Traced(LABEL, label.table, at=cut)
    else:
        versions = collected.see(label)
        collected.add(
            LABEL, versions, of_label(parts.label, versions, row["t"]), (label.first, label.end)
        )
    return collected.finished(row, cut)


def _add_view(collected: "_Collected", view: FeatureView | Lookup, row: Row) -> None:
    look = look_of_view(view, row)
    if look.is_null:
        for name in view.outputs:
            collected.columns[name] = Traced(name, view.table, at=look.at)
        return
    versions = collected.see(look)
    roles = of_view(view, versions)
    windows = _windows(view, row["t"], versions, roles)
    for name, column_roles in roles.items():
        collected.add(name, versions, column_roles, windows[name])
    if not any(role.contributing.size or "filtered" in role.rows for role in roles.values()):
        # No row in any window: the reason depends on whether the entity has a history.
        anywhen = collected.see(look.anywhen())
        is_state = isinstance(view, Lookup)
        rows = anywhen.witness(row["t"] + 1 if is_state else row["t"])
        if rows.size:
            collected.add_witness(view.outputs, anywhen, rows)


def _windows(
    view: FeatureView | Lookup, t: int, versions: UsableVersions, roles: Mapping[str, Roles]
) -> dict[str, tuple[int, int]]:
    """Return the event-time window of each output; a lookup's window starts at its state."""
    if isinstance(view, Lookup):
        state = roles[view.outputs[0]].rows.get("decides")
        first = versions.look.first if state is None else int(versions.e[state[0]])
        return dict.fromkeys(view.outputs, (first, versions.look.end))
    return {
        f"{view.name}__{name}": (t + feature.window.a, t + feature.window.b)
        for feature in view.features
        for name in feature.names
    }


@dataclass
class _Collected:
    """Traced rows by table, each stored once even if several columns use it."""

    parts: Parts
    facts: TraceFacts
    columns: dict[str, Traced] = field(default_factory=dict)
    _shapes: Mapping[str, TableShape] = field(init=False)
    _numbers: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    _pieces: dict[str, list[pa.Table]] = field(default_factory=dict)
    # Row numbers by row lookup, shared by the features of one view.
    _row_numbers: dict[int, Ints] = field(default_factory=dict)
    _versions: list[UsableVersions] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shapes = shapes_of(self.parts.contracts)

    def see(self, look: RowLookup) -> UsableVersions:
        versions = UsableVersions(
            self._shapes[look.table], self.facts.rows(look), look, self.parts.mode
        )
        self._versions.append(versions)  # kept alive, so that its `id` is not reused
        self._row_numbers[id(versions)] = np.full(versions.table.num_rows, -1, dtype=np.int64)
        return versions

    def add(
        self, column: str, versions: UsableVersions, roles: Roles, window: tuple[int, int] | None
    ) -> None:
        numbers = {role: np.sort(self._number(versions, rows)) for role, rows in roles.rows.items()}
        self.columns[column] = Traced(
            column, versions.shape.name, numbers, window=window, at=versions.look.at
        )

    def add_witness(self, columns: tuple[str, ...], versions: UsableVersions, rows: Ints) -> None:
        numbers = np.sort(self._number(versions, rows))
        for name in columns:
            traced = self.columns[name]
            # A row that is traced already keeps its role.
            new = np.setdiff1d(numbers, Roles(dict(traced.rows)).traced)
            self.columns[name] = Traced(
                name,
                traced.table,
                {**traced.rows, "witness": new},
                window=traced.window,
                at=traced.at,
            )

    def _number(self, versions: UsableVersions, rows: Ints) -> Ints:
        row_numbers = self._row_numbers[id(versions)]
        fresh = rows[row_numbers[rows] < 0]
        if fresh.size:
            row_numbers[fresh] = self._new(versions, fresh)
        numbers: Ints = row_numbers[rows]
        return numbers

    def _new(self, versions: UsableVersions, rows: Ints) -> Ints:
        table = versions.shape.name
        numbering = self._numbers.setdefault(table, {})
        picked = versions.table.take(pa.array(rows))
        names = zip(picked["_batch"].to_pylist(), picked["_line"].to_pylist(), strict=True)
        numbers, new_places = np.empty(len(rows), dtype=np.int64), []
        for place, name in enumerate(names):
            if name not in numbering:
                numbering[name] = len(numbering)
                new_places.append(place)
            numbers[place] = numbering[name]
        if new_places:
            self._pieces.setdefault(table, []).append(picked.take(pa.array(new_places)))
        return numbers

    def finished(self, row: Row, cut: int) -> RowTrace:
        tables = {
            table: pa.concat_tables(self._pieces[table]).combine_chunks()
            if table in self._pieces
            else self.facts.none(table)
            for table in self.parts.tables
        }
        return RowTrace(row, cut, tables, self.columns)
