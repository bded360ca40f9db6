"""Builders of row-level checks on the values of one column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, Outcome, Scope, enough
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.checks.wording import mostly_words, reason_words

Kwargs = Mapping[str, Any]
_ORDERED = ("number", "timestamp")
_SHOWN_VALUES = 8


def column_map(name: str, predicate: str, words: str, scope: Scope) -> Check:
    """Build a check that fails each row whose value is not null and for which `predicate` fails."""
    failing = f"NOT {predicate}"

    def read(values: Sequence[Any]) -> Outcome:
        elements, present, unexpected = values
        return Outcome(
            enough(present, unexpected, scope.mostly),
            elements=elements,
            missing=elements - present,
            unexpected=unexpected,
            reason=reason_words(unexpected, present, f"values of {name} are not {words}", scope),
        )

    return Check(
        columns=(name,),
        expected=f"{name} is {words}{mostly_words(scope)}",
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
            reason=reason_words(unexpected, elements, f"values of {name} are {words}", scope),
        )

    expected = "null" if words == "present" else "present"
    return Check(
        columns=(name,),
        expected=f"{name} is {expected}{mostly_words(scope)}",
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
    bounds = Bounds.of(kwargs, columns.scale(name))
    check = column_map(name, bounds.predicate(name, columns), bounds.text(), scope)
    return replace(check, safe={name: bounds})


def value_set(kwargs: Kwargs) -> Sequence[Scalar]:
    values = kwargs["value_set"]
    if not isinstance(values, list | tuple) or not values:
        raise DeclarationError(
            f"value_set is {values!r}", fix="write a list with at least one value"
        )
    return values


def _options(kwargs: Kwargs, name: str, columns: Columns) -> tuple[str, str]:
    """Return the value set as SQL and in words."""
    values = value_set(kwargs)
    rest = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    words = ", ".join(columns.formatted(name, value) for value in values[:_SHOWN_VALUES]) + rest
    return ", ".join(columns.constant(name, value) for value in values), words


def in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    options, words = _options(kwargs, name, columns)
    return column_map(name, f"({ident(name)} IN ({options}))", f"in ({words})", scope)


def not_in_set(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    options, words = _options(kwargs, name, columns)
    return column_map(name, f"({ident(name)} NOT IN ({options}))", f"outside ({words})", scope)
