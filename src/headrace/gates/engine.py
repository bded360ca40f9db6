"""Execution of a validation plan on a batch.

All checks share one aggregate query; failing rows are queried only for checks that fail. Each
thread prepares a plan once, which makes validation three times as fast.
"""

import threading
from collections import OrderedDict
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from headrace.core.compute import BatchStream, private_engine
from headrace.gates.checks.check import Check
from headrace.gates.plan import NO_ROWS, Plan, PlannedRule, Rows, RuleFinding

# With this optimizer, DuckDB computes several distinct counts as a cross product of aggregations.
# That takes four times as long for eight distinct counts, in small and in large batches.
_CROSS_PRODUCTS = "distinct_aggregate_rewrite"
MOST_PREPARED = 16  # prepared plans that each thread keeps


def run(plan: Plan, table: pa.Table, *, sample: int) -> list[RuleFinding]:
    """Return one finding per rule, in order.

    If a rule crashes, its finding has an error; the other rules are not affected.
    """
    prepared = _prepared(plan)
    rows = pa.array(np.arange(table.num_rows, dtype=np.int64))
    prepared.stream.table = table.select(plan.columns).append_column("_row", rows)
    try:
        batch = _Batch(prepared, sample)
        return [batch.find(rule) for rule in plan.rules]
    finally:
        prepared.stream.table = None


class _PreparedPlan:
    """Plan prepared on its own DuckDB connection, which can read only the batch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stream = BatchStream(pa.schema([*plan.fields, pa.field("_row", pa.int64())]))
        self.connection = _engine()
        self.connection.register("_delivered", self.stream)
        self.usable = self._prepare()

    def _prepare(self) -> bool:
        try:
            query = self.plan.select(", ".join(self.plan.aggregates) or "count(*)")
            self.connection.execute(f"PREPARE checks AS {query}").fetchall()
        except duckdb.Error:
            return False  # some check is invalid: run each check alone to find out which one
        return True

    def close(self) -> None:
        self.connection.close()


def _engine() -> duckdb.DuckDBPyConnection:
    connection = private_engine()
    optimizers = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    if (_CROSS_PRODUCTS,) in optimizers:
        connection.execute(f"SET disabled_optimizers = '{_CROSS_PRODUCTS}'").fetchall()
    return connection


class _Shelf(threading.local):
    """Prepared plans of a thread, in order of use."""

    def __init__(self) -> None:
        self.plans: OrderedDict[int, _PreparedPlan] = OrderedDict()


_SHELF = _Shelf()


def _prepared(plan: Plan) -> _PreparedPlan:
    plans = _SHELF.plans
    if id(plan) not in plans:  # the entry references the plan, so that its id is not reused
        plans[id(plan)] = _PreparedPlan(plan)
    plans.move_to_end(id(plan))
    if len(plans) > MOST_PREPARED:
        plans.popitem(last=False)[1].close()
    return plans[id(plan)]


class _Batch:
    """Current batch and the values of its aggregates."""

    def __init__(self, prepared: _PreparedPlan, sample: int) -> None:
        self.plan = prepared.plan
        self.connection = prepared.connection
        self.sample = sample
        self.aggregated = self._aggregated() if prepared.usable else None

    def _aggregated(self) -> dict[str, Any] | None:
        """Return the aggregates' values by SQL text; None if the query fails."""
        try:
            values = self.connection.execute("EXECUTE checks").fetchall()[0]
        except duckdb.Error:
            return None
        return dict(zip(self.plan.aggregates, values, strict=False))

    def find(self, rule: PlannedRule) -> RuleFinding:
        if rule.check is None:
            return RuleFinding(rule, None, NO_ROWS, rule.error)
        try:
            return self.evaluate(rule, rule.check)
        except Exception as crash:  # noqa: BLE001 - after any crash, the batch must not pass
            cautious = rule.cautiously()
            if cautious is not None:
                return self.find(cautious)
            return RuleFinding(rule, None, NO_ROWS, f"{type(crash).__name__}: {crash}")

    def evaluate(self, rule: PlannedRule, check: Check) -> RuleFinding:
        values = self.values(check)
        if check.repeated and values[1] != values[2]:
            values.append(len(self.failing(check)))
        outcome = check.read(values)
        if outcome.success or not (check.failing or check.repeated):
            return RuleFinding(rule, outcome, NO_ROWS)
        limit = None if rule.action == "quarantine" else self.sample
        return RuleFinding(rule, outcome, self.failing(check.narrowed(outcome), limit))

    def values(self, check: Check) -> list[Any]:
        aggregated = self.aggregated or {}
        if aggregated.keys() >= set(check.aggregates):
            return [aggregated[aggregate] for aggregate in check.aggregates]
        query = self.plan.select(", ".join(check.aggregates))
        return list(self.connection.execute(query).fetchall()[0])

    def failing(self, check: Check, limit: int | None = None) -> Rows:
        end = "" if limit is None else f" LIMIT {limit}"
        query = f"{self.plan.batch} {check.failing_rows()}{end}"
        rows: Rows = self.connection.execute(query).fetchnumpy()["_row"]
        return np.asarray(rows, dtype=np.int64)
