"""The draft of a suite: what was seen, with slack. Limits are in stored units."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from headrace.scaffold.facts import Facts
from headrace.scaffold.look import Column
from headrace.scaffold.templates import fill

# A day's mean is worth a limit where a day has this many rows.
_ENOUGH = 20


def draft_suite(found: Facts, pipeline: str) -> str:
    """YAML for the table; every expectation holds for every day that was seen."""
    checks = [*_table_checks(found)]
    for column in found.look.columns:
        if column not in found.look.key and column != found.look.time:
            checks += _column_checks(found, column)
    return fill(
        "suite.yaml",
        pipeline=pipeline,
        table=found.look.ask.table_name,
        rows=f"{found.table.num_rows:,}",
        seen=_seen(found),
        share=_share(found),
        checks="\n".join(checks),
    )


def _seen(found: Facts) -> str:
    if found.look.ask.snapshot or found.look.ask.partial:
        return "with slack; " + ("they pass" if found.look.ask.partial else "the file passes")
    return f"with slack; each of the {len(found.days):,} days passes"


def _share(found: Facts) -> float:
    """So great that one bad row does not stop a small delivery."""
    usual = 1 if found.look.ask.snapshot else float(np.median(found.rows_per_day))
    rows = found.table.num_rows if found.look.ask.snapshot else usual
    return min(0.5, max(0.01, math.ceil(150 / rows) / 100))


def _table_checks(found: Facts) -> Iterator[str]:
    if not found.look.ask.partial:
        yield _row_count(found)
    key = [column.name for column in found.look.key]
    kind = "expect_compound_columns_to_be_unique" if len(key) > 1 else ""
    yield _check(
        kind or "expect_column_values_to_be_unique",
        {"column_list": key} if kind else {"column": key[0]},
        {"id": "one_row_a_key"},
    )


def _row_count(found: Facts) -> str:
    counts = found.rows_per_day
    if found.look.ask.snapshot:
        counts = np.array([found.table.num_rows])
    low, high = max(1, int(counts.min()) // 2), int(counts.max()) * 2
    reason = f"Seen: {int(counts.min()):,} to {int(counts.max()):,} rows."
    return _check(
        "expect_table_row_count_to_be_between",
        {"min_value": low, "max_value": high},
        {"id": "row_count", "reason": reason},
    )


def _column_checks(found: Facts, column: Column) -> Iterator[str]:
    name = column.name
    if not found.nulls(name):
        yield _check(
            "expect_column_values_to_not_be_null",
            {"column": name},
            {"id": f"{name}_is_there", "action": "quarantine"},
        )
    is_entity = column in found.look.entity  # a new customer is no news
    if column.type == "string" and not is_entity and (levels := found.levels(name)):
        yield _check(
            "expect_column_values_to_be_in_set",
            {"column": name, "value_set": levels},
            {"id": f"{name}_known", "reason": "A new value may be real; then it has no history."},
            severity="warning",
        )
    if column.is_number and not is_entity:
        yield from _number_checks(found, column)


def _number_checks(found: Facts, column: Column) -> Iterator[str]:
    name, seen = column.name, found.range(column.name)
    if seen is None:
        return
    low, high = _with_slack(found, name)
    unit = f", in units of 10^-{column.scale}" if column.scale else ""
    yield _check(
        "expect_column_values_to_be_between",
        {"column": name, "min_value": low, "max_value": high},
        {
            "id": name,
            "action": "quarantine",
            "reason": f"Seen: {_shown(seen.low)} to {_shown(seen.high)}{unit}.",
        },
    )
    ask = found.look.ask
    if float(np.median(found.rows_per_day)) >= _ENOUGH and not (ask.snapshot or ask.partial):
        yield from _mean_check(found, name)


def _mean_check(found: Facts, name: str) -> Iterator[str]:
    """Its unit changes, or half of it is missing: a day's mean tells."""
    values = found.table[name].to_numpy(zero_copy_only=False).astype(np.float64)
    known = ~np.isnan(values)
    days, place = np.unique(found.day_numbers[known], return_inverse=True)
    means = np.bincount(place, values[known]) / np.bincount(place)
    if len(days) < 2:
        return
    slack = max(float(means.max() - means.min()), 0.2 * float(np.abs(means).max()))
    yield _check(
        "expect_column_mean_to_be_between",
        {
            "column": name,
            "min_value": _rounded(float(means.min()) - slack),
            "max_value": _rounded(float(means.max()) + slack),
        },
        {"id": f"mean_{name}"},
        severity="warning",
    )


def _with_slack(found: Facts, name: str) -> tuple[int | float, int | float]:
    """Half the range on either side; what was never negative stays so."""
    seen = found.range(name)
    assert seen is not None
    slack = max((seen.high - seen.low) / 2, abs(seen.high) / 10)
    low, high = seen.low - slack, seen.high + slack
    low = 0 if seen.low >= 0 else low
    whole = isinstance(seen.low, int)
    return (math.floor(low), max(1, math.ceil(high))) if whole else (_rounded(low), _rounded(high))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _check(
    kind: str, kwargs: dict[str, Any], meta: dict[str, Any], *, severity: str = "critical"
) -> str:
    lines = [f"  - type: {kind}", f"    kwargs: {_flow(kwargs)}"]
    if severity != "critical":
        lines.append(f"    severity: {severity}")
    lines.append(f"    meta: {_flow(meta)}")
    return "\n".join(lines)


def _scalar(value: object) -> str:
    """Names stand as they are; the rest as JSON, which YAML reads."""
    plain = isinstance(value, str) and "_" in value and value.replace("_", "").isalnum()
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _flow(values: dict[str, Any]) -> str:
    """A YAML mapping on one line; JSON values are YAML values."""
    parts = (f"{key}: {_scalar(value)}" for key, value in values.items())
    return "{" + ", ".join(parts) + "}"
