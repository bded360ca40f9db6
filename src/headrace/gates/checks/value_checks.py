"""Builders of checks on a column's distinct values, its most common value and its quantiles."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.clock import iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.gates.checks.check import Check, Outcome, Scope, once
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.checks.row_checks import value_set
from headrace.gates.contract_units import format_stored, in_units

Kwargs = Mapping[str, Any]
_NAMED_VALUES = 20
# A value this close to a limit counts as equal to it, as in Great Expectations.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-8


class _Levels:
    """Comparison of a column's distinct values with a set: missing values and surplus values."""

    def __init__(self, kwargs: Kwargs, columns: Columns, scope: Scope) -> None:
        self.name = columns.require(kwargs["column"])
        self.values = list(dict.fromkeys(value_set(kwargs)))
        self.scale = columns.scale(self.name)
        self.words = ", ".join(format_stored(v, self.scale) for v in self.values[:_NAMED_VALUES])
        self.where = scope.words
        constants = [columns.constant(self.name, value) for value in self.values]
        column, options = ident(self.name), ", ".join(constants)
        outside = scope.only(f"{column} NOT IN ({options})")
        inside = scope.only(f"{column} IN ({options})")
        places = " ".join(f"WHEN {c} THEN {n}" for n, c in enumerate(constants))
        self.strangers = f"list(DISTINCT {column}::VARCHAR) FILTER (WHERE {outside})"
        self.present = f"list(DISTINCT CASE {column} {places} END) FILTER (WHERE {inside})"

    def surplus(self, texts: Sequence[str] | None) -> tuple[list[str], str]:
        strangers = sorted(texts or ())
        if self.scale:
            strangers = [format_stored(int(value), self.scale) for value in strangers]
        listed = ", ".join(map(repr, strangers[:_NAMED_VALUES]))
        return strangers, f"{len(strangers)} values of {self.name} are not in the set: {listed}"

    def lacking(self, places: Sequence[int] | None) -> tuple[list[Scalar], str]:
        present = set(places or ())
        missing = [value for place, value in enumerate(self.values) if place not in present]
        listed = ", ".join(format_stored(value, self.scale) for value in missing[:_NAMED_VALUES])
        return missing, f"{self.name} lacks {len(missing)} values of the set: {listed}"


def distinct_in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that every value is in a set; `unexpected` counts distinct values, not rows."""
    levels = _Levels(kwargs, columns, scope)

    def read(results: Sequence[Any]) -> Outcome:
        strangers, reason = levels.surplus(results[0])
        return Outcome(
            not strangers,
            observed=strangers[:_NAMED_VALUES],
            unexpected=len(strangers),
            reason=reason + levels.where,
        )

    expected = f"every value of {levels.name} is one of {levels.words}"
    return Check((levels.name,), expected, (levels.strangers,), read)


def distinct_contain_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that every value of a set occurs; `missing` counts the values that do not occur."""
    levels = _Levels(kwargs, columns, scope)

    def read(results: Sequence[Any]) -> Outcome:
        lacking, reason = levels.lacking(results[0])
        return Outcome(not lacking, missing=len(lacking), reason=reason + levels.where)

    expected = f"{levels.name} has each of {levels.words}"
    return Check((levels.name,), expected, (levels.present,), read)


def distinct_equal_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    levels = _Levels(kwargs, columns, scope)

    def read(results: Sequence[Any]) -> Outcome:
        strangers, too_many = levels.surplus(results[0])
        lacking, too_few = levels.lacking(results[1])
        reasons = [text for wrong, text in ((strangers, too_many), (lacking, too_few)) if wrong]
        return Outcome(
            not reasons,
            observed=strangers[:_NAMED_VALUES],
            missing=len(lacking),
            unexpected=len(strangers),
            reason="; ".join(reasons) + levels.where,
        )

    expected = f"{levels.name} has each of {levels.words}, and no other value"
    return Check((levels.name,), expected, (levels.strangers, levels.present), read)


def most_common_in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that the most common value is in the set.

    If several values are equally common the check fails, unless `ties_okay` is set and at least one
    of them is in the set.
    """
    name, values = columns.require(kwargs["column"]), value_set(kwargs)
    for value in values:
        columns.constant(name, value)
    moments, scale = columns.family(name) == "timestamp", columns.scale(name)
    among = scope.only(f"{ident(name)} IS NOT NULL")
    value = f"epoch_us({ident(name)})" if moments else ident(name)
    counted = f"SELECT {value} AS v, count(*) AS n FROM batch WHERE {among} GROUP BY ALL"  # noqa: S608
    ranked = f"SELECT v, n, max(n) OVER () AS most FROM ({counted})"  # noqa: S608
    aggregate = once(f"SELECT list(v ORDER BY v) FROM ({ranked}) WHERE n = most")  # noqa: S608
    allowed = {parse_iso(member) if moments else member for member in values}

    def read(results: Sequence[Any]) -> Outcome:
        common = results[0] or []
        hits = sum(member in allowed for member in common)
        success = hits > 0 if kwargs.get("ties_okay") else len(common) == 1 and hits == 1
        observed = [iso(member) for member in common] if moments else list(common)
        words = ", ".join(format_stored(member, scale) for member in observed[:_NAMED_VALUES])
        words = words or "none: there are no values"
        reason = f"the most common value of {name} is {words}{scope.words}"
        return Outcome(success, observed=in_units(observed[:_NAMED_VALUES], scale), reason=reason)

    words = ", ".join(format_stored(member, scale) for member in values[:_NAMED_VALUES])
    return Check((name,), f"the most common {name} is one of {words}", (aggregate,), read)


def quantiles(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that each quantile is within its range; it is the value at the nearest rank."""
    name = columns.require(kwargs["column"], "number")
    shares, ranges = _quantile_ranges(kwargs["quantile_ranges"])
    c, scale = ident(name), columns.scale(name)
    among = scope.only(f"{c} IS NOT NULL")
    ranked = (
        f"SELECT {c} AS v, row_number() OVER (ORDER BY {c}) - 1 AS place,"  # noqa: S608
        f" count(*) OVER () AS n FROM batch WHERE {among}"
    )
    places = ", ".join(f"round_even((n - 1) * {literal(s * 100.0 / 100)}, 0)" for s in shares)
    picked = once(f"SELECT list([place, v]) FROM ({ranked}) WHERE place IN ({places})")  # noqa: S608
    count = scope.count(f"{c} IS NOT NULL")

    def read(results: Sequence[Any]) -> Outcome:
        present, by_place = results[0], dict(results[1] or ())
        observed = [by_place.get(_nearest(present, share)) for share in shares]
        wrong = [
            f"quantile {share:.6g} of {name} is {format_stored(value, scale)},"
            f" not within {_range_words(limits, scale)}"
            for share, value, limits in zip(shares, observed, ranges, strict=True)
            if not _within(value, *limits)
        ]
        reason = "; ".join(wrong) + scope.words
        return Outcome(not wrong, observed=in_units(observed, scale), reason=reason)

    words = ", ".join(
        f"{s:.6g} within {_range_words(r, scale)}" for s, r in zip(shares, ranges, strict=True)
    )
    return Check((name,), f"quantiles of {name} are {words}", (count, picked), read)


def _nearest(count: int, share: float) -> int:
    return round((count - 1) * (share * 100.0 / 100))  # rounds half to even, as the query does


def _within(value: float | None, low: float | None, high: float | None) -> bool:
    """Return True if a value is within limits or, as in Great Expectations, very near a limit."""
    if value is None:
        return False
    near = any(
        limit is not None and abs(value - limit) <= _ABSOLUTE + _RELATIVE * abs(limit)
        for limit in (low, high)
    )
    return near or ((low is None or low <= value) and (high is None or value <= high))


def _range_words(limits: tuple[Scalar, Scalar], scale: int) -> str:
    low, high = ("any" if limit is None else format_stored(limit, scale) for limit in limits)
    return f"{low} to {high}"


def _quantile_ranges(declared: Any) -> tuple[list[float], list[tuple[Scalar, Scalar]]]:  # noqa: ANN401 - parsed YAML
    try:
        shares, ranges = (
            declared["quantiles"],
            [(low, high) for low, high in declared["value_ranges"]],
        )
        good = len(shares) == len(ranges) > 0 and all(0 <= share <= 1 for share in shares)
        numbers = all(
            limit is None or (isinstance(limit, int | float) and not isinstance(limit, bool))
            for limits in ranges
            for limit in limits
        )
    except (TypeError, KeyError, ValueError):
        good = numbers = False
    if not (good and numbers):
        raise DeclarationError(
            f"quantile_ranges is {declared!r}",
            fix="write {quantiles: [0.1, 0.9], value_ranges: [[0, 10], [50, null]]}",
        )
    return [float(share) for share in shares], ranges
