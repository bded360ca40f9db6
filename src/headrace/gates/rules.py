"""From a suite and a contract to the plan of one schema, compiled once."""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract, Invariant
from headrace.errors import DeclarationError
from headrace.gates.check import Check, Outcome, count_where
from headrace.gates.columns import Columns
from headrace.gates.plan import Plan, Rule
from headrace.gates.suite import Expectation, Suite
from headrace.gates.vocabulary import VOCABULARY, compile_check

_PLANS: dict[tuple[str, str, pa.Schema], Plan] = {}
_MOST_PLANS = 256


def plan_for(suite: Suite, contract: Contract, schema: pa.Schema) -> Plan:
    """Invariants, then expectations, compiled over `schema`; once for each suite and contract."""
    key = (suite.full_hash, contract.hash, schema)
    if key not in _PLANS:
        if len(_PLANS) >= _MOST_PLANS:
            _PLANS.clear()
        columns = Columns(schema)
        rules = [_invariant(invariant, columns) for invariant in contract.invariants]
        rules += [_expectation(expectation, columns) for expectation in suite.expectations]
        _PLANS[key] = Plan.over(rules, schema)
    return _PLANS[key]


def _expectation(expectation: Expectation, columns: Columns) -> Rule:
    """A rule without a check, but with an error, if the expectation does not fit the columns."""
    kind, check, error = VOCABULARY[expectation.type], None, ""
    try:
        check = compile_check(expectation.type, expectation.kwargs, columns)
    except DeclarationError as wrong:
        error = wrong.what
    return Rule(
        id=expectation.id,
        kind="expectation",
        type=expectation.type,
        columns=kind.columns(expectation.kwargs),
        severity=expectation.severity,
        action=expectation.action,
        note=expectation.reason,
        check=check,
        error=error,
        shadow=expectation.shadow,
        kwargs=None if kind.compiled else expectation.kwargs,
    )


def _invariant(invariant: Invariant, columns: Columns) -> Rule:
    """A row fails where the expression is false; null is a pass, as in a SQL CHECK."""
    expression = f"({invariant.expression})"

    def read(values: Sequence[Any]) -> Outcome:
        elements, unexpected = values
        reason = f"{unexpected} of {elements} rows break {invariant.name}: {invariant.description}"
        return Outcome(unexpected == 0, elements=elements, unexpected=unexpected, reason=reason)

    named = [name for name in columns.names if re.search(rf"\b{re.escape(name)}\b", expression)]
    return Rule(
        id=f"invariant:{invariant.name}",
        kind="invariant",
        type="invariant",
        columns=tuple(named),
        severity="critical",
        action="quarantine",
        note=invariant.description,
        check=Check(
            columns=tuple(named),
            expected=invariant.expression,
            aggregates=("count(*)", count_where(f"NOT {expression}")),
            read=read,
            failing=f"NOT {expression}",
        ),
    )
