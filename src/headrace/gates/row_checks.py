"""Builders of row-level checks: each says which rows fail."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.errors import DeclarationError
from headrace.gates.bounds import Bounds, shown
from headrace.gates.check import Check, Outcome, Scope, enough
from headrace.gates.columns import Columns, Scalar
from headrace.gates.regex import to_re2
from headrace.sql import ident, literal

Kwargs = Mapping[str, Any]
_ORDERED = ("number", "timestamp")
_SHOWN_VALUES = 8


def _mostly_words(scope: Scope) -> str:
    share = "" if scope.mostly == 1 else f" in at least {scope.mostly:.6g} of rows"
    return share + scope.words


def _reason(unexpected: int, considered: int, what: str, scope: Scope) -> str:
    return f"{unexpected} of {considered} {what}{scope.words}"


def _column_map(name: str, predicate: str, words: str, scope: Scope) -> Check:
    """Rows whose value is not null and does not satisfy `predicate`."""
    failing = f"NOT {predicate}"

    def read(values: Sequence[Any]) -> Outcome:
        elements, present, unexpected = values
        return Outcome(
            enough(present, unexpected, scope.mostly),
            elements=elements,
            missing=elements - present,
            unexpected=unexpected,
            reason=_reason(unexpected, present, f"values of {name} are not {words}", scope),
        )

    return Check(
        columns=(name,),
        expected=f"{name} is {words}{_mostly_words(scope)}",
        aggregates=(scope.count(), scope.aggregate(f"count({ident(name)})"), scope.count(failing)),
        read=read,
        failing=scope.only(failing),
    )


def _null_map(name: str, failing: str, words: str, scope: Scope) -> Check:
    def read(values: Sequence[Any]) -> Outcome:
        elements, unexpected = values
        return Outcome(
            enough(elements, unexpected, scope.mostly),
            elements=elements,
            unexpected=unexpected,
            reason=_reason(unexpected, elements, f"values of {name} are {words}", scope),
        )

    wanted = "null" if words == "present" else "present"
    return Check(
        columns=(name,),
        expected=f"{name} is {wanted}{_mostly_words(scope)}",
        aggregates=(scope.count(), scope.count(failing)),
        read=read,
        failing=scope.only(failing),
    )


def not_null(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    return _null_map(name, f"{ident(name)} IS NULL", "null", scope)


def null(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    return _null_map(name, f"{ident(name)} IS NOT NULL", "present", scope)


def between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"], *_ORDERED)
    bounds = Bounds.of(kwargs)
    check = _column_map(name, bounds.predicate(name, columns), bounds.text(), scope)
    return replace(check, safe={name: bounds})


def _options(kwargs: Kwargs, name: str, columns: Columns) -> tuple[str, str]:
    """The value set as SQL and in words."""
    values = kwargs["value_set"]
    if not isinstance(values, list | tuple) or not values:
        raise DeclarationError(
            f"value_set is {values!r}", fix="write a list with at least one value"
        )
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    words = ", ".join(shown(value) for value in values[:_SHOWN_VALUES]) + more
    return ", ".join(columns.constant(name, value) for value in values), words


def in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    options, words = _options(kwargs, name, columns)
    return _column_map(name, f"({ident(name)} IN ({options}))", f"in ({words})", scope)


def not_in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    options, words = _options(kwargs, name, columns)
    return _column_map(name, f"({ident(name)} NOT IN ({options}))", f"outside ({words})", scope)


def match_regex(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"], "string")
    test = f"regexp_matches({ident(name)}, {literal(to_re2(kwargs['regex']))})"
    return _column_map(name, test, f"like {kwargs['regex']}", scope)


def not_match_regex(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"], "string")
    test = f"(NOT regexp_matches({ident(name)}, {literal(to_re2(kwargs['regex']))}))"
    return _column_map(name, test, f"unlike {kwargs['regex']}", scope)


def _lengths(name: str, bounds: Bounds, scope: Scope) -> Check:
    length = f"length({ident(name)})"
    limits = bounds.check_numbers()
    parts = []
    if limits.low is not None:
        parts.append(f"{length} {'>' if limits.strict_low else '>='} {literal(limits.low)}")
    if limits.high is not None:
        parts.append(f"{length} {'<' if limits.strict_high else '<='} {literal(limits.high)}")
    return _column_map(name, f"({' AND '.join(parts)})", f"{limits.text()} characters long", scope)


def lengths_between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return _lengths(columns.require(kwargs["column"], "string"), Bounds.of(kwargs), scope)


def lengths_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    value = kwargs["value"]
    return _lengths(columns.require(kwargs["column"], "string"), Bounds(value, value), scope)


def _unique(names: tuple[str, ...], present: str, scope: Scope, *, count_missing: bool) -> Check:
    """Every row whose combination of values occurs more than once fails, the first one too."""
    among = scope.only(present)
    key = ident(names[0]) if len(names) == 1 else f"({', '.join(map(ident, names))})"
    distinct = f"count(DISTINCT {key})" + (f" FILTER (WHERE {among})" if among else "")
    what = f"values of {names[0]}" if len(names) == 1 else f"combinations of {', '.join(names)}"

    def read(values: Sequence[Any]) -> Outcome:
        """A fourth value, the failing rows, is there where `distinct` shows that there are any."""
        elements, considered, _ = values[:3]
        unexpected = values[3] if len(values) > 3 else 0
        return Outcome(
            enough(considered, unexpected, scope.mostly),
            elements=elements,
            missing=elements - considered if count_missing else None,
            unexpected=unexpected,
            reason=_reason(unexpected, considered, f"{what} are repeated", scope),
        )

    return Check(
        columns=names,
        expected=f"{', '.join(names)} is unique{_mostly_words(scope)}",
        aggregates=(scope.count(), scope.count(present), distinct),
        read=read,
        among=among,
        repeated=names,
    )


def unique(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    return _unique((name,), f"{ident(name)} IS NOT NULL", scope, count_missing=True)


_IGNORE_COMPOUND = {
    "all_values_are_missing": " OR ",
    "any_value_is_missing": " AND ",
    "never": "",
}
_IGNORE_PAIR = {
    "both_values_are_missing": " OR ",
    "either_value_is_missing": " AND ",
    "neither": "",
}


def _considered(names: tuple[str, ...], ignore: Scalar, rules: Mapping[str, str]) -> str:
    """Predicate of the rows that `ignore_row_if` leaves; empty for all."""
    if ignore not in rules:
        raise DeclarationError(
            f"unknown ignore_row_if {ignore!r}", fix=f"use one of {tuple(rules)}"
        )
    joiner = rules[ignore]
    tests = joiner.join(f"{ident(name)} IS NOT NULL" for name in names)
    return f"({tests})" if joiner else ""


def compound_unique(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    listed = kwargs["column_list"]
    if not isinstance(listed, list | tuple) or len(listed) < 2:
        raise DeclarationError(f"column_list is {listed!r}", fix="list at least two columns")
    names = tuple(columns.require(name) for name in listed)
    ignore = kwargs.get("ignore_row_if", "all_values_are_missing")
    return _unique(names, _considered(names, ignore, _IGNORE_COMPOUND), scope, count_missing=True)


def _pair(kwargs: Kwargs, columns: Columns, scope: Scope, sign: str, words: str) -> Check:
    first, second = columns.require(kwargs["column_A"]), columns.require(kwargs["column_B"])
    if columns.family(first) != columns.family(second):
        raise DeclarationError(
            f"{first!r} is a {columns.family(first)}, {second!r} a {columns.family(second)}",
            fix="compare columns of one family",
        )
    ignore = kwargs.get("ignore_row_if", "both_values_are_missing")
    kept = _considered((first, second), ignore, _IGNORE_PAIR)
    test = f"NOT coalesce({ident(first)} {sign} {ident(second)}, FALSE)"
    failing = f"{kept} AND {test}" if kept else test

    def read(values: Sequence[Any]) -> Outcome:
        elements, considered, unexpected = values
        return Outcome(
            enough(considered, unexpected, scope.mostly),
            elements=elements,
            missing=elements - considered,
            unexpected=unexpected,
            reason=_reason(
                unexpected, considered, f"rows do not have {first} {words} {second}", scope
            ),
        )

    return Check(
        columns=(first, second),
        expected=f"{first} is {words} {second}{_mostly_words(scope)}",
        aggregates=(scope.count(), scope.count(kept), scope.count(failing)),
        read=read,
        failing=scope.only(failing),
    )


def pair_greater(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    if kwargs.get("or_equal"):
        return _pair(kwargs, columns, scope, ">=", "at least")
    return _pair(kwargs, columns, scope, ">", "greater than")


def pair_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return _pair(kwargs, columns, scope, "=", "equal to")
