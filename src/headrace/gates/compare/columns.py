"""Comparison of all columns of two batches, and the usual changes between good batches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.gates.compare.distance import distance
from headrace.gates.compare.histograms import bars_of
from headrace.gates.compare.model import ColumnComparison, Comparison, Stats, Usual
from headrace.gates.compare.values import column_of, is_number, numbers, readable, step_of, thin

# A range is reported if it extends beyond the range of good batches by more than this share of the
# width of that range.
_FAR = 0.5


def compare(
    current: pa.Table,
    other: pa.Table,
    *,
    shift: int = 0,
    keys: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
    usual: Mapping[str, Usual] | None = None,
) -> Comparison:
    """Compare every column of the two tables whose name does not begin with an underscore.

    Args:
        current: the batch.
        other: the batch to compare it with.
        shift: microseconds by which `current` begins later; subtracted before timestamps are
            compared.
        keys: key columns. A key column with a single value in each batch only identifies the
            batch, so its change is not reported.
        scales: decimal digits of scaled columns.
        usual: the usual change of each column, see `usual_moves`.
    """
    names = dict.fromkeys(n for n in (*current.schema.names, *other.schema.names) if n[0] != "_")
    compared = []
    for name in names:
        scale = (scales or {}).get(name, 0)
        column = _column(name, column_of(current, name), column_of(other, name), shift, scale)
        if usual is not None:
            column = _with_usual(column, usual.get(name, Usual()), scale)
        compared.append(
            replace(column, usual=1.0, outside=None) if _is_a_key(column, keys) else column
        )
    compared.sort(key=lambda c: (_is_a_key(c, keys), -round(c.excess, 3)))
    step = max(step_of(current.num_rows), step_of(other.num_rows))
    return Comparison(current.num_rows, other.num_rows, tuple(compared), step)


def _with_usual(column: ColumnComparison, usual: Usual, scale: int) -> ColumnComparison:
    """Add the usual change to a column, and the usual range if its values are far outside it."""
    column = replace(column, usual=usual.distance)
    if usual.low is None or usual.high is None or column.this is None or column.this.low is None:
        return column
    low, high = (v / 10**scale if scale else v for v in (usual.low, usual.high))
    room = _FAR * (high - low)
    inside = low - room <= column.this.low and column.this.high <= high + room
    return column if inside or not room else replace(column, outside=(low, high))


def _is_a_key(column: ColumnComparison, keys: Sequence[str]) -> bool:
    """Return True for a key column that has a single value in each of the two batches."""
    sides = (column.this, column.other)
    return column.name in keys and all(s is not None and s.distinct == 1 for s in sides)


def usual_moves(batches: Sequence[tuple[pa.Table, int]]) -> dict[str, Usual]:
    """Return the greatest change of each column between consecutive good batches.

    Args:
        batches: (rows, start of the partition in microseconds, 0 if it has none) in time order.
    """
    usual: dict[str, Usual] = {}
    before: dict[str, pa.Array] = {}
    start = 0
    for table, begins in batches:
        columns = {name: column_of(table, name) for name in table.schema.names if name[0] != "_"}
        for name, values in columns.items():
            move = distance(values, before[name], begins - start) if name in before else 0.0
            usual[name] = _wider(usual.get(name, Usual()), move, values)
        before, start = columns, begins
    return usual


def _wider(usual: Usual, move: float, values: pa.Array) -> Usual:
    plain_number = is_number(values.type) and not pa.types.is_timestamp(values.type)
    ends = pc.min_max(values) if plain_number else None
    lows = [usual.low, ends["min"].as_py() if ends else None]
    highs = [usual.high, ends["max"].as_py() if ends else None]
    return Usual(
        max(usual.distance, move),
        min((v for v in lows if v is not None), default=None),
        max((v for v in highs if v is not None), default=None),
    )


def _column(
    name: str, current: pa.Array | None, other: pa.Array | None, shift: int, scale: int
) -> ColumnComparison:
    existing = current if current is not None else other
    kind = "" if existing is None else str(existing.type)
    stats = [None if values is None else _stats(values, scale) for values in (current, other)]
    if current is None or other is None or current.type != other.type:
        return ColumnComparison(name, kind, stats[0], stats[1], 1.0)
    bars = bars_of(current, other, shift, scale)
    return ColumnComparison(
        name, kind, stats[0], stats[1], distance(current, other, shift), None, bars
    )


def _stats(values: pa.Array, scale: int) -> Stats:
    nulls, sample = values.null_count, thin(values)
    counts = (len(values), nulls, pc.count_distinct(sample).as_py())
    if sample.null_count == len(sample):
        return Stats(*counts)
    if not is_number(values.type):
        ends = pc.min_max(values.cast(pa.string()))
        return Stats(*counts, ends["min"].as_py(), None, ends["max"].as_py())
    ends = numbers(pa.array(pc.min_max(values).values(), values.type))
    three = (float(ends[0]), float(np.median(numbers(sample))), float(ends[1]))
    return Stats(*counts, *(readable(value, values.type, scale) for value in three))
