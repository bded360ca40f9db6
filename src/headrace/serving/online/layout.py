"""Layout of a store for a set of views: positions of words in rows, records and programs.

All stored data are int64 words; texts are stored as 64-bit codes. A *row* is one version of a
primary key, with all columns of its table. A *record* is the part of a row that one join (table and
entity) stores.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.clock import duration
from headrace.core.files import canonical_json, digest
from headrace.features.kernel.arrays import NEVER
from headrace.features.output_types import default_values, output_types
from headrace.features.spec import Aggregate, FeatureView, Lookup, Mode, RowTransform, View, Where
from headrace.features.spec import conditions as conditions_of
from headrace.features.table_shapes import Contracts, Shapes, TableShape, shape_for, shapes_of
from headrace.serving.online.text_hash import text_code

# Version of the stored bytes. A store with another version must be rebuilt.
FORMAT = 1
FLAG_BITS = 62
KNOWN_AT, COMMIT, ROW_SEQ, ROW_E, DEAD, ROW_FLAGS = range(6)
E, SEQ, K, X, FLAGS = range(5)
OPS = {
    name: number
    for number, name in enumerate(
        ("rows", "sum", "mean", "std", "min", "max", "first", "last", "distinct", "state")
    )
} | {"count": 0, "last_row": 7}
(OP, A, B, VALUE, IS_FLOAT, WORD1, MASK1, WORD2, MASK2, SCALE) = range(10)
(N_STAT, SUM_STAT, SQUARE_STAT, MIN_STAT, MAX_STAT, AGE, VALID_WORD, VALID_MASK) = range(10, 18)
LEADER, LIMIT, WIDTH = range(18, 21)
# Features with the same window, column and filters aggregate the same numbers.
_SHARED_FIELDS = (A, B, VALUE, IS_FLOAT, WORD1, MASK1, WORD2, MASK2)
SQUARE_WORDS = 4
MEAN_OP = OPS["mean"]
_STATS = {
    "sum": ("sum",), "mean": ("sum",), "std": ("sum", "square"), "min": ("min",), "max": ("max",),
}  # fmt: skip
_STAT_FIELD = {
    "n": N_STAT,
    "sum": SUM_STAT,
    "square": SQUARE_STAT,
    "min": MIN_STAT,
    "max": MAX_STAT,
}
Conditions = tuple[Where, ...]


@dataclass(frozen=True)
class TableLayout:
    """Layout of a table's rows: known-at, commit, sequence, event time, tombstone, flags, columns.

    There is a flag for each column (set if it is not null) and each filter (set if the row passes).
    """

    number: int
    shape: TableShape
    filters: tuple[Conditions, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.shape.columns)

    @property
    def flag_words(self) -> int:
        return -(-(len(self.columns) + len(self.filters)) // FLAG_BITS)

    @property
    def width(self) -> int:
        return ROW_FLAGS + self.flag_words + len(self.columns)

    def word(self, column: str) -> int:
        """Return the index of a column's word in a row."""
        return ROW_FLAGS + self.flag_words + self.columns.index(column)

    def flag(self, of: str | Conditions) -> tuple[int, int]:
        """Return (flag word, mask) of a column or of a filter."""
        if isinstance(of, str):
            bit = self.columns.index(of)
        else:
            bit = len(self.columns) + self.filters.index(of)
        return bit // FLAG_BITS, 1 << bit % FLAG_BITS


@dataclass(frozen=True)
class Stat:
    """Statistic in a tile: `kind` over rows that pass `where` and whose `column` is not null."""

    kind: str
    where: Conditions
    column: str | None


@dataclass(frozen=True)
class JoinLayout:
    """Layout of the records of one table and entity: E, SEQ, K, X, flags, columns, primary key.

    E is the event time, SEQ the sequence, K the time from which the version is usable, and X the
    time at which it is superseded.
    """

    number: int
    table: TableLayout
    entity: tuple[str, ...]
    columns: tuple[str, ...]
    stats: tuple[Stat, ...]
    reach: int | None  # microseconds that a version is used after its event time; None: always

    @property
    def prefix(self) -> bytes:
        return b"%02x" % self.number

    @property
    def key_from(self) -> int:
        """Index of the first word of the primary key in a record."""
        return FLAGS + self.table.flag_words + len(self.columns)

    @cached_property
    def text_keys(self) -> bool:
        """True if the primary key has a text column, so that keys differ in length."""
        shape = self.table.shape
        return any(pa.types.is_string(shape.columns[name].type) for name in shape.primary_key)

    def word(self, column: str) -> int:
        return FLAGS + self.table.flag_words + self.columns.index(column)

    def stat_place(self, stat: Stat) -> int:
        """Return the line of a statistic in a directory, relative to the first statistic."""
        place = 0
        for entry in self.stats:
            if entry == stat:
                return place
            place += SQUARE_WORDS if entry.kind == "square" else 1
        raise KeyError(stat)

    @cached_property
    def stat_lines(self) -> int:
        return sum(SQUARE_WORDS if stat.kind == "square" else 1 for stat in self.stats)


@dataclass(frozen=True)
class CallOutput:
    """Output of a call: its name, Arrow type, default, and the decimal scale of its column."""

    name: str
    type: pa.DataType
    default: Any = None
    scale: int | None = None

    @property
    def word(self) -> Any:  # noqa: ANN401 - int, float or None
        """Default as the kernel returns it: the code of a text, other values unchanged."""
        return text_code(self.default) if isinstance(self.default, str) else self.default


@dataclass(frozen=True)
class Call:
    """All features of one join for one entity of the spine, as a program for the kernel.

    `program` is int64[features, WIDTH].
    """

    join: JoinLayout
    spine_entity: tuple[str, ...]
    program: NDArray[np.int64]
    results: tuple[CallOutput, ...]

    @cached_property
    def empty(self) -> tuple[Any, ...]:
        """Results for an entity without records: 0 for counts, else the default or null."""
        counts = {OPS["rows"], OPS["distinct"]}
        ops = self.program[:, OP].tolist()
        return tuple(
            0 if op in counts else result.word for op, result in zip(ops, self.results, strict=True)
        )

    @cached_property
    def texts(self) -> tuple[int, ...]:
        """Indices of the results that are texts."""
        return tuple(i for i, r in enumerate(self.results) if pa.types.is_string(r.type))

    @cached_property
    def bools(self) -> tuple[int, ...]:
        return tuple(i for i, r in enumerate(self.results) if pa.types.is_boolean(r.type))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(result.name for result in self.results)

    @cached_property
    def root(self) -> bytes:
        """Prefix of the store keys of the join's entities."""
        return b"e" + self.join.prefix

    @cached_property
    def pickers(self) -> dict[bytes, Callable[[Sequence[Any]], Sequence[Any]]]:
        """Cache of functions that assemble result rows, by pattern of states."""
        return {}

    @cached_property
    def real(self) -> tuple[bool, ...]:
        """True for each result that is float64."""
        return tuple(bool(pa.types.is_float64(result.type)) for result in self.results)


@dataclass(frozen=True)
class Layout:
    """Tables, joins and calls of a set of views.

    Layouts with the same `name` store the same rows as equal bytes.
    """

    mode: Mode
    tables: dict[str, TableLayout]
    joins: tuple[JoinLayout, ...]
    calls: tuple[Call, ...]

    @cached_property
    def name(self) -> str:
        joins = [
            [j.table.shape.name, j.entity, j.columns, [_stat_json(s) for s in j.stats], j.reach]
            for j in self.joins
        ]
        tables = [
            [
                t.shape.name,
                t.shape.primary_key,
                t.shape.sequence,
                {name: column.canonical() for name, column in t.shape.columns.items()},
                [_conditions_json(where) for where in t.filters],
            ]
            for t in self.tables.values()
        ]
        return digest([FORMAT, self.mode, tables, joins])[:16]

    @cached_property
    def mark(self) -> bytes:
        """Bytes that a store holds to identify its layout."""
        return canonical_json({"format": FORMAT, "layout": self.name})

    def joins_of(self, table: str) -> list[JoinLayout]:
        return [join for join in self.joins if join.table.shape.name == table]


def layout_of(views: Sequence[View], contracts: Contracts, mode: Mode) -> Layout:
    """Return the layout of a store for `views`."""
    shapes = shapes_of(contracts)
    stored = [view for view in views if not isinstance(view, RowTransform)]
    tables = _tables(stored, shapes)
    keys = list(dict.fromkeys((view.table, view.entity) for view in stored))
    joins = {
        (table, entity): _join(
            number,
            tables[table],
            entity,
            [v for v in stored if (v.table, v.entity) == (table, entity)],
        )
        for number, (table, entity) in enumerate(keys)
    }
    spots = list(dict.fromkeys((v.table, v.entity, v.spine_entity) for v in stored))
    calls = [
        _call(
            joins[spot[:2]],
            spot[2],
            [v for v in stored if (v.table, v.entity, v.spine_entity) == spot],
        )
        for spot in spots
    ]
    return Layout(mode, tables, tuple(joins.values()), tuple(calls))


def _tables(stored: Sequence[FeatureView | Lookup], shapes: Shapes) -> dict[str, TableLayout]:
    tables = {}
    for number, name in enumerate(sorted({view.table for view in stored})):
        filters = dict.fromkeys(
            conditions_of(feature.where)
            for view in stored
            if isinstance(view, FeatureView) and view.table == name
            for feature in view.features
            if conditions_of(feature.where)
        )
        tables[name] = TableLayout(number, shape_for(shapes, name, "a store"), tuple(filters))
    return tables


def _join(
    number: int,
    table: TableLayout,
    entity: tuple[str, ...],
    views: Sequence[FeatureView | Lookup],
) -> JoinLayout:
    columns: dict[str, None] = {}
    stats: dict[Stat, None] = {}
    reaches: list[int | None] = []
    for view in views:
        if isinstance(view, Lookup):
            columns |= dict.fromkeys(view.columns)
            stats[Stat("n", (), None)] = None
            # A state is still valid at exactly e + max_age.
            reaches.append(None if view.max_age is None else duration(view.max_age))
            continue
        for feature in view.features:
            columns |= dict.fromkeys(feature.columns)
            stats |= dict.fromkeys(_stats(feature))
            reaches.append(-feature.window.a)
    finite = [reach for reach in reaches if reach is not None]
    reach = None if None in reaches else max(finite)
    return JoinLayout(number, table, entity, tuple(columns), tuple(stats), reach)


def _stats(feature: Aggregate) -> list[Stat]:
    where, column = conditions_of(feature.where), _skips_nulls_of(feature)
    kinds: Iterable[str] = ("n", *_STATS.get(feature.op, ()))
    return [Stat(kind, where, column) for kind in kinds]


def _skips_nulls_of(feature: Aggregate) -> str | None:
    return None if feature.op == "last_row" else feature.column


def _call(
    join: JoinLayout, spine_entity: tuple[str, ...], views: Sequence[FeatureView | Lookup]
) -> Call:
    lines: list[list[int]] = []
    results: list[CallOutput] = []
    for view in views:
        if isinstance(view, Lookup):
            defaults = default_values(view, join.table.shape)
            for name, column, default in zip(view.outputs, view.columns, defaults, strict=True):
                lines.append(_state_line(join, view, column))
                declared = join.table.shape.columns[column]
                results.append(CallOutput(name, declared.output_type, default))
            continue
        for feature in view.features:
            block = _feature_lines(join, feature)
            lines += block
            results += _feature_results(join, view, feature)
    program = np.array(lines, dtype=np.int64).reshape(-1, WIDTH)
    _lead(program)
    return Call(join, spine_entity, program, tuple(results))


def _lead(program: NDArray[np.int64]) -> None:
    """Group features that aggregate the same numbers, so that the numbers are computed once.

    The first feature of a group is the leader: its line lists the statistics that the group needs,
    and the lines of the other features refer to the leader.
    """
    leaders: dict[tuple[int, ...], int] = {}
    for f, line in enumerate(program):
        line[LEADER] = f
        if line[OP] > OPS["max"]:
            continue
        first = leaders.setdefault(tuple(line[list(_SHARED_FIELDS)].tolist()), f)
        line[LEADER] = first
        stats = program[first, N_STAT : MAX_STAT + 1]
        np.maximum(stats, line[N_STAT : MAX_STAT + 1], out=stats)


def _feature_results(join: JoinLayout, view: FeatureView, feature: Aggregate) -> list[CallOutput]:
    shape = join.table.shape
    names = [f"{view.name}__{name}" for name in feature.names]
    kinds = output_types(feature, shape, f"view {view.name}")
    defaults = default_values(feature, shape)
    scale = shape.columns[feature.column].scale if feature.column else None
    return [
        CallOutput(name, kind, default, scale)
        for name, kind, default in zip(names, kinds, defaults, strict=True)
    ]


def _line(join: JoinLayout, op: str, column: str | None) -> list[int]:
    line = [0] * WIDTH
    line[OP], line[VALUE], line[SCALE], line[AGE] = OPS[op], -1, -1, -1
    line[LIMIT] = NEVER
    line[N_STAT : MAX_STAT + 1] = [-1] * 5
    if column is not None:
        declared = join.table.shape.columns[column]
        line[VALUE] = join.word(column)
        line[IS_FLOAT] = int(pa.types.is_float64(declared.type))
        line[SCALE] = -1 if declared.scale is None else declared.scale
        line[VALID_WORD], line[VALID_MASK] = join.table.flag(column)
    return line


def _feature_lines(join: JoinLayout, feature: Aggregate) -> list[list[int]]:
    columns: Sequence[str | None] = feature.columns or (None,)
    return [_feature_line(join, feature, column) for column in columns]


def _feature_line(join: JoinLayout, feature: Aggregate, column: str | None) -> list[int]:
    line = _line(join, feature.op, column)
    line[A], line[B] = feature.window.a, feature.window.b
    max_events = join.table.shape.max_events
    line[LIMIT] = NEVER if max_events is None else min(max_events, NEVER)
    where, skips = conditions_of(feature.where), _skips_nulls_of(feature)
    flags = [join.table.flag(of) for of in (where, skips) if of]
    for place, (word, mask) in zip((WORD1, WORD2), flags, strict=False):
        line[place], line[place + 1] = word, mask
    for stat in _stats(feature):
        line[_STAT_FIELD[stat.kind]] = join.stat_place(stat)
    return line


def _state_line(join: JoinLayout, lookup: Lookup, column: str) -> list[int]:
    line = _line(join, "state", column)
    line[N_STAT] = join.stat_place(Stat("n", (), None))
    line[AGE] = -1 if lookup.max_age is None else duration(lookup.max_age)
    return line


def _conditions_json(where: Conditions) -> list[list[Any]]:
    return [[condition.column, condition.op, condition.value] for condition in where]


def _stat_json(stat: Stat) -> list[Any]:
    return [stat.kind, _conditions_json(stat.where), stat.column]
