"""Builders of row-level checks on text: regular expressions, LIKE patterns, lengths."""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, Scope
from headrace.gates.checks.column_context import Columns, Scalar
from headrace.gates.checks.regex import to_re2
from headrace.gates.checks.row_checks import column_map

Kwargs = Mapping[str, Any]
Builder = Callable[[Kwargs, Columns, Scope], Check]
_JOINERS = {"any": " OR ", "all": " AND "}


def _regex(name: str, pattern: Scalar, kwargs: Kwargs) -> str:
    del kwargs
    if not isinstance(pattern, str):
        raise DeclarationError(f"the pattern is {pattern!r}", fix="write a text")
    return f"regexp_matches({ident(name)}, {literal(to_re2(pattern))})"


def _like(name: str, pattern: Scalar, kwargs: Kwargs) -> str:
    """Return a LIKE predicate: `%` matches any text, `_` one character, unless escaped."""
    escape = kwargs.get("escape")
    if not isinstance(pattern, str):
        raise DeclarationError(f"the pattern is {pattern!r}", fix="write a text")
    if escape is not None and not (isinstance(escape, str) and len(escape) == 1):
        raise DeclarationError(f"escape is {escape!r}", fix="write one character")
    if escape is not None and pattern.replace(escape * 2, "").endswith(escape):
        raise DeclarationError(
            f"the pattern {pattern!r} ends with its escape character",
            fix="write the escaped character after it",
        )
    end = f" ESCAPE {literal(escape)}" if escape is not None else ""
    return f"({ident(name)} LIKE {literal(pattern)}{end})"


def _single_pattern(
    test: Callable[[str, Scalar, Kwargs], str], key: str, *, must_match: bool
) -> Builder:
    def build(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
        name = columns.require(kwargs["column"], "string")
        matches = test(name, kwargs[key], kwargs)
        words = f"{'like' if must_match else 'unlike'} {kwargs[key]}"
        return column_map(name, matches if must_match else f"(NOT {matches})", words, scope)

    return build


def _list(test: Callable[[str, Scalar, Kwargs], str], key: str, *, must_match: bool) -> Builder:
    """Return a builder of checks with several patterns.

    A value must match any or all of the patterns, as `match_on` says. If `must_match` is False, it
    must match none of them.
    """

    def build(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
        name = columns.require(kwargs["column"], "string")
        patterns, match_on = kwargs[key], kwargs.get("match_on", "any")
        if not isinstance(patterns, list | tuple) or not patterns:
            raise DeclarationError(f"{key} is {patterns!r}", fix="list at least one pattern")
        if match_on not in _JOINERS:
            raise DeclarationError(
                f"unknown match_on {match_on!r}", fix=f"use one of {tuple(_JOINERS)}"
            )
        tests = _JOINERS[match_on].join(test(name, pattern, kwargs) for pattern in patterns)
        words = f"{match_on} of {', '.join(patterns)}"
        if not must_match:
            return column_map(name, f"(NOT ({tests}))", f"unlike {words}", scope)
        return column_map(name, f"({tests})", f"like {words}", scope)

    return build


match_regex = _single_pattern(_regex, "regex", must_match=True)
not_match_regex = _single_pattern(_regex, "regex", must_match=False)
match_regex_list = _list(_regex, "regex_list", must_match=True)
not_match_regex_list = _list(_regex, "regex_list", must_match=False)
match_like = _single_pattern(_like, "like_pattern", must_match=True)
not_match_like = _single_pattern(_like, "like_pattern", must_match=False)
match_like_list = _list(_like, "like_pattern_list", must_match=True)
not_match_like_list = _list(_like, "like_pattern_list", must_match=False)


def _lengths(name: str, bounds: Bounds, scope: Scope) -> Check:
    length = f"length({ident(name)})"
    limits = bounds.check_numbers()
    parts = []
    if limits.low is not None:
        parts.append(f"{length} {'>' if limits.strict_low else '>='} {literal(limits.low)}")
    if limits.high is not None:
        parts.append(f"{length} {'<' if limits.strict_high else '<='} {literal(limits.high)}")
    return column_map(name, f"({' AND '.join(parts)})", f"{limits.text()} characters long", scope)


def lengths_between(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    return _lengths(columns.require(kwargs["column"], "string"), Bounds.of(kwargs), scope)


def lengths_equal(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    value = kwargs["value"]
    return _lengths(columns.require(kwargs["column"], "string"), Bounds(value, value), scope)
