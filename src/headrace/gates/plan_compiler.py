"""From a suite and a contract to the plan of one schema, compiled once."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract, Invariant
from headrace.gates.checks.check import Check, Outcome, count_where
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.per_category import Part, sliced
from headrace.gates.checks.vocabulary import VOCABULARY, scope_of
from headrace.gates.plan import Plan, Rule
from headrace.gates.suite import Expectation, Fault, Suite
from headrace.gates.units import scales_of

_PLANS: dict[tuple[str, str, pa.Schema], Plan] = {}
_MOST_PLANS = 256


def plan_for(suite: Suite, contract: Contract, schema: pa.Schema) -> Plan:
    """Invariants, then expectations, compiled over `schema`; once for each suite and contract."""
    suite = suite.stored(contract)
    key = (suite.full_hash, contract.hash, schema)
    if key not in _PLANS:
        if len(_PLANS) >= _MOST_PLANS:
            _PLANS.clear()
        columns = Columns(schema, scales_of(contract))
        rules = [_invariant(invariant, columns) for invariant in contract.invariants]
        rules += _by_level(
            suite.expectations,
            [_expectation(expectation, columns) for expectation in suite.expectations],
            columns,
        )
        _PLANS[key] = Plan.over(rules, schema)
    return _PLANS[key]


def _by_level(
    expectations: Sequence[Expectation], rules: Sequence[Rule], columns: Columns
) -> list[Rule]:
    """The rules, with those that are asked by level grouped by the column of the levels."""
    parts: dict[str, dict[int, Part]] = {}
    for place, (expectation, rule) in enumerate(zip(expectations, rules, strict=True)):
        slices = expectation.slices
        if slices is not None and rule.check is not None:
            part = Part(
                rule.check, scope_of(expectation.kwargs, columns), slices, columns.scale(slices.by)
            )
            parts.setdefault(slices.by, {})[place] = part
    made = list(rules)
    for group in parts.values():
        for place, check in zip(group, sliced(list(group.values())), strict=True):
            made[place] = replace(rules[place], check=check)
    return made


def _expectation(expectation: Expectation, columns: Columns) -> Rule:
    """A rule without a check, but with an error, if the expectation does not fit the columns."""
    check, error = None, str(expectation.fault or "")
    try:
        check = expectation.compiled(columns)
    except Exception as wrong:  # noqa: BLE001 - whatever it is, it is this check's alone
        error = error or Fault.of(wrong, "").what
    asked = not error and not VOCABULARY[expectation.type].compiled
    return Rule(
        id=expectation.id,
        kind="expectation",
        type=expectation.type,
        columns=expectation.columns,
        severity=expectation.severity,
        action=expectation.action,
        note=expectation.reason,
        check=check,
        error=error,
        shadow=expectation.shadow,
        kwargs=expectation.kwargs if asked else None,
        scale=columns.scale(expectation.columns[0]) if asked else 0,
    )


def _invariant(invariant: Invariant, columns: Columns) -> Rule:
    """A row fails where the expression is false; null is a pass, as in a SQL CHECK.

    A row on which the expression itself fails, such as by a date that does not exist, fails too.
    """
    expression = f"({invariant.expression})"

    def read(values: Sequence[Any]) -> Outcome:
        elements, unexpected, *failed = values
        reason = f"{unexpected} of {elements} rows break {invariant.name}: {invariant.description}"
        if failed and failed[0]:
            reason += f" (on {failed[0]} of them the expression itself fails)"
        return Outcome(unexpected == 0, elements=elements, unexpected=unexpected, reason=reason)

    named = [name for name in columns.names if re.search(rf"\b{re.escape(name)}\b", expression)]
    check = Check(
        columns=tuple(named),
        expected=invariant.expression,
        aggregates=("count(*)", count_where(f"NOT {expression}")),
        read=read,
        failing=f"NOT {expression}",
    )
    # Null, which passes, becomes true first: what is null then is a row that the expression
    # fails on. Asked only where `check` crashes, since this costs more.
    attempt = f"TRY(coalesce({expression}, TRUE))"
    fails = f"NOT coalesce({attempt}, FALSE)"
    counts = ("count(*)", count_where(fails), count_where(f"{attempt} IS NULL"))
    return Rule(
        id=f"invariant:{invariant.name}",
        kind="invariant",
        type="invariant",
        columns=tuple(named),
        severity="critical",
        action="quarantine",
        note=invariant.description,
        check=check,
        cautious=replace(check, aggregates=counts, failing=fails),
    )
