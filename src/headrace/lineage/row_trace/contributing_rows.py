"""Which rows a value is made of, and which had to be looked at to know it.

For a feature, a key is *looked at* if some version of it, usable by t, is of the row's entity and
lies in the feature's window. All versions of such a key that were usable by t are traced:

    decides     the value follows from these rows alone: all rows that are counted or added up, the
                ones that hold the least or greatest value, the first or the last; all rows of a
                window that holds too many events
    counts      in the window and through the filter, and the value would be the same without it
    filtered    in the window, and out by the filter
    superseded  an earlier version than the one that held at t
    deleted     the tombstone that held at t
    moved       the version that held at t, which is of another entity or outside the window; of a
                state, one that comes before it in event order at the same moment
    witness     shows that an entity without a row in the window has a history

Rows that are not traced can be anything that is not looked at: no value depends on them.
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
from headrace.lineage.row_trace.lookups import Look, is_entity

Role: TypeAlias = Literal[
    "decides", "counts", "filtered", "superseded", "deleted", "moved", "witness"
]
ROLES: tuple[Role, ...] = (
    "decides", "counts", "filtered", "superseded", "deleted", "moved", "witness",
)  # fmt: skip
# Of these roles are the rows that a value is made of.
CONTRIBUTES: tuple[Role, ...] = ("decides", "counts")
_ADDED = frozenset({"count", "sum", "mean", "std", "distinct"})


@dataclass(frozen=True)
class Roles:
    """Rows of a table of versions by their role, ascending."""

    rows: dict[Role, Ints] = field(default_factory=dict)

    @property
    def traced(self) -> Ints:
        return _union(self.rows.values())

    @property
    def contributing(self) -> Ints:
        return _union(self.rows[role] for role in CONTRIBUTES if role in self.rows)


def _union(parts: Iterable[Ints]) -> Ints:
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))


class Seen:
    """The versions of some keys that were usable by the moment of a look."""

    def __init__(self, shape: TableShape, rows: pa.Table, look: Look, mode: Mode) -> None:
        known = times(rows, "known_at", f"table {shape.name}")
        k = usable(known, committed(rows, shape, mode))
        first = first_usable(rows, known, k) if mode == "recorded" else k
        self.table = rows.filter(pa.array(first <= look.at))
        self.shape, self.look = shape, look
        self.e = event_times(self.table, shape.name)
        self.alive = alive(self.table)
        self.mine = is_entity(shape, look, self.table)
        # Every column is there, so that content can settle a tie.
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
        """Positions among `holding`, in event order, of the entity's rows in an interval."""
        held = self.holding
        inside = (held.e >= first) & (held.e < end) & self.mine[held.rows]
        return np.flatnonzero(inside)

    def through(self, where: Filter, inside: Ints) -> Ints:
        kept: Ints = inside
        for condition in conditions(where):
            kept = kept[passes(condition, self.holding)[kept]]
        return kept

    def roles(self, first: int, end: int, inside: Ints, kept: Ints, decides: Ints) -> Roles:
        """Roles of the rows looked at in an interval, given positions among `holding`."""
        looked = self.mine & (self.e >= first) & (self.e < end)
        traced = np.flatnonzero(np.isin(self.keys, np.unique(self.keys[looked])))
        rows = self.holding.rows
        found: dict[Role, Ints] = {
            "decides": rows[decides],
            "counts": rows[np.setdiff1d(kept, decides)],
            "filtered": rows[np.setdiff1d(inside, kept)],
        }
        rest = np.setdiff1d(traced, rows[inside])
        holds = np.isin(rest, rows)
        # A tombstone holds where nothing else of its key does.
        gone = ~self.alive[rest] & ~np.isin(self.keys[rest], self.keys[rows])
        found |= {
            "moved": rest[holds],
            "deleted": rest[gone],
            "superseded": rest[~holds & ~gone],
        }
        return Roles({role: np.sort(one) for role, one in found.items() if one.size})

    def witness(self, latest: int) -> Ints:
        """All versions of the key whose row is the entity's last one before `latest`.

        Of its first one where there is none before. Empty if the entity has no row.
        """
        mine = np.flatnonzero(self.mine[self.holding.rows])
        before = mine[self.holding.e[mine] < latest]
        chosen = before[-1:] if before.size else mine[:1]
        return np.flatnonzero(np.isin(self.keys, self.keys[self.holding.rows[chosen]]))


def of_feature(feature: Aggregate, seen: Seen) -> Roles:
    """Roles of the rows that one feature looks at."""
    first, end = seen.look.at + feature.window.a, seen.look.at + feature.window.b
    inside = seen.within(first, end)
    limit = seen.shape.max_events
    if limit is not None and len(inside) > limit:  # their number decides, whatever they hold
        return seen.roles(first, end, inside, inside, inside)
    kept = seen.through(feature.where, inside)
    return seen.roles(first, end, inside, kept, deciding(feature, seen.holding, kept))


def deciding(feature: Aggregate, held: Versions, kept: Ints) -> Ints:
    """The rows that alone give the value; `kept` are positions in event order."""
    if feature.op == "rows":
        return kept
    if feature.op == "last_row":
        return kept[-1:]
    column = feature.columns[0]
    valid = held.valid(column)
    found = kept if valid is None else kept[valid[kept]]
    if feature.op in _ADDED or not found.size:
        return found
    if feature.op in {"first", "last"}:
        return found[:1] if feature.op == "first" else found[-1:]
    values = held.values(column).data[found]
    best: Ints = found[values == (values.min() if feature.op == "min" else values.max())]
    return best


def of_lookup(seen: Seen) -> Roles:
    """The state that holds, and what would have held in its stead had it been another version."""
    states = seen.within(seen.look.first, seen.look.end)
    if not states.size:
        return seen.roles(seen.look.first, seen.look.end, states, states, states)
    first = int(seen.holding.e[states[-1]])
    holds = states[-1:]
    return seen.roles(first, seen.look.end, holds, holds, holds)


def of_label(label: Label, seen: Seen, t: int) -> Roles:
    """The outcome, and what else lies within the horizon."""
    first, end = t, t + duration(label.horizon)
    inside = seen.within(first, end)
    return seen.roles(first, end, inside, inside, inside[-1:])


def of_spine(seen: Seen) -> Roles:
    """The version of the row's key that held at t."""
    own = seen.within(seen.look.first, seen.look.end)
    return seen.roles(seen.look.first, seen.look.end, own, own, own)


def of_view(view: FeatureView | Lookup, seen: Seen) -> dict[str, Roles]:
    """Roles by output column."""
    if isinstance(view, Lookup):
        return dict.fromkeys(view.outputs, of_lookup(seen))
    return {
        f"{view.name}__{name}": roles
        for feature in view.features
        for roles in [of_feature(feature, seen)]
        for name in feature.names
    }
