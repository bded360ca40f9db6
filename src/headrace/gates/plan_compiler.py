"""Compiler of a suite and a contract into a validation plan for one schema."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract, Invariant
from headrace.gates.checks.check import Check, Outcome, count_where
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.per_category import CategoryCheck, sliced
from headrace.gates.checks.vocabulary import VOCABULARY, scope_of
from headrace.gates.contract_units import scales_of
from headrace.gates.plan import Plan, PlannedRule
from headrace.gates.suite import Expectation, Fault, Suite

_PLANS: dict[tuple[str, str, pa.Schema], Plan] = {}
_MOST_PLANS = 256


def plan_for(suite: Suite, contract: Contract, schema: pa.Schema) -> Plan:
    """Compile the contract's invariants and the suite's expectations for `schema`.

    Plans are cached by suite, contract and schema.
    """
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
    expectations: Sequence[Expectation], rules: Sequence[PlannedRule], columns: Columns
) -> list[PlannedRule]:
    """Replace the checks that run by category; those with the same `by` column share one query."""
    parts: dict[str, dict[int, CategoryCheck]] = {}
    for place, (expectation, rule) in enumerate(zip(expectations, rules, strict=True)):
        slices = expectation.slices
        if slices is not None and rule.check is not None:
            part = CategoryCheck(
                rule.check, scope_of(expectation.kwargs, columns), slices, columns.scale(slices.by)
            )
            parts.setdefault(slices.by, {})[place] = part
    grouped = list(rules)
    for group in parts.values():
        for place, check in zip(group, sliced(list(group.values())), strict=True):
            grouped[place] = replace(rules[place], check=check)
    return grouped


def _expectation(expectation: Expectation, columns: Columns) -> PlannedRule:
    """Compile an expectation; the rule has an error instead of a check if that fails."""
    check, error = None, str(expectation.fault or "")
    try:
        check = expectation.compiled(columns)
    except Exception as wrong:  # noqa: BLE001 - any error concerns only this check
        error = error or Fault.of(wrong, "").what
    delegated = not error and not VOCABULARY[expectation.type].compiled
    return PlannedRule(
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
        kwargs=expectation.kwargs if delegated else None,
        scale=columns.scale(expectation.columns[0]) if delegated else 0,
    )


def _invariant(invariant: Invariant, columns: Columns) -> PlannedRule:
    """Compile an invariant: a row fails if the expression is false; as in SQL CHECK, null passes.

    A row on which evaluating the expression raises an error, such as an invalid date, fails too.
    """
    expression = f"({invariant.expression})"

    def read(values: Sequence[Any]) -> Outcome:
        elements, unexpected, *failed = values
        reason = f"{unexpected} of {elements} rows break {invariant.name}: {invariant.description}"
        if failed and failed[0]:
            reason += f" (on {failed[0]} of them the expression itself fails)"
        return Outcome(unexpected == 0, elements=elements, unexpected=unexpected, reason=reason)

    used = [name for name in columns.names if re.search(rf"\b{re.escape(name)}\b", expression)]
    check = Check(
        columns=tuple(used),
        expected=invariant.expression,
        aggregates=("count(*)", count_where(f"NOT {expression}")),
        read=read,
        failing=f"NOT {expression}",
    )
    # `coalesce` turns null, which passes, to true; so a null from TRY is a row on which the
    # expression raises an error. This is slower, so it is used only if `check` crashes.
    attempt = f"TRY(coalesce({expression}, TRUE))"
    fails = f"NOT coalesce({attempt}, FALSE)"
    counts = ("count(*)", count_where(fails), count_where(f"{attempt} IS NULL"))
    return PlannedRule(
        id=f"invariant:{invariant.name}",
        kind="invariant",
        type="invariant",
        columns=tuple(used),
        severity="critical",
        action="quarantine",
        note=invariant.description,
        check=check,
        cautious=replace(check, aggregates=counts, failing=fails),
    )
