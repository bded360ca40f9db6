"""Builders of row-level checks that compare a value with other rows of the same batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.gates.checks.check import Check, Outcome, Scope, enough, once
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.record_checks import IGNORE_COMPOUND, column_list, considered
from headrace.gates.checks.row_checks import column_map
from headrace.gates.checks.wording import mostly_words, reason_words

Kwargs = Mapping[str, Any]


def _unique(names: tuple[str, ...], present: str, scope: Scope) -> Check:
    """Build a check that fails every row whose combination of values occurs more than once."""
    among = scope.only(present)
    key = ident(names[0]) if len(names) == 1 else f"({', '.join(map(ident, names))})"
    distinct = f"count(DISTINCT {key})" + (f" FILTER (WHERE {among})" if among else "")
    what = f"values of {names[0]}" if len(names) == 1 else f"combinations of {', '.join(names)}"

    def read(values: Sequence[Any]) -> Outcome:
        """Read the values; the fourth is the number of failing rows, present only if rows fail."""
        elements, looked_at, _ = values[:3]
        unexpected = values[3] if len(values) > 3 else 0
        return Outcome(
            enough(looked_at, unexpected, scope.mostly),
            elements=elements,
            missing=elements - looked_at,
            unexpected=unexpected,
            reason=reason_words(unexpected, looked_at, f"{what} are repeated", scope),
        )

    return Check(
        columns=names,
        expected=f"{', '.join(names)} is unique{mostly_words(scope)}",
        aggregates=(scope.count(), scope.count(present), distinct),
        read=read,
        among=among,
        repeated=names,
    )


def unique(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    return _unique((name,), f"{ident(name)} IS NOT NULL", scope)


def compound_unique(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    names = column_list(kwargs, columns)
    ignore = kwargs.get("ignore_row_if", "all_values_are_missing")
    return _unique(names, considered(names, ignore, IGNORE_COMPOUND), scope)


def z_scores(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check z-scores; if all values are equal there is no score, and no row fails."""
    name = columns.require(kwargs["column"], "number")
    threshold = kwargs["threshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise DeclarationError(f"threshold is {threshold!r}", fix="write a number")
    c = ident(name)
    among = f"FROM batch WHERE {scope.only(f'{c} IS NOT NULL')}"
    mean, spread = f"(SELECT avg({c}) {among})", f"(SELECT stddev_samp({c}) {among})"
    score = f"({c} - {mean}) / nullif({spread}, 0)"
    double = bool(kwargs["double_sided"])
    score, limit = (f"abs({score})", abs(threshold)) if double else (score, threshold)
    # If a value is infinite the scores are NaN, and those rows pass too.
    under = f"(coalesce(isnan({score}), TRUE) OR {score} < {literal(limit)})"
    words = f"less than {limit} standard deviations {'from' if double else 'above'} the mean"
    return column_map(name, under, words, scope)


def _ordered(sign: str, words: str) -> Callable[[Kwargs, Columns, Scope], Check]:
    def build(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
        name = columns.require(kwargs["column"], "number", "timestamp")
        strictly = bool(kwargs.get("strictly"))
        steps = _steps(name, columns, scope)
        wrong = f"NOT (now {sign if strictly else sign + '='} before) AND NOT undefined"
        rows = f"SELECT _row FROM ({steps}) WHERE {wrong}"  # noqa: S608

        def read(values: Sequence[Any]) -> Outcome:
            elements, present = values[:2]
            unexpected = values[2] or 0
            return Outcome(
                enough(present, unexpected, scope.mostly),
                elements=elements,
                missing=elements - present,
                unexpected=unexpected,
                reason=reason_words(unexpected, present, f"values of {name} are not {text}", scope),
            )

        text = f"{words} from the one before" if strictly else f"{words} or like the one before"
        return Check(
            columns=(name,),
            expected=f"each {name} is {text}{mostly_words(scope)}",
            aggregates=(
                scope.count(),
                scope.aggregate(f"count({ident(name)})"),
                once(f"SELECT count(*) FROM ({rows})"),  # noqa: S608
            ),
            read=read,
            failing=f"_row IN ({rows})",
        )

    return build


def _steps(name: str, columns: Columns, scope: Scope) -> str:
    """Return a query that pairs each non-null value with the previous one, in the batch's order.

    Great Expectations subtracts the two values. The difference of two equal infinities is
    undefined, so such a pair passes.
    """
    c = ident(name)
    present = scope.only(f"{c} IS NOT NULL")
    pairs = f"SELECT _row, {c} AS now, lag({c}) OVER (ORDER BY _row) AS before FROM batch WHERE {present}"  # noqa: S608, E501
    floating = pa.types.is_floating(columns.schema.field(name).type)
    undefined = "isinf(now) AND now = before" if floating else "FALSE"
    return f"SELECT _row, now, before, {undefined} AS undefined FROM ({pairs}) WHERE before IS NOT NULL"  # noqa: S608, E501


increasing = _ordered(">", "greater")
decreasing = _ordered("<", "smaller")
