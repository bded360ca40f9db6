"""Export of a suite's expectations as ODCS quality rules."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from headrace.contracts.odcs.quality_import import OUR_META

Rule = Mapping[str, Any]
Expectation = Mapping[str, Any]


def to_quality(expectation: Expectation) -> list[dict[str, Any]]:
    """Return ODCS rules for an expectation: library metrics if possible, else a custom rule."""
    rules = _to_metric(expectation) or [
        {"type": "custom", "engine": "great-expectations", "implementation": _plain(expectation)}
    ]
    meta = expectation.get("meta") or {}
    severity = expectation.get("severity", "critical")
    details: dict[str, Any] = {"name": meta.get("id"), "description": meta.get("reason")}
    details["severity"] = "error" if severity == "critical" else severity
    extras = [{"property": key, "value": meta[key]} for key in OUR_META if key in meta]
    details_ = {key: value for key, value in details.items() if value}
    return [
        {
            **rule,
            **details_,
            **({"customProperties": extras} if extras and "metric" in rule else {}),
        }
        for rule in rules
    ]


def _plain(expectation: Expectation) -> dict[str, Any]:
    return {key: value for key, value in expectation.items() if value}


def _to_metric(expectation: Expectation) -> list[dict[str, Any]]:
    """Return the equivalent library metrics; [] if no metric is equivalent."""
    kwargs, meta = expectation["kwargs"], expectation.get("meta") or {}
    kind = expectation["type"].removeprefix("expect_")
    convert = _METRICS.get(kind)
    if convert is None or set(meta) - {"id", "reason", *OUR_META}:
        return []
    operator: dict[str, Any] = {"mustBe": 0}
    if "mostly" in kwargs:
        share = (1 - Decimal(str(kwargs["mostly"]))) * 100
        number = int(share) if share == share.to_integral_value() else float(share)
        operator = {"mustBeLessOrEqualTo": number, "unit": "percent"}
    return convert(kwargs, operator)


def _nulls(kwargs: Rule, operator: Rule) -> list[dict[str, Any]]:
    return [{"metric": "nullValues", **operator}] if set(kwargs) <= {"column", "mostly"} else []


def _pattern(kwargs: Rule, operator: Rule) -> list[dict[str, Any]]:
    if set(kwargs) - {"column", "regex", "mostly"}:
        return []
    return [_metric("invalidValues", operator, pattern=kwargs["regex"])]


def _values(kwargs: Rule, operator: Rule) -> list[dict[str, Any]]:
    """Export a set of texts; [] for other sets, which are exported as custom rules."""
    values = kwargs["value_set"]
    texts = all(isinstance(value, str) for value in values)
    if set(kwargs) - {"column", "value_set", "mostly"} or not (values and texts):
        return []
    return [_metric("invalidValues", operator, validValues=list(values))]


def _unique(kwargs: Rule, operator: Rule) -> list[dict[str, Any]]:
    return [{"metric": "duplicateValues", **operator}] if set(kwargs) == {"column"} else []


def _unique_together(kwargs: Rule, operator: Rule) -> list[dict[str, Any]]:
    if set(kwargs) != {"column_list"}:
        return []
    return [_metric("duplicateValues", operator, properties=list(kwargs["column_list"]))]


def _row_count(kwargs: Rule, _: Rule) -> list[dict[str, Any]]:
    if set(kwargs) - {"min_value", "max_value"}:
        return []
    if len(kwargs) == 2:  # ODCS: mustBeBetween excludes both limits
        return [
            {
                "metric": "rowCount",
                "mustBeBetween": [kwargs["min_value"] - 1, kwargs["max_value"] + 1],
            }
        ]
    names = {"min_value": "mustBeGreaterOrEqualTo", "max_value": "mustBeLessOrEqualTo"}
    return [{"metric": "rowCount", names[key]: kwargs[key]} for key in names if key in kwargs]


def _metric(name: str, operator: Rule, **arguments: object) -> dict[str, Any]:
    return {"metric": name, "arguments": arguments, **operator}


_METRICS: dict[str, Callable[[Rule, Rule], list[dict[str, Any]]]] = {
    "column_values_to_not_be_null": _nulls,
    "column_values_to_match_regex": _pattern,
    "column_values_to_be_in_set": _values,
    "column_values_to_be_unique": _unique,
    "compound_columns_to_be_unique": _unique_together,
    "table_row_count_to_be_between": _row_count,
}
