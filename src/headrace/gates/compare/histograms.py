"""What is drawn of two columns: a histogram of numbers, the shares of the values of text."""

import numpy as np
import pyarrow as pa

from headrace.gates.compare.distance import shares
from headrace.gates.compare.model import Bars
from headrace.gates.compare.values import Floats, is_number, numbers, shown, thin

BARS = 24  # of a histogram
LEVELS = 6  # of a column of text that are drawn, the rest is one bar


def bars_of(this: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars | None:
    a, b = thin(this), thin(other)
    if a.null_count == len(a) and b.null_count == len(b):
        return None
    return _histogram(a, b, shift, scale) if is_number(a.type) else _most_frequent(a, b)


def _histogram(this: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars:
    moved = shift if pa.types.is_timestamp(this.type) else 0
    a, b = numbers(this) - moved, numbers(other)
    finite = [values[np.isfinite(values)] for values in (a, b)]
    low, high = _range(np.concatenate(finite))
    edges = np.linspace(low, high, BARS + 1)
    # What lies outside is drawn at the edge: it must not vanish from the picture.
    counts = [np.histogram(np.clip(values, low, high), edges)[0] for values in finite]
    told = [tuple((c / max(1, c.sum())).round(5).tolist()) for c in counts]
    whole = pa.types.is_integer(this.type) and not scale
    ends = [shown(round(v) if whole else v + moved, this.type, scale) for v in (low, high)]
    return Bars(told[0], told[1], (), *ends)


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
    a, b = shares(this), shares(other)
    order = sorted({*a, *b}, key=lambda level: (-max(a.get(level, 0.0), b.get(level, 0.0)), level))
    # Of many values those that moved most say more than those that are many.
    if len(order) > LEVELS:
        order.sort(key=lambda level: -abs(a.get(level, 0.0) - b.get(level, 0.0)))
    named, rest = order[:LEVELS], order[LEVELS:]
    told = [tuple(round(of.get(level, 0.0), 5) for level in named) for of in (a, b)]
    if rest:
        sums = [round(sum(of.get(level, 0.0) for level in rest), 5) for of in (a, b)]
        told = [(*bars, more) for bars, more in zip(told, sums, strict=True)]
    names = (*named, *([f"{len(rest)} more"] if rest else []))
    return Bars(told[0], told[1], names)
