"""Declarations of features.

`docs/reference/feature-semantics.md` specifies their meaning; other modules of this package compute
them. A declaration is checked on its own when it is created (here), and against the contracts of
its tables when the pipeline loads (`validate.py`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from headrace.core.clock import duration, duration_text
from headrace.core.errors import DeclarationError
from headrace.features.declaration_checks import (
    check_defaults,
    check_duration,
    check_name,
    check_names,
    spine_names,
)

# Part of every definition hash. A change of the semantics needs a new number and a decision record.
SEMANTICS_VERSION = 1

Op: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
Scalar: TypeAlias = str | int | float | bool
Mode: TypeAlias = Literal["declared", "recorded"]

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
# Operations that count: the result is never null; it is 0 if there are no rows.
COUNTS = frozenset({"rows", "count", "distinct"})
# Operations that sum: allowed only for integer columns whose contract limits the absolute value.
SUMMED = frozenset({"sum", "mean", "std"})


@dataclass(frozen=True)
class Window:
    """Time window around t: events with `t + start <= event_time < t + end`.

    Durations are fixed ("1d" is 24 hours). A trailing window ends at "0s", so it excludes an event
    at exactly t. A window that ends after t needs a table of kind `planned`.
    """

    start: str
    end: str = "0s"

    def __post_init__(self) -> None:
        where = f"Window({self.start!r}, {self.end!r})"
        for bound in (self.start, self.end):
            if not isinstance(bound, str):
                raise DeclarationError(
                    f"a window needs a start and an end, got {bound!r}",
                    where=where,
                    fix='write fixed durations, as in Window("-7d", "0s")',
                )
            check_duration(bound, "the window's bound", where)
        if self.a >= self.b:
            raise DeclarationError(
                "the window does not start before it ends",
                where=where,
                fix='a trailing week is Window("-7d", "0s")',
            )

    @property
    def a(self) -> int:
        """Start relative to t, in microseconds."""
        return duration(self.start)

    @property
    def b(self) -> int:
        """End relative to t, in microseconds, excluded."""
        return duration(self.end)

    @property
    def label(self) -> str:
        """Text for feature names: `7d`, `3h_ago_to_1h_ago`, `in_1h_to_3h`."""
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
    """Condition on one column of the table; a row in which the column is null never satisfies it.

    `value` is in the column's unit: for a column of scale 2, `Where("precip", ">=", 0.05)`. For a
    timestamp column it is an RFC 3339 text.
    """

    column: str
    op: Op
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        where = f"Where({self.column!r}, ...)"
        if not isinstance(self.column, str):
            raise DeclarationError(
                f"{self.column!r} is not the name of a column",
                where=where,
                fix="name a column of the table",
            )
        many = self.op in {"in", "not in"}
        if self.op not in _OPS or isinstance(self.value, tuple) != many:
            raise DeclarationError(
                f"{self.op!r} with {self.value!r} is not a filter",
                where=where,
                fix=f"use one of {', '.join(_OPS)}; `in` and `not in` take a tuple",
            )
        if many and not self.value:
            raise DeclarationError("the filter has no values", where=where, fix="name the values")
        for value in self.values:
            if not isinstance(value, str | int | float):
                raise DeclarationError(
                    f"{value!r} is not a text, number or boolean",
                    where=where,
                    fix="write a time as an RFC 3339 text; rows with null never pass a filter",
                )

    @property
    def values(self) -> tuple[Scalar, ...]:
        """Values to compare the column with, as a tuple."""
        return self.value if isinstance(self.value, tuple) else (self.value,)

    @property
    def label(self) -> str:
        words = "_".join(map(_word, self.values))
        return f"{self.column}_{_OP_WORDS.get(self.op, 'ge_')}{words}"


def _word(value: Scalar) -> str:
    """Convert a filter's value to a part of a feature name.

    The result is empty if the value has no letters or digits.
    """
    word = re.sub(r"[^A-Za-z0-9]+", "_", str(value)).strip("_")
    return f"minus_{word}" if isinstance(value, int | float) and value < 0 else word


Filter: TypeAlias = Where | tuple[Where, ...] | None


def conditions(where: Filter) -> tuple[Where, ...]:
    """Return the conditions of a filter; all must hold."""
    if where is None:
        return ()
    return (where,) if isinstance(where, Where) else where


def _check_parts(window: object, where: object, columns: tuple[object, ...], op: str) -> None:
    """Check the types of a feature's arguments, before its name is built from them."""
    parts = where if isinstance(where, tuple) else () if where is None else (where,)
    wrong = [
        f"{value!r} is not a {what}"
        for value, kind, what in (
            *((column, str, "name of a column") for column in columns),
            (window, Window, "Window"),
            *((part, Where, "filter") for part in parts),
        )
        if not isinstance(value, kind)
    ]
    if wrong:
        raise DeclarationError(
            wrong[0],
            where=f"a feature {op}",
            fix='as in Mean("delay", Window("-1d"), where=Where("status", "==", "on")); several '
            "filters are a tuple",
        )


@dataclass(frozen=True)
class Rows:
    """Number of rows in the window: int64, 0 if it is empty."""

    window: Window
    where: Filter = None
    name: str = ""
    op: ClassVar[str] = "rows"

    def __post_init__(self) -> None:
        _check_parts(self.window, self.where, (), self.op)
        object.__setattr__(
            self, "name", self.name or _auto_name(self.op, None, self.window, self.where)
        )
        check_name(self.name, "feature")

    @property
    def column(self) -> str | None:
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the aggregate reads, without those of its filter."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs within the view."""
        return (self.name,)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """Declared default of each output; None without one."""
        return (None,)


@dataclass(frozen=True)
class _OfColumn:
    """Aggregate of one column.

    `default`, in the column's unit, replaces a null result. The result is null if the entity has no
    history, the window is empty, all values are null, or `Std` has a single value. If the entity is
    null, the result stays null.
    """

    column: str
    window: Window
    where: Filter = None
    name: str = ""
    default: Scalar | None = None
    op: ClassVar[str] = ""

    def __post_init__(self) -> None:
        _check_parts(self.window, self.where, (self.column,), self.op)
        auto = _auto_name(self.op, self.column, self.window, self.where)
        object.__setattr__(self, "name", self.name or auto)
        check_name(self.name, "feature")
        if self.default is not None and self.op in COUNTS:
            raise DeclarationError(
                f"{self.op} is never null: it is 0 if there are no values",
                where=f"feature {self.name}",
                fix="leave out default=...",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the aggregate reads, without those of its filter."""
        return (self.column,)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs within the view."""
        return (self.name,)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """Declared default of each output; None without one."""
        return (self.default,)


class Count(_OfColumn):
    """Number of non-null values: int64, 0 if the window is empty."""

    op: ClassVar[str] = "count"


class Sum(_OfColumn):
    """Exact sum: int64 for an integer column, float64 in the column's unit for a scaled one."""

    op: ClassVar[str] = "sum"


class Mean(_OfColumn):
    """Mean as float64: exact sum and exact divisor are each rounded to float64, then divided."""

    op: ClassVar[str] = "mean"


class Std(_OfColumn):
    """Sample standard deviation as float64; null for fewer than two values.

    The sums are exact. Four steps round: converting numerator and divisor to float64, the division,
    and the square root.
    """

    op: ClassVar[str] = "std"


class Min(_OfColumn):
    """Smallest value of a number or timestamp column."""

    op: ClassVar[str] = "min"


class Max(_OfColumn):
    """Greatest value of a number or timestamp column."""

    op: ClassVar[str] = "max"


class First(_OfColumn):
    """First non-null value in the order (event_time, sequence, primary key); of any type."""

    op: ClassVar[str] = "first"


class Last(_OfColumn):
    """Last non-null value in the order (event_time, sequence, primary key); of any type."""

    op: ClassVar[str] = "last"


class Distinct(_OfColumn):
    """Number of distinct non-null values of any type: int64, 0 if there are none; -0 equals +0."""

    op: ClassVar[str] = "distinct"


@dataclass(frozen=True)
class LastRow:
    """Columns of the window's last row in the order (event_time, sequence, primary key).

    A null in that row stays null, whereas `Last` would use an earlier row. The outputs are
    `<name>_<column>`. `default` has one value per column (None for null), used if the window is
    empty.
    """

    columns: tuple[str, ...]
    window: Window
    where: Filter = None
    name: str = ""
    default: tuple[Scalar | None, ...] | None = None
    op: ClassVar[str] = "last_row"

    def __post_init__(self) -> None:
        _check_parts(self.window, self.where, (), self.op)
        auto = _auto_name(self.op, None, self.window, self.where)
        object.__setattr__(self, "name", self.name or auto)
        check_name(self.name, "feature")
        check_names(self.columns, "columns", f"feature {self.name}")
        check_defaults(self.default, self.columns, f"feature {self.name}")

    @property
    def column(self) -> str | None:
        """Always None; see `columns`."""
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs within the view."""
        return tuple(f"{self.name}_{column}" for column in self.columns)

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """Declared default of each output; None without one."""
        return (None,) * len(self.columns) if self.default is None else self.default


Aggregate: TypeAlias = (
    Rows | Count | Sum | Mean | Std | Min | Max | First | Last | Distinct | LastRow
)


def _auto_name(op: str, column: str | None, window: Window, where: Filter) -> str:
    filters = [f"where_{condition.label}" for condition in conditions(where)]
    return "_".join([*([column] if column else []), op, *filters, window.label])


EntityMap: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class FeatureView:
    """Windowed aggregates of one table's rows for one entity.

    `entity` are columns of the table. They are joined to the spine columns of the same names, or to
    those that `entity_map` (table column -> spine column) gives. If the entity of a spine row is
    null, all its features are null. Output columns: `<view>__<feature>`.
    """

    name: str
    table: str
    entity: tuple[str, ...]
    features: tuple[Aggregate, ...]
    entity_map: EntityMap = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name, "view")
        spine_names(self.entity, self.entity_map, "entity", f"view {self.name}")
        features = self.features if isinstance(self.features, tuple) else (self.features,)
        wrong = [feature for feature in features if not isinstance(feature, Aggregate)]
        if wrong or features is not self.features:
            raise DeclarationError(
                f"features is {(wrong or features)[0]!r}, not a tuple of features",
                where=f"view {self.name}",
                fix='write features=(Rows(Window("-1d")),); a single feature needs the comma',
            )
        names = [name for feature in self.features for name in feature.names]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates or not names:
            raise DeclarationError(
                f"features named twice: {', '.join(duplicates)}"
                if duplicates
                else "the view has no features",
                where=f"view {self.name}",
                fix="give one of them another name=..." if duplicates else "declare at least one",
            )

    @property
    def spine_entity(self) -> tuple[str, ...]:
        return spine_names(self.entity, self.entity_map, "entity", f"view {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        names = (name for feature in self.features for name in feature.names)
        return tuple(f"{self.name}__{name}" for name in names)


@dataclass(frozen=True)
class Lookup:
    """State at t: columns of the row with the greatest (event_time, sequence, key) up to t.

    A null in that row stays null. A row older than `max_age` (t - event_time > max_age) counts as
    absent; with `max_age=None` the state never expires. `default` has one value per column (None
    for null), used if there is no such row. Output columns: `<lookup>__<column>`.
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
        where = f"lookup {self.name}"
        spine_names(self.entity, self.entity_map, "entity", where)
        if self.max_age is not None and check_duration(self.max_age, "max_age", where) < 0:
            raise DeclarationError(
                f"max_age {self.max_age!r} is not an age",
                where=where,
                fix='give a duration of at least "0s", or None for a state that never expires',
            )
        check_names(self.columns, "columns", where)
        check_defaults(self.default, self.columns, f"lookup {self.name}")

    @property
    def defaults(self) -> tuple[Scalar | None, ...]:
        """Declared default of each output; None without one."""
        return (None,) * len(self.columns) if self.default is None else self.default

    @property
    def spine_entity(self) -> tuple[str, ...]:
        return spine_names(self.entity, self.entity_map, "entity", f"lookup {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"{self.name}__{column}" for column in self.columns)


@dataclass(frozen=True)
class RowTransform:
    """Column computed from other columns of the same row.

    `inputs` are spine columns, or outputs of views, lookups and transforms declared before it. `fn`
    takes one Arrow array per input and returns an Arrow array of `dtype` and equal length. It must
    be elementwise, which is tested when the pipeline loads. The output column is `name`.
    """

    name: str
    inputs: tuple[str, ...]
    fn: Callable[..., Any]
    dtype: str

    def __post_init__(self) -> None:
        check_name(self.name, "row transform")
        where = f"row transform {self.name}"
        if not self.inputs:
            raise DeclarationError(
                "the row transform has no inputs", where=where, fix="name its inputs"
            )
        check_names(self.inputs, "inputs", where)
        if not callable(self.fn):
            raise DeclarationError(
                f"{self.fn!r} is not a function",
                where=where,
                fix="give fn, which takes Arrow arrays",
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.name,)


View: TypeAlias = FeatureView | Lookup | RowTransform


@dataclass(frozen=True)
class Spine:
    """Rows to predict for: one for each row of `table`, at t = its event_time + `at_offset`.

    Each row has the values of the version that is visible at t, so it contains no value that became
    known after t. The spine has the primary key, `columns`, and `t` (int64 microseconds, UTC).

    `defaults`, in the column's unit, are used for columns that a request omits; omitting a column
    without a default is an error. A None in the request or in the table stays null.
    """

    table: str
    at_offset: str = "0s"
    columns: tuple[str, ...] = ()
    defaults: Mapping[str, Scalar | None] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        where = f"Spine({self.table!r})"
        check_duration(self.at_offset, "at_offset", where)
        check_names(self.columns, "columns", where, min_count=0)
        if unknown := sorted(set(self.defaults) - set(self.columns)):
            raise DeclarationError(
                f"defaults has {unknown[0]!r}, which is not one of columns {self.columns!r}",
                where=where,
                fix="give defaults for the spine's columns; the primary key has none",
            )

    @property
    def offset(self) -> int:
        return duration(self.at_offset)


@dataclass(frozen=True)
class Label:
    """Target to predict: the last row of `key` with event_time in [t, t + horizon).

    The label is mature at a time C exactly if t + horizon + settle <= C, even if there is no such
    row. If the row's `status` is one of `excluded`, there is no label, and the status is given as
    the reason. `key` are columns of the table; `entity_map` maps them to spine columns with other
    names.
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
        where = f"label {self.name}"
        spine_names(self.key, self.entity_map, "key", where)
        check_names(self.columns, "columns", where)
        check_names(self.excluded, "excluded", where, min_count=0)
        horizon = check_duration(self.horizon, "horizon", where)
        if horizon <= 0 or check_duration(self.settle, "settle", where) < 0:
            raise DeclarationError(
                f"horizon {self.horizon!r} must be above zero, settle time {self.settle!r} at "
                "least zero",
                where=where,
                fix='as in horizon="36h", settle="12h"',
            )
        if bool(self.excluded) and self.status is None:
            raise DeclarationError(
                "statuses are excluded, but no status column is named",
                where=where,
                fix='add status="<column>"',
            )

    @property
    def spine_key(self) -> tuple[str, ...]:
        return spine_names(self.key, self.entity_map, "key", f"label {self.name}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Output names: the label's columns, named as in the table, and `label_reason`."""
        return (*self.columns, "label_reason")

    @property
    def matures_after(self) -> int:
        """Microseconds from t until the label is mature; splits need at least this embargo."""
        return duration(self.horizon) + duration(self.settle)


def output_columns(views: tuple[View, ...] | list[View]) -> list[str]:
    """Return the names of all columns that the views add to a spine, in order."""
    return [name for view in views for name in view.outputs]
