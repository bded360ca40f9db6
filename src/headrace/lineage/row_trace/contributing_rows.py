"""Rows that contribute to a value, and rows that had to be read to determine it.

For a feature, a key is *looked at* if one of its versions that are usable by t has the row's entity
and is in the feature's window. All versions of such a key that are usable by t are traced, each in
one of these roles:

    decides     determines the value: all rows that are counted or added up; the rows with the least
                or greatest value; the first or the last row; all rows of a window with too many
                events
    counts      is in the window and passes the filter, but the value is the same without it
    filtered    is in the window, but does not pass the filter
    superseded  is a version that is older than the current version at t
    deleted     is the tombstone that is current at t
    moved       is the version that is current at t, but has another entity or is outside the
                window; for a state: has the same event time, but precedes the state in event order
    witness     shows that an entity without a row in the window has a history

No value depends on rows that are not traced.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core.clock import duration
from headrace.features.kernel.arrays import Ints, key_ranks, times
from headrace.features.kernel.filters import passes
from headrace.features.kernel.republication import first_usable
from headrace.features.kernel.visibility import (
    Versions,
    alive,
    committed,
    event_times,
    resolve,
    usable,
)
from headrace.features.labels import versions_at
from headrace.features.spec import Aggregate, FeatureView, Filter, Label, Lookup, Mode, conditions
from headrace.features.table_shapes import TableShape
from headrace.lineage.row_trace.lookups import RowLookup, is_entity

Role: TypeAlias = Literal[
    "decides", "counts", "filtered", "superseded", "deleted", "moved", "witness"
]
ROLES: tuple[Role, ...] = (
    "decides", "counts", "filtered", "superseded", "deleted", "moved", "witness",
)  # fmt: skip
# Roles of the rows that contribute to a value.
CONTRIBUTES: tuple[Role, ...] = ("decides", "counts")
_ADDED = frozenset({"count", "sum", "mean", "std", "distinct"})


@dataclass(frozen=True)
class Roles:
    """Row numbers in a table of versions, ascending, by role."""

    rows: dict[Role, Ints] = field(default_factory=dict)

    @property
    def traced(self) -> Ints:
        return _union(self.rows.values())

    @property
    def contributing(self) -> Ints:
        return _union(self.rows[role] for role in CONTRIBUTES if role in self.rows)


def _union(parts: Iterable[Ints]) -> Ints:
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))


class UsableVersions:
    """Versions of keys that were usable by the time of a row lookup."""

    def __init__(self, shape: TableShape, rows: pa.Table, look: RowLookup, mode: Mode) -> None:
        known_at = times(rows, "known_at", f"table {shape.name}")
        k = usable(known_at, committed(rows, shape, mode))
        first = first_usable(rows, known_at, k) if mode == "recorded" else k
        self.table = rows.filter(pa.array(first <= look.at))
        self.shape, self.look = shape, look
        self.e = event_times(self.table, shape.name)
        self.alive = alive(self.table)
        self.of_entity = is_entity(shape, look, self.table)
        # All columns are loaded, because a tie is broken by content.
        self.holding: Versions = versions_at(
            resolve(shape, self.table, mode, complete=True), look.at
        )

    @cached_property
    def keys(self) -> Ints:
        return (
            key_ranks([self.table[name] for name in self.shape.primary_key])
            if self.table.num_rows
            else self.e
        )

    def within(self, first: int, end: int) -> Ints:
        """Return positions in `holding` of the entity's rows in an interval, in event order."""
        holding = self.holding
        inside = (holding.e >= first) & (holding.e < end) & self.of_entity[holding.rows]
        return np.flatnonzero(inside)

    def through(self, where: Filter, inside: Ints) -> Ints:
        passing: Ints = inside
        for condition in conditions(where):
            passing = passing[passes(condition, self.holding)[passing]]
        return passing

    def roles(self, first: int, end: int, inside: Ints, passing: Ints, decides: Ints) -> Roles:
        """Return the roles of the rows of an interval, from positions in `holding`."""
        in_interval = self.of_entity & (self.e >= first) & (self.e < end)
        traced = np.flatnonzero(np.isin(self.keys, np.unique(self.keys[in_interval])))
        rows = self.holding.rows
        by_role: dict[Role, Ints] = {
            "decides": rows[decides],
            "counts": rows[np.setdiff1d(passing, decides)],
            "filtered": rows[np.setdiff1d(inside, passing)],
        }
        rest = np.setdiff1d(traced, rows[inside])
        in_force = np.isin(rest, rows)
        # A tombstone is current if no other version of its key is current.
        deleted = ~self.alive[rest] & ~np.isin(self.keys[rest], self.keys[rows])
        by_role |= {
            "moved": rest[in_force],
            "deleted": rest[deleted],
            "superseded": rest[~in_force & ~deleted],
        }
        return Roles({role: np.sort(numbers) for role, numbers in by_role.items() if numbers.size})

    def witness(self, latest: int) -> Ints:
        """Return all versions of the key of the entity's last row before `latest`.

        If there is no such row, use the entity's first row; empty if the entity has no row.
        """
        positions = np.flatnonzero(self.of_entity[self.holding.rows])
        before = positions[self.holding.e[positions] < latest]
        nearest = before[-1:] if before.size else positions[:1]
        return np.flatnonzero(np.isin(self.keys, self.keys[self.holding.rows[nearest]]))


def of_feature(feature: Aggregate, versions: UsableVersions) -> Roles:
    """Return the roles of the rows that one feature depends on."""
    first, end = versions.look.at + feature.window.a, versions.look.at + feature.window.b
    inside = versions.within(first, end)
    limit = versions.shape.max_events
    if limit is not None and len(inside) > limit:  # the number of rows decides, not their content
        return versions.roles(first, end, inside, inside, inside)
    passing = versions.through(feature.where, inside)
    return versions.roles(first, end, inside, passing, deciding(feature, versions.holding, passing))


def deciding(feature: Aggregate, versions: Versions, passing: Ints) -> Ints:
    """Return the positions that determine the value; `passing` are positions in event order."""
    if feature.op == "rows":
        return passing
    if feature.op == "last_row":
        return passing[-1:]
    column = feature.columns[0]
    valid = versions.valid(column)
    present = passing if valid is None else passing[valid[passing]]
    if feature.op in _ADDED or not present.size:
        return present
    if feature.op in {"first", "last"}:
        return present[:1] if feature.op == "first" else present[-1:]
    values = versions.values(column).data[present]
    best: Ints = present[values == (values.min() if feature.op == "min" else values.max())]
    return best


def of_lookup(versions: UsableVersions) -> Roles:
    """Return the roles of the current row, and of the other rows that decide which is current."""
    states = versions.within(versions.look.first, versions.look.end)
    if not states.size:
        return versions.roles(versions.look.first, versions.look.end, states, states, states)
    first = int(versions.holding.e[states[-1]])
    latest = states[-1:]
    return versions.roles(first, versions.look.end, latest, latest, latest)


def of_label(label: Label, versions: UsableVersions, t: int) -> Roles:
    """Return the roles of the outcome, and of other rows within the horizon."""
    first, end = t, t + duration(label.horizon)
    inside = versions.within(first, end)
    return versions.roles(first, end, inside, inside, inside[-1:])


def of_spine(versions: UsableVersions) -> Roles:
    """Return the roles of the versions of the row's key; the current one at t decides."""
    current = versions.within(versions.look.first, versions.look.end)
    return versions.roles(versions.look.first, versions.look.end, current, current, current)


def of_view(view: FeatureView | Lookup, versions: UsableVersions) -> dict[str, Roles]:
    """Return the roles by output column."""
    if isinstance(view, Lookup):
        return dict.fromkeys(view.outputs, of_lookup(versions))
    return {
        f"{view.name}__{name}": roles
        for feature in view.features
        for roles in [of_feature(feature, versions)]
        for name in feature.names
    }
