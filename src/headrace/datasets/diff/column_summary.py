"""A column's numbers over all splits, from the statistics of a manifest."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from headrace.datasets.diff.json_values import shown
from headrace.datasets.diff.model import Cell, Summary
from headrace.datasets.manifest import Manifest

_INSTANTS = {"timestamp": pa.timestamp("us", "UTC"), "local_timestamp": pa.timestamp("us")}


def summary(manifest: Manifest, column: str, kind: str) -> Summary:
    """Nulls, least and greatest value and mean; None where a manifest does not say."""
    told = [
        split.statistics[column] for split in manifest.splits.values() if column in split.statistics
    ]
    ends = [
        choose(found, key=lambda value: _order(value, kind)) if found else None
        for name, choose in (("min", min), ("max", max))
        for found in [[one[name] for one in told if one[name] is not None]]
    ]
    low, high = (_shown(end, kind) for end in ends)
    return Summary(sum(one["nulls"] for one in told), low, high, _mean(told))


def _order(value: Cell, kind: str) -> Any:  # noqa: ANN401 - what sorts
    """A manifest has infinity as text."""
    return float(value) if kind == "float64" else value


def _shown(value: Cell, kind: str) -> Cell:
    """A manifest has moments in microseconds."""
    if kind in _INSTANTS and value is not None:
        return shown(pa.scalar(value, pa.int64()).cast(_INSTANTS[kind]).as_py())
    return value


def _mean(told: Iterable[Mapping[str, Any]]) -> float | None:
    weights = [(one["rows"] - one["nulls"], one["mean"]) for one in told]
    known = [(rows, float(mean)) for rows, mean in weights if mean is not None]
    rows = sum(rows for rows, _ in known)
    if not rows:
        return None
    return float(f"{sum(rows * mean for rows, mean in known) / rows:.12g}")
