"""Import of ODCS quality rules as exactly equivalent expectations of a suite."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

Rule = Mapping[str, Any]
Expectation = dict[str, Any]
_SEVERITIES = {
    "critical": ("critical", "error", "blocker", "high", "fatal", "severe"),
    "warning": ("warning", "warn", "medium", "minor", "moderate"),
    "info": ("info", "informational", "low", "notice"),
}
# Keys of an expectation's meta that an ODCS library metric cannot express.
OUR_META = ("action", "owner", "notes", "shadow")
_ENGINES = {"greatexpectations", "gx"}
# {rule of ODCS 3.0: metric that replaced it}.
_METRICS = {
    "duplicateCount": "duplicateValues",
    "nullCount": "nullValues",
    "nullCheck": "nullValues",
    "validValues": "invalidValues",
}
_MINIMUM = {"mustBeGreaterOrEqualTo": False, "mustBeGreaterThan": True}
_MAXIMUM = {"mustBeLessOrEqualTo": False, "mustBeLessThan": True}
_OPERATORS = (
    "mustBe", "mustNotBe", *_MINIMUM, *_MAXIMUM, "mustBeBetween", "mustNotBeBetween",
)  # fmt: skip


class Untranslatable(Exception):  # noqa: N818  (an expected outcome, not an error)
    """Signal that a rule has no equivalent expectation; the message names the obstacle."""


@dataclass(frozen=True)
class Subject:
    """Column that a rule is about, with the type and scale that the contract declares."""

    name: str
    type: str
    scale: int | None = None

    @property
    def is_number(self) -> bool:
        return self.type in {"integer", "number"}


def modern(rule: Rule) -> dict[str, Any]:
    """Convert a quality rule of ODCS 3.0 to its form in ODCS 3.2."""
    if "rule" not in rule or "metric" in rule:
        return dict(rule)
    name = str(rule["rule"])
    upgraded = {key: value for key, value in rule.items() if key not in {"rule", "validValues"}}
    if "validValues" in rule:
        upgraded["arguments"] = {
            **upgraded.get("arguments", {}),
            "validValues": rule["validValues"],
        }
    metric = _METRICS.get(name, name)
    if metric in {"nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"}:
        return {"metric": metric, **upgraded}
    return {"type": "custom", "engine": "odcs-3.0", "implementation": dict(rule)}


def modernised(value: Any) -> Any:  # noqa: ANN401  (any YAML value)
    """Convert all quality rules of a document to their form in ODCS 3.2."""
    if isinstance(value, list):
        return [modernised(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    upgraded = {key: modernised(entry) for key, entry in value.items()}
    if isinstance(upgraded.get("quality"), list):
        rules = upgraded["quality"]
        upgraded["quality"] = [modern(rule) if isinstance(rule, dict) else rule for rule in rules]
    return upgraded


def from_part(was: Rule, subject: Subject | None) -> list[Expectation]:
    """Return the expectations for a part of a document: a quality rule or a column's settings.

    Raises:
        Untranslatable: if no expectation is equivalent.
    """
    if "quality" in was:
        return from_quality(was["quality"][0], subject)
    assert subject is not None
    if "unique" in was:
        return [_expect("column_values_to_be_unique", subject)]
    if "enum" in was:
        return [from_enum(was["enum"], subject)]
    return [from_options(was["logicalTypeOptions"], subject)]


def from_quality(rule: Rule, subject: Subject | None) -> list[Expectation]:
    """Return the expectations for a rule of a column, or of the table if `subject` is None.

    Raises:
        Untranslatable: if no expectation is equivalent.
    """
    kind = rule.get("type", "library")
    if kind == "custom":
        return [_from_custom(rule, subject)]
    if kind != "library" and "metric" not in rule:
        raise Untranslatable(f"a rule of type {kind}")
    meta = {
        entry["property"]: entry["value"]
        for entry in rule.get("customProperties") or []
        if entry.get("property") in OUR_META and entry.get("value") is not None
    }
    expectations = list(_from_metric(rule, subject))
    return [
        {**_with_severity(expectation, rule), **({"meta": dict(meta)} if meta else {})}
        for expectation in expectations
    ]


def _from_metric(rule: Rule, subject: Subject | None) -> Iterator[Expectation]:
    metric, arguments = rule.get("metric"), rule.get("arguments") or {}
    if metric == "rowCount" and subject is None:
        yield _row_count(rule)
    elif metric == "duplicateValues":
        yield _duplicates(rule, subject, arguments)
    elif subject is None:
        raise Untranslatable(f"the metric {metric} of a whole table")
    elif metric == "nullValues":
        yield _expect("column_values_to_not_be_null", subject, **_mostly(rule))
    elif metric == "missingValues":
        yield from _missing(rule, subject, arguments)
    elif metric == "invalidValues":
        yield from _invalid(rule, subject, arguments)
    else:
        raise Untranslatable(f"the metric {metric}")


def _missing(rule: Rule, subject: Subject, arguments: Rule) -> Iterator[Expectation]:
    values, mostly = list(arguments.get("missingValues") or []), _mostly(rule)
    if mostly or not values:
        raise Untranslatable("a share of allowed missing values")
    if None in values:
        yield _expect("column_values_to_not_be_null", subject)
    constants = [_constant(value, subject) for value in values if value is not None]
    if constants:
        yield _expect("column_values_to_not_be_in_set", subject, value_set=constants)


def _invalid(rule: Rule, subject: Subject, arguments: Rule) -> Iterator[Expectation]:
    mostly, values, pattern = _mostly(rule), arguments.get("validValues"), arguments.get("pattern")
    if set(arguments) - {"validValues", "pattern"} or not (values or pattern):
        raise Untranslatable(
            f"invalid values that are defined by {', '.join(arguments) or 'nothing'}"
        )
    if values and pattern and mostly:
        raise Untranslatable("a share of allowed invalid values by both a list and a pattern")
    if values:
        constants = [_constant(value, subject) for value in values if value is not None]
        yield _expect("column_values_to_be_in_set", subject, value_set=constants, **mostly)
    if pattern:
        yield _pattern(pattern, subject, mostly)


def _pattern(pattern: object, subject: Subject, mostly: Rule) -> Expectation:
    if subject.type != "string":
        raise Untranslatable(f"a pattern of a {subject.type}")
    return _expect("column_values_to_match_regex", subject, regex=str(pattern), **mostly)


def _constant(value: object, subject: Subject) -> object:
    """Return `value` if it has the column's type; otherwise raise Untranslatable."""
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
    }
    if not fits.get(subject.type):
        raise Untranslatable(f"the value {value!r} of a {subject.type}")
    return value


def _duplicates(rule: Rule, subject: Subject | None, arguments: Rule) -> Expectation:
    if _mostly(rule):
        raise Untranslatable("a share of allowed duplicates")
    if subject is not None:
        return _expect("column_values_to_be_unique", subject)
    names = [str(name) for name in arguments.get("properties") or []]
    if not names:
        raise Untranslatable("duplicates of whole rows")
    if len(names) == 1:
        return {"type": "expect_column_values_to_be_unique", "kwargs": {"column": names[0]}}
    return {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": names}}


def _row_count(rule: Rule) -> Expectation:
    low, high = None, None
    operator, value = _operator(rule)
    if rule.get("unit", "rows") != "rows":
        raise Untranslatable(f"a row count in {rule['unit']}")
    if operator == "mustBe":
        low = high = int(value)
    elif operator in _MINIMUM:
        low = int(value) + _MINIMUM[operator]
    elif operator in _MAXIMUM:
        high = int(value) - _MAXIMUM[operator]
    elif operator == "mustBeBetween":  # ODCS: both limits are excluded
        low, high = int(value[0]) + 1, int(value[1]) - 1
    else:
        raise Untranslatable(f"a row count with {operator}")
    limits = {"min_value": low, "max_value": high}
    kwargs = {key: limit for key, limit in limits.items() if limit is not None}
    return {"type": "expect_table_row_count_to_be_between", "kwargs": kwargs}


def _mostly(rule: Rule) -> dict[str, float]:
    """Return {"mostly": share of rows that must be valid}; {} if all rows must be valid."""
    operator, value = _operator(rule)
    if operator in {"mustBe", "mustBeLessOrEqualTo"} and value == 0:
        return {}
    if operator == "mustBeLessThan" and value == 1 and rule.get("unit", "rows") == "rows":
        return {}
    if operator == "mustBeLessOrEqualTo" and rule.get("unit") == "percent" and 0 < value < 100:
        return {"mostly": float(1 - Decimal(str(value)) / 100)}
    raise Untranslatable(f"{operator} {value} {rule.get('unit', 'rows')}")


def _operator(rule: Rule) -> tuple[str, Any]:
    operators = [(name, rule[name]) for name in _OPERATORS if name in rule]
    if len(operators) != 1:
        raise Untranslatable("no operator" if not operators else "more than one operator")
    name, value = operators[0]
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise Untranslatable(f"{name} {value!r}")
    return name, value


def _expect(kind: str, subject: Subject, **kwargs: object) -> Expectation:
    return {"type": f"expect_{kind}", "kwargs": {"column": subject.name, **kwargs}}


def _from_custom(rule: Rule, subject: Subject | None) -> Expectation:
    """Return the expectation of a custom rule that contains a Great Expectations expectation."""
    engine = str(rule.get("engine", "")).replace("-", "").replace("_", "").casefold()
    if engine not in _ENGINES:
        raise Untranslatable(f"a rule for {rule.get('engine')}")
    written = rule.get("implementation")
    if isinstance(written, str):
        try:
            written = yaml.safe_load(written)
        except yaml.YAMLError as error:
            raise Untranslatable("an expectation that is not YAML") from error
    if not isinstance(written, Mapping):
        raise Untranslatable("an expectation that is not a mapping")
    kind = written.get("type", written.get("expectation_type"))
    kwargs = {_snake(str(key)): value for key, value in (written.get("kwargs") or {}).items()}
    if subject is not None and not kwargs.keys() & {"column", "column_A", "column_list"}:
        kwargs = {"column": subject.name, **kwargs}
    expectation: Expectation = {"type": _snake(str(kind)), "kwargs": kwargs}
    for key in ("severity", "meta"):
        if key in written:
            expectation[key] = written[key]
    return expectation if "severity" in expectation else _with_severity(expectation, rule)


def _snake(name: str) -> str:
    """Convert `minValue` to `min_value`; names with an underscore, like `column_A`, stay."""
    if "_" in name or name.islower():
        return name
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def _with_severity(expectation: Expectation, rule: Rule) -> Expectation:
    declared = str(rule.get("severity", "")).casefold()
    severity = next(
        (level for level, theirs in _SEVERITIES.items() if declared in theirs), "critical"
    )
    return expectation if severity == "critical" else {**expectation, "severity": severity}


LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def from_options(options: Rule, subject: Subject) -> Expectation:
    """Return the expectation for `logicalTypeOptions` that hold one kind of option.

    The kinds are lengths, a pattern, and limits of numbers.

    Raises:
        Untranslatable: if no expectation is equivalent.
    """
    if "pattern" in options:
        return _pattern(options["pattern"], subject, {})
    if set(options) <= {"minLength", "maxLength"}:
        if subject.type != "string":
            raise Untranslatable(f"length limits of a {subject.type}")
        limits = {"min_value": options.get("minLength"), "max_value": options.get("maxLength")}
        kwargs = {key: value for key, value in limits.items() if value is not None}
        return _expect("column_value_lengths_to_be_between", subject, **kwargs)
    for side in ("minimum", "maximum"):
        if {side, f"exclusive{side.capitalize()}"} <= set(options):
            raise Untranslatable(f"two limits for the {side}")
    return _expect("column_values_to_be_between", subject, **_limits(options, subject))


def _limits(options: Rule, subject: Subject) -> dict[str, object]:
    kwargs: dict[str, object] = {}
    if not subject.is_number:
        raise Untranslatable(f"limits of a {subject.type}")
    for name, value in options.items():
        side = "min" if name.casefold().endswith("minimum") else "max"
        kwargs[f"{side}_value"] = value
        if name.startswith("exclusive"):
            kwargs[f"strict_{side}"] = True
    return kwargs


def from_enum(values: list[Rule], subject: Subject) -> Expectation:
    """Return the expectation for a column's `enum`, its list of allowed values.

    Raises:
        Untranslatable: if a value does not have the column's type.
    """
    constants = [
        _constant(entry.get("value"), subject) for entry in values if entry.get("value") is not None
    ]
    return _expect("column_values_to_be_in_set", subject, value_set=constants)
