"""Builders of checks on a table's shape: what columns it has, how many rows."""

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


def _known(outcome: Outcome, expected: str, columns: tuple[str, ...] = ()) -> Check:
    """A check that the schema alone answers."""
    return Check(columns, expected, (), lambda _: outcome)


def columns_match_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    wanted, found = set(kwargs["column_set"]), set(columns.names)
    lacking, surplus = sorted(wanted - found), sorted(found - wanted)
    exact = kwargs.get("exact_match", True)
    words = [f"lacks {', '.join(lacking)}"] if lacking else []
    words += [f"also has {', '.join(surplus)}"] if surplus and exact else []
    outcome = Outcome(not words, observed=sorted(found), reason="the table " + " and ".join(words))
    expected = f"the columns are {'' if exact else 'at least '}{', '.join(sorted(wanted))}"
    return _known(outcome, expected)


def columns_match_ordered_list(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    wanted, found = _names(kwargs["column_list"]), list(columns.names)
    wrong = [
        f"column {place} is {has or 'not there'}, not {wants or 'to be there'}"
        for place, (wants, has) in enumerate(zip_longest(wanted, found), 1)
        if wants != has
    ]
    outcome = Outcome(not wrong, observed=found, reason="; ".join(wrong[:3]))
    return _known(outcome, f"the columns are, in this order, {', '.join(wanted)}")


def _names(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise DeclarationError(f"column_list is {value!r}", fix="list the columns' names")
    return list(value)


def column_count_between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    del scope
    bounds, count = Bounds.of(kwargs).check_numbers(), len(columns.names)
    reason = f"the number of columns {count} {bounds.miss(count)}"
    outcome = Outcome(bounds.hold(count), observed=count, reason=reason)
    return _known(outcome, f"the number of columns is {bounds.text()}")


def column_count_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return column_count_between(_exactly(kwargs), columns, scope)


def column_exists(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """With a `column_index` that is not 0, at that place (from the end, if it is negative)."""
    del scope
    name, index = kwargs["column"], kwargs.get("column_index")
    if not index:
        outcome = Outcome(name in columns.names, reason=f"there is no column {name}")
        return _known(outcome, f"column {name} exists", (name,))
    there = _at(columns.names, index)
    reason = f"column {index} is {there or 'not there'}, not {name}"
    return _known(Outcome(there == name, reason=reason), f"column {index} is {name}", (name,))


def _at(names: Sequence[str], index: object) -> str:
    if isinstance(index, bool) or not isinstance(index, int):
        raise DeclarationError(f"column_index is {index!r}", fix="write a whole number")
    return names[index] if -len(names) <= index < len(names) else ""
