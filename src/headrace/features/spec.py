"""What a feature is, as data. Meaning lives in `docs/features.md`, behaviour in the modules beside.

A declaration is checked in two steps: what can be seen alone when it is made (here), and what
needs the tables' contracts when a pipeline loads (`validate.py`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from headrace.clock import duration, duration_text
from headrace.errors import DeclarationError

# Part of every definition hash. A change of any rule of meaning needs a new number and a record.
SEMANTICS_VERSION = 1

Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
Scalar: TypeAlias = str | int | float | bool
Mode: TypeAlias = Literal["declared", "recorded"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OP_WORDS = {
    "==": "",
    "in": "",
    "!=": "not_",
    "not in": "not_",
    "<": "lt_",
    "<=": "le_",
    ">": "gt_",
}
_OPS = (*_OP_WORDS, ">=")
# Operations whose result is a count: never null, 0 where there is nothing.
COUNTS = frozenset({"rows", "count", "distinct"})
# Operations that add numbers up: of integers with declared bounds only.
SUMMED = frozenset({"sum", "mean", "std"})
# Farther than this is no window but a mistake, and sums with a time could leave int64.
LONGEST = duration("36500d")


@dataclass(frozen=True)
class Window:
    """Events with `t + start <= event_time < t + end`; durations are fixed ("1d" is 24 hours).

    A trailing window ends at "0s" and so leaves out an event at exactly t. One that ends after t
    needs a table of kind `planned`.
    """

    start: str
    end: str = "0s"

    def __post_init__(self) -> None:
        for bound in (self.start, self.end):
            if not isinstance(bound, str):
                raise DeclarationError(
                    f"a window is bounded on both sides, got {bound!r}",
                    where=f"Window({self.start!r}, {self.end!r})",
                    fix='write fixed durations, as in Window("-7d", "0s")',
                )
        if not -LONGEST <= self.a < self.b <= LONGEST:
            raise DeclarationError(
                "a window starts before it ends, and spans at most 100 years",
                where=f"Window({self.start!r}, {self.end!r})",
                fix='a trailing week is Window("-7d", "0s")',
            )

    @property
    def a(self) -> int:
        """Start relative to t, microseconds."""
        return duration(self.start)

    @property
    def b(self) -> int:
        """End relative to t, microseconds, excluded."""
        return duration(self.end)

    @property
    def label(self) -> str:
        """How names show it: `7d`, `3h_ago_to_1h_ago`, `in_1h_to_3h`."""
        if self.b == 0:
            return duration_text(-self.a)
        prefix = "in_" if self.a >= 0 else ""
        return f"{prefix}{_bound_text(self.a)}_to_{_bound_text(self.b)}"


def _bound_text(us: int) -> str:
    if us == 0:
        return "0s"
    return duration_text(us) if us > 0 else f"{duration_text(-us)}_ago"


@dataclass(frozen=True)
class Where:
    """Keeps the rows whose own stored `column` satisfies the test; null is out, always.

    `value` is in the column's unit: for a column of scale 2, `Where("precip", ">=", 0.05)`.
    Timestamps are compared with an RFC 3339 text.
    """

    column: str
    op: Op
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        many = self.op in {"in", "not in"}
        if self.op not in _OPS or isinstance(self.value, tuple) != many:
            raise DeclarationError(
                f"{self.op!r} with {self.value!r} is not a filter",
                where=f"Where({self.column!r}, ...)",
                fix=f"use one of {', '.join(_OPS)}; `in` and `not in` take a tuple",
            )
        if many and not self.value:
            raise DeclarationError(
                "a filter on no value", where=f"Where({self.column!r}, ...)", fix="name the values"
            )

    @property
    def label(self) -> str:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        words = "_".join(re.sub(r"[^A-Za-z0-9]+", "_", str(value)) for value in values)
        return f"{self.column}_{_OP_WORDS.get(self.op, 'ge_')}{words}"


Filter: TypeAlias = Where | tuple[Where, ...] | None


def conditions(where: Filter) -> tuple[Where, ...]:
    """A filter as the conditions that must all hold."""
    if where is None:
        return ()
    return (where,) if isinstance(where, Where) else tuple(where)


@dataclass(frozen=True)
class Rows:
    """int64: how many rows the window holds; 0 when empty."""

    window: Window
    where: Filter = None
    name: str = ""
    op: ClassVar[str] = "rows"

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "name", self.name or _auto_name(self.op, None, self.window, self.where)
        )
        check_name(self.name, "feature")

    @property
    def column(self) -> str | None:
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads beside its filter."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its outputs within the view."""
        return (self.name,)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """What each output is where it would be null, as declared."""
        return (None,)


@dataclass(frozen=True)
class _OfColumn:
    """`default`, in the column's unit, stands where the result would be null: an empty window, no
    value, one value for `Std`, no history. A null entity stays null.
    """

    column: str
    window: Window
    where: Filter = None
    name: str = ""
    default: Scalar | None = None
    op: ClassVar[str] = ""

    def __post_init__(self) -> None:
        auto = _auto_name(self.op, self.column, self.window, self.where)
        object.__setattr__(self, "name", self.name or auto)
        check_name(self.name, "feature")
        if self.default is not None and self.op in COUNTS:
            raise DeclarationError(
                f"{self.op} is 0 where there is nothing, never null",
                where=f"feature {self.name}",
                fix="leave out default=...",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads beside its filter."""
        return (self.column,)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its outputs within the view."""
        return (self.name,)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """What each output is where it would be null, as declared."""
        return (self.default,)


class Count(_OfColumn):
    """int64: how many values are not null; 0 when empty."""

    op: ClassVar[str] = "count"


class Sum(_OfColumn):
    """Exact sum; int64 for an integer column, float64 in the column's unit for a scaled one."""

    op: ClassVar[str] = "sum"


class Mean(_OfColumn):
    """float64, one rounding each of sum and of count times scale, then one division."""

    op: ClassVar[str] = "mean"


class Std(_OfColumn):
    """float64 sample standard deviation, exact up to the last three roundings; null below two."""

    op: ClassVar[str] = "std"


class Min(_OfColumn):
    """The least value; any number or timestamp."""

    op: ClassVar[str] = "min"


class Max(_OfColumn):
    """The greatest value; any number or timestamp."""

    op: ClassVar[str] = "max"


class First(_OfColumn):
    """The first value that is not null, by (event_time, sequence, primary key); any type."""

    op: ClassVar[str] = "first"


class Last(_OfColumn):
    """The last value that is not null, by (event_time, sequence, primary key); any type."""

    op: ClassVar[str] = "last"


class Distinct(_OfColumn):
    """int64: how many different values are not null; any type, -0 is +0; 0 when empty."""

    op: ClassVar[str] = "distinct"


@dataclass(frozen=True)
class LastRow:
    """The last row of the window whole, by (event_time, sequence, primary key); any types.

    A null in that row stays null, where `Last` would go back to an earlier row. Outputs:
    `<name>_<column>` for each column. `default` gives one value per column (None for null), for
    where the window has no row.
    """

    columns: tuple[str, ...]
    window: Window
    where: Filter = None
    name: str = ""
    default: tuple[Scalar | None, ...] | None = None
    op: ClassVar[str] = "last_row"

    def __post_init__(self) -> None:
        auto = _auto_name(self.op, None, self.window, self.where)
        object.__setattr__(self, "name", self.name or auto)
        check_name(self.name, "feature")
        many = isinstance(self.columns, tuple) and len(set(self.columns)) == len(self.columns)
        if not self.columns or not many:
            raise DeclarationError(
                f"columns {self.columns!r}: no tuple, none, or one twice",
                where=f"feature {self.name}",
                fix='name each column once, as in LastRow(("gate", "carrier"), Window("-1d"))',
            )
        _check_defaults(self.default, self.columns, f"feature {self.name}")

    @property
    def column(self) -> str | None:
        """None: it has no single column; see `columns`."""
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its outputs within the view."""
        return tuple(f"{self.name}_{column}" for column in self.columns)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """What each output is where there is no row, as declared."""
        return (None,) * len(self.columns) if self.default is None else self.default


def _check_defaults(default: object, columns: tuple[str, ...], where: str) -> None:
    fits = isinstance(default, tuple) and len(default) == len(columns)
    if default is not None and not fits:
        raise DeclarationError(
            f"default {default!r} does not fit columns {columns!r}",
            where=where,
            fix="give one value, or None, for each column",
        )


Aggregate: TypeAlias = (
    Rows | Count | Sum | Mean | Std | Min | Max | First | Last | Distinct | LastRow
)


def _auto_name(op: str, column: str | None, window: Window, where: Filter) -> str:
    kept = [f"where_{condition.label}" for condition in conditions(where)]
    return "_".join([*([column] if column else []), op, *kept, window.label])


def check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or "__" in name:
        raise DeclarationError(
            f"{name!r} is not a name for a {what}",
            fix="letters, digits and single underscores, starting with a letter",
        )


EntityMap: TypeAlias = Mapping[str, str]


def _spine_names(entity: tuple[str, ...], entity_map: EntityMap, where: str) -> tuple[str, ...]:
    unknown = sorted(set(entity_map) - set(entity))
    if not isinstance(entity, tuple) or not entity or unknown:
        raise DeclarationError(
            f"entity {entity!r} and its map {dict(entity_map)!r} do not fit",
            where=where,
            fix="entity is a tuple of table columns; the map goes from those to spine columns",
        )
    return tuple(entity_map.get(column, column) for column in entity)


@dataclass(frozen=True)
class FeatureView:
    """Windowed aggregates of one table's rows for one entity.

    `entity` names columns of the table; a spine column of the same name holds the entity to look
    for, unless `entity_map` (table column -> spine column) says another. A null part of the entity
    makes every feature of that row null. Output columns: `<view>__<feature>`.
    """

    name: str
    table: str
    entity: tuple[str, ...]
    features: tuple[Aggregate, ...]
    entity_map: EntityMap = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name, "view")
        _spine_names(self.entity, self.entity_map, f"view {self.name}")
        names = [name for feature in self.features for name in feature.names]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled or not names:
            raise DeclarationError(
                f"features named twice: {', '.join(doubled)}"
                if doubled
                else "a view without features",
                where=f"view {self.name}",
                fix="give one of them another name=..." if doubled else "declare at least one",
            )

    @property
    def spine_entity(self) -> tuple[str, ...]:
        return _spine_names(self.entity, self.entity_map, f"view {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        names = (name for feature in self.features for name in feature.names)
        return tuple(f"{self.name}__{name}" for name in names)


@dataclass(frozen=True)
class Lookup:
    """The state that holds at t: the row with the greatest (event_time, sequence, key) up to t.

    A null in that row stays null. A row older than `max_age` (t - event_time > max_age) counts as
    absent; `max_age=None` says that the state never expires. Output: `<lookup>__<column>`.
    `default` gives one value per column (None for null), for where there is no such row.
    """

    name: str
    table: str
    entity: tuple[str, ...]
    columns: tuple[str, ...]
    max_age: str | None
    entity_map: EntityMap = field(default_factory=dict, hash=False)
    default: tuple[Scalar | None, ...] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "lookup")
        _spine_names(self.entity, self.entity_map, f"lookup {self.name}")
        if self.max_age is not None and not 0 <= duration(self.max_age) <= LONGEST:
            raise DeclarationError(
                f"max_age {self.max_age!r} is not an age",
                where=f"lookup {self.name}",
                fix='a duration from "0s", or None for a state that never expires',
            )
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise DeclarationError(
                f"columns {self.columns!r}: none, or one twice",
                where=f"lookup {self.name}",
                fix="name each column once",
            )
        _check_defaults(self.default, self.columns, f"lookup {self.name}")

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """What each output is where there is no row, as declared."""
        return (None,) * len(self.columns) if self.default is None else self.default

    @property
    def spine_entity(self) -> tuple[str, ...]:
        return _spine_names(self.entity, self.entity_map, f"lookup {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"{self.name}__{column}" for column in self.columns)


@dataclass(frozen=True)
class RowTransform:
    """A column computed from other columns of the same row.

    `inputs` are spine columns, outputs of views and lookups, or transforms declared before it.
    `fn` takes one Arrow array per input and returns an Arrow array of `dtype` and equal length. It
    must be elementwise, which is proven at load. Output column: `name`.
    """

    name: str
    inputs: tuple[str, ...]
    fn: Callable[..., Any]
    dtype: str

    def __post_init__(self) -> None:
        check_name(self.name, "row transform")
        if not self.inputs:
            raise DeclarationError(
                "a transform of nothing", where=f"row transform {self.name}", fix="name its inputs"
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.name,)


View: TypeAlias = FeatureView | Lookup | RowTransform


@dataclass(frozen=True)
class Spine:
    """The moments to predict at: each row of `table`, at its own event_time + `at_offset`.

    Only versions visible at that very moment count, so a spine column cannot know more than was
    known. The spine holds the primary key, `columns`, and `t` (int64 microseconds, UTC).

    `defaults` stand in a request for columns that it leaves out, in the column's unit; without one
    a missing column is an error. A None that is given, or stored in the table, stays null.
    """

    table: str
    at_offset: str = "0s"
    columns: tuple[str, ...] = ()
    defaults: Mapping[str, Scalar | None] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.defaults) - set(self.columns)):
            raise DeclarationError(
                f"a default for {unknown[0]!r}, which is none of columns {self.columns!r}",
                where=f"Spine({self.table!r})",
                fix="give defaults for the spine's columns; the primary key has none",
            )

    @property
    def offset(self) -> int:
        return duration(self.at_offset)


@dataclass(frozen=True)
class Label:
    """What is to be predicted: the last row of `key` with event_time in [t, t + horizon).

    It is mature at a cut C iff t + horizon + settle <= C, whether or not a row is there. A row
    whose `status` is one of `excluded` has no label and carries that status as its reason.
    `key` names columns of the table; `entity_map` maps them to spine columns of other names.
    """

    name: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    horizon: str
    settle: str
    status: str | None = None
    excluded: tuple[str, ...] = ()
    entity_map: EntityMap = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name, "label")
        _spine_names(self.key, self.entity_map, f"label {self.name}")
        if (
            not self.columns
            or not 0 < duration(self.horizon) <= LONGEST
            or duration(self.settle) < 0
        ):
            raise DeclarationError(
                "a label needs columns, a horizon above zero and a settle time of zero or more",
                where=f"label {self.name}",
                fix='as in columns=("late",), horizon="36h", settle="12h"',
            )
        if bool(self.excluded) and self.status is None:
            raise DeclarationError(
                "statuses are excluded, and no status column is named",
                where=f"label {self.name}",
                fix='add status="<column>"',
            )

    @property
    def spine_key(self) -> tuple[str, ...]:
        return _spine_names(self.key, self.entity_map, f"label {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The label's columns (named as in the table), then `label_reason`."""
        return (*self.columns, "label_reason")

    @property
    def matures_after(self) -> int:
        """Microseconds from t until the label is mature; the least embargo between splits."""
        return duration(self.horizon) + duration(self.settle)


def output_columns(views: tuple[View, ...] | list[View]) -> list[str]:
    """Names of all columns the views add to a spine, in order."""
    return [name for view in views for name in view.outputs]
