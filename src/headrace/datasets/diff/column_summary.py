"""Statistics of a column over all splits, from a manifest."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from headrace.datasets.diff.json_values import json_value
from headrace.datasets.diff.model import Cell, Summary
from headrace.datasets.manifest import Manifest

_INSTANTS = {"timestamp": pa.timestamp("us", "UTC"), "local_timestamp": pa.timestamp("us")}


def summary(manifest: Manifest, column: str, kind: str) -> Summary:
    """Nulls, minimum, maximum and mean of a column; None for missing statistics."""
    statistics = [
        split.statistics[column] for split in manifest.splits.values() if column in split.statistics
    ]
    ends = [
        choose(bounds, key=lambda value: _order(value, kind)) if bounds else None
        for name, choose in (("min", min), ("max", max))
        for bounds in [[entry[name] for entry in statistics if entry[name] is not None]]
    ]
    low, high = (_json_bound(end, kind) for end in ends)
    return Summary(sum(entry["nulls"] for entry in statistics), low, high, _mean(statistics))


def _order(value: Cell, kind: str) -> Any:  # noqa: ANN401 - a sortable value
    """Sort key of a bound. A manifest stores infinity as text."""
    return float(value) if kind == "float64" else value


def _json_bound(value: Cell, kind: str) -> Cell:
    """A bound as a JSON value. A manifest stores timestamps in microseconds."""
    if kind in _INSTANTS and value is not None:
        return json_value(pa.scalar(value, pa.int64()).cast(_INSTANTS[kind]).as_py())
    return value


def _mean(statistics: Iterable[Mapping[str, Any]]) -> float | None:
    weights = [(entry["rows"] - entry["nulls"], entry["mean"]) for entry in statistics]
    means = [(rows, float(mean)) for rows, mean in weights if mean is not None]
    rows = sum(rows for rows, _ in means)
    if not rows:
        return None
    return float(f"{sum(rows * mean for rows, mean in means) / rows:.12g}")
