"""One batch against another, column by column: how far each moved, and what that looks like.

The distance of two columns is between 0 (alike) and 1 (nothing in common). Of numbers and moments
it is the greatest difference of the shares below any value (Kolmogorov and Smirnov); of text the
share of rows that would have to change their value (total variation). A share of nulls that moved
further counts in its place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.samples import plain

Floats = npt.NDArray[np.float64]
BARS = 24  # of a histogram
LEVELS = 6  # of a column of text that are drawn, the rest is one bar
_FAR = 0.5  # of the range of good batches: what lies further out is far out
MOST_ROWS = 250_000  # of a batch that are looked at one by one; of more, every n-th


@dataclass(frozen=True)
class Stats:
    """One column of one batch. `low`, `median`, `high` are JSON values, None of text's median.

    `rows`, `nulls`, `low` and `high` are of every row; the others of every n-th of a long batch.
    """

    rows: int
    nulls: int
    distinct: int
    low: Any = None
    median: Any = None
    high: Any = None


@dataclass(frozen=True)
class Bars:
    """Shares of the rows that have a value, one for each bar; of text the bars have names.

    `low` and `high` are where the first bar of numbers begins and the last one ends.
    """

    this: tuple[float, ...]
    other: tuple[float, ...]
    names: tuple[str, ...] = ()
    low: Any = None
    high: Any = None


@dataclass(frozen=True)
class Compared:
    """A column in both batches; None where one has no such column.

    Attributes:
        distance: see the module.
        usual: the greatest distance among good batches that followed each other; None if unknown.
        outside: the range of good batches, of a column of numbers that leaves it far behind.
    """

    name: str
    type: str
    this: Stats | None
    other: Stats | None
    distance: float
    usual: float | None = None
    bars: Bars | None = None
    outside: tuple[Any, Any] | None = None

    @property
    def excess(self) -> float:
        """How much further than usual it moved: what the reader should look at first."""
        return self.distance - (self.usual or 0.0) + bool(self.outside)


@dataclass(frozen=True)
class Usual:
    """What good batches say of a column: how far it moves, and, of plain numbers, from where to
    where it goes; None of moments and text.
    """

    distance: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Columns, those that moved furthest beyond the usual first.

    `every` is n where a batch is so long that only every n-th row was looked at one by one.
    """

    rows: int
    other_rows: int
    columns: tuple[Compared, ...]
    every: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Comparison":
        """Back from `to_json`."""
        return cls(
            document["rows"],
            document["other_rows"],
            tuple(map(_compared, document["columns"])),
            document["every"],
        )


def _compared(document: Mapping[str, Any]) -> Compared:
    def stats(found: Mapping[str, Any] | None) -> Stats | None:
        return None if found is None else Stats(**found)

    bars = document["bars"]
    if bars is not None:
        bars = Bars(**{k: tuple(v) if isinstance(v, list) else v for k, v in bars.items()})
    outside = None if document["outside"] is None else tuple(document["outside"])
    both = {"this": stats(document["this"]), "other": stats(document["other"])}
    return Compared(**{**document, **both, "bars": bars, "outside": outside})


def compare(
    this: pa.Table,
    other: pa.Table,
    *,
    shift: int = 0,
    keys: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
    usual: Mapping[str, Usual] | None = None,
) -> Comparison:
    """Every column of either table whose name does not begin with an underscore.

    Args:
        this: the batch.
        other: the one it is held against.
        shift: microseconds that `this` begins later: moments are compared as if it did not.
        keys: columns that tell batches apart: one value in each is what they are for.
        scales: columns whose integers are so many decimals.
        usual: what is nothing special, see `usual_moves`.
    """
    names = dict.fromkeys(n for n in (*this.schema.names, *other.schema.names) if n[0] != "_")
    told = []
    for name in names:
        scale = (scales or {}).get(name, 0)
        column = _column(name, _values(this, name), _values(other, name), shift, scale)
        if usual is not None:
            column = _judged(column, usual.get(name, Usual()), scale)
        told.append(replace(column, usual=1.0, outside=None) if _is_a_key(column, keys) else column)
    told.sort(key=lambda c: (_is_a_key(c, keys), -round(c.excess, 3)))
    every = max(_step(this.num_rows), _step(other.num_rows))
    return Comparison(this.num_rows, other.num_rows, tuple(told), every)


def _judged(column: Compared, usual: Usual, scale: int) -> Compared:
    """With what is usual beside it."""
    column = replace(column, usual=usual.distance)
    if usual.low is None or usual.high is None or column.this is None or column.this.low is None:
        return column
    low, high = (v / 10**scale if scale else v for v in (usual.low, usual.high))
    room = _FAR * (high - low)
    inside = low - room <= column.this.low and column.this.high <= high + room
    return column if inside or not room else replace(column, outside=(low, high))


def _is_a_key(column: Compared, keys: Sequence[str]) -> bool:
    """Whether it tells the batches apart, and nothing else: one value in each."""
    sides = (column.this, column.other)
    return column.name in keys and all(s is not None and s.distinct == 1 for s in sides)


def usual_moves(batches: Sequence[tuple[pa.Table, int]]) -> dict[str, Usual]:
    """What good batches that followed each other say of each column.

    Args:
        batches: (rows, when its slot began in microseconds, 0 if it did not) in order.
    """
    found: dict[str, Usual] = {}
    before: dict[str, pa.Array] = {}
    start = 0
    for table, begins in batches:
        columns = {name: _values(table, name) for name in table.schema.names if name[0] != "_"}
        for name, values in columns.items():
            moved = _distance(values, before[name], begins - start) if name in before else 0.0
            found[name] = _wider(found.get(name, Usual()), moved, values)
        before, start = columns, begins
    return found


def _wider(usual: Usual, moved: float, values: pa.Array) -> Usual:
    plain_number = _is_number(values.type) and not pa.types.is_timestamp(values.type)
    ends = pc.min_max(values) if plain_number else None
    lows = [usual.low, ends["min"].as_py() if ends else None]
    highs = [usual.high, ends["max"].as_py() if ends else None]
    return Usual(
        max(usual.distance, moved),
        min((v for v in lows if v is not None), default=None),
        max((v for v in highs if v is not None), default=None),
    )


def _values(table: pa.Table, name: str) -> pa.Array | None:
    """One column, NaN as null; the table in hand may be chunked."""
    if name not in table.schema.names:
        return None
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def _column(
    name: str, this: pa.Array | None, other: pa.Array | None, shift: int, scale: int
) -> Compared:
    known = this if this is not None else other
    kind = "" if known is None else str(known.type)
    told = [None if values is None else _stats(values, scale) for values in (this, other)]
    if this is None or other is None or this.type != other.type:
        return Compared(name, kind, told[0], told[1], 1.0)
    bars = _bars(this, other, shift, scale)
    return Compared(name, kind, told[0], told[1], _distance(this, other, shift), None, bars)


def _stats(values: pa.Array, scale: int) -> Stats:
    nulls, some = values.null_count, _thin(values)
    counts = (len(values), nulls, pc.count_distinct(some).as_py())
    if some.null_count == len(some):
        return Stats(*counts)
    if not _is_number(values.type):
        ends = pc.min_max(values.cast(pa.string()))
        return Stats(*counts, ends["min"].as_py(), None, ends["max"].as_py())
    ends = _numbers(pa.array(pc.min_max(values).values(), values.type))
    three = (float(ends[0]), float(np.median(_numbers(some))), float(ends[1]))
    return Stats(*counts, *(_shown(value, values.type, scale) for value in three))


def _shown(value: float, kind: pa.DataType, scale: int) -> Any:  # noqa: ANN401 - a JSON value
    """A number of `_numbers` as people read it."""
    if pa.types.is_timestamp(kind):
        return plain(pa.scalar(round(value), pa.int64()).cast(kind).as_py())
    if scale:
        return round(value / 10**scale, scale + 1)
    return int(value) if pa.types.is_integer(kind) and float(value).is_integer() else float(value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
    )


def _numbers(values: pa.Array) -> Floats:
    """Values that are there as float64; of moments microseconds, exact for some 285 years."""
    present = values.drop_null()
    if pa.types.is_timestamp(present.type):
        present = present.cast(pa.int64())
    found: Floats = present.to_numpy(zero_copy_only=False).astype(np.float64)
    return found


def _thin(values: pa.Array) -> pa.Array:
    step = _step(len(values))
    return values if step == 1 else values.take(pa.array(np.arange(0, len(values), step)))


def _step(rows: int) -> int:
    """Of so many rows every n-th is looked at."""
    return max(1, -(-rows // MOST_ROWS))


def _distance(this: pa.Array, other: pa.Array, shift: int) -> float:
    if this.type != other.type:
        return 1.0
    if not len(this) or not len(other):
        return float(len(this) != len(other))
    nulls = float(abs(this.null_count / len(this) - other.null_count / len(other)))
    a, b = _thin(this), _thin(other)
    if a.null_count == len(a) or b.null_count == len(b):
        return nulls
    apart = _steps_apart(a, b, shift) if _is_number(a.type) else _levels_apart(a, b)
    return float(round(max(nulls, apart), 6))


def _steps_apart(this: pa.Array, other: pa.Array, shift: int) -> float:
    """The greatest difference of the two shares below any value."""
    moved = shift if pa.types.is_timestamp(this.type) else 0
    a, b = np.sort(_numbers(this) - moved), np.sort(_numbers(other))
    every = np.concatenate([a, b])
    below = [np.searchsorted(values, every, side="right") / len(values) for values in (a, b)]
    return float(np.abs(below[0] - below[1]).max())


def _levels_apart(this: pa.Array, other: pa.Array) -> float:
    a, b = _shares(this), _shares(other)
    return _sum(abs(a.get(level, 0.0) - b.get(level, 0.0)) for level in {*a, *b}) / 2


def _shares(values: pa.Array) -> dict[str, float]:
    present = values.drop_null().cast(pa.string())
    counted = pc.value_counts(present)
    levels, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return {level: count / len(present) for level, count in zip(levels, counts, strict=True)}


def _bars(this: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars | None:
    a, b = _thin(this), _thin(other)
    if a.null_count == len(a) and b.null_count == len(b):
        return None
    return _histogram(a, b, shift, scale) if _is_number(a.type) else _most_frequent(a, b)


def _histogram(this: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars:
    moved = shift if pa.types.is_timestamp(this.type) else 0
    a, b = _numbers(this) - moved, _numbers(other)
    finite = [values[np.isfinite(values)] for values in (a, b)]
    low, high = _range(np.concatenate(finite))
    edges = np.linspace(low, high, BARS + 1)
    # What lies outside is drawn at the edge: it must not vanish from the picture.
    counts = [np.histogram(np.clip(values, low, high), edges)[0] for values in finite]
    shares = [tuple((c / max(1, c.sum())).round(5).tolist()) for c in counts]
    whole = pa.types.is_integer(this.type) and not scale
    ends = [_shown(round(v) if whole else v + moved, this.type, scale) for v in (low, high)]
    return Bars(shares[0], shares[1], (), *ends)


def _range(values: Floats) -> tuple[float, float]:
    """Where the bars begin and end: without the far tails, which would leave one bar of all."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    inner = np.quantile(values, [0.005, 0.995])
    room = 0.25 * float(inner[1] - inner[0])
    if room > 0:
        low, high = max(low, float(inner[0]) - room), min(high, float(inner[1]) + room)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _most_frequent(this: pa.Array, other: pa.Array) -> Bars:
    a, b = _shares(this), _shares(other)
    order = sorted({*a, *b}, key=lambda level: (-max(a.get(level, 0.0), b.get(level, 0.0)), level))
    # Of many values those that moved most say more than those that are many.
    if len(order) > LEVELS:
        order.sort(key=lambda level: -abs(a.get(level, 0.0) - b.get(level, 0.0)))
    named, rest = order[:LEVELS], order[LEVELS:]
    shares = [tuple(round(of.get(level, 0.0), 5) for level in named) for of in (a, b)]
    if rest:
        sums = [round(_sum(of.get(level, 0.0) for level in rest), 5) for of in (a, b)]
        shares = [(*bars, more) for bars, more in zip(shares, sums, strict=True)]
    names = (*named, *([f"{len(rest)} more"] if rest else []))
    return Bars(shares[0], shares[1], names)


def _sum(values: Iterable[float]) -> float:
    return float(sum(values))
