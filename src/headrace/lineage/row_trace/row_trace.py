"""The trace of one row: the source rows of its features, spine and label, and the row again.

What is found here is enough: `recomputed` builds spine, features and label through the same kernel
from the traced rows and nothing else, and gives the same bits.
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
    Seen,
    of_label,
    of_spine,
    of_view,
)
from headrace.lineage.row_trace.lookups import (
    Facts,
    Look,
    look_of_label,
    look_of_spine,
    look_of_view,
)

SPINE, LABEL = "spine", "label"
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Parts:
    """What makes a row: as a pipeline declares it."""

    spine: Spine
    views: tuple[View, ...]
    label: Label
    contracts: Contracts
    mode: Mode = "declared"

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table that a row is made of, sorted."""
        stored = (view.table for view in self.views if not isinstance(view, RowTransform))
        return tuple(sorted({self.spine.table, self.label.table, *stored}))

    def looks(self, row: Row, cut: int) -> Iterator[Look]:
        """Everything that the row looks at."""
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
    """Where one column of a row comes from.

    `rows` are row numbers of `RowTrace.tables[table]` by role; `inputs` the columns of the row that
    a row transform reads, whose rows are its own. `window` is [first, end) in event time and `at`
    the moment as of which it was read, int64 microseconds UTC.
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
    """Everything that one row is made of.

    `tables` hold the traced rows once each, whatever number of columns they serve; `columns` say
    which of them each column of the row is made of, with `spine` and `label` for those two.
    """

    row: Row
    cut: int
    tables: dict[str, pa.Table]
    columns: dict[str, Traced]

    def history(self, table: str, columns: list[str]) -> pa.Table:
        """The traced rows as a history: a lake that holds nothing else."""
        rows = self.tables[table]
        names = [name for name in _ALWAYS if name in rows.column_names and name not in columns]
        return rows.select([*columns, *names])

    def recomputed(self, parts: Parts) -> pa.Table:
        """The row again, from the traced rows alone, with reasons; without a row if there is none.

        Spine, features, label, and `<feature>__reason` for each feature of a view or lookup.
        """
        spine = build_spine(parts.spine, self.history, parts.contracts, parts.mode)
        shape = shapes_of(parts.contracts)[parts.spine.table]
        own = _is_row(spine, shape, self.row)
        frame = training_frame(
            spine.filter(pa.array(own)), parts.views, self.history, parts.contracts, parts.mode,
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


def trace_row(parts: Parts, facts: Facts, row: Row, cut: int) -> RowTrace:
    """Trace one row.

    Args:
        parts: what the row was made by.
        facts: where its source rows are.
        row: its spine columns and `t`; moments are int64 microseconds UTC.
        cut: as of when its label was read.

    Raises:
        StateError: the spine's table has no such row at that moment.
    """
    found = _Collected(parts, facts)
    shapes = shapes_of(parts.contracts)
    look = look_of_spine(parts.spine, shapes[parts.spine.table], row)
    seen = found.see(look)
    roles = of_spine(seen)
    if "decides" not in roles.rows:
        key = dict(zip(look.columns, look.values, strict=True))
        raise StateError(
            f"no row of {parts.spine.table} with {key} was visible then",
            where=f"table {parts.spine.table}",
            fix="trace against the release's own snapshots and declaration",
        )
    found.add(SPINE, seen, roles, None)
    for view in parts.views:
        if isinstance(view, RowTransform):
            found.columns[view.name] = Traced(view.name, inputs=view.inputs)
        else:
            _add_view(found, view, row)
    label = look_of_label(parts.label, row, cut)
    if label.is_null:
        found.columns[LABEL] = Traced(LABEL, label.table, at=cut)
    else:
        seen = found.see(label)
        found.add(LABEL, seen, of_label(parts.label, seen, row["t"]), (label.first, label.end))
    return found.finished(row, cut)


def _add_view(found: "_Collected", view: FeatureView | Lookup, row: Row) -> None:
    look = look_of_view(view, row)
    if look.is_null:
        for name in view.outputs:
            found.columns[name] = Traced(name, view.table, at=look.at)
        return
    seen = found.see(look)
    roles = of_view(view, seen)
    windows = _windows(view, row["t"], seen, roles)
    for name, one in roles.items():
        found.add(name, seen, one, windows[name])
    if not any(role.contributing.size or "filtered" in role.rows for role in roles.values()):
        # Nothing in any window: whether the entity has a history at all decides the reason.
        anywhen = found.see(look.anywhen())
        is_state = isinstance(view, Lookup)
        rows = anywhen.witness(row["t"] + 1 if is_state else row["t"])
        if rows.size:
            found.add_witness(view.outputs, anywhen, rows)


def _windows(
    view: FeatureView | Lookup, t: int, seen: Seen, roles: Mapping[str, Roles]
) -> dict[str, tuple[int, int]]:
    """By output the event times that were looked at; of a lookup, from the state that holds on."""
    if isinstance(view, Lookup):
        state = roles[view.outputs[0]].rows.get("decides")
        first = seen.look.first if state is None else int(seen.e[state[0]])
        return dict.fromkeys(view.outputs, (first, seen.look.end))
    return {
        f"{view.name}__{name}": (t + feature.window.a, t + feature.window.b)
        for feature in view.features
        for name in feature.names
    }


@dataclass
class _Collected:
    """Traced rows, table by table, each once however often it is met."""

    parts: Parts
    facts: Facts
    columns: dict[str, Traced] = field(default_factory=dict)
    _shapes: Mapping[str, TableShape] = field(init=False)
    _numbers: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    _pieces: dict[str, list[pa.Table]] = field(default_factory=dict)
    # Numbers of a look's rows, so that features of one view do not ask for them again.
    _known: dict[int, Ints] = field(default_factory=dict)
    _seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shapes = shapes_of(self.parts.contracts)

    def see(self, look: Look) -> Seen:
        seen = Seen(self._shapes[look.table], self.facts.rows(look), look, self.parts.mode)
        self._seen.append(seen)  # kept, so that its id stays its own
        self._known[id(seen)] = np.full(seen.table.num_rows, -1, dtype=np.int64)
        return seen

    def add(self, column: str, seen: Seen, roles: Roles, window: tuple[int, int] | None) -> None:
        numbers = {role: np.sort(self._number(seen, rows)) for role, rows in roles.rows.items()}
        self.columns[column] = Traced(
            column, seen.shape.name, numbers, window=window, at=seen.look.at
        )

    def add_witness(self, columns: tuple[str, ...], seen: Seen, rows: Ints) -> None:
        numbers = np.sort(self._number(seen, rows))
        for name in columns:
            one = self.columns[name]
            # What is looked at already keeps its role.
            new = np.setdiff1d(numbers, Roles(dict(one.rows)).traced)
            self.columns[name] = Traced(
                name, one.table, {**one.rows, "witness": new}, window=one.window, at=one.at
            )

    def _number(self, seen: Seen, rows: Ints) -> Ints:
        known = self._known[id(seen)]
        fresh = rows[known[rows] < 0]
        if fresh.size:
            known[fresh] = self._new(seen, fresh)
        numbers: Ints = known[rows]
        return numbers

    def _new(self, seen: Seen, rows: Ints) -> Ints:
        table = seen.shape.name
        given = self._numbers.setdefault(table, {})
        picked = seen.table.take(pa.array(rows))
        names = zip(picked["_batch"].to_pylist(), picked["_line"].to_pylist(), strict=True)
        numbers, kept = np.empty(len(rows), dtype=np.int64), []
        for place, name in enumerate(names):
            if name not in given:
                given[name] = len(given)
                kept.append(place)
            numbers[place] = given[name]
        if kept:
            self._pieces.setdefault(table, []).append(picked.take(pa.array(kept)))
        return numbers

    def finished(self, row: Row, cut: int) -> RowTrace:
        tables = {
            table: pa.concat_tables(self._pieces[table]).combine_chunks()
            if table in self._pieces
            else self.facts.none(table)
            for table in self.parts.tables
        }
        return RowTrace(row, cut, tables, self.columns)
