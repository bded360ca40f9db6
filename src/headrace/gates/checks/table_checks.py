"""Builders of checks on a table's columns and its number of rows."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, Outcome, Scope
from headrace.gates.checks.column_checks import observed
from headrace.gates.checks.column_context import Columns

Kwargs = Mapping[str, Any]


def row_count_between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del columns
    bounds = Bounds.of(kwargs).check_numbers()
    return observed(f"row count{scope.words}", bounds, (scope.count(),))


def row_count_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return row_count_between(_exactly(kwargs), columns, scope)


def _exactly(kwargs: Kwargs) -> Kwargs:
    return {"min_value": kwargs["value"], "max_value": kwargs["value"]}


def _schema_check(outcome: Outcome, expected: str, columns: tuple[str, ...] = ()) -> Check:
    """Build a check whose outcome depends only on the schema and is known at compile time."""
    return Check(columns, expected, (), lambda _: outcome)


def columns_match_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    required, actual = set(kwargs["column_set"]), set(columns.names)
    lacking, surplus = sorted(required - actual), sorted(actual - required)
    exact = kwargs.get("exact_match", True)
    words = [f"lacks {', '.join(lacking)}"] if lacking else []
    words += [f"also has {', '.join(surplus)}"] if surplus and exact else []
    outcome = Outcome(not words, observed=sorted(actual), reason="the table " + " and ".join(words))
    expected = f"the columns are {'' if exact else 'at least '}{', '.join(sorted(required))}"
    return _schema_check(outcome, expected)


def columns_match_ordered_list(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    required, actual = _names(kwargs["column_list"]), list(columns.names)
    wrong = [
        f"column {place} is {has or 'not there'}, not {wants or 'to be there'}"
        for place, (wants, has) in enumerate(zip_longest(required, actual), 1)
        if wants != has
    ]
    outcome = Outcome(not wrong, observed=actual, reason="; ".join(wrong[:3]))
    return _schema_check(outcome, f"the columns are, in this order, {', '.join(required)}")


def _names(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise DeclarationError(f"column_list is {value!r}", fix="list the columns' names")
    return list(value)


def column_count_between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    bounds, count = Bounds.of(kwargs).check_numbers(), len(columns.names)
    reason = f"the number of columns {count} {bounds.miss(count)}"
    outcome = Outcome(bounds.hold(count), observed=count, reason=reason)
    return _schema_check(outcome, f"the number of columns is {bounds.text()}")


def column_count_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return column_count_between(_exactly(kwargs), columns, scope)


def column_exists(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check that a column exists, and that it is at position `column_index` if that is not 0.

    A negative index counts from the end.
    """
    del scope
    name, index = kwargs["column"], kwargs.get("column_index")
    if not index:
        outcome = Outcome(name in columns.names, reason=f"there is no column {name}")
        return _schema_check(outcome, f"column {name} exists", (name,))
    actual = _at(columns.names, index)
    reason = f"column {index} is {actual or 'not there'}, not {name}"
    return _schema_check(
        Outcome(actual == name, reason=reason), f"column {index} is {name}", (name,)
    )


def _at(names: Sequence[str], index: object) -> str:
    if isinstance(index, bool) or not isinstance(index, int):
        raise DeclarationError(f"column_index is {index!r}", fix="write a whole number")
    return names[index] if -len(names) <= index < len(names) else ""
