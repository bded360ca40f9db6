"""Tables about injected faults: numbers, shares, and intervals of shares."""

from collections.abc import Mapping, Sequence
from typing import Any

_SHARES = {"stopped": "detected", "right": "headline_right", "wrong": "headline_wrong"}


def fault_table(
    counts: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> tuple[list[str], list[list[object]]]:
    """Return columns and rows for `grid`: `labels` ({key: column}), numbers, and shares.

    Intervals have columns of their own, if there are any.
    """
    intervals = any(count.get("detected_interval") for count in counts)
    columns = [*labels.values(), "eligible#", "injected#"]
    for name in _SHARES:
        columns += [f"{name}#", "95%"] if intervals else [f"{name}#"]
    rows = []
    for count in counts:
        row = [*(count[key] for key in labels), count["eligible"], count["injected"]]
        for name in _SHARES.values():
            row.append(f"{count[name] / count['injected']:.0%}" if count["injected"] else "")
            if intervals:
                row.append(_ends(count[f"{name}_interval"]))
        rows.append(row)
    return columns, rows


def share(part: int, total: int, interval: list[float] | None) -> str:
    """Return a share in words, with its interval if there is one."""
    if not total:
        return "0 of 0"
    ends = f" (95%: {_ends(interval, 1)})" if interval else ""
    return f"{part} of {total:,}, {part / total:.1%}{ends}"


def _ends(interval: list[float] | None, digits: int = 0) -> str:
    if interval is None:
        return ""
    low, high = (f"{end:.{digits}%}" for end in interval)
    return f"{low} to {high}"
