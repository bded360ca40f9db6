"""Builders of row-level checks that compare several columns of the same row."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.gates.checks.check import Check, Outcome, Scope, enough
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.checks.wording import mostly_words, reason_words

Kwargs = Mapping[str, Any]
IGNORE_COMPOUND = {
    "all_values_are_missing": " OR ",
    "any_value_is_missing": " AND ",
    "never": "",
}
IGNORE_PAIR = {
    "both_values_are_missing": " OR ",
    "either_value_is_missing": " AND ",
    "neither": "",
}
_SHOWN_PAIRS = 4


def considered(names: Sequence[str], ignore: Scalar, rules: Mapping[str, str]) -> str:
    """Return a SQL predicate of the rows that `ignore_row_if` keeps; empty if it keeps all."""
    if ignore not in rules:
        raise DeclarationError(
            f"unknown ignore_row_if {ignore!r}", fix=f"use one of {tuple(rules)}"
        )
    joiner = rules[ignore]
    tests = joiner.join(f"{ident(name)} IS NOT NULL" for name in names)
    return f"({tests})" if joiner else ""


def _record(
    names: tuple[str, ...], row_filter: str, condition: str, words: str, scope: Scope
) -> Check:
    """Build a check that fails each row within `row_filter` for which `condition` is false.

    `condition` must not be null for any row.
    """
    failing = f"{row_filter} AND NOT {condition}" if row_filter else f"NOT {condition}"

    def read(values: Sequence[Any]) -> Outcome:
        elements, looked_at, unexpected = values
        return Outcome(
            enough(looked_at, unexpected, scope.mostly),
            elements=elements,
            missing=elements - looked_at,
            unexpected=unexpected,
            reason=reason_words(unexpected, looked_at, f"rows do not have {words}", scope),
        )

    return Check(
        columns=names,
        expected=f"each row has {words}{mostly_words(scope)}",
        aggregates=(scope.count(), scope.count(row_filter), scope.count(failing)),
        read=read,
        failing=scope.only(failing),
    )


def _same_family(columns: Columns, names: Sequence[str]) -> str:
    families = {name: columns.family(name) for name in names}
    first = names[0]
    for name in names[1:]:
        if families[name] != families[first]:
            raise DeclarationError(
                f"{first!r} is a {families[first]}, {name!r} a {families[name]}",
                fix="compare columns of one family",
            )
    return families[first]


# two columns


def _pair(kwargs: Kwargs, columns: Columns) -> tuple[tuple[str, str], str]:
    """Return the two columns, and a SQL predicate of the examined rows."""
    names = columns.require(kwargs["column_A"]), columns.require(kwargs["column_B"])
    ignore = kwargs.get("ignore_row_if", "both_values_are_missing")
    return names, considered(names, ignore, IGNORE_PAIR)


def _compared(kwargs: Kwargs, columns: Columns, scope: Scope, sign: str, words: str) -> Check:
    (first, second), row_filter = _pair(kwargs, columns)
    _same_family(columns, (first, second))
    condition = f"coalesce({ident(first)} {sign} {ident(second)}, FALSE)"
    return _record((first, second), row_filter, condition, f"{first} {words} {second}", scope)


def pair_greater(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    if kwargs.get("or_equal"):
        return _compared(kwargs, columns, scope, ">=", "at least")
    return _compared(kwargs, columns, scope, ">", "greater than")


def pair_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return _compared(kwargs, columns, scope, "=", "equal to")


def pair_in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that the pair of values is in `value_pairs_set`; null in a pair matches null."""
    names, row_filter = _pair(kwargs, columns)
    pairs = kwargs["value_pairs_set"]
    if not _are_pairs(pairs):
        raise DeclarationError(
            f"value_pairs_set is {pairs!r}", fix="write a list of pairs, as [[EWR, UA], [JFK, B6]]"
        )
    tests = [" AND ".join(map(_is(columns), names, pair)) for pair in pairs]
    condition = "(" + " OR ".join(f"({test})" for test in tests) + ")"
    rest = f" and {len(pairs) - _SHOWN_PAIRS} more" if len(pairs) > _SHOWN_PAIRS else ""
    listed = [map(columns.formatted, names, pair) for pair in pairs[:_SHOWN_PAIRS]]
    text = ", ".join(f"({', '.join(pair)})" for pair in listed)
    return _record(names, row_filter, condition, f"({', '.join(names)}) in {text}{rest}", scope)


def _are_pairs(pairs: object) -> bool:
    return (
        isinstance(pairs, list | tuple)
        and bool(pairs)
        and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs)
    )


def _is(columns: Columns) -> Any:  # noqa: ANN401 - a function of a name and a constant
    def test(name: str, value: Scalar) -> str:
        constant = "NULL" if value is None else columns.constant(name, value)
        return f"{ident(name)} IS NOT DISTINCT FROM {constant}"

    return test


# any number of columns


def column_list(kwargs: Kwargs, columns: Columns) -> tuple[str, ...]:
    listed = kwargs["column_list"]
    if not isinstance(listed, list | tuple) or len(listed) < 2:
        raise DeclarationError(f"column_list is {listed!r}", fix="list at least two columns")
    return tuple(columns.require(name) for name in listed)


def _several(kwargs: Kwargs, columns: Columns) -> tuple[tuple[str, ...], str]:
    names = column_list(kwargs, columns)
    ignore = kwargs.get("ignore_row_if", "all_values_are_missing")
    return names, considered(names, ignore, IGNORE_COMPOUND)


def sum_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check the sum of several columns; a row in which one of them is null fails."""
    names, row_filter = _several(kwargs, columns)
    for name in names:
        columns.require(name, "number")
    total = kwargs["sum_total"]
    if isinstance(total, bool) or not isinstance(total, int | float):
        raise DeclarationError(f"sum_total is {total!r}", fix="write a number")
    # Integers are summed without overflow, floats from left to right as in Great Expectations.
    kind = "HUGEINT" if all(columns.is_integer(name) for name in names) else "DOUBLE"
    terms = " + ".join(f"CAST({ident(name)} AS {kind})" for name in names)
    condition = f"coalesce({terms} = {literal(total)}, FALSE)"
    one_scale = len({columns.scale(name) for name in names}) == 1
    words = f"{' + '.join(names)} = {columns.formatted(names[0], total) if one_scale else total}"
    return _record(names, row_filter, condition, words, scope)


def all_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that the values are equal; null equals only null."""
    names, row_filter = _several(kwargs, columns)
    _same_family(columns, names)
    first = ident(names[0])
    tests = " AND ".join(f"{ident(name)} IS NOT DISTINCT FROM {first}" for name in names[1:])
    return _record(names, row_filter, f"({tests})", f"equal values of {', '.join(names)}", scope)


def unique_within_record(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that all values differ from each other; two nulls count as equal."""
    names, row_filter = _several(kwargs, columns)
    _same_family(columns, names)
    tests = " AND ".join(
        f"{ident(a)} IS DISTINCT FROM {ident(b)}" for a, b in combinations(names, 2)
    )
    return _record(
        names, row_filter, f"({tests})", f"different values of {', '.join(names)}", scope
    )
