"""Distributions of a column in training rows and in all other rows, for the card's charts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_BINS = 20
_LEVELS = 8
_NUMBERS = ("int64", "float64", "bool", "timestamp", "local_timestamp", "date")


@dataclass(frozen=True)
class DistributionShape:
    """Histograms of a column for the training rows and for all other rows.

    `train` and `other` hold one share of the non-null rows for each bar. `levels` is True for a
    text column. `labels` are the most frequent values of a text column, or both ends of a numeric
    range. `distinct` is the number of distinct values; -1 if they were not counted.
    """

    train: tuple[float, ...]
    other: tuple[float, ...]
    labels: tuple[str, ...]
    levels: bool
    distinct: int = -1


def shape(train: pa.ChunkedArray, other: pa.ChunkedArray, kind: str) -> DistributionShape | None:
    """Histograms of a column of canonical type `kind`; None if there is nothing to draw."""
    if kind == "string":
        return _levels(train, other)
    if kind not in _NUMBERS:
        return None
    samples = [_numbers(column, kind) for column in (train, other)]
    both = np.concatenate(samples)
    if not len(both):
        return None
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    counts = [np.histogram(sample, edges)[0] / max(1, len(sample)) for sample in samples]
    ends = [_axis_label(end, kind) for end in (low, high)]
    return DistributionShape(
        tuple(counts[0].tolist()), tuple(counts[1].tolist()), tuple(ends), levels=False
    )


def _numbers(column: pa.ChunkedArray, kind: str) -> npt.NDArray[np.float64]:
    if kind == "date":
        column = column.cast(pa.int32())
    elif "timestamp" in kind:
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    values = column.cast(pa.float64(), safe=False).drop_null().to_numpy()
    finite: npt.NDArray[np.float64] = values[np.isfinite(values)]
    return finite


def _axis_label(value: float, kind: str) -> str:
    if "timestamp" in kind:
        from headrace.core.clock import iso

        return iso(int(value))[:16].replace("T", " ")
    if kind == "date":
        return str(np.datetime64(int(value), "D"))
    return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:.3g}"


def _levels(train: pa.ChunkedArray, other: pa.ChunkedArray) -> DistributionShape | None:
    counted = [_counts(column) for column in (train, other)]
    together = dict(counted[0])
    for name, count in counted[1].items():
        together[name] = together.get(name, 0) + count
    if not together:
        return None
    order = sorted(together, key=lambda name: (-together[name], name))[:_LEVELS]
    shares = [_shares(counts, order) for counts in counted]
    return DistributionShape(
        shares[0], shares[1], tuple(order), levels=True, distinct=len(together)
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    value_counts = pc.value_counts(column.drop_null())
    pairs = zip(
        value_counts.field("values").to_pylist(),
        value_counts.field("counts").to_pylist(),
        strict=True,
    )
    return {str(name): int(count) for name, count in pairs}


def _shares(counts: dict[str, int], order: Sequence[str]) -> tuple[float, ...]:
    total = max(1, sum(counts.values()))
    return tuple(counts.get(name, 0) / total for name in order)
