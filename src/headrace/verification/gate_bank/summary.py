"""Sums of the results on the bank: by scope, by size of a day, and intervals of their shares."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Counts = Mapping[str, Any]
COUNTED = ("eligible", "injected", "detected", "headline_right", "headline_wrong")
SHARES = COUNTED[2:]
CLEAN = ("days", "block_days", "warn_days")
# Groups of tables by the median of the rows of a day: name, and the first number beyond it.
SIZES = (("under 20", 20), ("20 to 100", 101), ("over 100", None))
LEAST_SOURCES = 5  # fewer tables do not show how much tables differ
_DRAWS = 4000
_SEED = 20_130_101


def totals(faults: Sequence[Counts]) -> list[dict[str, Any]]:
    """Return the sums of each scope, apart for tables that thresholds were chosen on.

    Each share of the injected faults has a 95% interval: see `interval`.
    """
    keys = sorted({(not count["left_out"], count["scope"]) for count in faults})
    return [
        {
            "scope": scope,
            "left_out": not tuned,
            **_sums(c for c in faults if (not c["left_out"], c["scope"]) == (tuned, scope)),
        }
        for tuned, scope in keys
    ]


def by_size(faults: Sequence[Counts], clean: Sequence[Counts]) -> list[dict[str, Any]]:
    """Return the sums of each scope for tables with few, some and many rows a day."""
    rows = []
    for unseen in (True, False):
        tables = [c for c in clean if c["left_out"] == unseen]
        for size, _ in SIZES:
            sources = [c["source"] for c in tables if size_of(c["rows_a_day"]) == size]
            for scope in ("batch", "part") if sources else ():
                counts = [f for f in faults if f["source"] in sources and f["scope"] == scope]
                labels = {"size": size, "scope": scope, "left_out": unseen, "sources": sources}
                rows.append({**labels, **_sums(counts)})
    return rows


def size_of(rows_a_day: float) -> str:
    """Return the name of the group of tables with so many rows a day."""
    return next(name for name, end in SIZES if end is None or rows_a_day < end)


def clean_totals(clean: Sequence[Counts]) -> list[dict[str, Any]]:
    """Return the sums of clean days, apart for tables that thresholds were chosen on."""
    sums = []
    for unseen in sorted({c["left_out"] for c in clean}, reverse=True):
        tables = [c for c in clean if c["left_out"] == unseen]
        total = {name: sum(c[name] for c in tables) for name in CLEAN}
        intervals = {
            f"{name}_interval": interval([(c[name], c["days"]) for c in tables])
            for name in CLEAN[1:]
        }
        sums.append({"left_out": unseen, **total, **intervals})
    return sums


def _sums(counts: Iterable[Counts]) -> dict[str, Any]:
    by_source: dict[str, Counter[str]] = {}
    for count in counts:
        sums = by_source.setdefault(count["source"], Counter())
        sums.update({name: count[name] for name in COUNTED})
    total = {name: sum(sums[name] for sums in by_source.values()) for name in COUNTED}
    intervals = {
        f"{name}_interval": interval([(s[name], s["injected"]) for s in by_source.values()])
        for name in SHARES
    }
    return {**total, **intervals}


def interval(parts: Sequence[tuple[int, int]]) -> list[float] | None:
    """Return the 95% interval of a share, by bootstrap over tables.

    Tables are drawn with replacement, not single faults: faults in the same table share its rows,
    so a table counts as one observation. The draws are seeded.

    Args:
        parts: (part, total) of each table.

    Returns:
        both ends; None if fewer than `LEAST_SOURCES` tables have a total above 0.
    """
    pairs = np.array([pair for pair in parts if pair[1]], np.float64)
    if len(pairs) < LEAST_SOURCES:
        return None
    drawn = np.random.default_rng(_SEED).integers(len(pairs), size=(_DRAWS, len(pairs)))
    sums = pairs[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]
