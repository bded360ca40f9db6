"""Compiled expectations, and Great Expectations' pandas engine, asked the same."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.vocabulary import compile_check
from headrace.gates.engine import run
from headrace.gates.gx.fallback import GxBatch
from headrace.gates.plan import Plan, PlannedRule, RuleFinding

__all__ = ["GxBatch", "ours"]


def ours(table: pa.Table, cases: Sequence[tuple[str, dict[str, Any]]]) -> list[RuleFinding]:
    """What each compiled expectation finds, all of them in one plan."""
    rules = []
    for kind, kwargs in cases:
        check = compile_check(kind, kwargs, Columns(table.schema))
        assert check is not None
        rules.append(
            PlannedRule(
                "id", "expectation", kind, check.columns, "critical", "quarantine", "", check
            )
        )
    return run(Plan.over(rules, table.schema), table, sample=20)
