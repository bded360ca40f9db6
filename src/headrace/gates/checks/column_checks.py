"""Builders of checks that compare one statistic of a column or table with limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from headrace.core.clock import iso, parse_iso
from headrace.core.sql import ident
from headrace.gates.checks.bounds import Bounds
from headrace.gates.checks.check import Check, Outcome, Scope
from headrace.gates.checks.column_context import Columns
from headrace.gates.contract_units import in_units

Kwargs = Mapping[str, Any]


def observed(
    what: str,
    bounds: Bounds,
    aggregates: tuple[str, ...],
    names: tuple[str, ...] = (),
    *,
    value_of: Callable[[Sequence[Any]], Any] = lambda values: values[0],
) -> Check:
    """Build a check that the value which `value_of` computes from the aggregates is in `bounds`."""

    def read(values: Sequence[Any]) -> Outcome:
        value = value_of(values)
        text = "" if value is None else f" {bounds.formatted(value)}"
        return Outcome(
            bounds.hold(value),
            observed=in_units(value, bounds.scale),
            reason=f"{what}{text} {bounds.miss(value)}",
        )

    return Check(names, f"{what} is {bounds.text()}", aggregates, read)


def _of_numbers(function: str, words: str) -> Callable[[Kwargs, Columns, Scope], Check]:
    def build(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
        name = columns.require(kwargs["column"], "number")
        call = scope.aggregate(f"{function}({ident(name)})")
        what = f"{words} of {name}{scope.words}"
        bounds = Bounds.of(kwargs, columns.scale(name)).check_numbers()
        return observed(what, bounds, (call,), (name,))

    return build


mean = _of_numbers("avg", "mean")
stdev = _of_numbers("stddev_samp", "standard deviation")


def median(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    check = _of_numbers("median", "median")(kwargs, columns, scope)
    return replace(check, median_of=kwargs["column"], among=scope.where)


def total(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check the sum of a column; as in pandas, it is 0 if there are no values."""
    name = columns.require(kwargs["column"], "number")
    call = scope.aggregate(f"sum({ident(name)})")
    return observed(
        f"sum of {name}{scope.words}",
        Bounds.of(kwargs, columns.scale(name)).check_numbers(),
        (call,),
        (name,),
        value_of=lambda values: values[0] if values[0] is not None else 0,
    )


def _extreme(function: str, words: str) -> Callable[[Kwargs, Columns, Scope], Check]:
    def build(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
        name = columns.require(kwargs["column"], "number", "timestamp")
        bounds = Bounds.of(kwargs, columns.scale(name))
        for limit in (bounds.low, bounds.high):
            if limit is not None:
                columns.constant(name, limit)
        what, call = f"{words} of {name}{scope.words}", f"{function}({ident(name)})"
        if columns.family(name) == "timestamp":
            return _timestamps(what, bounds, f"epoch_us({scope.aggregate(call)})", name)
        return observed(what, bounds, (scope.aggregate(call),), (name,))

    return build


def _timestamps(what: str, bounds: Bounds, aggregate: str, name: str) -> Check:
    """Check a timestamp as RFC 3339 text in UTC with microseconds, which sorts by time."""

    def text(us: int) -> str:
        moment = iso(us)
        return moment if "." in moment else moment.replace("Z", ".000000Z")

    low, high = (None if v is None else text(parse_iso(v)) for v in (bounds.low, bounds.high))
    moments = Bounds(low, high, bounds.strict_low, bounds.strict_high)
    return observed(
        what,
        moments,
        (aggregate,),
        (name,),
        value_of=lambda values: None if values[0] is None else text(values[0]),
    )


minimum = _extreme("min", "minimum")
maximum = _extreme("max", "maximum")


def unique_count(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    call = scope.aggregate(f"count(DISTINCT {ident(name)})")
    what = f"number of different values of {name}{scope.words}"
    return observed(what, Bounds.of(kwargs).check_numbers(), (call,), (name,))


def unique_share(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    """Check the number of distinct values divided by the number of non-null values.

    It is 0 if there are no values.
    """
    name = columns.require(kwargs["column"])
    distinct, present = f"count(DISTINCT {ident(name)})", f"count({ident(name)})"
    return observed(
        f"share of different values of {name}{scope.words}",
        Bounds.of(kwargs).check_numbers(),
        (scope.aggregate(distinct), scope.aggregate(present)),
        (name,),
        value_of=lambda values: values[0] / values[1] if values[1] else 0,
    )


def non_null_share(kwargs: Kwargs, columns: Columns, scope: Scope) -> Check:
    name = columns.require(kwargs["column"])
    return observed(
        f"share of values of {name} that are present{scope.words}",
        Bounds.of(kwargs).check_numbers(),
        (scope.aggregate(f"count({ident(name)})"), scope.count()),
        (name,),
        value_of=lambda values: values[0] / values[1] if values[1] else 0,
    )
