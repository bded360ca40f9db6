"""Bar charts that compare two columns: histograms of numbers, shares of categories of text."""

import numpy as np
import pyarrow as pa

from headrace.gates.compare.distance import shares
from headrace.gates.compare.model import Bars
from headrace.gates.compare.values import Floats, is_number, numbers, readable, thin

BARS = 24  # number of bars of a histogram
LEVELS = 6  # bars for a column of text; one more bar is for all other categories


def bars_of(current: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars | None:
    a, b = thin(current), thin(other)
    if a.null_count == len(a) and b.null_count == len(b):
        return None
    return _histogram(a, b, shift, scale) if is_number(a.type) else _most_frequent(a, b)


def _histogram(current: pa.Array, other: pa.Array, shift: int, scale: int) -> Bars:
    offset = shift if pa.types.is_timestamp(current.type) else 0
    a, b = numbers(current) - offset, numbers(other)
    finite = [values[np.isfinite(values)] for values in (a, b)]
    low, high = _range(np.concatenate(finite))
    edges = np.linspace(low, high, BARS + 1)
    # Values outside the range are counted in the outermost bars, so that the chart shows them.
    counts = [np.histogram(np.clip(values, low, high), edges)[0] for values in finite]
    heights = [tuple((c / max(1, c.sum())).round(5).tolist()) for c in counts]
    integral = pa.types.is_integer(current.type) and not scale
    ends = [
        readable(round(v) if integral else v + offset, current.type, scale) for v in (low, high)
    ]
    return Bars(heights[0], heights[1], (), *ends)


def _range(values: Floats) -> tuple[float, float]:
    """Return the range of the bars; 0 to 1 for an empty array.

    Far outliers are excluded, because they would put all other values into one bar.
    """
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    inner = np.quantile(values, [0.005, 0.995])
    room = 0.25 * float(inner[1] - inner[0])
    if room > 0:
        low, high = max(low, float(inner[0]) - room), min(high, float(inner[1]) + room)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _most_frequent(current: pa.Array, other: pa.Array) -> Bars:
    a, b = shares(current), shares(other)
    order = sorted({*a, *b}, key=lambda level: (-max(a.get(level, 0.0), b.get(level, 0.0)), level))
    # If there are many categories, show those that changed most rather than the most frequent.
    if len(order) > LEVELS:
        order.sort(key=lambda level: -abs(a.get(level, 0.0) - b.get(level, 0.0)))
    levels, rest = order[:LEVELS], order[LEVELS:]
    heights = [tuple(round(of.get(level, 0.0), 5) for level in levels) for of in (a, b)]
    if rest:
        sums = [round(sum(of.get(level, 0.0) for level in rest), 5) for of in (a, b)]
        heights = [(*bars, rest_share) for bars, rest_share in zip(heights, sums, strict=True)]
    names = (*levels, *([f"{len(rest)} more"] if rest else []))
    return Bars(heights[0], heights[1], names)
