"""The plan of a suite over one schema, and its run: one aggregate query for a whole batch.

Failing rows are fetched only for checks that failed. Most batches are a day of some hundred rows,
on which DuckDB spends its time planning: the optimizer is off below `SMALL` rows, which halves the
time of a gate, and equal aggregates are computed once.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from headrace.gates.check import Check, Outcome
from headrace.sql import ident

SMALL = 50_000
_THREAD = threading.local()
Rows = np.ndarray[Any, np.dtype[np.int64]]
NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Rule:
    """A check with what happens if it fails; `error` says why it could not be compiled."""

    id: str
    kind: str
    type: str
    columns: tuple[str, ...]
    severity: str
    action: str
    note: str
    check: Check | None
    error: str = ""


@dataclass(frozen=True)
class Finding:
    """What a rule found; `rows` are positions of failing rows.

    All of them for a rule that quarantines, else the first few.
    """

    rule: Rule
    outcome: Outcome | None
    rows: Rows
    error: str = ""


@dataclass(frozen=True)
class Plan:
    """Rules over one schema; only `columns`, those that some rule can name, go to the engine."""

    rules: tuple[Rule, ...]
    columns: tuple[str, ...]
    aggregates: tuple[str, ...]
    batch: str

    @classmethod
    def over(cls, rules: Sequence[Rule], schema: pa.Schema) -> "Plan":
        checks = [rule.check for rule in rules if rule.check is not None]
        aggregates = dict.fromkeys(a for check in checks for a in check.aggregates)
        others = [part for c in checks for part in (c.failing, c.among, *c.repeated)]
        text = " ".join([*aggregates, *others]).lower()
        used = [field for field in schema if field.name.lower() in text]
        names = tuple(field.name for field in used)
        return cls(tuple(rules), names, tuple(aggregates), _batch_view(used))

    def select(self, expressions: str) -> str:
        return f"{self.batch} SELECT {expressions} FROM batch"  # noqa: S608


def _batch_view(columns: Sequence[pa.Field]) -> str:
    """The batch as checks see it: NaN is null, as it is in pandas."""
    names = [ident(f.name) for f in columns if pa.types.is_floating(f.type)]
    nulled = ", ".join(f"CASE WHEN isnan({n}) THEN NULL ELSE {n} END AS {n}" for n in names)
    replaced = f" REPLACE ({nulled})" if nulled else ""
    return f"WITH batch AS (SELECT *{replaced} FROM _delivered)"  # noqa: S608


def _connection() -> duckdb.DuckDBPyConnection:
    """This thread's own; it sees nothing but what is registered with it."""
    if not hasattr(_THREAD, "connection"):
        connection = duckdb.connect(":memory:", config={"threads": 1})
        connection.execute("SET TimeZone = 'UTC'").fetchall()
        connection.execute("SET enable_external_access = false").fetchall()
        _THREAD.connection = connection
    known: duckdb.DuckDBPyConnection = _THREAD.connection
    return known


def run(plan: Plan, table: pa.Table, *, sample: int) -> list[Finding]:
    """Every rule's finding, in order; one that crashes has an error and leaves the others alone."""
    connection = _connection()
    rows = pa.array(np.arange(table.num_rows, dtype=np.int64))
    connection.register("_delivered", table.select(plan.columns).append_column("_row", rows))
    switch = "disable" if table.num_rows < SMALL else "enable"
    try:
        connection.execute(f"PRAGMA {switch}_optimizer").fetchall()
        batch = _Batch(connection, plan, sample)
        return [batch.find(rule) for rule in plan.rules]
    finally:
        connection.unregister("_delivered")


class _Batch:
    """One batch under one plan, registered and aggregated."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: Plan, sample: int) -> None:
        self.connection = connection
        self.plan = plan
        self.sample = sample
        try:
            self.known: dict[str, Any] | None = self.aggregate(plan.aggregates)
        except duckdb.Error:
            self.known = (
                None  # some check crashed the query: each is asked alone, to find out which
            )

    def aggregate(self, aggregates: Sequence[str]) -> dict[str, Any]:
        """Each aggregate's value, by its text."""
        if not aggregates:
            return {}
        query = self.plan.select(", ".join(aggregates))
        values = self.connection.execute(query).fetchall()[0]
        return dict(zip(aggregates, values, strict=True))

    def find(self, rule: Rule) -> Finding:
        if rule.check is None:
            return Finding(rule, None, NO_ROWS, rule.error)
        try:
            return self.evaluate(rule, rule.check)
        except Exception as crash:  # noqa: BLE001 - whatever it dies of, the batch must not pass
            return Finding(rule, None, NO_ROWS, f"{type(crash).__name__}: {crash}")

    def evaluate(self, rule: Rule, check: Check) -> Finding:
        known = self.aggregate(check.aggregates) if self.known is None else self.known
        values = [known[aggregate] for aggregate in check.aggregates]
        rows = NO_ROWS
        if check.repeated and values[1] != values[2]:
            rows = self.failing(check)
            values.append(len(rows))
        outcome = check.read(values)
        if outcome.success:
            return Finding(rule, outcome, NO_ROWS)
        if check.failing:
            rows = self.failing(check, None if rule.action == "quarantine" else self.sample)
        return Finding(rule, outcome, rows)

    def failing(self, check: Check, limit: int | None = None) -> Rows:
        end = "" if limit is None else f" LIMIT {limit}"
        query = f"{self.plan.batch} {check.failing_rows()}{end}"
        found: Rows = self.connection.execute(query).fetchnumpy()["_row"]
        return np.asarray(found, dtype=np.int64)
