"""Every column of two batches, and how far columns of good batches usually move."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.compare.distance import distance
from headrace.gates.compare.histograms import bars_of
from headrace.gates.compare.model import Compared, Comparison, Stats, Usual
from headrace.gates.compare.values import column_of, is_number, numbers, shown, step_of, thin

_FAR = 0.5  # of the range of good batches: what lies further out is far out


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
        column = _column(name, column_of(this, name), column_of(other, name), shift, scale)
        if usual is not None:
            column = _judged(column, usual.get(name, Usual()), scale)
        told.append(replace(column, usual=1.0, outside=None) if _is_a_key(column, keys) else column)
    told.sort(key=lambda c: (_is_a_key(c, keys), -round(c.excess, 3)))
    every = max(step_of(this.num_rows), step_of(other.num_rows))
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
        columns = {name: column_of(table, name) for name in table.schema.names if name[0] != "_"}
        for name, values in columns.items():
            moved = distance(values, before[name], begins - start) if name in before else 0.0
            found[name] = _wider(found.get(name, Usual()), moved, values)
        before, start = columns, begins
    return found


def _wider(usual: Usual, moved: float, values: pa.Array) -> Usual:
    plain_number = is_number(values.type) and not pa.types.is_timestamp(values.type)
    ends = pc.min_max(values) if plain_number else None
    lows = [usual.low, ends["min"].as_py() if ends else None]
    highs = [usual.high, ends["max"].as_py() if ends else None]
    return Usual(
        max(usual.distance, moved),
        min((v for v in lows if v is not None), default=None),
        max((v for v in highs if v is not None), default=None),
    )


def _column(
    name: str, this: pa.Array | None, other: pa.Array | None, shift: int, scale: int
) -> Compared:
    known = this if this is not None else other
    kind = "" if known is None else str(known.type)
    told = [None if values is None else _stats(values, scale) for values in (this, other)]
    if this is None or other is None or this.type != other.type:
        return Compared(name, kind, told[0], told[1], 1.0)
    bars = bars_of(this, other, shift, scale)
    return Compared(name, kind, told[0], told[1], distance(this, other, shift), None, bars)


def _stats(values: pa.Array, scale: int) -> Stats:
    nulls, some = values.null_count, thin(values)
    counts = (len(values), nulls, pc.count_distinct(some).as_py())
    if some.null_count == len(some):
        return Stats(*counts)
    if not is_number(values.type):
        ends = pc.min_max(values.cast(pa.string()))
        return Stats(*counts, ends["min"].as_py(), None, ends["max"].as_py())
    ends = numbers(pa.array(pc.min_max(values).values(), values.type))
    three = (float(ends[0]), float(np.median(numbers(some))), float(ends[1]))
    return Stats(*counts, *(shown(value, values.type, scale) for value in three))
